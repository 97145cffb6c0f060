"""``python -m favit.report``: the same as ``favit report``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("report"))
