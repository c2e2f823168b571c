"""What the command line tools share: options, configs, errors and exit codes."""
