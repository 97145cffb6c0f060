"""Loggers: every row once, whatever happens to them or to the run; and nothing of theirs happens to the run."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from favit.train.loggers import feed
from favit.train.loggers.about import About
from favit.train.loggers.feed import Feeds
from tests.train.lives import Life, Lives, signal_after_step
from tests.train.runs import assert_same_result, envelope

# A logger of one's own: notes each row; does what a test wants of it first.
_OWN = """
import json, os, signal, sys, time
from threading import Thread
def logger(run, path="rows"):
    {before}
    def log(row):
        {at_row}
        with open(run.folder / path, "a") as file:
            file.write(json.dumps(row["epoch"]) + "\\n")
    log.close = lambda end: open(run.folder / "end", "w").write(json.dumps(end))
    return log
"""


@pytest.fixture
def own(tmp_path):
    """Writes a logger; returns its entry of run.json."""

    def write(before: str = "pass", at_row: str = "pass", name: str = "own.py") -> dict[str, Any]:
        (tmp_path / name).write_text(_OWN.format(before=before, at_row=at_row))
        return {"name": str(tmp_path / name), "options": {}}

    return write


@pytest.fixture
def live(tmp_path, monkeypatch):
    """One life of a run whose history is so long; returns what was said. It waits however slow the machine is."""
    monkeypatch.setattr(feed, "WAIT_S", 300.0)
    monkeypatch.setattr(feed, "WAIT_STOPPED_S", 300.0)

    def start(
        entries: list[dict[str, Any]], rows: int, status: str = "stopped", anew: bool = False, **more: Any
    ):
        said: list[str] = []
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        about = About(
            "digits.m.a.none.seed0", "0123456789ab", {"lr": 0.1, "ema": False, "model": "m"}, folder
        )
        feeds = Feeds(entries, about, said.append)
        feeds.start()
        if anew:
            feeds.begins_anew()
        history = [
            {"epoch": e, "train_loss": 1 / e, "test_top1": 10.0 * e, **more} for e in range(1, rows + 1)
        ]
        for epoch in range(1, rows + 1):
            feeds.offer(history[:epoch])
        if status != "stopped":
            feeds.end(status, {"top1": 50.0}, history)
        feeds.close()
        return said

    return start


def _epochs(folder: Path, name: str = "rows") -> list[int]:
    path = folder / "run" / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_each_life_hands_over_the_rows_that_no_life_has(tmp_path, own, live) -> None:
    assert live([own()], 2, anew=True) == []
    assert json.loads((tmp_path / "run" / "end").read_text()) == {"status": "stopped", "metrics": {}}
    assert live([own()], 3, "finished") == []
    assert _epochs(tmp_path) == [1, 2, 3]
    assert json.loads((tmp_path / "run" / "end").read_text()) == {
        "status": "finished",
        "metrics": {"top1": 50.0},
    }


def test_a_run_that_begins_anew_is_logged_anew(tmp_path, own, live) -> None:
    live([own()], 2, anew=True)
    live([own()], 1, anew=True)
    assert _epochs(tmp_path) == [1, 2, 1]


def test_a_row_that_was_being_given_at_a_kill_is_not_given_again(tmp_path, own, live) -> None:
    once = "(run.folder / 'was').touch(exist_ok=False), os.kill(os.getpid(), 9)"
    dies = f"row['epoch'] == 2 and not (run.folder / 'was').exists() and ({once})"
    [line] = live([own(at_row=dies)], 3)
    assert "exited with status -9" in line and "the run continues without it" in line
    assert live([own(at_row=dies)], 4) == []
    assert _epochs(tmp_path) == [1, 3, 4]


@pytest.mark.parametrize(
    ("before", "at_row", "words"),
    [
        ("raise OSError(28, 'No space left on device')", "pass", "No space left"),
        ("pass", "1 / (row['epoch'] - 2)", "ZeroDivisionError"),
        ("sys.exit(3)", "pass", "SystemExit: 3"),
        ("pass", "os.kill(os.getpid(), signal.SIGSEGV)", "status -11"),
        ("return 7", "pass", "returns int"),
        ("raise ValueError('two' + chr(10) + 'lines')", "pass", "ValueError: two lines"),
    ],
)
def test_a_logger_that_fails_is_told_of_once_and_harms_no_other(
    tmp_path, own, live, before, at_row, words
) -> None:
    [line] = live(
        [own(before, at_row), {**own(name="other.py"), "options": {"path": "others"}}], 4, "finished"
    )
    assert line.startswith("logger ") and words in line and "\n" not in line
    assert _epochs(tmp_path, "others") == [1, 2, 3, 4]
    assert 2 not in _epochs(tmp_path) or "ended" in words


def test_what_is_no_logger_is_told_of(tmp_path, own, live) -> None:
    entry = own()
    wrong = [
        {"name": "nowhere.py"},
        {"name": "no_such_module:f"},
        {"name": f"{entry['name']}:absent"},
        {"name": entry["name"], "options": {"colour": "red"}},
        {},
    ]
    said = live(wrong, 1, "finished")
    assert len(said) == 5
    for words in ("nowhere.py", "no_such_module", "absent", "colour", "None"):
        assert any(words in line for line in said), words


def test_one_that_hangs_holds_nothing_up_and_is_ended_with_all_that_it_started(
    tmp_path, own, live, monkeypatch
) -> None:
    monkeypatch.setattr(feed, "WAIT_S", 1.0)
    hangs = (
        "(run.folder / 'pids').write_text(f'{os.getpid()} {os.fork() or time.sleep(999)}') or time.sleep(999)"
    )
    [line] = live([own(at_row=hangs)], 400, "finished", note="x" * 1000)  # more than a pipe holds
    assert "did not finish" in line
    for pid in (tmp_path / "run" / "pids").read_text().split():
        while _is_alive(int(pid)):  # a signal takes its time; asleep it would stay for 999 s
            os.sched_yield()


def test_what_it_prints_and_starts_is_kept_from_the_run(tmp_path, own, live, capfd) -> None:
    loud = (
        "print('x' * 200000); os.system('echo from a shell'); sys.stdin.read(); Thread(target=print).start()"
    )
    live([own(at_row=loud)], 3, "finished")
    assert capfd.readouterr() == ("", "")
    assert _epochs(tmp_path) == [1, 2, 3]
    printed = (tmp_path / "run" / "loggers.log").read_text()
    assert len(printed) > 600_000 and printed.count("from a shell") == 3
    live([own(name="quiet.py")], 3, "finished")


def test_values_of_every_kind_are_passed_on(tmp_path, own, live) -> None:
    odd = {"nan": math.nan, "inf": math.inf, "none": None, "text": "a\nb", "path": Path("p"), "truth": True}
    seen = "(run.folder / 'seen').write_text(repr(row))"
    assert live([own(at_row=seen)], 1, "finished", **odd) == []
    text = (tmp_path / "run" / "seen").read_text()
    for words in (
        "'nan': nan",
        "'inf': inf",
        "'none': None",
        r"'text': 'a\nb'",
        "'path': 'p'",
        "'truth': True",
    ):
        assert words in text


def test_tensorboard_shows_each_epoch_once_though_the_run_was_killed(tmp_path, live) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    from favit.train.loggers.tensorboard import Writer

    place = tmp_path / "run" / "tensorboard"
    assert live([{"name": "tensorboard"}], 2, nan=math.nan, none=None, text="x") == []
    watching = reader.EventAccumulator(str(place)).Reload()  # a TensorBoard that is open all the time
    next_life = Writer(About("digits.m.a.none.seed0", "0123456789ab", {"lr": 0.1}, tmp_path / "run"))
    for epoch in (1, 2, 3):
        next_life({"epoch": epoch, "test_top1": 10.0 * epoch})
    for found in (watching.Reload(), reader.EventAccumulator(str(place)).Reload()):
        assert [(e.step, e.value) for e in found.Scalars("test_top1")] == [(1, 10.0), (2, 20.0), (3, 30.0)]
    next_life.close({"status": "finished", "metrics": {"top1": 50.0}})
    assert [(e.step, e.value) for e in watching.Reload().Scalars("final/top1")] == [(3, 50.0)]
    assert not {"none", "text"} & set(watching.Tags()["scalars"]) and "nan" in watching.Tags()["scalars"]
    assert "_hparams_/session_start_info" in watching.summary_metadata
    [file] = place.iterdir()
    assert [e.step for e in reader.EventAccumulator(str(file)).Reload().Scalars("test_top1")] == [1, 2, 3]


def test_wandb_keeps_each_epoch_once_offline(tmp_path, live, monkeypatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "online")  # offline is asked for whatever stands there
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(feed, "WAIT_S", 120.0)  # however slow the machine
    earlier = (
        tmp_path / "run" / "wandb" / "offline-run-20260101_000000-0123456789ab"
    )  # of a life that was killed
    earlier.mkdir(parents=True)
    entry = {"name": "wandb", "options": {"project": "study", "tags": ["a"]}}
    assert live([entry], 3, "finished", none=None, text="x", nan=math.nan) == []
    assert not earlier.exists()
    [file] = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    records = list(_records(file))
    rows = [
        {_key(i): json.loads(i.value_json) for i in r.history.item} for r in records if r.HasField("history")
    ]
    assert [(row["epoch"], row["_step"], row["test_top1"]) for row in rows] == [
        (1, 1, 10),
        (2, 2, 20),
        (3, 3, 30),
    ]
    [run] = [r.run for r in records if r.HasField("run")]
    assert (run.run_id, run.project, run.run_group) == ("0123456789ab", "study", "digits.m.a.none")
    assert {_key(i): json.loads(i.value_json) for i in run.config.update}.items() >= {
        "lr": 0.1,
        "model": "m",
    }.items()
    final = {_key(i): i.value_json for r in records if r.HasField("summary") for i in r.summary.update}
    assert (final["final/top1"], final["final/status"]) == ("50.0", '"finished"')


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _records(path: Path) -> Iterator[Any]:
    """What is in W&B's file: after 7 bytes blocks of 32 KiB of pieces, each with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(whole)
            whole = b""


def test_a_package_of_the_same_interface_is_given_what_it_takes(tmp_path, live, monkeypatch) -> None:
    (tmp_path / "like_wandb.py").write_text(
        "import json\n"
        "def note(**what):\n    open(place, 'a').write(json.dumps(what) + '\\n')\n"
        "def init(project, name=None, config=None, colour=None, dir=None):\n"
        "    global place\n    place = dir + '/noted'\n"
        "    note(project=project, name=name, config=config, colour=colour)\n"
        "def log(row, step):\n    note(row=row['epoch'], step=step)\n"
        "def finish():\n    note(finished=True)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    entry = {"name": "wandb", "options": {"package": "like_wandb", "colour": "red"}}
    assert live([entry], 1) == []
    assert live([entry], 2, "finished") == []
    noted = [json.loads(line) for line in (tmp_path / "run" / "noted").read_text().splitlines()]
    settings = {"lr": 0.1, "ema": False, "model": "m"}
    begins = {"project": "favit", "name": "digits.m.a.none.seed0", "config": settings, "colour": "red"}
    first, second = {"row": 1, "step": 1}, {"row": 2, "step": 2}
    assert noted == [begins, first, {"finished": True}, begins, second, {"finished": True}]


def test_a_run_with_loggers_has_the_bits_of_one_without(tmp_path, own) -> None:
    wanted = envelope("forecasting", epochs=3)
    plain = Life(tmp_path / "plain", wanted, "--keep", "weights")
    noisy = own(at_row="import random; random.random(); print(1)")
    logged = {**wanted, "loggers": [{"name": "nowhere.py"}, noisy]}
    life = Life(
        tmp_path / "run", logged, "--keep", "weights", prepare=signal_after_step, given=(6, signal.SIGTERM)
    )
    assert life.wait() == 4, life.output
    before = _epochs(tmp_path)
    life = Life(tmp_path / "run", logged, "--keep", "weights")
    assert life.wait() == 0, life.output
    assert plain.wait() == 0, plain.output
    assert_same_result(tmp_path / "plain", tmp_path / "run")
    assert (before, _epochs(tmp_path)) == ([1], [1, 2, 3])
    assert (tmp_path / "run" / "train.log").read_text().count("logger nowhere.py failed") == 2


@pytest.mark.slow
def test_several_runs_of_one_process_have_loggers_of_their_own(tmp_path, own) -> None:
    wanted = envelope("forecasting", epochs=2, **{"lr": 1e30})
    runs = {"a": envelope("forecasting", epochs=2), "b": wanted, "c": envelope("forecasting", epochs=2)}
    entry = own(at_row="print('to nobody')")
    life = Lives(tmp_path / "run", {n: {**e, "loggers": [entry]} for n, e in runs.items()})
    assert life.wait() == 0, life.output
    assert life.ended() == {"a": 0, "b": 0, "c": 0}
    assert _epochs(tmp_path, "a/rows") == _epochs(tmp_path, "c/rows") == [1, 2]
    assert json.loads((tmp_path / "run" / "b" / "end").read_text()) == {"status": "diverged", "metrics": {}}
    assert "to nobody" not in life.output


@pytest.mark.slow
def test_a_logger_ends_with_a_run_that_is_killed(tmp_path, own) -> None:
    waits = "(run.folder / 'pid').write_text(str(os.getpid())) and time.sleep(999)"
    life = Life(tmp_path / "run", {**envelope("forecasting", epochs=500), "loggers": [own(at_row=waits)]})
    life.until(lambda: (tmp_path / "run" / "pid").exists())
    life.kill()
    pid = int((tmp_path / "run" / "pid").read_text())
    while _is_alive(pid):  # as long as it takes; it would be 999 s
        os.sched_yield()
    shutil.rmtree(tmp_path / "run")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
