"""``python -m favit.sweep``."""

import sys

from favit.sweeps.runs import main

if __name__ == "__main__":
    sys.exit(main())
