"""``python -m favit VERB``: the same as ``favit VERB``."""

import sys

from favit.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
