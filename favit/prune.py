"""``python -m favit.prune``."""

import sys

from favit.commands.prune import main

if __name__ == "__main__":
    sys.exit(main())
