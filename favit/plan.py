"""``python -m favit.plan``."""

import sys

from favit.commands.plan import main

if __name__ == "__main__":
    sys.exit(main())
