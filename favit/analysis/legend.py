"""Caption and legend: sentences about what a table shows, and about nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from favit.analysis.results import METRICS

if TYPE_CHECKING:
    from favit.analysis.statistics import Difference
    from favit.analysis.table import Line, Score, Table

MINUS = "\N{MINUS SIGN}"


def caption(table: Table) -> str:
    """The sweep's caption, preceded by the number of finished runs if some are missing."""
    state = "" if not table.partial else f"Partial: {table.averaged} of {table.asked} runs are done. "
    return f"{state}{table.spec.caption.rstrip('. ')}." if table.spec.caption else state.strip()


# What ProbSparse selects with is counted as it runs.
_SELECTION = {
    "classification": "selection included",
    "forecasting": "ProbSparse with all L x L scores, as implemented, not the L log L of its paper",
}


def legend(table: Table) -> Iterable[str]:
    """Sentences below or after the caption."""
    yield from _recipe_legend(table)
    yield _mean_legend(table)
    if exact := list(dict.fromkeys(line.row.label for line in table.lines if line.exact)):
        yield f"Not trained, hence one run without seeds: {', '.join(exact)}."
    if any(line.cost for line in table.lines):
        yield f"FLOPs: multiply-accumulates for one input of the size trained on, {_SELECTION[table.spec.task]}."
    if any(params_1000(line) is not None for line in table.lines):
        yield "“1,000 cl.”: parameters with a head of 1,000 classes, as published."
    yield from _comparison_legend(table)
    if any(score.place for score in _scores(table)):
        yield "Bold: best mean; underlined: second best; neither implies significance."
    yield from _published_legend(table)


def params_1000(line: Line) -> float | None:
    """Millions, with a head of 1,000 classes: shown only beside a published value, which it makes comparable."""
    if line.cost is None or line.cost.params_1000 is None or line.published_params is None:
        return None
    return line.cost.params_1000 / 1e6


def _scores(table: Table) -> list[Score]:
    return [score for line in table.lines for score in line.scores.values()]


def _recipe_legend(table: Table) -> Iterable[str]:
    if table.spec.recipe:
        yield f"Recipe: {table.spec.recipe}."


def _mean_legend(table: Table) -> str:
    several = any(score.n > 1 for score in _scores(table))
    shown = "Mean and standard deviation over n seeds" if several else "Scores of one seed"
    return shown + (", last epoch." if table.spec.task == "classification" else ".")


def _published_legend(table: Table) -> Iterable[str]:
    published = [score.published for score in _scores(table) if score.published]
    if not published:
        return
    yield f"Published: {'; '.join(sorted({p.source for p in published}))}."
    if table.spec.against_published:
        yield table.spec.against_published


def _comparison_legend(table: Table) -> Iterable[str]:
    differences = [s.difference for s in _scores(table) if s.difference and s.metric.headline]
    if not differences:
        return
    baseline = next(row.label for row in table.spec.rows if row.id == table.spec.baseline)
    yield f"Δ: difference to {baseline}."
    known = [d for d in differences if d.p is not None]
    if known and table.spec.rounds:
        yield from _looks_legend(table, known)
        return
    if known:
        yield (
            f"CI: 95 % interval over {_sources_of_variance(known)}, {_pairing(known)}: the closed form of a "
            "bootstrap, with Student's quantiles, because percentiles drawn from a few seeds would be too narrow."
        )
    yield from _without_seeds(
        differences, "CI" if not known else "Where a row or the baseline has one seed, CI"
    )
    if known:
        yield f"*: p < 0.05, corrected (Holm) for {_family(table)}."
    yield from _more_seeds(table)


def _looks_legend(table: Table, differences: Sequence[Difference]) -> Iterable[str]:
    """What intervals and stars hold for if rows are tested after each seed."""
    assert table.spec.rounds is not None
    first, last = table.spec.rounds
    labels = [metric.label for metric in METRICS[table.spec.task] if metric.headline]
    within = f" or lies within {table.spec.margin:g} of it" if table.spec.margin is not None else ""
    several = len([group for group in table.groups if group.lines]) > 1
    yield (
        f"Rows are tested after {first} to {last} seeds, each time with as many seeds of the baseline, until the "
        f"interval of {labels[0]} excludes zero{within}."
    )
    yield (
        f"CI: interval over {_sources_of_variance(differences)}, {_pairing(differences)}, which holds for all tests "
        f"and all comparisons {'of its block' if several else 'of this table'}"
        f"{', ' + ' and '.join(labels) + ',' if len(labels) > 1 else ''} together with 95 % (repeated confidence "
        "intervals at Pocock's level)."
    )
    yield "*: p < 0.05, corrected for all of these, but not for other tables."


def _without_seeds(differences: Sequence[Difference], ci: str) -> Iterable[str]:
    """Sentences about intervals over test examples, and about differences without an interval."""
    if any(d.models_only for d in differences):
        yield f"{ci}: 95 % interval over test examples, of this trained model only; another seed may fall outside."
    unknown = [d for d in differences if d.low is None]
    if any(d.seeds < 2 and not d.example_df for d in unknown):
        yield "No CI: one seed, and predictions of the same test examples are not known for both rows."
    if any(d.seeds > 1 or d.example_df for d in unknown):
        yield "No CI: scores do not vary between seeds or, where known, between test examples."


def _family(table: Table) -> str:
    """What p-values are corrected for."""
    labels = [metric.label for metric in METRICS[table.spec.task] if metric.headline]
    together = f", {' and '.join(labels)} together" if len(labels) > 1 else ""
    several = len([group for group in table.groups if group.lines]) > 1
    within = "of its block" if several else "of this table"
    apart = "other blocks and tables" if several else "other tables"
    return f"all comparisons {within}{together}, but not for {apart}"


def _sources_of_variance(differences: Sequence[Difference]) -> str:
    counted = {bool(d.example_df) for d in differences}
    if counted == {True}:
        return "seeds and test examples together"
    return "seeds" if counted == {False} else "seeds, and test examples where both rows have predictions"


def _pairing(differences: Sequence[Difference]) -> str:
    paired = {d.paired for d in differences}
    if paired == {True}:
        return "paired by seed"
    return (
        "seeds not paired" if paired == {False} else "paired where rows share the randomness of enough seeds"
    )


def _more_seeds(table: Table) -> Iterable[str]:
    """How many more seeds would settle what is open, best-known metric first."""
    for metric in [m for m in METRICS[table.spec.task] if m.headline]:
        parts = []
        for group in table.groups:
            open_rows = [(line.row.label, line.scores[metric.key].more_seeds) for line in group.lines]
            told = [f"{label}: {_count(more)}" for label, more in open_rows if more]
            if told:
                parts.append((f"({group.title}) " if group.title else "") + "; ".join(told))
        if parts:
            yield (
                f"Additional seeds per row to settle a difference in {metric.label} of the observed size "
                f"(80 % power, with the uncertainty of its spread): {'; '.join(parts)}."
            )


def _count(more: float) -> str:
    return f"{more:.0f}" if math.isfinite(more) else "over 1,000"
