"""Estimate the time and storage of a sweep before training it: ``favit plan [WORDS]``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from favit.analysis.asked import of_sweep
from favit.analysis.detectable import GUESSED, Spread, level_of, sentences, spread_of
from favit.analysis.results import METRICS
from favit.analysis.sequential import Design
from favit.analysis.spec import pairing_of
from favit.commands.main import add_config, command_line
from favit.components.literals import trained
from favit.planning import costs, render
from favit.planning.pace import finished_runs
from favit.planning.storage import data_storage, results_storage
from favit.results.selection import sweeps_with
from favit.results.state import Results
from favit.sweeps.config import Config, ConfigError, SweepConfig, load
from favit.sweeps.names import written
from favit.sweeps.stages import Place, possible


def lines(
    config: Config,
    sweep: SweepConfig,
    device: str,
    asked: frozenset[str] | None = None,
    deviation: float | None = None,
) -> Iterator[str]:
    """The estimate of one sweep, line by line. Runs that have their result cost nothing.

    asked: the keys of the runs that matter; None for all of them. deviation: between seeds' scores, where a person
    states one.
    """
    now = of_sweep(sweep, Results(config)) if sweep.staged else None
    if now is not None:
        keys = frozenset(run.key for run in now.runs)
        asked = keys if asked is None else asked & keys
    what = costs.outline(config, sweep, asked)
    yield render.heading(what)
    if now is not None:
        more = sum(max(map(len, alternatives)) for alternatives in now.follow)
        if more:
            yield f"  up to {more} more runs may follow, depending on the results of these"
    rows: list[costs.Row] = []
    for row in costs.rows(config, what, device):
        rows.append(row)
        yield render.line(row)
    yield from render.totals(what, rows)
    if any(row.cost for row in rows):
        yield render.results(results_storage(rows, config.keep), config.keep)
    hours = [row.cost.hours * what.layout.devices for row in rows if row.cost]
    yield from _detects(config, sweep, deviation, sum(hours) / len(hours) if hours else None)
    first_of_dataset = {runs[0]["dataset"]: runs[0] for runs in reversed(what.rows.values())}
    for run in reversed(first_of_dataset.values()):
        yield render.data(data_storage(run.settings, config.data))


def _detects(
    config: Config, sweep: SweepConfig, deviation: float | None, hours: float | None
) -> Iterator[str]:
    """Which difference to the baseline the sweep detects, and the cost of half of it. hours: device hours of a run."""
    if not sweep.table.baseline:
        return
    finished = finished_runs(config.results)
    blocks: dict[Any, list[Place]] = {}
    for place in possible(sweep).places:
        blocks.setdefault(place.group, []).append(place)
    told: dict[str, None] = {}
    for places in blocks.values():
        # What is not trained is one run, exact, and costs nothing.
        rows = [place.options[0].cells for place in places if trained(place.options[0].cells[0].run["model"])]
        if not rows:
            continue
        run, seeds = rows[0][0].run, min(map(len, rows))
        metric = METRICS[run.task][0]
        headlines = sum(m.headline for m in METRICS[run.task])
        comparisons = max(1, (len(places) - 1) * headlines)
        if deviation is not None:
            spread = Spread(deviation)
        else:
            known = spread_of(finished, run["dataset"], run["model"], run.task)
            spread = known or Spread(GUESSED[run.task])
        level = Design(sweep.rounds.first, sweep.rounds.last, comparisons).level if sweep.rounds else None
        for line in sentences(
            metric,
            written(run["dataset"]) + " " + written(run["model"]),
            seeds,
            len(rows),
            spread,
            level or level_of(comparisons),
            hours,
            deviation is not None,
            pairing_of(sweep),
        ):
            told[line] = None
    yield from told


def main(arguments: Sequence[str]) -> int:
    """Print the estimates for the named sweeps."""
    parser = command_line("plan", __doc__)
    parser.add_argument(
        "words",
        nargs="*",
        help="sweeps, groups or all (default), and key=value[,value] to select among their runs",
    )
    add_config(parser)
    parser.add_argument("--device", help="device to measure on (default: device of the configuration)")
    parser.add_argument(
        "--deviation",
        type=float,
        help="standard deviation of scores between seeds, in the table's unit (default: from results, or a guess)",
    )
    options = parser.parse_args(arguments)
    config = load(options.config)
    try:
        for sweep, asked in sweeps_with(config, options.words):
            for line in lines(config, sweep, options.device or config.device, asked, options.deviation):
                print(line, flush=True)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return 0
