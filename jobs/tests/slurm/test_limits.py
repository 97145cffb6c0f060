"""Limits on how many jobs may be in the queue: waited for with few calls, whoever fills it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MANY = """
rule all:
    input: expand("out/{i}", i=range(COUNT))
rule work:
    output: "out/{i}"
    shell: "echo {wildcards.i} >> ran; sleep SECONDS; touch {output}"
"""


def many(count: int, seconds: int = 0) -> str:
    return MANY.replace("COUNT", str(count)).replace("SECONDS", str(seconds))


def count_calls(s: Any, folder: Path) -> Callable[[], Counter[str]]:
    """Let the sweep call its clients through scripts that write each call down. Return a count of them."""
    folder.mkdir()
    log = folder / "calls"
    for name in ("sbatch", "squeue", "scontrol", "sacct", "sacctmgr", "sinfo", "scancel"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\nexec /usr/bin/{name} "$@"\n')
        script.chmod(0o755)
    s.path = f"{folder}:{s.path}"
    return lambda: Counter(line.split()[0] for line in log.read_text().splitlines())


@pytest.fixture
def limited(cluster: Any) -> Iterator[Callable[[str], None]]:
    """`limited("MaxSubmitJobs=3")` sets it for the user in account lab, until the test is over."""
    modify = ("sacctmgr", "-i", "modify", "user", cluster.user, "where", "account=lab", "set")
    names = []

    def limit(text: str) -> None:
        names.append(text.partition("=")[0])
        cluster.run(*modify, text)

    yield limit
    for name in names:
        cluster.run(*modify, f"{name}=-1")


def ran_once(s: Any, count: int) -> bool:
    return sorted(map(int, (s.folder / "ran").read_text().split())) == list(range(count))


def calls_without_and_with_a_limit(
    sweep: Callable[..., Any],
    limited: Callable[[str], None],
    folder: Path,
    count: int,
    limit: int,
    seconds: int,
) -> tuple[Counter[str], Counter[str], float]:
    """Run the same jobs twice. Return the calls of both sweeps, and how long the limited one took."""
    free = sweep(many(count, seconds), name="free")
    without = count_calls(free, folder / "a")
    free.succeed(timeout=400)
    limited(f"MaxSubmitJobs={limit}")
    s = sweep(many(count, seconds), name="limited")
    calls = count_calls(s, folder / "b")
    begun = time.monotonic()
    s.succeed(timeout=400)
    lasted = time.monotonic() - begun
    print(
        f"{count} jobs of {seconds} s: without {without()}, under a limit of {limit} {calls()} in {lasted:.0f} s"
    )
    assert ran_once(s, count) and s.text().count("wait for room") == 1
    return without(), calls(), lasted


def test_a_limit_costs_a_submission_for_each_part(
    sweep: Callable[..., Any], limited: Callable[[str], None], tmp_path: Path
) -> None:
    """Jobs so short that hardly anything is asked meanwhile: what is more is one refusal, one look at the limit, and
    a submission for each part that finds room, which is at least 3/4 of the places, or what 15 s have freed."""
    without, calls, lasted = calls_without_and_with_a_limit(sweep, limited, tmp_path, 60, 20, 0)
    parts = math.ceil(60 / (0.75 * 20)) + int(lasted / 15)
    assert calls["sbatch"] <= 1 + parts
    assert calls["scontrol"] <= without["scontrol"] + 1 and calls["sinfo"] <= without["sinfo"]
    assert calls["squeue"] <= 1 + lasted / 5


@pytest.mark.slow
def test_a_limit_costs_at_most_half_as_many_calls_more(
    sweep: Callable[..., Any], limited: Callable[[str], None], tmp_path: Path
) -> None:
    """Jobs of some seconds, so that asking counts on both sides. `test_calls.py` counts the same in no time."""
    without, calls, _ = calls_without_and_with_a_limit(sweep, limited, tmp_path, 300, 50, 10)
    assert calls.total() <= 1.5 * without.total()


def test_used_up_from_another_folder(
    sweep: Callable[..., Any], cluster: Any, limited: Callable[[str], None], tmp_path: Path
) -> None:
    """The user's other jobs take every place: this sweep waits however long, asks seldom, then goes on."""
    limited("MaxSubmitJobs=5")
    cluster.run("sbatch", "--output=/dev/null", "--array=0-4", "--wrap", "sleep 300")
    s = sweep(many(12), "--submitit-patience-s", "5")
    calls = count_calls(s, tmp_path / "calls")
    try:
        s.start()
        s.until("it waits", lambda: "wait for room" in s.text())
        time.sleep(12)
        assert s.process.poll() is None, s.text()
        assert calls()["sbatch"] == 1 and calls().total() < 8, calls()
        cluster.run("scancel", "--user", cluster.user)
        assert s.wait(90) == 0, s.text()
    finally:
        cluster.run("scancel", "--user", cluster.user)
    assert ran_once(s, 12)


def test_a_request_that_no_job_may_make_is_told_at_once(
    sweep: Callable[..., Any], cluster: Any, tmp_path: Path
) -> None:
    """With DenyOnLimit its refusal ends in the same line as that of a full queue."""
    modify = ("sacctmgr", "-i", "modify", "user", cluster.user, "where", "account=lab", "set")
    cluster.run("sacctmgr", "-i", "add", "qos", "strict", "set", "Flags=DenyOnLimit", "MaxWall=3")
    cluster.run(*modify, "qos+=strict")
    try:
        s = sweep(many(3), "--submitit-qos", "strict")
        calls = count_calls(s, tmp_path / "calls")
        assert s.run() == 1
        assert calls()["sbatch"] == 1 and "QOSMaxWallDurationPerJobLimit" in s.text()
    finally:
        cluster.run(*modify, "qos-=strict")
        cluster.run("sacctmgr", "-i", "delete", "qos", "strict")
