"""Train a run of an export again with the code in it, and compare its numbers."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
from scipy import stats

from favit.disk.run_folder import RunFolder
from favit.exporting.bundle import LOCK, RUNS, SNAPSHOTS

Outcome = Literal["equal", "within", "neither"]

# Of a row of history.csv: how long it took, not what came out.
_TIMINGS = {"seconds", "examples_per_second", "memory_bytes"}


class CannotTrain(RuntimeError):
    """A run cannot be trained again; the message says why and what to do."""


@dataclass(frozen=True)
class Verdict:
    """equal: every prediction, score and history value to the bit. within: its scores lie where one more seed's would,
    with 95 %. neither: they do not, or one seed alone says nothing of others. words: a line for people."""

    outcome: Outcome
    words: str


def runs_in(export: Path) -> dict[str, Mapping[str, Any]]:
    """The finished runs of an export: name -> ``metrics.json``."""
    found = {}
    for path in sorted((export / RUNS).glob("*/metrics.json")):
        content = json.loads(path.read_text())
        if content.get("status") == "finished":
            found[path.parent.name] = content
    return found


def cheapest(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The run that took the least time."""
    return min(runs, key=lambda name: (runs[name].get("device_seconds") or math.inf, name))


def fresh_python(export: Path, folder: Path) -> Path:
    """The interpreter of a fresh environment with the export's packages. ``CannotTrain`` says what failed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    # Not compiled: of all that is installed, one run imports a small part.
    quick = ["--quiet", "--no-compile", "--disable-pip-version-check"]
    command = [str(python), "-m", "pip", "install", *quick, "--requirement", str(export / LOCK)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise CannotTrain(
            f"could not install {LOCK} ({last}); --here trains with the packages installed here"
        )
    return python


def train(export: Path, name: str, out: Path, data: Path, device: str, python: Path | None = None) -> None:
    """Train a run with the code of its snapshot, as many threads as then. ``CannotTrain`` if it does not finish."""
    folder = RunFolder(export / RUNS / name)
    content = json.loads(folder.metrics.read_text())
    code = export / SNAPSHOTS / str(content.get("snapshot"))
    if not code.is_dir():
        raise CannotTrain(f"the export has no code of {name}")
    threads = str((content.get("hardware") or {}).get("threads") or 0)
    command = [
        str(python or sys.executable),
        "-B",
        str(code),
        "--run",
        str(folder.request),
        "--out",
        str(out),
    ]
    command += ["--data", str(data), "--device", device, "--threads", threads]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise CannotTrain(f"{name} did not finish (status {done.returncode}): {last}")


def judge(then: Path, now: Path, seeds: Sequence[Mapping[str, Any]]) -> Verdict:
    """Compare a run's folder with that of its repetition.

    ``seeds`` are the ``metrics.json`` of the cell's runs, all seeds. Of n >= 2 with mean m and deviation s one more
    lies within m ± t(n - 1, 0.975) s sqrt(1 + 1 / n) with 95 % (the prediction interval of a normal variable).
    """
    differing = list(_differing(then, now))
    scores = json.loads(RunFolder(now).metrics.read_text())["metrics"]
    if not differing:
        shown = ", ".join(f"{name} {value:.6g}" for name, value in scores.items())
        return Verdict("equal", f"equal to the bit: {shown}, every prediction and every epoch")
    said = []
    inside = True
    for name, value in scores.items():
        values = [float(run["metrics"][name]) for run in seeds if name in run["metrics"]]
        if len(values) < 2:
            return Verdict(
                "neither",
                f"not equal to the bit ({', '.join(differing)}): {name} {value:.6g}, before {values[0]:.6g}; with one "
                "seed there is no interval to compare with",
            )
        half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) * math.sqrt(1 + 1 / len(values))
        low, high = fmean(values) - half, fmean(values) + half
        inside = inside and low <= value <= high
        said.append(f"{name} {value:.6g} in [{low:.6g}, {high:.6g}]" if low <= value <= high else
                    f"{name} {value:.6g} outside [{low:.6g}, {high:.6g}]")  # fmt: skip
    words = f"({', '.join(differing)} differ): {', '.join(said)}, the 95 % interval for one more of {len(values)} seeds"
    if inside:
        return Verdict("within", f"within the seeds' interval {words}")
    return Verdict("neither", f"neither equal nor within the seeds' interval {words}")


def _differing(then: Path, now: Path) -> list[str]:
    """The parts of two runs that are not equal to the bit."""
    one, other = RunFolder(then), RunFolder(now)
    found = []
    if _scores(one) != _scores(other):
        found.append("scores")
    with np.load(one.predictions) as a, np.load(other.predictions) as b:
        if a.files != b.files or any(
            a[n].tobytes() != b[n].tobytes() or a[n].dtype != b[n].dtype for n in a.files
        ):
            found.append("predictions")
    if _epochs(one) != _epochs(other):
        found.append("history")
    return found


def _scores(folder: RunFolder) -> str:
    content = json.loads(folder.metrics.read_text())
    return json.dumps([content["status"], content["metrics"], content.get("best")], sort_keys=True)


def _epochs(folder: RunFolder) -> list[dict[str, str]]:
    with folder.history.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k not in _TIMINGS} for row in csv.DictReader(file)]
