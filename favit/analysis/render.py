"""A table as CSV, LaTeX and Markdown.

CSV: tidy, one number a cell, units in the header, full precision. LaTeX needs booktabs, siunitx and graphicx.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from favit.analysis import latex
from favit.analysis.layout import DASH, Cell, Column, Layout, lay_out
from favit.analysis.legend import MINUS
from favit.disk.files import write_atomic

if TYPE_CHECKING:
    from favit.analysis.statistics import Difference
    from favit.analysis.table import Line, Score, Table, TableSpec

_TEMPLATES = Path(__file__).with_name("templates")


def write(table: Table, folder: Path, name: str) -> list[Path]:
    """Write ``name``.csv, .tex and .md into ``folder``; returns the three paths."""
    texts = {".csv": to_csv(table), ".tex": to_latex(table), ".md": to_markdown(table)}
    paths = []
    for suffix, text in texts.items():
        path = Path(folder) / f"{name}{suffix}"
        write_atomic(path, text)
        paths.append(path)
    return paths


# CSV -------------------------------------------------------------------------


def to_csv(table: Table) -> str:
    """Write one line per row and group, with numbers in full precision."""
    records = [
        {
            **group.key,
            **line.row.values,
            **_identity(line),
            **_costs(line),
            **_all_scores(line, table.spec),
        }
        for group in table.groups
        for line in group.lines
    ]
    header = list(records[0]) if records else [*table.spec.group_by, "row", "label"]
    out = io.StringIO()
    writer = csv.DictWriter(out, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _plain(v) for k, v in record.items()} for record in records)
    return out.getvalue()


def _plain(value: Any) -> Any:
    return "" if value is None else repr(float(value)) if isinstance(value, float) else value


def _identity(line: Line) -> dict[str, Any]:
    states = {
        f"runs {s}": line.states.get(s, 0) for s in ("valid", "accepted", "stale", "missing", "running")
    }
    return {
        "row": line.row.id,
        "label": line.row.label,
        "runs asked for": line.asked,
        "runs averaged": line.averaged,
        **states,
        "remarks": "; ".join(line.notes),
    }


def _costs(line: Line) -> dict[str, Any]:
    cost = line.cost
    published = line.published_params, line.published_flops
    return {
        "Params (M)": cost and cost.params / 1e6,
        "Params with 1000 classes (M)": cost and cost.params_1000 and cost.params_1000 / 1e6,
        "Params published (M)": published[0] and published[0].value,
        "Params with 1000 classes minus published (M)": line.params_minus_published,
        "FLOPs (G)": cost and cost.macs / 1e9,
        "FLOPs published (G)": published[1] and published[1].value,
    }


def _all_scores(line: Line, spec: TableSpec) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for score in line.scores.values():
        record |= _score_record(score, "p of all looks" if spec.rounds else "p Holm")
        if spec.task == "classification":
            record |= _best_epoch(score)
    return record


def _score_record(score: Score, corrected: str) -> dict[str, Any]:
    label, unit = score.metric.label, f" ({score.metric.unit})" if score.metric.unit else ""
    points = f" ({score.metric.difference_unit})" if score.metric.difference_unit else ""
    d = score.difference
    return {
        f"{label}{unit}": score.mean,
        f"{label} std{unit}": score.std,
        f"{label} seeds": score.n,
        f"{label} difference to baseline{points}": d and d.estimate,
        f"{label} difference low 95{points}": d and d.low,
        f"{label} difference high 95{points}": d and d.high,
        f"{label} difference interval over": d and _interval_over(d),
        f"{label} difference paired": d and int(d.paired),
        f"{label} difference seeds": d and d.seeds,
        f"{label} p": d and d.p,
        f"{label} {corrected}": score.p,
        f"{label} more seeds to settle": score.more_seeds,
        f"{label} published{unit}": score.published and score.published.value,
        f"{label} ours minus published{points}": score.minus_published,
        f"{label} published remark": score.published and score.published.note,
    }


def _interval_over(d: Difference) -> str:
    if d.low is None:
        return "no interval"
    if d.models_only:
        return "examples, these trained models only"
    return "seeds and examples" if d.example_df else "seeds"


def _best_epoch(score: Score) -> dict[str, Any]:
    """Selected on test data, and said so: never the number to quote."""
    best = score.best_epoch
    return {
        f"{score.metric.label} of best epoch selected on test data (%)": sum(best) / len(best)
        if best
        else None
    }


# LaTeX -----------------------------------------------------------------------

_STAR = r"\textsuperscript{*}"
_PLUS_MINUS = r"{${}\pm{}$}"


def to_latex(table: Table) -> str:
    """A ``table*`` environment, as wide as it needs and never wider than the page."""
    layout = lay_out(table)
    return template("table.tex.j2").render(
        name=table.spec.name,
        label=table.spec.label,
        caption=latex.escape(layout.caption),
        legend=latex.escape(" ".join(layout.legend)),
        columns="l" + "".join(_latex_type(column) for column in layout.columns),
        sections=[
            (latex.escape(title), span, first) for title, span, first in sections(layout, _latex_width)
        ],
        titles=[_latex_title(column) for column in layout.columns],
        head=latex.escape(layout.head),
        width=1 + sum(_latex_width(column) for column in layout.columns),
        blocks=[
            (latex.escape(title), [_latex_line(layout, i) for i in lines]) for title, lines in blocks(table)
        ],
        footnotes=[(letter, latex.escape(text)) for letter, text in layout.footnotes],
    )


def _latex_width(column: Column) -> int:
    return 2 if column.kind == "spread" else 1


def sections(layout: Layout, width_of: Callable[[Column], int]) -> list[tuple[str, int, int]]:
    """(title, columns spanned, first column counted from 1 = the labels)."""
    found: list[tuple[str, int, int]] = []
    position = 2
    for column in layout.columns:
        width = width_of(column)
        if found and found[-1][0] == column.section:
            title, span, first = found[-1]
            found[-1] = (title, span + width, first)
        else:
            found.append((column.section, width, position))
        position += width
    return found


def _latex_type(column: Column) -> str:
    if column.kind == "text":
        return "r"
    post = _latex_marks(max((cell.marks for cell in column.cells), key=len, default=""))
    post += _STAR if any(cell.star for cell in column.cells) else ""
    numbers = latex.number_column([cell.number for cell in column.cells if cell.number], post=post)
    if column.kind == "number":
        return numbers
    spreads = [cell.std for cell in column.cells if cell.std]
    return f"{numbers}@{{}}{latex.number_column(spreads, pre=_PLUS_MINUS)}"


def _latex_title(column: Column) -> str:
    title = latex.escape(column.title)
    return rf"\multicolumn{{2}}{{c}}{{{title}}}" if column.kind == "spread" else f"{{{title}}}"


def _latex_line(layout: Layout, index: int) -> str:
    label = layout.labels[index]
    cells = [latex.escape(label.text) + _latex_marks(label.marks)]
    cells += [_latex_cell(column, column.cells[index]) for column in layout.columns]
    return " & ".join(cells)


def _latex_cell(column: Column, cell: Cell) -> str:
    if cell.empty:
        return rf"\multicolumn{{{_latex_width(column)}}}{{c}}{{--}}"
    if column.kind == "text":
        return f"${cell.text}$"
    text = {1: r"\bfseries ", 2: "", 0: ""}[cell.place] + cell.number
    if cell.place == 2:
        text += rf"{{\llap{{\underline{{\phantom{{{cell.number}}}}}}}}}"
    if cell.marks or cell.star:
        text += f"{{{_STAR if cell.star else ''}{_latex_marks(cell.marks)}}}"
    if column.kind == "spread":
        text += " & " + (f"{_PLUS_MINUS}{cell.std}" if cell.std else "")
    return text


def _latex_marks(marks: str) -> str:
    return rf"\textsuperscript{{{marks}}}" if marks else ""


# Markdown --------------------------------------------------------------------


def to_markdown(table: Table) -> str:
    """Caption, a table a block, remarks: readable as text and on a web page."""
    layout = lay_out(table)
    return template("table.md.j2").render(
        caption=layout.caption,
        legend=layout.legend,
        head=[layout.head, *(_plain_title(column) for column in layout.columns)],
        blocks=[(title, [_markdown_line(layout, i) for i in lines]) for title, lines in blocks(table)],
        footnotes=layout.footnotes,
    )


def _plain_title(column: Column) -> str:
    if not column.section:
        return column.title
    return (
        column.section
        if column.title in ("ours", "mean ± std", "score", "")
        else f"{column.section} {column.title}"
    )


def _markdown_line(layout: Layout, index: int) -> list[str]:
    label = layout.labels[index]
    cells = [label.text.replace("|", r"\|") + _html_marks(label.marks)]
    return cells + [_markdown_cell(column.cells[index]) for column in layout.columns]


def _markdown_cell(cell: Cell) -> str:
    text = plain_cell(cell)
    text = f"**{text}**" if cell.place == 1 else f"<u>{text}</u>" if cell.place == 2 else text
    return text + (r"\*" if cell.star else "") + _html_marks(cell.marks)


def plain_cell(cell: Cell) -> str:
    """A cell's text without emphasis: ``70.77 ± 0.21``."""
    if cell.empty:
        return DASH
    text = cell.text or (f"{cell.number} ± {cell.std}" if cell.std else cell.number)
    return text.replace("-", MINUS)


def _html_marks(marks: str) -> str:
    return f"<sup>{marks}</sup>" if marks else ""


# Shared ----------------------------------------------------------------------


def blocks(table: Table) -> list[tuple[str, list[int]]]:
    """(title, indices into ``table.lines``) of each group."""
    blocks, start = [], 0
    for group in table.groups:
        blocks.append((group.title, list(range(start, start + len(group.lines)))))
        start += len(group.lines)
    return blocks


# LaTeX itself is full of braces and percent signs.
_LATEX_MARKS: Any = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}


def template(name: str) -> jinja2.Template:
    """A template of this package, by file name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        **(_LATEX_MARKS if name.endswith(".tex.j2") else {}),
    )
    return environment.get_template(name)
