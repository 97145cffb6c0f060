"""The cost of the runs of a sweep that have no result yet.

Time comes from finished runs that differ in nothing that speed depends on, and where there is none from a few
steps measured here, on made-up examples: what reads and augments real ones comes on top where it is the slower.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from favit.components import own
from favit.components.literals import literals, trained
from favit.data._missing import DataMissing
from favit.planning.pace import Metrics, Pace, finished_runs, known_examples, known_pace
from favit.results.state import Results
from favit.sweeps.config import Config, SweepConfig
from favit.sweeps.runs import Run
from favit.sweeps.stages import possible

_FORWARD = 1 / 3  # scoring's share of a training step


@dataclass(frozen=True)
class Layout:
    """The devices that each run of a sweep is trained on."""

    nodes: int
    gpus: int  # on each node; 0: one CPU process
    cpus: int  # on each node

    @property
    def devices(self) -> int:
        """Processes that share a run's work."""
        return self.nodes * max(1, self.gpus)

    @property
    def threads(self) -> int:
        """CPU threads of each process."""
        return self.cpus // max(1, self.gpus)


@dataclass(frozen=True)
class Outline:
    """The runs to train, known without measuring."""

    sweep: str
    layout: Layout
    wanted: int  # runs, whether they have their result or not
    rows: dict[str, list[Run]]  # label -> runs to train; seeds of a row cost the same

    @property
    def missing(self) -> int:
        """Runs to train."""
        return sum(map(len, self.rows.values()))


@dataclass(frozen=True)
class Cost:
    """One run's time, on all of its devices together, and the size of its model."""

    hours: float
    pace: Pace
    parameters: int


@dataclass(frozen=True)
class Row:
    """A row's runs, which cost the same, or why that is unknown."""

    label: str
    runs: int
    cost: Cost | None
    why_unknown: str = ""


def outline(config: Config, sweep: SweepConfig, only: Collection[str] | None = None) -> Outline:
    """A sweep's runs that have no result that counts, row by row.

    only: the keys of those that matter; None for all that it may come to ask for.
    """
    places = possible(sweep).places
    wanted: dict[str, tuple[str, Run]] = {}
    for option, cell in ((option, option.cells[0]) for place in places for option in place.options):
        label = f"{' '.join(str(value) for _, value in cell.group)}, {cell.label}"
        for run in option.candidates:
            wanted.setdefault(run.key, (f"{label}, to choose {option.name}", run))
        for of in option.cells:
            wanted.setdefault(of.run.key, (label, of.run))
    if only is not None:
        wanted = {key: value for key, value in wanted.items() if key in only}
    rows: dict[str, list[Run]] = defaultdict(list)
    for state in Results(config).states([run for _, run in wanted.values()]):
        if not state.counts:
            rows[wanted[state.run.key][0]].append(state.run)
    asked = sweep.resources
    layout = Layout(asked.get("nodes", 1), asked.get("gpus", 0), asked.get("cpus", 1))
    return Outline(sweep.name, layout, len(wanted), dict(rows))


def rows(config: Config, what: Outline, device: str) -> Iterator[Row]:
    """The cost of each row, one by one; a row without a finished run is measured on ``device``."""
    finished = finished_runs(config.results)
    for label, runs in what.rows.items():
        try:
            cost = cost_of_run(runs[0], what.layout, device, config.data, finished)
        except (DataMissing, ValueError) as error:
            yield Row(label, len(runs), None, str(error))
        except Exception as error:
            if not own.used_by(runs[0].settings):
                raise
            said = " ".join(str(error).split())  # a component of the user's own does not work yet
            yield Row(label, len(runs), None, f"{type(error).__name__}: {said}")
        else:
            yield Row(label, len(runs), cost)


def cost_of_run(run: Run, layout: Layout, device: str, data: Path, finished: list[Metrics]) -> Cost:
    """The cost of one run. Raises ``DataMissing`` or ``ValueError`` if it cannot be known."""
    from favit.planning import probe  # torch, for those who need it

    if not trained(run["model"]):
        return Cost(0.0, Pace(math.inf, "not trained, only scored"), 0)
    train, scored = examples(run, finished, data)
    facts = probe.data_facts(run.settings, data)
    model = probe.build_model(run.settings, facts)
    pace = known_pace(run, finished)
    if pace is None:
        batch = run["batch_size"] // layout.devices
        found = probe.measure(model, run.settings, facts, device, layout.threads, batch)
        rate = found.examples_per_second / (1 + _FORWARD * scored / train)
        pace = Pace(rate, f"measured here on {found.device}, model only", found.on_cpu, found.memory_bytes)
    return Cost(hours(run, layout.devices, pace, train), pace, probe.parameters(model))


def hours(run: Run, devices: int, pace: Pace, train_examples: int) -> float:
    """The time of all epochs on devices that share the work evenly."""
    epochs: int = run["epochs"]
    return epochs * train_examples / (pace.examples_per_second * devices) / 3600


def examples(run: Run, finished: Iterable[Metrics], data: Path) -> tuple[int, int]:
    """Examples trained on and scored in an epoch: as declared, as finished runs counted them, or counted now.

    Raises ``DataMissing`` if that cannot be known.
    """
    counts = literals("data", run["dataset"]).get("COUNTS")
    if counts:
        limits = run["limit_train"], run["limit_test"]
        train, test = (min(limit or n, n) for limit, n in zip(limits, counts.values(), strict=True))
        return train, test
    known = known_examples(run, finished)
    if known:
        return known
    from favit.planning import probe

    return probe.examples(run.settings, data)
