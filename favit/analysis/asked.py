"""The runs that a sweep asks for now if results decide, derived from the results on disk.

    python -m favit.analysis.asked SWEEP --out FILE      writes down what has been decided, for people

Nothing is remembered from one time to the next: whoever kills everything between two stages, or deletes a result,
finds the same questions answered from the results that are there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from favit.analysis import choices
from favit.analysis.choices import Choice, choose
from favit.analysis.results import RunResult
from favit.analysis.run_results import run_result
from favit.disk.files import write_atomic
from favit.results.state import Results, State
from favit.results.tables import table_digest
from favit.sweeps.config import Config, ConfigError, SweepConfig, load
from favit.sweeps.runs import Cell, Run, unique
from favit.sweeps.stages import Place, PlaceKey, Possible, possible

if TYPE_CHECKING:
    from favit.analysis.looks import Look


@dataclass(frozen=True)
class Asked:
    """The runs that a sweep asks for now.

    cells: of its table, place by place; of a place whose settings are not chosen, those of its first option, which
        stand for what is to come and are not asked for. choices, looks: by place, where there are such.
    follow: for each place the runs that may be asked for later, in alternatives of which one will be.
    """

    possible: Possible
    cells: tuple[Cell, ...]
    choices: Mapping[PlaceKey, Choice]
    looks: Mapping[PlaceKey, Look]
    follow: tuple[tuple[tuple[Run, ...], ...], ...]

    def chosen(self, cell: Cell) -> bool:
        """Whether the settings of a cell's place are known, so that its run is asked for."""
        choice = self.choices.get((cell.group, cell.row))
        return choice is None or choice.option is not None

    @property
    def runs(self) -> list[Run]:
        """The runs asked for now, each once, with or without a result."""
        candidates = [
            run for choice in self.choices.values() for o in choice.place.options for run in o.candidates
        ]
        every = [*candidates, *(cell.run for cell in self.cells if self.chosen(cell))]
        return list({run.key: run for run in every}.values())

    @property
    def record(self) -> dict[str, Any]:
        """The decisions so far, as plain values."""
        return {
            "sweep": self.possible.sweep.name,
            "choices": [
                {
                    "row": choice.place.row,
                    "group": dict(choice.place.group),
                    "chosen": None if choice.option is None else dict(choice.option.values),
                    "options": [dict(option.values) for option in choice.place.options],
                    "validation": list(choice.scores),
                    "device_seconds": choice.seconds,
                }
                for choice in self.choices.values()
            ],
            "looks": [
                {"row": row, "group": dict(group), "seeds": look.seeds, "said": look.said}
                for (group, row), look in self.looks.items()
            ],
        }

    def notes(self) -> dict[PlaceKey, tuple[str, ...]]:
        """Footnotes on how each row's settings were chosen."""
        named = {key: c for key, c in self.choices.items() if c.candidates or c.place.options[0].values}
        return {key: (choices.sentence(choice),) for key, choice in named.items()}


def asked(what: Possible, states: Mapping[str, State]) -> Asked:
    """The runs to ask for now, given the states of all possible runs."""
    sweep = what.sweep
    chosen = {place.key: choose(place, states) for place in what.places} if sweep.tune else {}
    cells = {place.key: _cells(place, chosen.get(place.key)) for place in what.places}
    found = _looks(sweep, what, cells, chosen, states) if sweep.rounds else {}
    entering = {
        key: of[: found[key].seeds] if key in found else of[: _baseline_seeds(sweep, key, found)]
        for key, of in cells.items()
    }
    # A row that is decided gets no more seeds, and the baseline none where its block is.
    open_blocks = {group for (group, _), look in found.items() if look.waits}
    settled = {
        place.key: not found[place.key].waits if place.key in found else place.group not in open_blocks
        for place in what.places
    }
    follow = tuple(
        _follow(place, chosen.get(place.key), None if settled[place.key] else len(entering[place.key]))
        for place in what.places
    )
    return Asked(what, tuple(cell for of in entering.values() for cell in of), chosen, found, follow)


def _cells(place: Place, choice: Choice | None) -> tuple[Cell, ...]:
    """The cells of a place's chosen option, in the order of seeds; of the first while none is chosen."""
    option = choice.option if choice is not None and choice.option is not None else place.options[0]
    return option.cells


def _looks(
    sweep: SweepConfig,
    what: Possible,
    cells: Mapping[PlaceKey, Sequence[Cell]],
    chosen: Mapping[PlaceKey, Choice],
    states: Mapping[str, State],
) -> dict[PlaceKey, Look]:
    """The looks at each place, baselines left out: what the table says of them, by the same function."""
    from favit.analysis.looks import replay  # scipy, for those who need it
    from favit.analysis.spec import table_spec

    spec = table_spec(sweep, what.cells)
    found: dict[PlaceKey, Look] = {}
    for group in dict.fromkeys(group for group, _ in cells):
        block: dict[str, list[RunResult]] = {
            row: [run_result_of(cell, states, chosen, spec.pairing) for cell in of]
            for (its_group, row), of in cells.items()
            if its_group == group
        }
        found.update({(group, row): look for row, look in replay(spec, block).rows.items()})
    return found


def run_result_of(
    cell: Cell, states: Mapping[str, State], chosen: Mapping[PlaceKey, Choice], pairing: str, stale: str = ""
) -> RunResult:
    """A cell's run as the table sees it: missing where it is not known yet which settings its place gets."""
    choice = chosen.get((cell.group, cell.row))
    if choice is not None and choice.option is None:
        return RunResult(cell.row, dict(cell.group), cell.run["seed"], "missing")
    return run_result(cell, states[cell.run.key], stale, pairing)


def _baseline_seeds(sweep: SweepConfig, key: PlaceKey, found: Mapping[PlaceKey, Look]) -> int | None:
    """The baseline keeps pace with the rows of its block; all seeds where the sweep has them from the start."""
    if sweep.rounds is None:
        return None
    return max(
        (look.seeds for (group, _), look in found.items() if group == key[0]), default=sweep.rounds.first
    )


def _follow(place: Place, choice: Choice | None, entering: int | None) -> tuple[tuple[Run, ...], ...]:
    """The runs of a place that may follow those that enter, in alternatives; ``entering`` None: no further seeds."""
    if choice is not None and choice.option is None:
        return tuple(tuple(cell.run for cell in option.cells) for option in place.options)
    cells = () if entering is None else _cells(place, choice)[entering:]
    return (tuple(cell.run for cell in cells),)


def digest(now: Asked, results: Results, states: Mapping[str, State]) -> str:
    """The digest of all that a sweep's table depends on."""
    decided = now.record if now.possible.sweep.staged else None
    return table_digest(now.possible.sweep, list(now.cells), results, states, decided)


def of_sweep(sweep: SweepConfig, results: Results) -> Asked:
    """The runs that a sweep asks for now, given the results on disk."""
    what = possible(sweep)
    return asked(what, {state.run.key: state for state in results.states(what.runs)})


def runs_now(config: Config, target: str) -> list[Run]:
    """The distinct runs that a sweep, a group or ``all`` asks for now, in the order of the configuration."""
    results = Results(config)
    return unique(
        run
        for sweep in config.sweeps_of(target)
        for run in (of_sweep(sweep, results) if sweep.staged else possible(sweep)).runs
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write down what a sweep's results have decided so far."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.analysis.asked", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("sweep", help="a sweep of the configuration whose results decide")
    parser.add_argument("--config", default="config.yaml", help="the configuration; default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="the file")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        (sweep,) = config.sweeps_of(options.sweep)
        write_atomic(options.out, json.dumps(of_sweep(sweep, Results(config)).record, indent=1) + "\n")
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
