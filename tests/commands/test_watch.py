"""``favit watch``: what runs write, read back; when a sweep will be done; a command beside which it is shown."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from favit.commands import watch
from favit.commands.main import main
from favit.disk.lease import Lease
from favit.disk.run_folder import RunFolder
from favit.results.state import Results, State
from favit.sweeps.config import Config
from favit.sweeps.runs import runs
from favit.train.life.reporter import epoch_line
from favit.watching import queue, screen
from favit.watching.forecast import forecast
from favit.watching.runs import Progress, progress
from tests.loading.made_up import study
from tests.workflow.conftest import TINY

ONE = TINY["sweeps"]["series"]
ROW = {"epoch": 3, "train_loss": 0.5, "lr": 1e-4, "test_top1": 93.24, "test_top5": 100.0,
       "examples_per_second": 65.4, "memory_bytes": 2**30}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    matrix = {**ONE["matrix"], "seed": [0, 1]}
    return study(
        tmp_path_factory.mktemp("study"),
        leave=("seed1",),
        sweeps={"series": {**ONE, "matrix": matrix}},
        groups={},
    )


def state_of(made: Config, name: str) -> State:
    return next(s for s in Results(made).states(runs(made, "series")) if s.run.name == name)


@pytest.mark.parametrize("left", [0, 59, 3600, 90061, 900061])
def test_what_a_run_says_after_an_epoch_is_read_back(made: Config, left: int) -> None:
    state = state_of(made, "informer.full.temporal.seed1")
    files, results = RunFolder(state.folder), Results(made)
    files.path.mkdir(parents=True, exist_ok=True)
    files.log.write_text(f"resumed\n{epoch_line(ROW, 'test', 10, left, 'images')}\na remark\n")
    lease = Lease(files.path).acquire()
    try:
        written = files.log.stat().st_mtime
        found = progress(state, results, now=written + 9)
    finally:
        lease.release()
    assert (found.standing, found.epoch, found.epochs) == ("running", 3, 10)
    assert (found.scores, found.speed) == ("top1 93.24 top5 100", "65 images/s")
    assert found.left == max(0, left - 9) and found.where
    stopped = progress(state, results, now=written)
    assert (stopped.standing, stopped.said, stopped.left) == ("stopped", "a remark", None)
    files.log.unlink()
    assert progress(state, results).standing == "missing"


def test_a_run_that_goes_on_with_the_code_of_before_is_running(made: Config) -> None:
    state = state_of(made, "informer.full.temporal.seed1")
    older = RunFolder(state.folder.with_name("0123456789ab"))
    older.path.mkdir(parents=True)
    older.write_request({"run": dict(state.run.settings)})
    older.log.write_text(epoch_line(ROW, "test", 10, 60, "images") + "\n")
    lease = Lease(older.path).acquire()
    try:
        assert progress(state, Results(made)).epoch == 3
        older.write_request({"run": {**state.run.settings, "lr": 0.5}})  # another run of the same place
        assert progress(state, Results(made)).standing == "missing"
    finally:
        lease.release()


def run(mechanism: str, standing: str, epochs: int = 10, epoch: int = 0, **more: Any) -> Progress:
    of = SimpleNamespace(mechanism=mechanism, key=f"{mechanism} {more}", name=mechanism)
    return Progress(of, standing, epochs, epoch, **more)  # type: ignore[arg-type]


def test_the_end_is_the_work_that_is_left_shared_by_those_that_run() -> None:
    """Row a takes 2 s an epoch (finished), row b 4 s (running, 6 of 10 to go), row c is as rows are on average: 3 s."""
    known = [run("a", "finished", 10, 10, seconds=20.0), run("b", "running", 10, 4, left=24.0)]
    ahead = [run("a", "missing"), run("b", "missing"), run("c", "missing")]
    found = forecast([*known, *ahead])
    assert found.left == pytest.approx(24 + 20 + 40 + 30)
    assert found.share == pytest.approx((10 + 4) / 50) and (found.done, found.total) == (1, 5)
    two = forecast([*known, *ahead, run("b", "running", 10, 9, left=4.0)])
    assert two.left == pytest.approx((24 + 20 + 40 + 30 + 4) / 2)
    assert (
        forecast([run("b", "running", 10, 4, left=24.0), run("a", "running", 10, 9, left=1.0)]).left == 24.0
    )
    assert forecast([run("a", "missing"), run("a", "running")]).left is None
    assert forecast([run("a", "finished", seconds=1.0)]).left == 0.0


def test_the_screen_says_when_and_never_leaves_its_width() -> None:
    now = time.mktime((2026, 1, 1, 23, 0, 0, 0, 0, -1))
    going = run("a", "running", 10, 5, left=5400.0, scores="top1 93.24", speed="65 images/s", where="node1")
    going = replace(going, run=SimpleNamespace(mechanism="a", key="k", name="a.seed0", __getitem__=None))  # type: ignore[arg-type]
    summary = screen.summary(forecast([going]), now)
    assert "50 %" in summary and summary.endswith("1:30:00 left, until 2026-01-02 00:30")
    assert "left" not in screen.summary(forecast([run("a", "missing")]), now)


def test_once_for_scripts(
    made: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made.results.parent)
    assert main(["watch", "--once"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("series  [") and " 50 %" in line and line.endswith("2 of 4 runs, 2 missing")
    state = state_of(made, "informer.probsparse.temporal.seed1")
    RunFolder(state.folder).path.mkdir(parents=True, exist_ok=True)
    lease = Lease(state.folder).acquire()
    try:
        assert main(["watch", "series", "seed=1", "--once"]) == 0
    finally:
        lease.release()
    shown = capsys.readouterr().out.splitlines()
    assert "0 of 2 runs, 1 running, 1 missing" in shown[0]
    assert "seattle_weather informer.probsparse.temporal.seed1  0/1" in shown[3]


class Looks(SimpleNamespace):
    def __getitem__(self, key: str) -> str:
        return str(getattr(self, key))


def many(number: int, standing: str, **more: Any) -> list[Progress]:
    of = [
        Looks(
            mechanism="m",
            key=f"{standing} {n}",
            name=f"favit_b0.pointwise_conv.none.seed{n}",
            dataset="digits",
        )
        for n in range(number)
    ]
    return [Progress(one, standing, 10, 3, **more) for one in of]  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [40, 80, 1000])
@pytest.mark.parametrize("height", [10, 24, None])
def test_nothing_that_matters_is_lost_on_a_small_screen(width: int, height: int | None) -> None:
    facts = {"left": 61.0, "scores": "top1 93.24", "speed": "65 images/s", "where": "node17"}
    looked = {"demo-digits": [*many(100, "running", **facts), *many(2, "stopped", said="killed by SIGKILL")]}
    shown = list(screen.lines(looked, [], width, time.time(), height))
    assert max(map(len, shown)) <= width and (height is None or len(shown) < height)
    text = "\n".join(shown)
    assert " 30 %" in text and "0 of 102 runs" in " ".join(text.split())
    assert "3/10" in text and "0:01:01" in text
    named = sum(line.startswith("digits favit_b0.pointwise_conv") for line in shown)
    assert named == 100 if height is None else f"and {100 - named} more running runs" in text


@pytest.mark.parametrize("left", ["0:0", "1 day, 0:00:0", ":", ""])
def test_a_line_that_is_half_written_is_passed_over(made: Config, left: str) -> None:
    state = state_of(made, "informer.full.temporal.seed1")
    files = RunFolder(state.folder)
    files.path.mkdir(parents=True, exist_ok=True)
    whole, _, _ = epoch_line({**ROW, "epoch": 4}, "test", 10, 60, "images").partition("0:01:00")
    files.log.write_text(f"{epoch_line(ROW, 'test', 10, 60, 'images')}\n{whole}{left}")
    lease = Lease(files.path).acquire()
    try:
        written = files.log.stat().st_mtime
        found = progress(state, Results(made), now=written - 3600)  # the writer's clock is ahead
    finally:
        lease.release()
        files.log.unlink()
    assert (found.epoch, found.left) == (3, 60)


@pytest.mark.parametrize("words", [["--beside", ""], ["--beside", "nope-x y"], ["--beside", "an 'open one"]])
def test_what_is_no_command_is_told_of(
    words: list[str], made: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made.results.parent)
    assert main(["watch", *words]) == 1
    assert capsys.readouterr().err.startswith("--beside ")


@pytest.mark.parametrize("every", ["0", "-1", "nan", "inf", "often"])
def test_a_pause_is_above_zero(every: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["watch", "--every", every])
    assert "is not a number of seconds above 0" in capsys.readouterr().err


def test_a_server_that_does_not_answer_for_a_while_ends_nothing(
    made: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made.results.parent)
    looks = iter([OSError(116, "Stale file handle", "results"), {"series": [run("a", "finished", 1, 1)]}])

    def look(self: object) -> object:
        found = next(looks)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(watch.Watched, "look", look)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["watch", "--every", "0.01"]) == 0
    shown = capsys.readouterr().out
    assert "cannot use results: Stale file handle; trying again" in shown and "1 of 1 runs" in shown


def command(text: str) -> str:
    return f"{sys.executable} -c {json.dumps(text)}"


def test_a_command_is_shown_beside_its_runs_and_ends_as_it_ends(
    made: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = watch.Watched(made, ["series"])
    said = "print('Select jobs to execute...'); print('Nothing to be done (all there).')"
    assert watch.beside(command(said), watched, 0.1, tmp_path / "log") == 0
    out = capsys.readouterr().out
    assert out.endswith("Nothing to be done (all there).\n")
    assert "Select" not in out and "2 of 4 runs" in out
    failing = "import sys; print('Select'); print('no such rule'); sys.exit(3)"
    assert watch.beside(command(failing), watched, 0.1, tmp_path / "log") == 3
    err = capsys.readouterr().err
    assert "no such rule" in err and str(tmp_path / "log") in err


def test_the_queue_is_what_the_executor_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert queue.lines(tmp_path) == []
    (tmp_path / ".snakemake" / "submitit").mkdir(parents=True)
    assert queue.lines(tmp_path)[-1].startswith("queue at ") and queue.lines(tmp_path)[-1].endswith("no jobs")
