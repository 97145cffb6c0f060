"""Run task INDEX of the batch folder BATCH in this allocation: `python -I -S allocation/ BATCH INDEX`.

`BATCH FIRST COUNT LIMIT_S` runs COUNT tasks from FIRST on side by side, as a pack (LIMIT_S: 0 for none).
"""

import sys
from pathlib import Path

# Started as a folder, by path: only the standard library and this folder's own modules are wanted.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from allocation import pack, task  # noqa: E402

if __name__ == "__main__":
    folder, numbers = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]
    sys.exit(task.main(folder, *numbers) if len(numbers) == 1 else pack.main(folder, *numbers))
