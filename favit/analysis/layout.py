"""What a reader sees of a table before it becomes LaTeX, Markdown or HTML: columns, footnotes, legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from favit.analysis.results import METRICS

if TYPE_CHECKING:
    from favit.analysis.statistics import Difference
    from favit.analysis.table import Line, Score, Table
    from favit.sweeps.published import Published

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """One cell. ``number`` and ``std`` are plain (``-1.87``), ``text`` replaces what is no number.

    place: 1 best (bold), 2 second (underlined). star: significant. marks: letters of footnotes.
    """

    number: str = ""
    std: str = ""
    text: str = ""
    place: int = 0
    star: bool = False
    marks: str = ""

    @property
    def empty(self) -> bool:
        """Nothing to show."""
        return not (self.number or self.text)


@dataclass(frozen=True)
class Column:
    """A column under a section's heading: ``Top-1 (%)`` / ``ours - publ.``; one cell a line of the table.

    always: shown even where it is empty, unlike other columns.
    """

    section: str
    title: str
    kind: Literal["number", "spread", "text"]
    cells: tuple[Cell, ...]
    always: bool = False


class Footnotes:
    """Letters for remarks, in the order in which they are met; the same remark has the same letter."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, texts: Iterable[str]) -> str:
        """Letters of these remarks, joined by commas."""
        letters = []
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
            letters.append(_letter(self.texts.index(text)))
        return ",".join(letters)

    @property
    def items(self) -> list[tuple[str, str]]:
        """(letter, text) of each."""
        return [(_letter(i), text) for i, text in enumerate(self.texts)]


def _letter(index: int) -> str:
    """a ... z, aa, ab ..."""
    text = ""
    while index >= 0:
        text = chr(ord("a") + index % 26) + text
        index = index // 26 - 1
    return text


@dataclass(frozen=True)
class Layout:
    """A table ready to be written: row labels, columns, footnotes, caption, legend."""

    head: str
    labels: tuple[Cell, ...]
    columns: tuple[Column, ...]
    footnotes: tuple[tuple[str, str], ...]
    caption: str
    legend: tuple[str, ...]


def lay_out(table: Table) -> Layout:
    """Choose the columns that have something to show; uncertain scores come with spread and interval."""
    footnotes = Footnotes()
    labels = tuple(Cell(text=line.row.label, marks=footnotes.mark(line.notes)) for line in table.lines)
    columns = [*_cost_columns(table, footnotes), _seeds_column(table), *_score_columns(table, footnotes)]
    shown = tuple(c for c in columns if c.always or any(not cell.empty for cell in c.cells))
    head = "Aggregator" if table.spec.task == "classification" else "Attention and encoding"
    return Layout(head, labels, shown, tuple(footnotes.items), _caption(table), tuple(_legend(table)))


_SEEDS = "n"


def _seeds_column(table: Table) -> Column:
    return Column("", _SEEDS, "number", tuple(Cell(str(line.averaged)) for line in table.lines), always=True)


def _cost_columns(table: Table, footnotes: Footnotes) -> list[Column]:
    def column(section: str, title: str, number: Callable[[Line], float | None]) -> Column:
        values = [number(line) for line in table.lines]
        digits = _decimals(values)
        return Column(section, title, "number", tuple(_number(value, digits) for value in values))

    def published(section: str, of: Callable[[Line], Published | None]) -> Column:
        return Column(
            section, "publ.", "number", tuple(_published(of(line), footnotes) for line in table.lines)
        )

    params, flops = "Params (M)", "FLOPs (G)"
    return [
        column(params, "ours", lambda line: None if line.cost is None else line.cost.params / 1e6),
        column(params, "1,000 cl.", _params_1000),
        published(params, lambda line: line.published_params),
        column(flops, "ours", lambda line: None if line.cost is None else line.cost.macs / 1e9),
        published(flops, lambda line: line.published_flops),
    ]


def _decimals(values: Iterable[float | None]) -> int:
    """Decimals of a column that show three digits of its smallest number; two to five."""
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(5, max(2, 2 - math.floor(math.log10(smallest))))


def _params_1000(line: Line) -> float | None:
    """Shown only beside a published value, which it makes comparable."""
    if line.cost is None or line.cost.params_1000 is None or line.published_params is None:
        return None
    return line.cost.params_1000 / 1e6


def _score_columns(table: Table, footnotes: Footnotes) -> list[Column]:
    columns = []
    for metric in METRICS[table.spec.task]:
        scores = [line.scores[metric.key] for line in table.lines]
        section, digits = metric.title, metric.decimals
        columns.append(Column(section, "mean ± std", "spread", tuple(_mean(s) for s in scores), always=True))
        if metric.headline:
            differences = tuple(_difference(s, footnotes) for s in scores)
            columns.append(Column(section, "Δ", "number", differences))
            columns.append(Column(section, "95 % CI", "text", tuple(_interval(s) for s in scores)))
        minus = tuple(_number(s.minus_published, digits, signed=True) for s in scores)
        columns.append(
            Column(section, "publ.", "number", tuple(_published(s.published, footnotes) for s in scores))
        )
        columns.append(Column(section, f"ours {MINUS} publ.", "number", minus))
    return columns


def _mean(score: Score) -> Cell:
    if score.mean is None:
        return Cell()
    digits = score.metric.decimals
    std = "" if score.std is None else f"{score.std:.{digits}f}"
    return Cell(f"{score.mean:.{digits}f}", std, place=score.place)


def _difference(score: Score, footnotes: Footnotes) -> Cell:
    d = score.difference
    if d is None:
        return Cell()
    partial = [f"Δ over the {d.seeds} seeds that this row and the baseline share"] if d.left_out else []
    return Cell(
        signed(d.estimate, score.metric.decimals), star=score.significant, marks=footnotes.mark(partial)
    )


def _interval(score: Score) -> Cell:
    d = score.difference
    if d is None or d.low is None or d.high is None:
        return Cell()
    digits = score.metric.decimals
    return Cell(text=f"[{signed(d.low, digits)}, {signed(d.high, digits)}]")


def _published(published: Published | None, footnotes: Footnotes) -> Cell:
    if published is None:
        return Cell()
    return Cell(published.text, marks=footnotes.mark([published.note] if published.note else []))


def _number(value: float | None, digits: int, signed: bool = False) -> Cell:
    if value is None:
        return Cell()
    return Cell(f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}")


def signed(value: float, digits: int) -> str:
    """A difference with its sign, in ASCII."""
    return f"{value:+.{digits}f}"


def _caption(table: Table) -> str:
    state = "" if not table.partial else f"Partial: {table.averaged} of {table.asked} runs are in. "
    return f"{state}{table.spec.caption.rstrip('. ')}." if table.spec.caption else state.strip()


# What ProbSparse selects with is counted as it runs.
_SELECTION = {
    "classification": "selection included",
    "forecasting": "ProbSparse's with all L x L scores, which are what runs, not the L log L of its paper",
}


def _legend(table: Table) -> Iterable[str]:
    """Sentences below or after the caption: only those about something that the table shows."""
    classification = table.spec.task == "classification"
    yield "Mean and standard deviation over n seeds" + (", last epoch." if classification else ".")
    if any(line.cost for line in table.lines):
        yield f"FLOPs are multiply-accumulates of one input at the size trained on, {_SELECTION[table.spec.task]}."
    if any(_params_1000(line) is not None for line in table.lines):
        yield "“1,000 cl.”: parameters with a head of 1,000 classes, as published."
    yield from _comparison_legend(table)
    if any(score.published for line in table.lines for score in line.scores.values()):
        yield f"Published: {'; '.join(_sources(table))}."
    for group in table.groups:
        if group.repeat_last:
            where = f" ({group.title})" if group.title else ""
            scores = [f"{key.upper()} {value:.3f}" for key, value in group.repeat_last.items()]
            yield f"Repeating the last input step scores {', '.join(scores)}{where}."


def _comparison_legend(table: Table) -> Iterable[str]:
    differences = [s.difference for line in table.lines for s in line.scores.values() if s.difference]
    if not differences:
        return
    baseline = next(row.label for row in table.spec.rows if row.id == table.spec.baseline)
    yield f"Δ: difference to {baseline}."
    known = [d for d in differences if d.low is not None]
    if not known:
        yield "Intervals need two seeds a row."
        return
    yield (
        f"CI: 95 % interval over {_sources_of_variance(known)}, {_pairing(known)}: the closed form of a bootstrap, "
        "with Student's quantiles, because percentiles drawn from a few seeds would be too narrow."
    )
    yield (
        "*: p < 0.05, corrected (Holm) for all comparisons of a metric within a block. "
        "Bold: best mean, underlined: second, whether significant or not."
    )
    yield from _more_seeds(table)


def _sources_of_variance(differences: Sequence[Difference]) -> str:
    counted = {bool(d.example_df) for d in differences}
    if counted == {True}:
        return "seeds and test examples together"
    return (
        "seeds" if counted == {False} else "seeds, and test examples where predictions of both rows are there"
    )


def _pairing(differences: Sequence[Difference]) -> str:
    paired = {d.paired for d in differences}
    if paired == {True}:
        return "paired by seed"
    return "seeds not paired" if paired == {False} else "paired where rows share the randomness of two seeds"


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
                f"Further seeds a row that would settle a {metric.label} difference of the size seen "
                f"(80 % power): {'; '.join(parts)}."
            )


def _count(more: float) -> str:
    return f"{more:.0f}" if math.isfinite(more) else "over 1,000"


def _sources(table: Table) -> list[str]:
    published = [s.published for line in table.lines for s in line.scores.values() if s.published]
    return sorted({p.source for p in published})
