"""`python -m xray2xray` is `xray2xray`."""

import sys

from .cli import main

if __name__ == "__main__":  # workers that a spawned pool starts import this file too, and must not run the command again
    sys.exit(main())
