"""``python -m favit.report``."""

import sys

from favit.commands.report import main

if __name__ == "__main__":
    sys.exit(main())
