"""One process at a time, wherever it is; a newer life of the same allocation goes before an older one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from favit.disk.lease import Busy, Fenced, Holder, Lease

ELSEWHERE = {"host": "node9", "machine": "another boot"}


def holder(job: str = "", life: int = 0, **changes: object) -> Holder:
    """A holder as SLURM's environment makes it."""
    environment = {"SLURM_JOB_ID": job, "SLURM_RESTART_COUNT": str(life)} if job else {}
    return replace(Holder.me(environment), **changes)


def lease(folder: Path, me: Holder | None = None, **changes: float) -> Lease:
    """A lease that is quick to renew and slow to go stale."""
    return Lease(
        folder, me or holder(), **{"stale_after": 60.0, "renew_every": 0.02, "settle": 0.05, **changes}
    )


def wait_for(condition, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.005)


def test_a_second_process_is_told_who_the_first_is(tmp_path: Path) -> None:
    first = lease(tmp_path).acquire()
    with pytest.raises(Busy, match=rf"process {os.getpid()} on .*renewed \d+ s ago"):
        lease(tmp_path).acquire()
    first.check()
    first.release()
    lease(tmp_path).acquire().release()
    assert list(tmp_path.iterdir()) == []


def test_another_node_keeps_it_until_it_goes_stale(tmp_path: Path) -> None:
    theirs = lease(tmp_path, holder("7", **ELSEWHERE), renew_every=60).acquire()
    with pytest.raises(Busy, match=r"process .* on node9, job 7"):
        lease(tmp_path, stale_after=0.3).acquire()
    time.sleep(0.4)
    ours = lease(tmp_path, stale_after=0.3).acquire()
    with pytest.raises(Fenced, match="another process has taken over this run"):
        theirs.check()
    ours.check()
    ours.release()


def test_renewing_keeps_it_fresh(tmp_path: Path) -> None:
    ours = lease(tmp_path, holder(**ELSEWHERE)).acquire()
    time.sleep(2.0)
    with pytest.raises(Busy):
        lease(tmp_path, stale_after=1.5).acquire()
    ours.release()


def test_staleness_is_judged_by_the_file_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose clock is an hour ahead takes nothing from anybody."""
    ours = lease(tmp_path, holder(**ELSEWHERE)).acquire()
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 3600)
    with pytest.raises(Busy):
        lease(tmp_path, stale_after=1.0).acquire()
    ours.release()


def test_a_dead_process_of_this_machine_holds_nothing(tmp_path: Path) -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    lease(tmp_path, holder(pid=gone, started=1), renew_every=60).acquire()
    lease(tmp_path).acquire().release()


def test_a_process_number_used_again_is_another_process(tmp_path: Path) -> None:
    lease(tmp_path, holder(started=1), renew_every=60).acquire()  # this number, but not since then
    lease(tmp_path).acquire().release()


def test_a_later_life_fences_the_earlier_one(tmp_path: Path) -> None:
    older = lease(tmp_path, holder("7", 0, **ELSEWHERE)).acquire()
    newer = lease(tmp_path, holder("7", 1)).acquire()
    wait_for(lambda: older.fenced)
    with pytest.raises(Fenced):
        older.check()
    older.release()
    newer.check()
    assert (tmp_path / "lease.json").exists(), "the older one gave back what is not its own"
    newer.release()


@pytest.mark.parametrize(("job", "life"), [("7", 1), ("7", 0), ("8", 2), ("", 9)])
def test_no_one_else_fences(tmp_path: Path, job: str, life: int) -> None:
    held = lease(tmp_path, holder("7", 1, **ELSEWHERE)).acquire()
    with pytest.raises(Busy):
        lease(tmp_path, holder(job, life)).acquire()
    held.release()


def test_of_many_that_find_it_stale_one_gets_it(tmp_path: Path) -> None:
    lease(tmp_path, holder(**ELSEWHERE), renew_every=60).acquire()
    time.sleep(0.2)
    got: list[Lease] = []

    def try_it() -> None:
        with contextlib.suppress(Busy):
            got.append(lease(tmp_path, stale_after=0.1, settle=0.3).acquire())

    together = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert len(got) == 1
    got[0].check()
    got[0].release()


def test_unreadable_it_still_bars_the_way_until_stale(tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text('{"token": ')
    with pytest.raises(Busy, match="unknown"):
        lease(tmp_path).acquire()
    os.utime(tmp_path / "lease.json", (0, 0))
    lease(tmp_path).acquire().release()


def test_deleted_under_a_holder_it_fences_him(tmp_path: Path) -> None:
    ours = lease(tmp_path).acquire()
    (tmp_path / "lease.json").unlink()
    wait_for(lambda: ours.fenced)
    ours.release()


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    ours = lease(tmp_path).acquire()
    with pytest.raises(Busy):
        lease(tmp_path).acquire()
    ours.check()
    ours.release()


def test_the_file_names_its_holder(tmp_path: Path) -> None:
    ours = lease(tmp_path, holder("7", 3)).acquire()
    found = json.loads((tmp_path / "lease.json").read_text())
    assert (found["allocation"], found["life"], found["pid"]) == ("/7", 3, os.getpid())
    ours.release()


def dated_ahead(folder: Path, seconds: float = 7200) -> None:
    """The lease in ``folder`` gets the date of a clock that is ahead."""
    then = time.time() + seconds
    os.utime(folder / "lease.json", (then, then))


def test_a_dead_holder_whose_clock_was_ahead_does_not_block(tmp_path: Path) -> None:
    lease(tmp_path, holder(**ELSEWHERE), renew_every=60).acquire()
    dated_ahead(tmp_path)
    lease(tmp_path, stale_after=0.3).acquire().release()


def test_a_living_holder_whose_clock_is_ahead_keeps_it(tmp_path: Path) -> None:
    lease(tmp_path, holder(**ELSEWHERE), renew_every=60).acquire()
    dated_ahead(tmp_path)
    over = threading.Event()

    def renew() -> None:
        ahead = 7200.0
        while not over.wait(0.01):
            ahead += 1
            dated_ahead(tmp_path, ahead)

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with pytest.raises(Busy, match="renewed just now"):
            lease(tmp_path, stale_after=60.0).acquire()
    finally:
        over.set(), renewing.join()


def test_watching_ends_when_asked_to_stop(tmp_path: Path) -> None:
    lease(tmp_path, holder(**ELSEWHERE), renew_every=60).acquire()
    dated_ahead(tmp_path)
    with pytest.raises(Busy):
        lease(tmp_path, stale_after=3600.0).acquire(lambda: True)
