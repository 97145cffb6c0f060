"""``python -m favit.tabulate``."""

import sys

from favit.commands.tabulate import main

if __name__ == "__main__":
    sys.exit(main())
