"""`favit accept --prove`: for which results a proof counts, what stays on record, and what goes wrong on the way."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from favit.commands import accept
from favit.commands.main import run as favit
from favit.identity import snapshot
from favit.proof import prove
from favit.proof.prove import Proof, Side, Unprovable
from favit.results import guard
from favit.results.state import Results, State
from favit.sweeps.config import load
from favit.sweeps.runs import runs

MATRIX = {
    "dataset": ["csv"], "model": ["informer"], "aggregator": ["full"], "encoding": ["none"], "seed": [0, 1, 2],
    "lr": [0.1],
}  # fmt: skip
Compared = list[tuple[str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs that are asked for, and a snapshot of the code that once trained them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    configure(MATRIX)
    config = load()
    results = Results(config)
    guard.before_training(config, results, results.states(runs(config)))
    (today,) = (tmp_path / "results" / "snapshots").iterdir()
    for name in ("old", "between"):
        folder = today.with_name(name)
        shutil.copytree(today, folder)
        loop = folder / "favit" / "train" / "loop.py"
        text, step = loop.read_text(), "self.step = batch.step + 1"
        assert step in text
        loop.write_text(text.replace(step, step + (" + 0" if name == "old" else " + 0 + 0")))
        snapshot.record_files(folder)
    return tmp_path


def configure(matrix: dict[str, Any]) -> None:
    sweep = {"matrix": matrix, "settings": {"dataset.path": "own.csv", "schedule": "constant"}}
    Path("config.yaml").write_text(yaml.safe_dump({"sweeps": {"s": sweep}}))


def states() -> list[State]:
    config = load()
    return Results(config).states(runs(config))


CPU = {"device": "cpu", "gpus": [], "processes": 1}


def finish(*found: State, made_with: str | None = "old", **changes: Any) -> list[Path]:
    """Results of older code."""
    folders = []
    for state in found:
        folder = state.folder.parent / "then"
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "status": "finished", "run": dict(state.run.settings), "metrics": {"mse": 1.5, "mae": 1.5},
            "fingerprint": {**state.fingerprint.as_dict(), "modules": {}, "code": "a" * 16, "digest": "0" * 12},
            "finished": "2026-01-01", "snapshot": made_with, "hardware": CPU, **changes,
        }  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps(content))
        folders.append(folder)
    return folders


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """What has been run instead of training: everything is equal, except what ends with an exception."""
    found: Compared = []
    comparing(monkeypatch, found, lambda old: ())
    return found


def comparing(
    monkeypatch: pytest.MonkeyPatch, found: Compared, reasons: Callable[[str], tuple[str, ...]]
) -> None:
    def compare(old: Side, new: Side, task: str, data: Path, device: str) -> Proof:
        found.append((old.folder.name, new.folder.name))
        return Proof(reasons(old.folder.name), device, 4, (old.folder.name, new.folder.name), "2026-01-02")

    monkeypatch.setattr(prove, "compare", compare)


def records(folder: Path) -> list[dict[str, Any]]:
    path = folder / "accepted.json"
    return json.loads(path.read_text()) if path.exists() else []


def test_one_proof_for_all_seeds(place: Path, compared: Compared, capsys: pytest.CaptureFixture[str]) -> None:
    folders = finish(*states())
    assert favit("accept", ["--prove"]) == 0
    assert len(compared) == 1 and "3 of 3 finished runs proved equal" in capsys.readouterr().out
    assert [s.name for s in states()] == ["accepted"] * 3
    assert "proved: 4 steps and an evaluation equal to the bit on cpu" in states()[0].notes[0]
    assert [len(records(folder)) for folder in folders] == [1, 1, 1]
    assert favit("accept", ["--prove"]) == 0 and [len(records(folder)) for folder in folders] == [1, 1, 1]
    assert "0 of 0 finished runs" in capsys.readouterr().out


@pytest.mark.slow
def test_other_settings_are_another_proof(place: Path, compared: Compared) -> None:
    configure({**MATRIX, "seed": [0, 1], "lr": [0.1, 0.2, 0.3]})
    for state in states():
        finish(state)[0].rename(state.folder.parent / f"then-{state.run['lr']}")
    assert favit("accept", ["--prove"]) == 0
    assert len(compared) == 3


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        ({"device": "cuda", "gpus": ["NVIDIA A100"], "processes": 1}, "proved on a CPU only, but made on NVIDIA A100"),
        ({**CPU, "processes": 2}, "proved with one process only, but made with 2"),
        ({}, "proved on a CPU only, but made on unknown"),
    ],
)  # fmt: skip
def test_a_proof_on_another_device_is_for_a_person_to_judge(
    place: Path, compared: Compared, hardware: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(prove, "gpu_here", lambda: None)
    (folder,) = finish(states()[0], hardware=hardware)
    assert favit("accept", ["--prove"]) == 1
    out = capsys.readouterr().out
    assert (
        f"1 x {said}" in out and "favit accept RUN... --why REASON" in out and "0 of 1 finished runs" in out
    )
    assert records(folder) == [] and len(list((place / "results/.proofs").iterdir())) == 1
    assert favit("accept", [str(folder), "--why", "the same kernels"]) == 0 and len(records(folder)) == 1


def test_what_differs_is_told_and_remembered(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Compared = []
    comparing(monkeypatch, found, lambda old: ("metrics differs", "train/loop.py, line 7: was not executed"))
    finish(*states())
    for _ in range(2):
        assert favit("accept", ["--prove"]) == 1
        out = capsys.readouterr().out
        assert "3 x metrics differs and 1 more" in out and "0 of 3 finished runs proved equal" in out
    assert len(found) == 1 and {s.name for s in states()} == {"missing"}


def test_what_was_accepted_is_proved_from_the_code_that_it_was_accepted_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first code to the second somebody vouched; from the second to today's it is proved."""
    found: Compared = []
    comparing(monkeypatch, found, lambda old: () if old == "between" else ("metrics differs",))
    (folder,) = finish(states()[0])
    vouched = {"from": "a" * 16, "code": "b" * 16, "versions": {}, "snapshot": "between",
               "who": "me", "when": "2026-01-01", "why": "a name"}  # fmt: skip
    (folder / "accepted.json").write_text(json.dumps([vouched]))
    assert favit("accept", ["--prove"]) == 0 and [old for old, _ in found] == ["between"]
    first, second = records(folder)
    assert first == vouched and second["proof"]["snapshots"] == ["between", second["snapshot"]]
    assert states()[0].name == "accepted"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda f: (f / "favit/train/loop.py").write_text("x = 1\n"),
            "loop.py was edited after the snapshot was taken",
        ),
        (lambda f: (f / "favit/train/extra.py").write_text("x = 1\n"), "extra.py was added to a snapshot"),
        (lambda f: (f / "favit/train/loop.py").unlink(), "loop.py was edited after the snapshot was taken"),
        (lambda f: (f / "snapshot.json").write_text('{"commit": null}'), "has an older layout of snapshots"),
        (shutil.rmtree, "its snapshot is missing"),
    ],
)
def test_a_snapshot_that_is_not_whole_proves_nothing(
    place: Path,
    compared: Compared,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    finish(*states())
    spoil(place / "results" / "snapshots" / "old")
    assert favit("accept", ["--prove"]) == 1
    assert (
        f"3 x {said}"
        in capsys.readouterr()
        .out.replace(str(place / "results/snapshots/old") + "/", "")
        .replace("favit/train/", "")
        .replace("results/snapshots/old/", "")
        .replace("results/snapshots/old ", "")
        and compared == []
    )


def test_a_result_that_names_no_snapshot_or_other_versions(
    place: Path, compared: Compared, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, _ = states()
    finish(one, made_with=None)
    (folder,) = finish(other)
    content = json.loads((folder / "metrics.json").read_text())
    content["fingerprint"]["versions"]["torch"] = "1.2.3"
    (folder / "metrics.json").write_text(json.dumps(content))
    assert favit("accept", ["--prove"]) == 1
    out = capsys.readouterr().out
    assert "1 x its result names no snapshot" in out and "1 x torch 1.2.3 -> " in out and compared == []


def test_compiled_code_is_not_watched(
    place: Path, compared: Compared, capsys: pytest.CaptureFixture[str]
) -> None:
    configure({**MATRIX, "compile": [True]})
    finish(*states())
    assert (
        favit("accept", ["--prove"]) == 1 and "3 x compiled code cannot be traced" in capsys.readouterr().out
    )


@pytest.mark.slow
def test_a_code_that_ends_with_an_error_is_told_once_and_tried_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = []

    def fails(*words: Any) -> Proof:
        tries.append(words)
        raise Unprovable("the result's code fails: DataMissing: data file own.csv not found")

    monkeypatch.setattr(prove, "compare", fails)
    finish(*states())
    for number in (1, 2):
        assert favit("accept", ["--prove"]) == 1 and len(tries) == number
        assert "3 x the result's code fails: DataMissing" in capsys.readouterr().out
    assert not (place / "results/.proofs").exists()


@pytest.mark.slow
def test_one_that_is_killed_goes_on_where_it_stopped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure({**MATRIX, "seed": [0], "lr": [0.1, 0.2]})
    found: Compared = []

    def killed(old: str) -> tuple[str, ...]:
        if len(found) == 2:
            raise KeyboardInterrupt
        return ()

    comparing(monkeypatch, found, killed)
    one, other = states()
    finish(one)
    other.folder.parent.joinpath("then").rename(other.folder.parent / "first")
    folder = finish(other)[0]
    assert favit("accept", ["--prove"]) == 130  # the status of Ctrl-C
    assert [s.name for s in states()] == ["accepted", "missing"]
    assert favit("accept", ["--prove"]) == 0 and len(found) == 3
    assert [s.name for s in states()] == ["accepted", "accepted"] and len(records(folder)) == 1


@pytest.mark.slow
def test_a_full_disk_accepts_nothing_and_says_so(
    place: Path, compared: Compared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, data: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    finish(*states())
    monkeypatch.setattr(prove, "write_atomic", full)
    assert favit("accept", ["--prove"]) == 1
    assert "No space left on device" in capsys.readouterr().out and {s.name for s in states()} == {"missing"}


@pytest.mark.parametrize(
    "text",
    [
        '[{"who": "ada"',
        pytest.param('{"who": "ada"}', marks=pytest.mark.slow),
        pytest.param("\udcff", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("words", [["--prove"], ["all", "--why", "a new name"]])
def test_what_was_accepted_before_and_cannot_be_read_is_not_lost(
    place: Path, compared: Compared, capsys: pytest.CaptureFixture[str], text: str, words: list[str]
) -> None:
    damaged, whole, _ = finish(*states())
    (damaged / "accepted.json").write_text(text, errors="surrogateescape")
    before = (damaged / "accepted.json").read_bytes()
    assert favit("accept", words) == 1
    said = "".join(capsys.readouterr())
    assert f"{damaged / 'accepted.json'}" in said and "repair or move it" in said
    assert (damaged / "accepted.json").read_bytes() == before and len(records(whole)) == 1
    (damaged / "accepted.json").rename(damaged / "damaged.json")
    assert favit("accept", words) == 0 and len(records(damaged)) == 1


def test_two_who_accept_at_once_both_stay_on_record(place: Path) -> None:
    config = load()
    results = Results(config)
    finish(states()[0])
    state = results.states(runs(config))[0]
    both = [
        threading.Thread(target=accept.accept, args=(state, state.others[0], results, who, "why"))
        for who in "abcdef"
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(r["who"] for r in records(state.others[0].folder)) == list("abcdef")


@pytest.mark.slow
def test_prune_keeps_the_code_that_a_later_proof_goes_on_from(place: Path, compared: Compared) -> None:
    from favit.commands import prune

    (folder,) = finish(states()[0])
    assert favit("accept", ["--prove"]) == 0
    kept = records(folder)[0]["snapshot"]
    (folder / "accepted.json").write_text((folder / "accepted.json").read_text().replace(kept, "between"))
    config = load()
    asked = prune.asked_for(config, Results(config), "config.yaml")
    names = {path.name for path in prune.unused_snapshots(asked, Results(config), set())}
    assert "between" not in names and "old" not in names


def test_without_why_and_without_proof_nothing_is_accepted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["s"], ["--why", "x"]):
        with pytest.raises(SystemExit):
            favit("accept", words)
        assert "give RUN... with --why REASON, or --prove" in capsys.readouterr().err


def test_the_question_before_retraining_offers_a_proof(place: Path) -> None:
    configure({**MATRIX, "seed": [0, 1, 2, 3, 4]})
    finish(*states())
    config = load()
    results = Results(config)
    with pytest.raises(guard.NeedsConfirmation) as asked:
        guard.before_training(config, results, results.states(runs(config)))
    assert "5 finished runs" in str(asked.value)
    assert "favit accept --prove (short trainings with old and new code: 1)" in str(asked.value)
