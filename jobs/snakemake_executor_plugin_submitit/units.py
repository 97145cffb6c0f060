"""Read memory as sbatch writes it."""

from __future__ import annotations

import math
import re
from typing import Any

UNITS_MB = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}


def megabytes(request: Any) -> int:
    """Return sbatch's writing of memory, such as 16GB, 200M or 4000, in megabytes; 0 if it is none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", str(request).upper())
    return math.ceil(float(found.group(1)) * UNITS_MB[found.group(2) or "M"]) if found else 0
