"""``python -m nearsight`` is the command line."""

import sys

from nearsight.cli import main

if __name__ == "__main__":
    sys.exit(main())
