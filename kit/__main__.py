"""`python -m kit` is the command `kit`."""

import sys

from kit.cli import main

if __name__ == "__main__":  # a spawned worker imports this file again under another name
    sys.exit(main())
