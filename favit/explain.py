"""``python -m favit.explain``: the same as ``favit explain``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("explain"))
