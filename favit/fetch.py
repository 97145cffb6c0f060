"""``python -m favit.fetch``: the same as ``favit fetch``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("fetch"))
