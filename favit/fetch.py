"""``python -m favit.fetch``."""

import sys

from favit.commands.fetch import main

if __name__ == "__main__":
    sys.exit(main())
