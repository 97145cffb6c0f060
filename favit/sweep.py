"""``python -m favit.sweep``: the same as ``favit sweep``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("sweep"))
