"""Run task INDEX of the batch folder BATCH in this allocation: `python -I -S allocation/ BATCH INDEX`."""

import sys
from pathlib import Path

# Started as a folder, by path: only the standard library and this folder's own modules are wanted.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from allocation.task import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
