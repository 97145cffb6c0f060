"""Who is training a run at this moment, as its folder says. Free of torch."""

from __future__ import annotations

import json
import time
from pathlib import Path

from favit.disk.lease import STALE_AFTER


def of(folder: Path) -> str | None:
    """The host that holds the run's lease; None where there is none or it has gone stale.

    Judged by this machine's clock, which is good enough to tell people.
    """
    path = folder / "lease.json"
    try:
        if time.time() - path.stat().st_mtime > STALE_AFTER:
            return None
        return str(json.loads(path.read_text())["host"])
    except (OSError, ValueError, KeyError):
        return None
