"""What a sweep will cost before it is spent: ``python -m favit.plan [SWEEP]``.

Time comes from finished runs that differ in nothing that speed depends on, and
where there is none from a few steps measured here, on made-up examples: what
reads and augments real ones comes on top where it is the slower.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.config import Config, ConfigError, SweepConfig, load
from favit.literals import literals
from favit.state import METRICS, Results
from favit.sweep import Run, cells

# Settings that change what is learnt, not how long an example takes
_NOT_SPEED = {
    "seed", "epochs", "lr", "lr_batch", "weight_decay", "schedule", "warmup_epochs", "cooldown_epochs",
    "min_lr", "patience", "limit_train", "limit_test", "label_smoothing",
}  # fmt: skip
_FORWARD = 1 / 3  # scoring's share of a training step
_BYTES = 4
_WHILE_TRAINING = 2 * 4  # two checkpoints of weights, two moments of Adam and, at most, averaged weights


@dataclass(frozen=True)
class Pace:
    """Training examples a second of one device, scoring included, and where that is known from."""

    examples_per_second: float
    source: str
    parameters: int | None = None


@dataclass(frozen=True)
class Cost:
    """One run's."""

    devices: int
    hours: float
    pace: Pace
    train_examples: int


def pace_of(run: Run, finished: Iterable[Mapping[str, Any]]) -> Pace | None:
    """From the latest finished run of equal speed."""
    wanted = _speed(run.settings)
    same = [m for m in finished if m["status"] == "finished" and _speed(m["run"]) == wanted]
    if not same:
        return None
    last = max(same, key=lambda m: m["finished"])
    rate = last["epochs_run"] * last["train_examples"] / last["device_seconds"]
    where = (last["hardware"].get("gpus") or [last["hardware"]["device"]])[0]
    return Pace(rate, f"finished run on {where}")


def cost(run: Run, devices: int, pace: Pace, train_examples: int) -> Cost:
    """All epochs, by devices that share the work evenly."""
    seconds = run["epochs"] * train_examples / (pace.examples_per_second * devices)
    return Cost(devices, seconds / 3600, pace, train_examples)


def examples_of(run: Run, finished: Iterable[Mapping[str, Any]]) -> int | None:
    """Training examples: as declared, or as finished runs counted them. None: unknown."""
    counts = literals("data", run["dataset"]).get("COUNTS")
    limit = run.settings.get("limit_train", 0)
    known = [m["train_examples"] for m in finished if _data(m["run"]) == _data(run.settings)]
    if counts:
        return min(limit or counts["train"], counts["train"])
    return known[0] if known else limit or None


def _speed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _NOT_SPEED}


def _data(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the number of training examples follows from."""
    names = ("limit_train", "input_length", "horizon")
    own = sorted((k, v) for k, v in settings.items() if k.startswith("dataset"))
    return (*own, *(settings.get(name) for name in names))


def finished_runs(results: Path) -> list[dict[str, Any]]:
    """The readable results of all sweeps."""
    found = []
    for path in sorted(results.glob(f"runs/**/{METRICS}")):
        try:
            found.append(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


def lines(config: Config, sweep: SweepConfig, device: str) -> list[str]:
    """What to say of one sweep. Runs that have their result cost nothing."""
    wanted = list({cell.run.key: cell.run for cell in cells(sweep)}.values())
    missing = [state.run for state in Results(config).states(wanted) if not state.counts]
    nodes, gpus = sweep.resources.get("nodes", 1), sweep.resources.get("gpus", 0)
    devices = nodes * max(1, gpus)
    finished, probed = finished_runs(config.results), dict[str, Pace]()
    said = [
        f"{sweep.name}: {len(missing)} of {len(wanted)} runs to train, {devices} device(s) each ({nodes} node(s))"
    ]
    total, storage, unknown = 0.0, 0, 0
    for run in missing:
        examples = examples_of(run, finished)
        if examples is None:
            unknown += 1
            said.append(f"  {run.name}: number of examples unknown until one run has finished")
            continue
        pace = pace_of(run, finished) or _probed(run, device, devices, probed)
        spent = cost(run, devices, pace, examples)
        total += spent.hours
        storage += (pace.parameters or 0) * _BYTES
        said.append(
            f"  {run.name}: {_time(spent.hours)}, {pace.examples_per_second:,.0f}/s a device ({pace.source})"
        )
    said.append(
        f"  together {_time(total)} one after the other, {total * devices:,.1f} device hours"
        + (f"; {unknown} not counted" if unknown else "")
    )
    said += _storage(storage, probed)
    return said


def _storage(kept: int, probed: Mapping[str, Pace]) -> list[str]:
    if not probed:
        return []
    most = max(pace.parameters or 0 for pace in probed.values()) * _BYTES * _WHILE_TRAINING
    stays, passing = f"{kept / 1e6:,.0f} MB of weights (keep: weights)", f"{most / 1e6:,.0f} MB"
    return [f"  storage: {stays}; up to {passing} more a run while it trains"]


def _probed(run: Run, device: str, devices: int, known: dict[str, Pace]) -> Pace:
    key = json.dumps(_speed(run.settings), sort_keys=True)
    if key not in known:
        probe = importlib.import_module("favit.train.probe")
        found = probe.measure(run.settings, device, run["batch_size"] // devices)
        counts = literals("data", run["dataset"]).get("COUNTS", {"train": 5, "val": 1})
        scoring = 1 + _FORWARD * counts["val"] / counts["train"]
        rate = found.examples_per_second / scoring
        known[key] = Pace(rate, f"measured here, on {found.device}, the model alone", found.parameters)
    return known[key]


def _time(hours: float) -> str:
    return (
        f"{hours / 24:,.1f} d" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the costs of the named sweeps."""
    parser = argparse.ArgumentParser(prog="python -m favit.plan", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "target", nargs="?", default="all", help="a sweep, a group or all; default: %(default)s"
    )
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    parser.add_argument("--device", help="where to measure; default: the configuration's")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        for sweep in config.sweeps_of(options.target):
            print("\n".join(lines(config, sweep, options.device or config.device)))
    except (ConfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
