"""``python -m favit.accept``: the same as ``favit accept``."""

import sys

from favit.commands.main import program

if __name__ == "__main__":
    sys.exit(program("accept"))
