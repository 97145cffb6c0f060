"""The layout of a table, independent of LaTeX, Markdown and HTML: columns and footnotes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from favit.analysis.legend import MINUS, caption, legend, params_1000
from favit.analysis.results import METRICS

if TYPE_CHECKING:
    from favit.analysis.table import Line, Score, Table
    from favit.sweeps.published import Published

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
    shown = _named([c for c in columns if c.always or any(not cell.empty for cell in c.cells)])
    default = "Aggregator" if table.spec.task == "classification" else "Attention and encoding"
    head = table.spec.head or default
    return Layout(head, labels, shown, tuple(footnotes.items), caption(table), tuple(legend(table)))


def _named(columns: Sequence[Column]) -> tuple[Column, ...]:
    """A column alone in its section is not told from others: nothing is "ours" where nobody else's is shown."""
    in_section = Counter(column.section for column in columns)
    return tuple(
        replace(column, title="")
        if column.title in ("ours", _SCORE) and in_section[column.section] == 1
        else column
        for column in columns
    )


MODELS_ONLY = "interval over test examples, this trained model only"
_SEEDS = "n"
_SCORE = "score"


def _seeds_column(table: Table) -> Column:
    cells = (Cell() if line.exact else Cell(str(line.averaged)) for line in table.lines)
    return Column("", _SEEDS, "number", tuple(cells), always=True)


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
        column(params, "1,000 cl.", params_1000),
        published(params, lambda line: line.published_params),
        column(flops, "ours", lambda line: None if line.cost is None else line.cost.macs / 1e9),
        published(flops, lambda line: line.published_flops),
    ]


def _decimals(values: Iterable[float | None]) -> int:
    """Decimals of a column that show three digits of its smallest number; two to five."""
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(5, max(2, 2 - math.floor(math.log10(smallest))))


def _score_columns(table: Table, footnotes: Footnotes) -> list[Column]:
    columns = []
    first, *_ = METRICS[table.spec.task]
    trained = any(line.scores[first.key].mean is not None for line in table.lines)
    for metric in METRICS[table.spec.task]:
        scores = [line.scores[metric.key] for line in table.lines]
        if trained and not metric.headline and all(score.mean is None for score in scores):
            continue  # Top-5 of five classes
        section, digits = metric.title, metric.decimals
        columns.append(_mean_column(section, scores))
        if metric.headline:
            mixed = any(s.p is not None for s in scores)
            differences = tuple(_difference(s, footnotes, mixed) for s in scores)
            columns.append(Column(section, "Δ", "number", differences))
            columns.append(Column(section, "95 % CI", "text", tuple(_interval(s) for s in scores)))
        minus = tuple(_number(s.minus_published, digits, signed=True) for s in scores)
        columns.append(
            Column(section, "publ.", "number", tuple(_published(s.published, footnotes) for s in scores))
        )
        columns.append(Column(section, f"ours {MINUS} publ.", "number", minus))
    return columns


def _mean_column(section: str, scores: Sequence[Score]) -> Column:
    """Named for what it shows: a spread where some row has one."""
    spread = any(score.std is not None for score in scores)
    title, kind = ("mean ± std", "spread") if spread else (_SCORE, "number")
    return Column(
        section, title, cast(Literal["number", "spread"], kind), tuple(map(_mean, scores)), always=True
    )


def _mean(score: Score) -> Cell:
    if score.mean is None:
        return Cell()
    digits = score.metric.decimals
    std = "" if score.std is None else f"{score.std:.{digits}f}"
    return Cell(f"{score.mean:.{digits}f}", std, place=score.place)


def _difference(score: Score, footnotes: Footnotes, mixed: bool) -> Cell:
    """mixed: other intervals of the column are over seeds, so that one that is not says so."""
    d = score.difference
    if d is None:
        return Cell()
    partial = [f"Δ over the {d.seeds} seeds shared with the baseline"] if d.left_out else []
    marks = footnotes.mark([*partial, *([MODELS_ONLY] if d.models_only and mixed else [])])
    return Cell(signed(d.estimate, score.metric.decimals), star=score.significant, marks=marks)


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
