"""What the command line tools share: options, reading configs, how they end."""
