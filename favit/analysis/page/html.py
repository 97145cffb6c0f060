"""A table as HTML, for the report."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from favit.analysis.layout import Cell, lay_out
from favit.analysis.page.behind import Behind
from favit.analysis.render import blocks, plain_cell, sections, template
from favit.analysis.table import Table


def table_html(table: Table, lines: Sequence[Behind] = ()) -> Markup:
    """Caption, two rows of headings, a body a block, footnotes.

    lines: what stands behind each line, to which its label leads and which its scores show on hover; may be empty.
    """
    layout = lay_out(table)
    text = template("table.html.j2").render(
        behind=lines,
        layout=layout,
        sections=sections(layout, lambda column: 1),
        blocks=blocks(table),
        cell=_cell,
        label=_label,
        columns=1 + len(layout.columns),
    )
    return Markup(text)


def _cell(cell: Cell) -> Markup:
    """Best bold, second underlined, star and letters raised."""
    text = Markup.escape(plain_cell(cell))
    if cell.place:
        text = Markup("<strong>{}</strong>" if cell.place == 1 else "<u>{}</u>").format(text)
    return _raised(text, ("*" if cell.star else "") + cell.marks)


def _label(cell: Cell) -> Markup:
    """A row's name as it is written: its hyphens are no minus signs."""
    return _raised(Markup.escape(cell.text), cell.marks)


def _raised(text: Markup, marks: str) -> Markup:
    return text + Markup("<sup>{}</sup>").format(marks) if marks else text
