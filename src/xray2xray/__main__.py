"""`python -m xray2xray` is `xray2xray`."""

import sys

from .commands.cli import main

if __name__ == "__main__":  # a spawned worker imports this file too, and must not run the command again
    sys.exit(main())
