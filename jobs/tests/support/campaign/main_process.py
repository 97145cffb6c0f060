"""`snakemake` with this executor, its waits shortened: a campaign has no minutes to give to each event.

What is shortened is how often things are looked at and tried again, never how long the executor has
patience before it takes a job for lost or failed.
"""

from __future__ import annotations

import sys

from snakemake.cli import main
from snakemake_executor_plugin_submitit import adopt, desk, settings, watch

SHORTER = {
    (settings, "POLL_FLOOR_S"): 1.0,
    (watch, "LONGEST_INTERVAL_S"): 5.0,
    (desk, "PAUSE_S"): 1.0,
    (desk, "LONGEST_PAUSE_S"): 4.0,
    (adopt, "BETWEEN_QUESTIONS_S"): 1.0,
}


def shorten() -> None:
    for (module, name), seconds in SHORTER.items():
        assert hasattr(module, name), f"{module.__name__} has no {name}"
        setattr(module, name, seconds)


if __name__ == "__main__":
    shorten()
    sys.exit(main())
