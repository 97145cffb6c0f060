"""``python -m favit.accept``."""

import sys

from favit.commands.accept import main

if __name__ == "__main__":
    sys.exit(main())
