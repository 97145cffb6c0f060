"""Links of a page to what is no page: a file or folder of the repository, which the site does not show.

On disk ``[the loop](../favit/train/loop.py)`` opens the file. In the site it leads to the same file in the
repository where pyproject.toml names one (``project.urls.Repository``); else Sphinx offers a copy of a file, and a
link to a folder becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

_FENCED = re.compile(
    r"^ *(`{3,}|~{3,})[^\n]*\n.*?^ *\1[ \t]*$|(`+)(?!`).*?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(
    r"(?<!!)\[(?P<text>(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)"
)


def resolved(markdown: str, page: str, root: Path, pages: set[str], repository: str) -> str:
    """The page's text with such links replaced. ``page`` is its path in the repository, with its suffix."""

    def replaced(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if path.removesuffix(".md") in pages or not (root / path).exists():
            return match[0]  # a page, or a broken link, of which Sphinx warns
        is_folder = (root / path).is_dir()
        if is_folder and f"{path}/README" in pages:
            return f"[{match['text']}]({target.rstrip('/')}/README.md)"
        if repository:
            kind = "tree" if is_folder else "blob"
            return f"[{match['text']}]({repository.rstrip('/')}/{kind}/main/{path})"
        return match["text"] if is_folder else match[0]

    # What stands in code is no link. Links whose text is code are: their targets are looked at with the code masked.
    masked = _FENCED.sub(lambda found: "\0" * len(found[0]), markdown)
    result, end = [], 0
    for match in _LINK.finditer(masked):
        whole = _LINK.match(markdown, match.start())
        result.append(markdown[end : match.start()])
        result.append(
            replaced(whole) if whole and whole.end() == match.end() else markdown[match.start() : match.end()]
        )
        end = match.end()
    return "".join([*result, markdown[end:]])


def _read(app: Any, docname: str, source: list[str]) -> None:
    pages = app.env.found_docs
    source[0] = resolved(source[0], f"{docname}.md", Path(app.srcdir), pages, app.config.repository)


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_config_value("repository", "", "env")
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
