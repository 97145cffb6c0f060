"""``python -m favit.init``: the same as ``favit init``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("init"))
