"""Markdown for pages that are made from declarations: headings, tables, and texts that keep their meaning in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

HEAD = "<!-- Made by `make reference` from the declarations themselves; what is changed here is lost. -->\n"


def page(title: str, *parts: str) -> str:
    """A whole page: its note, its title, its parts with an empty line between them."""
    return HEAD + "\n" + "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns in which no row says anything are left out. Empty without rows."""
    filled = [list(row) for row in rows]
    kept = [i for i in range(len(head)) if any(row[i] for row in filled)]
    if not filled:
        return ""
    lines = [[head[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in filled)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(value: Any) -> str:
    """A value as it is written in YAML, in backticks; empty for None."""
    if value is None:
        return ""
    written = (
        {True: "true", False: "false", "": '""'}.get(value, value) if isinstance(value, bool | str) else value
    )
    if isinstance(written, dict):
        written = "{" + ", ".join(f"{key}: {item}" for key, item in written.items()) + "}"
    return f"`{_in_table(str(written))}`"


def codes(values: Iterable[Any]) -> str:
    """Several values, joined by commas."""
    return ", ".join(code(value) for value in values)


def text(words: str | None) -> str:
    """Plain words of a docstring or a help text: one line, backticks of Markdown, and no mark read as another's.

    It begins with a capital letter: texts in options' helps and in lists do not.
    """
    words = re.sub(
        r"^[a-z](?=[a-z]*(\W?\s|$))", lambda found: found[0].upper(), " ".join((words or "").split())
    )
    parts = re.split(r"(`+[^`]+`+)", words)
    return "".join(_quoted(part) if part.startswith("`") else _plain(part) for part in parts)


def _quoted(part: str) -> str:
    return f"`{_in_table(part.strip('`'))}`"


def _plain(part: str) -> str:
    return _in_table(re.sub(r"([*<>\[\]])", r"\\\1", part))


def _in_table(part: str) -> str:
    return part.replace("|", "\\|")
