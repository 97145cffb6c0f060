"""What is handed on is whole and checked, and a run of it comes out again: to the bit, within its seeds, or neither."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from favit.analysis.page import report
from favit.commands.main import main
from favit.exporting import again, bundle, lock
from favit.results.state import Results
from favit.sweeps.config import Config
from favit.sweeps.runs import runs
from tests.conftest import Project
from tests.loading.made_up import study
from tests.workflow.conftest import TINY

ONE = TINY["sweeps"]["series"]
MATRIX = {**ONE["matrix"], "seed": [0, 1, 2]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("study")
    return study(
        root, leave=("probsparse.temporal.seed2",), sweeps={"series": {**ONE, "matrix": MATRIX}}, groups={}
    )


@pytest.fixture(scope="module", autouse=True)
def no_report() -> Iterator[None]:
    """Leaves the page and its figures out, which take long; the slow test has them."""

    def write(sections: object, folder: Path, data: Path) -> None:
        (folder / "report").mkdir()
        (folder / "report.html").write_text("a page")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", write)
        yield


@pytest.fixture(scope="module")
def exported(made: Config) -> Path:
    target = made.results.parent / "handed-on"
    assert (
        main(["export", "series", "--to", str(target), "--config", str(made.results.parent / "config.yaml")])
        == 0
    )
    return target


def test_an_export_has_what_its_tables_rest_on(exported: Path, made: Config) -> None:
    there = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert {f"tables/series{s}" for s in (".csv", ".tex", ".md", ".runs.csv")} <= there
    assert {
        "README.md",
        "config.yaml",
        "requirements.txt",
        "manifest.json",
        "CITATION.cff",
        "report.html",
    } <= there
    runs = [path for path in there if path.startswith("runs/") and path.endswith("metrics.json")]
    assert len(runs) == 5 and not any("probsparse.temporal.seed2" in path for path in runs)
    for path in runs:
        content = json.loads((exported / path).read_text())
        assert f"snapshots/{content['snapshot']}/__main__.py" in there
        for name in ("run.json", "history.csv", "predictions.npz", "train.log"):
            assert path.replace("metrics.json", name) in there
    assert not any(path.endswith((".pt", ".safetensors")) or ".cache" in path for path in there)
    readme = (exported / "README.md").read_text()
    assert "5 of 6 runs" in readme and "{" not in readme.replace("{n", "")
    assert set(json.loads((exported / "manifest.json").read_text())) == there - {"manifest.json"}
    assert bundle.check(exported) == len(there) - 1
    # The README's own check, without favit
    [command] = readme.split("    python -c ")[1:]
    code = command.split("\n\n")[0].replace("\\\n    ", "").strip().strip('"')
    done = subprocess.run([sys.executable, "-c", code], cwd=exported, capture_output=True, text=True)
    assert done.stdout.strip() == "whole", done.stderr


def test_a_zip_is_the_same_and_stays_the_same(exported: Path, made: Config, tmp_path: Path) -> None:
    words = ["export", "series", "--config", str(made.results.parent / "config.yaml"), "--weights"]
    assert main([*words, "--to", str(tmp_path / "one.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        names = set(file.namelist())
    assert "one/README.md" in names and sum(name.endswith("weights.safetensors") for name in names) == 5
    folder = bundle.opened(tmp_path / "one.zip", tmp_path / "unpacked")
    assert bundle.check(folder) == len(names) - 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_export_that_is_not_whole_is_refused(
    made: Config, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        assert main(list(words)) == 1
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    assert "already exists" in said(
        "export", "series", "--to", str(exported), "--config", str(made.results.parent / "config.yaml")
    )
    (tmp_path / "empty").mkdir()
    assert "it has no manifest.json" in said("reproduce", str(tmp_path / "empty"))
    assert "nowhere.zip does not exist" in said("reproduce", str(tmp_path / "nowhere.zip"))
    readme = exported / "README.md"
    before = readme.read_bytes()
    try:
        readme.write_bytes(before + b" ")
        assert "README.md was changed after the export" in said("reproduce", str(exported), "--here")
        readme.unlink()
        assert "README.md is missing" in said("reproduce", str(exported), "--here")
    finally:
        readme.write_bytes(before)
    assert "did you mean" in said(
        "reproduce", str(exported), "--here", "--run", "seattle_weather.informer.ful"
    )
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("../evil", "x")
    assert "points outside of it" in said("reproduce", str(tmp_path / "evil.zip"))
    assert not (tmp_path.parent / "evil").exists()


def test_a_damaged_export_is_told_of_in_one_line(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(export: Path) -> str:
        assert main(["reproduce", str(export), "--here"]) == 1
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    [code, *_] = (copy / "snapshots").iterdir()
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "x.pyc").touch()  # what repeating a run by hand leaves
    bundle.check(copy)
    (code / "torch.py").write_text("")
    assert "torch.py was added after the export" in said(copy)
    for content in ("[]", "{"):
        (copy / "manifest.json").write_text(content)
        assert "manifest.json is damaged" in said(copy)
    (copy / "manifest.json").write_text('{"a\\u0000b": ""}')
    assert "which is not in the export" in said(copy)
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("a/manifest.json", "{}" + " " * 99)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(whole.read_bytes().replace(b" " * 99, b" " * 50 + b"x" + b" " * 48))
    assert "bad.zip is damaged" in said(bad)
    bad.write_bytes(whole.read_bytes()[:-30])
    assert "neither a folder nor a whole zip" in said(bad)
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("loose.txt", "x")
    assert "no folder with a manifest.json" in said(bad)


def test_where_nothing_can_be_written_is_told_of_in_one_line(
    made: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "export"
    config = str(made.results.parent / "config.yaml")
    assert main(["export", "series", "--to", str(target), "--config", config]) == 1
    text = capsys.readouterr().err
    assert text == f"favit export: cannot use {target.parent}: Not a directory\n"


def copy_of(run: Path, to: Path, scale: float = 1.0, mse: float | None = None) -> Path:
    """A run's folder whose predictions and scores are changed."""
    to.mkdir()
    for name in ("metrics.json", "history.csv"):
        (to / name).write_bytes((run / name).read_bytes())
    with np.load(run / "predictions.npz") as file:
        np.savez(
            to / "predictions.npz",
            **{name: (file[name] * scale).astype(file[name].dtype) for name in file.files},
        )
    content = json.loads((to / "metrics.json").read_text())
    content["metrics"]["mse"] = mse or content["metrics"]["mse"]
    (to / "metrics.json").write_text(json.dumps(content))
    return to


def test_what_became_of_the_numbers(exported: Path, tmp_path: Path) -> None:
    runs = again.runs_in(exported)
    name = "seattle_weather.informer.full.temporal.seed0"
    run = exported / "runs" / name
    seeds = [content for n, content in runs.items() if ".full." in n]
    assert len(seeds) == 3
    assert again.judge(run, copy_of(run, tmp_path / "same"), seeds).outcome == "equal"
    slower = copy_of(run, tmp_path / "slower")
    (slower / "history.csv").write_text((run / "history.csv").read_text().replace("2.0,5.0", "9.0,1.0"))
    assert again.judge(run, slower, seeds).outcome == "equal"
    # One more of n: mean ± t(2, 0.975) s sqrt(1 + 1/3), where t(2, 0.975) is 4.3027
    values = [content["metrics"]["mse"] for content in seeds]
    mean = sum(values) / 3
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / 2)
    edge = 4.302653 * deviation * math.sqrt(4 / 3)
    for place, factor in (("within", 0.999), ("neither", 1.001)):
        moved = copy_of(run, tmp_path / f"{place}", 1.01, mean + factor * edge)
        verdict = again.judge(run, moved, seeds)
        assert verdict.outcome == place and "scores, predictions" in verdict.words
    other = again.judge(run, copy_of(run, tmp_path / "alone", 1.01), seeds[:1])
    assert other.outcome == "neither" and "with one seed there is no interval" in other.words


def test_the_lock_has_torch_and_what_it_needs() -> None:
    lines = lock.lock().splitlines()
    assert lines[0].startswith("# Python 3.") and len(lines) > 20
    listed = [line.partition("==")[0] for line in lines[1:]]
    assert listed == sorted(listed)
    names = set(listed)
    assert {"torch", "timm", "numpy", "sympy"} <= names and "pytest" not in names
    assert not any("+" in line for line in lines[1:])


@pytest.mark.slow
def test_a_run_comes_out_again_to_the_bit(project: Project, tmp_path: Path) -> None:
    matrix = {**ONE["matrix"], "aggregator": ["full"]}
    project.configure({**TINY, "sweeps": {"series": {**ONE, "matrix": matrix}}, "groups": {}})
    project.snakemake("series")
    project.python("-m", "favit", "export", "series", "--to", str(tmp_path / "handed-on.zip"))
    with zipfile.ZipFile(tmp_path / "handed-on.zip") as file:
        names = {name.partition("/")[2] for name in file.namelist()}
    assert "report.html" in names and any(name.startswith("figures/series-") for name in names)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "favit",
            "reproduce",
            str(tmp_path / "handed-on.zip"),
            "--here",
            "--device",
            "cpu",
        ],
        cwd=project.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seattle_weather.informer.full.temporal.seed0: equal to the bit" in done.stdout


def test_runs_of_one_name_in_two_sweeps_lie_apart(made: Config, tmp_path: Path) -> None:
    state = next(s for s in Results(made).states(runs(made, "series")) if s.counts)
    other = replace(state, run=replace(state.run, settings={**state.run.settings, "lr": 0.5}))
    names, without_code = bundle.copy_runs([state, other], made.results, tmp_path, weights=False)
    first = f"{state.run['dataset']}.{state.run.name}"
    assert list(names.values()) == [first, f"{first}.{state.folder.name}"] and without_code == []
    assert all((tmp_path / "runs" / name / "metrics.json").is_file() for name in names.values())
