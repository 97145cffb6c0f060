"""The navigation is ``docs/index.md`` itself: each of its sections with the pages that it links to, in their order.

So the page reads as a table of contents wherever Markdown is shown, and nothing is listed twice. Pages that it does not
name come last, those of ``docs/howto/`` among the how-tos, others among the explanations.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

INDEX = "docs/index"
OTHERS = {"docs/howto/": "How-to", "docs/": "Explanation"}  # where pages go that it does not name


def sections(index: str) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (title, page) of what is linked in the section's list, pages without suffix from the root on."""
    found: dict[str, list[tuple[str, str]]] = {}
    for heading, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", index, re.MULTILINE | re.DOTALL):
        links = re.findall(r"^- \[([^\]]+)\]\(([^)#\s]+)\.md\)", body, re.MULTILINE)
        pages = [(title, posixpath.normpath(posixpath.join("docs", target))) for title, target in links]
        if pages:
            found[heading] = pages
    return found


def placed(index: str, pages: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (title, page), of all pages; a page that the index does not name has its own title."""
    shown = sections(index)
    named = {INDEX, *(page for listed in shown.values() for _, page in listed)}
    for page in sorted(set(pages) - named):
        heading = next((under for prefix, under in OTHERS.items() if page.startswith(prefix)), None)
        if heading is not None:
            shown.setdefault(heading, []).append(("", page))
    return shown


def contents(index: str, pages: Collection[str]) -> str:
    """The toctrees of the navigation, as MyST writes them."""
    trees = []
    for heading, listed in placed(index, pages).items():
        entries = "\n".join(f"{title} </{page}>" if title else f"/{page}" for title, page in listed)
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{entries}\n```")
    return "\n\n".join(trees)


def _read(app: Any, docname: str, source: list[str]) -> None:
    if docname == INDEX:
        source[0] += "\n\n" + contents(source[0], app.env.found_docs) + "\n"


def _lead_in(app: Any, error: Exception | None) -> None:
    """The folder's own index leads to the first page, which lies where its source does."""
    if error is None and app.builder.format == "html":
        first = f"{INDEX}.html"
        page = f'<!doctype html>\n<meta http-equiv="refresh" content="0; url={first}">\n<a href="{first}">{first}</a>\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    app.connect("source-read", _read)
    app.connect("build-finished", _lead_in)
    return {"parallel_read_safe": True}
