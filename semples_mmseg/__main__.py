"""``python -m semples_mmseg`` does what the console script ``semples-mmseg`` does."""

from .cli.main import main

if __name__ == '__main__':
    main()
