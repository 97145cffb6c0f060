"""``python -m favit VERB``: the same as ``favit VERB``."""

import signal
import sys

from favit.commands.main import main

if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    sys.exit(main())
