"""A campaign in miniature, so that the long one (`make test-slurm-campaign`) is known to start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from campaign.__main__ import campaign


def test_ten_events(cluster: Any, tmp_path: Path) -> None:
    before = (cluster.dir / "slurm.conf").read_text()
    tally = campaign(cluster, tmp_path, events=10, seed=2, jobs=6)
    assert tally.events.total() == 10 and tally.jobs == 6 * tally.sweeps
    assert tally.findings == []
    assert (cluster.dir / "slurm.conf").read_text() == before
    cluster.wait_until("both nodes are idle again", cluster.idle, 60)
