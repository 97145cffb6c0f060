"""`python -m campaign [--events N] [--seed S] [--jobs N] [--folder DIR]`; ends with 1 if anything went wrong."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from private_slurm import Cluster, another_answers, missing_programs

from .judge import Tally
from .stage import arranged
from .sweep_round import Round

EVENTS_IN_A_SWEEP = 100


def campaign(
    cluster: Cluster,
    folder: Path,
    events: int,
    seed: int,
    jobs: int,
    pack: int = 1,
    pace: float = 1.0,
    warm: bool = False,
) -> Tally:
    """Run sweeps in folders of `folder` until so many events have happened. Folders without findings go."""
    tally = Tally()
    with arranged(cluster):
        while tally.events.total() < events:
            begun, number = time.monotonic(), tally.sweeps + 1
            where = folder / f"sweep{number}"
            budget = min(EVENTS_IN_A_SWEEP, events - tally.events.total())
            sweep = Round(cluster, where, random.Random(f"{seed}.{number}"), jobs, budget, pack, pace, warm)
            cases, findings = sweep.judged()
            tally.add(cases, sweep.stage.events, findings)
            took = time.monotonic() - begun
            print(
                f"sweep {number}: {sweep.stage.events.total()} events, {took:.0f} s; "
                f"{tally.events.total()} events so far, {tally.counts()}",
                flush=True,
            )
            for finding in findings:
                print(f"  {finding.kind}: {finding.name}: {finding.what}", flush=True)
            if not findings:
                shutil.rmtree(where, ignore_errors=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m campaign", description=campaign.__doc__)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=80, help="in each sweep")
    parser.add_argument("--pack", type=int, default=1, help="so many jobs share an allocation")
    parser.add_argument("--warm", action="store_true", help="packed jobs share warm processes")
    parser.add_argument("--pace", type=float, default=1.0, help="how much longer to pause between events")
    parser.add_argument("--folder", type=Path, help="where sweeps lie; those with findings stay")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whatever ends it, the cluster goes
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if another_answers() or missing_programs():
        print("A campaign starts a SLURM of its own: see docs/private-cluster.md.", file=sys.stderr)
        return 2
    folder = options.folder or Path(tempfile.mkdtemp(prefix="campaign-"))
    begun = time.monotonic()
    print(f"seed {options.seed}, {options.events} events, in {folder}", flush=True)
    with tempfile.TemporaryDirectory(prefix="slurm-") as home:
        cluster = Cluster(Path(home) / "c")
        cluster.up()
        try:
            tally = campaign(
                cluster,
                folder,
                options.events,
                options.seed,
                options.jobs,
                options.pack,
                options.pace,
                options.warm,
            )
        finally:
            shutil.copytree(cluster.dir / "log", folder / "slurm-logs", dirs_exist_ok=True)
            cluster.down()
    print(f"seed {options.seed}, {(time.monotonic() - begun) / 60:.0f} minutes\n{tally.report()}")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
