"""``python -m favit.check``: the same as ``favit check``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("check"))
