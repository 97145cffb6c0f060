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
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.components.literals import literals
from favit.data import _index
from favit.data._missing import DataMissing
from favit.identity.digests import data_files
from favit.results.state import METRICS, Results
from favit.sweeps.config import Config, ConfigError, SweepConfig, load
from favit.sweeps.runs import Run, cells

# Settings that change what is learnt, not how long an example takes
_NOT_SPEED = {
    "seed", "epochs", "lr", "lr_batch", "weight_decay", "schedule", "warmup_epochs", "cooldown_epochs",
    "min_lr", "patience", "limit_train", "limit_test", "label_smoothing",
}  # fmt: skip
_FORWARD = 1 / 3  # scoring's share of a training step
_BYTES = 4
_CHECKPOINTS = 2 * 4  # two, each of weights, two moments of Adam and, at most, averaged weights


@dataclass(frozen=True)
class Pace:
    """Training examples a second of one device, scoring included, and where that is known from."""

    examples_per_second: float
    source: str


@dataclass(frozen=True)
class Cost:
    """One run's."""

    hours: float
    pace: Pace
    parameters: int


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


def hours(run: Run, devices: int, pace: Pace, train_examples: int) -> float:
    """Of all epochs, by devices that share the work evenly."""
    return run["epochs"] * train_examples / (pace.examples_per_second * devices) / 3600


def examples_of(run: Run, finished: Iterable[Mapping[str, Any]], root: Path) -> tuple[int, int]:
    """Examples trained on and scored in an epoch: as declared, as finished runs counted them, or counted now.

    Raises ``DataMissing`` where that cannot be known.
    """
    counts = literals("data", run["dataset"]).get("COUNTS")
    if counts:
        limits = run["limit_train"], run["limit_test"]
        train, test = (min(limit or n, n) for limit, n in zip(limits, counts.values(), strict=True))
        return train, test
    for metrics in finished:
        if _data(metrics["run"]) == _data(run.settings):
            return metrics["train_examples"], metrics["test_examples"]
    return _probe().examples(run.settings, root)


def _speed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _NOT_SPEED}


def _data(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the number of examples follows from."""
    names = ("limit_train", "limit_test", "input_length", "horizon")
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


def _cost(
    run: Run, devices: int, threads: int, device: str, root: Path, finished: list[dict[str, Any]]
) -> Cost:
    train, scored = examples_of(run, finished, root)
    facts = _probe().facts_of(run.settings, root)
    pace = pace_of(run, finished)
    if pace is None:
        found = _probe().measure(run.settings, facts, device, threads, run["batch_size"] // devices)
        rate = found.examples_per_second / (1 + _FORWARD * scored / train)
        pace = Pace(rate, f"measured here, on {found.device}, the model alone")
    return Cost(hours(run, devices, pace, train), pace, _probe().parameters(run.settings, facts))


def _probe() -> Any:
    return importlib.import_module("favit.planning.probe")  # torch, for those who need it


def lines(config: Config, sweep: SweepConfig, device: str) -> Iterator[str]:
    """What to say of one sweep, as it is found out. Runs that have their result cost nothing."""
    wanted = {cell.run.key: cell for cell in cells(sweep)}
    states = Results(config).states([cell.run for cell in wanted.values()])
    rows: dict[str, list[Run]] = defaultdict(list)  # seeds of a row cost the same
    for state in states:
        if not state.counts:
            cell = wanted[state.run.key]
            rows[f"{' '.join(str(value) for _, value in cell.group)}, {cell.label}"].append(state.run)
    nodes, gpus = sweep.resources.get("nodes", 1), sweep.resources.get("gpus", 0)
    devices, threads = nodes * max(1, gpus), sweep.resources.get("cpus", 1) // max(1, gpus)
    missing = sum(map(len, rows.values()))
    on = f"{devices} {'GPU' if gpus else 'CPU process'}{'s'[: devices > 1]}"
    where = f" of {nodes} nodes" if nodes > 1 else ""
    yield f"{sweep.name}: {missing} of {len(wanted)} runs to train, each on {on}{where}"
    finished = finished_runs(config.results)
    spent: list[Cost] = []
    for label, runs in rows.items():
        try:
            cost = _cost(runs[0], devices, threads, device, config.data, finished)
        except (DataMissing, ValueError) as error:
            yield f"  {len(runs)} x {label}: unknown, {error}"
            continue
        spent += [cost] * len(runs)
        pace = f"{cost.pace.examples_per_second:,.3g} examples/s a device ({cost.pace.source})"
        yield f"  {len(runs)} x {label}: {_time(cost.hours)} each, {pace}"
    if spent:
        total = sum(cost.hours for cost in spent)
        yield f"  {len(spent)} runs: {_time(total)} one after the other, {total * devices:,.1f} device hours"
        if gpus and any("on a CPU" in cost.pace.source for cost in spent):
            yield "  They will have GPUs and this was a CPU: ask again where there is one, or once a run has finished"
        yield _storage(spent, config.keep)
    for settings in {runs[0]["dataset"]: runs[0].settings for runs in rows.values()}.values():
        yield f"  data: {_data_storage(settings, config.data)}"


def _storage(spent: list[Cost], keep: str) -> str:
    weights = [cost.parameters * _BYTES for cost in spent]
    passing = [_CHECKPOINTS * size for size in weights]
    stays = {"none": 0, "weights": sum(weights), "all": sum(weights) + sum(passing)}[keep]
    return (
        f"  results: {_size(stays)} (keep: {keep}), some hundred kB a run besides; "
        f"checkpoints up to {_size(max(passing))} a run while it trains, {_size(sum(passing))} if all do at once"
    )


def _data_storage(settings: Mapping[str, Any], root: Path) -> str:
    name, facts = settings["dataset"], literals("data", settings["dataset"])
    files = data_files(settings, root)
    if "COUNTS" not in facts:
        there = [path.stat().st_size for path in files.values() if path.is_file()]
        return f"{name}, {_size(sum(there))}" if len(there) == len(files) else f"{name}, not here yet"
    try:
        index = _index.read(next(iter(files.values())).parent)
    except (DataMissing, ValueError):
        size = _size(facts["BYTES"])
        return f"{name}, about {size} packed, beside the {size} that it is packed from; not prepared here yet"
    size = _size(sum(shard.bytes for part in index.parts.values() for shard in part.shards))
    return f"{name}, {size} {'packed' if index.images == _index.PACKED else 'in its folders'}"


def _size(n: float) -> str:
    unit, name = next(((u, name) for u, name in ((1e9, "GB"), (1e6, "MB")) if n >= u), (1e3, "kB"))
    return f"{n / unit:,.1f} {name}"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:,.1f} d"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 30 else f"{3600 * hours:.0f} s"


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
            for line in lines(config, sweep, options.device or config.device):
                print(line, flush=True)
    except (ConfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
