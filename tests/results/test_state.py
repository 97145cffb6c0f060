"""What counts today is decided by the results on disk alone; made-up results, nothing trained."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from favit.commands import accept
from favit.disk.files import write_atomic
from favit.identity import snapshot
from favit.results import guard, reasons, selection
from favit.results.state import Results, State
from favit.sweeps.config import Config, parse
from favit.sweeps.runs import runs

AXES = {"dataset": ["csv"], "model": ["informer"], "aggregator": ["full"], "encoding": ["none"]}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    return configured(tmp_path)


def configured(folder: Path, **sweep: Any) -> Config:
    return parse(raw_of(folder, **sweep))


def raw_of(folder: Path, **sweep: Any) -> dict[str, Any]:
    settings = {"dataset.path": "own.csv", "epochs": 3, "schedule": "constant", **sweep.pop("settings", {})}
    body = {"matrix": {**AXES, "seed": [0, 1, 2, 3, 4]}, "settings": settings, **sweep}
    return {"data": str(folder / "data"), "results": str(folder / "results"), "sweeps": {"s": body}}


def states(config: Config) -> list[State]:
    return Results(config).states(runs(config))


def finish(state: State, finished: str = "2026-01-01T00:00:00", **changes: Any) -> Path:
    """Write the result that a job would leave, with parts of its fingerprint changed."""
    fingerprint = {**state.fingerprint.as_dict(), "modules": {}, **changes}
    content = {
        "status": "finished",
        "run": dict(state.run.settings),
        "fingerprint": fingerprint,
        "metrics": {"mse": 0.5, "mae": 0.5},
        "wall_time_s": 3600.0,
        "finished": finished,
    }
    write_atomic(state.folder / "metrics.json", json.dumps(content))
    return state.folder


def test_missing_until_its_result_is_there(config: Config) -> None:
    before = states(config)
    assert {s.name for s in before} == {"missing"}
    finish(before[0])
    after = states(config)
    assert [s.name for s in after] == ["valid"] + ["missing"] * 4
    assert after[0].folder == before[0].folder


def test_times_and_caches_and_places_mean_nothing(config: Config, tmp_path: Path) -> None:
    for state in states(config):
        finish(state)
    states(config)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    assert all(s.counts for s in states(config))
    shutil.rmtree(tmp_path / "results" / ".cache")
    assert all(s.counts for s in states(config))
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "results", moved / "results")
    shutil.copytree(tmp_path / "data", moved / "data")
    assert all(s.counts for s in states(configured(moved)))


def test_settings_lead_to_a_new_place_and_back(config: Config, tmp_path: Path) -> None:
    old = finish(states(config)[0])
    changed = states(configured(tmp_path, settings={"lr": 0.01}))
    assert changed[0].name == "missing" and changed[0].folder != old
    finish(changed[0])
    assert states(config)[0].folder == old
    assert states(configured(tmp_path, settings={"lr": 0.01}))[0].folder == changed[0].folder


def test_only_other_content_of_data_invalidates(config: Config, tmp_path: Path) -> None:
    finish(states(config)[0])
    data = tmp_path / "data" / "own.csv"
    os.utime(data, (5, 5))
    assert states(config)[0].counts
    content = data.read_text()
    data.write_text(content.replace("1\n", "2\n"))
    state = states(config)[0]
    assert not state.counts
    assert list(reasons.differences(state.others[0], state, Results(config).fingerprinter)) == [
        "data: own.csv"
    ]
    data.write_text(content)
    assert states(config)[0].counts


def test_without_the_data_the_recorded_digest_is_trusted_and_said_so(config: Config, tmp_path: Path) -> None:
    finish(states(config)[0])
    (tmp_path / "data" / "own.csv").unlink()
    state = states(config)[0]
    assert state.counts and "data not on this machine" in state.notes[0]


def test_prepared_without_the_data_a_result_is_held_to_those_that_were_read(
    config: Config, tmp_path: Path
) -> None:
    data = tmp_path / "data" / "own.csv"
    content = data.read_text()
    digest = states(config)[0].fingerprint.data
    data.unlink()
    state = states(config)[0]
    assert state.fingerprint.data is None
    finish(state, data=digest)  # as the job records it, in the folder that it was given
    assert states(config)[0].counts
    data.write_text(content)
    assert states(config)[0].counts
    data.write_text(content.replace("1\n", "2\n"))
    now = states(config)[0]
    assert not now.counts and now.folder != state.folder
    assert reasons.reason(now, Results(config).fingerprinter) == "data: own.csv"


@pytest.mark.parametrize(
    ("policy", "recorded", "counts"),
    [
        ("minor", "same.same.999", True),
        ("minor", "same.999.0", False),
        ("major", "same.999.0", True),
        ("major", "999.0.0", False),
        ("none", "999.0.0", True),
        ("exact", "same.same.999", False),
    ],
)
def test_versions_count_as_far_as_the_policy_says(
    config: Config, policy: str, recorded: str, counts: bool
) -> None:
    config = replace(config, versions={"torch": policy})
    state = states(config)[0]
    major, minor, *_ = state.fingerprint.versions["torch"].split(".")
    version = recorded.replace("same.same", f"{major}.{minor}").replace("same", major)
    finish(state, versions={"torch": version})
    now = states(config)[0]
    assert now.counts is counts
    if counts:
        assert f"made with torch {version}" in now.notes
    else:
        assert f"torch {version} ->" in reasons.reason(now, Results(config).fingerprinter)


def test_a_place_that_is_taken_by_something_else_is_never_written_to(config: Config) -> None:
    state = states(config)[0]
    finish(state, code="0" * 16)  # in today's folder, but made with other code
    now = states(config)[0]
    assert not now.counts and now.folder != state.folder
    assert not (now.folder / "metrics.json").exists()
    write_atomic(now.folder / "metrics.json", "{torn")
    again = states(config)[0]
    assert again.folder not in (state.folder, now.folder)


def test_a_result_that_contradicts_itself_does_not_count(config: Config) -> None:
    folder = finish(states(config)[0])
    content = json.loads((folder / "metrics.json").read_text())
    content["run"]["epochs"] = 1
    write_atomic(folder / "metrics.json", json.dumps(content))
    assert not states(config)[0].counts


def test_a_duplicate_with_other_numbers_is_shown(config: Config) -> None:
    folder = finish(states(config)[0])
    twin = folder.with_name("colleague")
    shutil.copytree(folder, twin)
    assert not states(config)[0].notes
    content = json.loads((twin / "metrics.json").read_text())
    content["metrics"]["mse"] = 0.4
    write_atomic(twin / "metrics.json", json.dumps(content))
    state = states(config)[0]
    assert state.folder == folder and "colleague" in state.notes[0]


def test_differences_are_named_in_words(config: Config, tmp_path: Path) -> None:
    state = states(configured(tmp_path, settings={"lr": 0.0005}))[0]
    results = Results(config)
    modules = results.fingerprinter.code(state.run).definitions()
    modules["favit.attention.full"]["Attention.forward"] = "changed!"
    del modules["favit.train.loop"]
    finish(state, code="0" * 16, modules=modules)
    now = states(configured(tmp_path, settings={"lr": 0.001}))[0]
    words = reasons.reason(now, results.fingerprinter)
    assert "settings: lr 0.0005 -> 0.001" in words
    assert "attention/full.py: Attention.forward" in words
    assert "train/loop.py (new)" in words


def test_nearest_result_differs_in_the_least(config: Config, tmp_path: Path) -> None:
    far = finish(states(configured(tmp_path, settings={"lr": 0.1, "epochs": 9}))[0])
    near = finish(states(configured(tmp_path, settings={"lr": 0.1}))[0])
    found = reasons.nearest(states(config)[0])
    assert found is not None and found.folder == near != far


def test_more_than_three_finished_runs_are_not_retrained_unasked(config: Config) -> None:
    before = states(config)
    for state in before[:4]:
        finish(state, code="0" * 16)
    with pytest.raises(guard.NeedsConfirmation) as stopped:
        guard.before_training(config, Results(config), states(config))
    message = str(stopped.value)
    assert "4 finished runs, 4.00 device hours" in message
    assert message.count("h): code:") == 4 and "retrain=yes" in message
    assert not (config.results / "snapshots").exists()
    summary = guard.before_training(replace(config, retrain=True), Results(config), states(config))
    assert "5 to train" in summary and "never run before" in summary


def test_three_are(config: Config) -> None:
    for state in states(config)[:3]:
        finish(state, code="0" * 16)
    guard.before_training(config, Results(config), states(config))


def test_runs_that_may_follow_are_kept_and_the_most_of_them_counted(config: Config) -> None:
    """Of alternatives one will be trained: of three and one that would be again the question counts three."""
    for state in states(config)[:4]:
        finish(state, code="0" * 16)
    now = states(config)
    results = Results(config)
    with pytest.raises(guard.NeedsConfirmation, match="4 finished runs"):
        guard.before_training(config, results, now[:1], [[now[1:4], now[4:]]])
    guard.before_training(config, results, now[:1], [[now[1:3], now[3:]]])
    assert all((state.folder / "run.json").is_file() for state in now)


def test_what_the_configuration_changed_itself_needs_no_confirmation(config: Config, tmp_path: Path) -> None:
    for state in states(config):
        finish(state)
    changed = configured(tmp_path, settings={"lr": 0.01})
    guard.before_training(changed, Results(changed), states(changed))


def test_a_changed_default_does(config: Config, tmp_path: Path) -> None:
    for state in states(configured(tmp_path, settings={"lr": 0.123})):
        finish(
            state, code="0" * 16
        )  # the default learning rate was another, and so was the code that says so
    with pytest.raises(guard.NeedsConfirmation, match=r"lr 0\.123"):
        guard.before_training(config, Results(config), states(config))


def test_request_and_snapshot_are_left_for_the_job(config: Config) -> None:
    before = states(config)
    guard.before_training(config, Results(config), before)
    request = json.loads((before[0].folder / "run.json").read_text())
    assert request["run"] == dict(before[0].run.settings)
    assert request["fingerprint"]["digest"] == before[0].fingerprint.digest
    folder = snapshot.folder_of(request["snapshot"], config.results)
    assert (folder / "favit" / "attention" / "full.py").is_file()
    assert not (folder / "favit" / "attention" / "probsparse.py").exists()


def test_acceptance_is_recorded_and_noted(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    for state in states(config):
        finish(state, code="0" * 16)
    results = Results(config)
    for state in states(config):
        accept.accept(state, accept.candidate(state), results, "ada", "only a variable was renamed")
    after = states(config)
    assert {s.name for s in after} == {"accepted"}
    assert "accepted by ada" in after[0].notes[0] and "renamed" in after[0].notes[0]
    assert reasons.line(after[0], results.fingerprinter).startswith("accepted")


def test_other_settings_cannot_be_accepted(config: Config, tmp_path: Path) -> None:
    finish(states(config)[0])
    with pytest.raises(accept.Unacceptable, match="no finished result"):
        accept.candidate(states(configured(tmp_path, settings={"lr": 0.01}))[0])


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "running"},
        {"metrics": None},
        {"fingerprint": {"versions": "torch"}},
        {"fingerprint": {"versions": {"torch": 2}}},
        {"fingerprint": {"data": 5}},
        {"fingerprint": []},
        {"run": 3},
    ],
)
def test_what_is_no_whole_result_is_passed_over(config: Config, broken: dict[str, Any]) -> None:
    folder = finish(states(config)[0])
    content = json.loads((folder / "metrics.json").read_text())
    for key, value in broken.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    write_atomic(folder / "metrics.json", json.dumps(content))
    state = states(config)[0]
    assert not state.counts and state.folder != folder
    assert reasons.line(state, Results(config).fingerprinter).endswith("never run before")


@pytest.mark.parametrize("modules", [[1], {"favit.attention.full": 5}, "x"])
def test_a_result_that_does_not_say_what_it_ran_is_explained_all_the_same(
    config: Config, modules: Any
) -> None:
    finish(states(config)[0], code="0" * 16, modules=modules)
    assert "does not say which" in reasons.reason(states(config)[0], Results(config).fingerprinter)


def test_odd_things_in_a_place_are_passed_over(config: Config) -> None:
    folder = finish(states(config)[0])
    (folder.parent / "loop").symlink_to("loop")
    (folder.parent / "file").write_text("")
    (folder.parent / "folder" / "metrics.json").mkdir(parents=True)
    assert states(config)[0].folder == folder


@pytest.mark.parametrize(
    "text",
    [
        "{torn",
        '{"made_by": "other", "entries": {"a": 1}}',
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in (
                "[]",
                "5",
                '{"results": 1}',
                '{"code": "other", "results": {"a": 1}}',
                '{"made_by": "", "entries": 5}',
            )
        ),
    ],
)
def test_a_damaged_cache_is_no_harm(config: Config, text: str) -> None:
    finish(states(config)[0])
    states(config)
    for name in ("results.json", "data.json", "modules.json", "definitions.json"):
        (config.results / ".cache" / name).write_text(text)
        assert [s.name for s in states(config)] == ["valid"] + ["missing"] * 4, name


def test_definitions_in_another_order_are_named(config: Config) -> None:
    state = states(config)[0]
    modules = Results(config).fingerprinter.code(state.run).definitions()
    finish(state, code="0" * 16, modules=modules)
    reason = reasons.reason(states(config)[0], Results(config).fingerprinter)
    assert reason == "code: the order of definitions or imports"


def test_a_folder_stands_for_its_own_run_and_for_all_below_it(config: Config, tmp_path: Path) -> None:
    body = {
        "settings": {"dataset.path": "own.csv", "schedule": "constant"},
        "matrix": {**AXES, "seed": [0, 1], "epochs": [1, 2]},
    }
    raw = {"data": str(tmp_path / "data"), "results": str(tmp_path / "results"), "sweeps": {"s": body}}
    two = parse(raw)
    first = states(two)[0]
    same_place = [s for s in states(two) if s.folder.parent == first.folder.parent]
    assert len(same_place) == 2
    folder = finish(first, code="0" * 16)

    def found(path: Path) -> list[str]:
        return [run.key for run in selection.select(two, str(path))]

    assert found(folder) == found(folder / "metrics.json") == [first.run.key]
    assert found(same_place[1].folder) == [same_place[1].run.key]
    assert found(folder.parent) == [s.run.key for s in same_place]
    assert len(found(tmp_path / "results" / "runs" / "csv")) == 4


def test_data_that_are_not_here_are_told_before_jobs_wait(config: Config, tmp_path: Path) -> None:
    """In a line for each data set."""
    state = states(config)[0]

    def told(*datasets: str) -> list[str]:
        runs = [replace(state.run, settings={**state.run.settings, "dataset": name}) for name in datasets]
        return guard.absent_data(tmp_path, [replace(state, run=run) for run in runs])

    assert told("digits") == [], "they lie in a package"
    imagenet, cifar = told("imagenet1k", "cifar100", "cifar100")
    assert "imagenet1k/index.json not found" in imagenet and "snakemake prepare" in imagenet
    assert "1 of 3 runs will fail" in imagenet
    assert cifar.startswith("cifar-100-python/train is missing in ") and "snakemake data" in cifar
    assert "2 of 3 runs will fail" in cifar


def test_of_several_files_only_the_missing_ones_are_told(config: Config, tmp_path: Path) -> None:
    """Each with the runs that it stops."""
    state = states(config)[0]
    (tmp_path / "here.csv").write_text("")
    settings = {**state.run.settings, "dataset": "csv"}
    runs = [
        replace(state.run, settings={**settings, "dataset.path": name, "seed": seed})
        for name in ("here.csv", "nope.csv", "gone.csv")
        for seed in (0, 1)
    ]
    nope, gone = guard.absent_data(tmp_path, [replace(state, run=run) for run in runs])
    assert nope.startswith(f"nope.csv is missing in {tmp_path}: 2 of 6 runs will fail") and gone.startswith(
        "gone.csv"
    )
    assert guard.missing_file(tmp_path, runs[2].settings) == f"; nope.csv is missing in {tmp_path}"
    assert guard.missing_file(tmp_path, runs[0].settings) == ""
