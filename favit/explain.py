"""``python -m favit.explain``."""

import sys

from favit.results.reasons import main

if __name__ == "__main__":
    sys.exit(main())
