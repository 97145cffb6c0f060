"""``python -m favit.plan``: the same as ``favit plan``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("plan"))
