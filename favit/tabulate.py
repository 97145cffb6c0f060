"""``python -m favit.tabulate``: the same as ``favit tabulate``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("tabulate"))
