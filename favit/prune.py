"""``python -m favit.prune``: the same as ``favit prune``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("prune"))
