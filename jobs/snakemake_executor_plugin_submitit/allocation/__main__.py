"""Run task INDEX of the batch folder BATCH in this allocation: `python -I -S allocation/__main__.py BATCH INDEX`.

`BATCH FIRST COUNT LIMIT_S` runs COUNT tasks from FIRST on side by side, as a pack (LIMIT_S: 0 for none).
"""

import sys
from pathlib import Path

# Started by path: only the standard library and this folder's own modules are wanted. (Started as a folder it would
# load what finds programs in folders first, half as long as Python takes to start.)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    folder, numbers = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]
    if len(numbers) == 1:  # what a pack needs besides is not loaded for each task of thousands
        from allocation import task

        sys.exit(task.main(folder, *numbers))
    from allocation import pack

    sys.exit(pack.main(folder, *numbers))
