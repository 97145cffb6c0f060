"""Markdown as the tests of the documentation read it: code blocks and the marks above them, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from favit.identity.closure import ROOT

SHELL = ("", "sh", "bash")  # what a block of commands may be called
NEEDS = ("cluster", "gpu", "network")  # what a block may say that it needs

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^\n`]*)$")
_MARK = re.compile(r"^ *<!--(?P<words>.*)-->$")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``mark`` is what a comment right above it says; ``line`` counts from 1, and is the fence's."""

    page: Path
    line: int
    language: str
    mark: str | None
    text: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page.relative_to(ROOT)}, line {self.line}"

    @property
    def is_known(self) -> bool:
        """Whether its mark is none, or one that has a meaning."""
        if self.mark is None or self.mark == "output":
            return True
        kind, _, needs = self.mark.partition(":")
        return kind == "needs" and {word.strip() for word in needs.split(",")} <= set(NEEDS)

    @property
    def is_shell(self) -> bool:
        """Whether it holds commands, whether they are run here or not."""
        return self.language in SHELL and self.mark != "output"

    @property
    def is_run(self) -> bool:
        """Whether its commands are run by a test."""
        return self.is_shell and self.mark is None


def blocks(page: Path, text: str | None = None) -> Iterator[Block]:
    """The fenced blocks of a page. A block that is not closed is an ``AssertionError``."""
    lines = (page.read_text(encoding="utf-8") if text is None else text).splitlines()
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            at += 1
            continue
        closing = re.compile(rf" *{re.escape(opening['ticks'])}{opening['ticks'][0]}* *$")
        end = next((n for n in range(at + 1, len(lines)) if closing.match(lines[n])), None)
        assert end is not None, f"{page}, line {at + 1}: the block is not closed"
        mark = _MARK.match(lines[at - 1]) if at else None
        indent = len(opening["indent"])
        body = "".join(
            line[min(indent, len(line) - len(line.lstrip())) :] + "\n" for line in lines[at + 1 : end]
        )
        said = mark["words"].strip() if mark else None
        yield Block(page, at + 1, opening["info"].strip().partition(" ")[0], said, body)
        at = end + 1


def prose(text: str) -> str:
    """A page with its code, in blocks and in lines, blanked out; lines stay where they are."""
    found: list[str] = []
    ticks = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if ticks:
            if fence and fence["ticks"].startswith(ticks) and not fence["info"].strip():
                ticks = ""
            found.append("")
        elif fence:
            ticks = fence["ticks"]
            found.append("")
        else:
            found.append(line)
    return re.sub(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", lambda m: "`" * len(m[0]), "\n".join(found))


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line and target of each link and picture of a page, in Markdown's or HTML's form."""
    for number, line in enumerate(prose(text).splitlines(), start=1):
        for match in re.finditer(r"\]\(<?([^()\s<>]+)>?(?: \"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"", line):
            yield number, match[1] or match[2]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, by GitHub's rule: lower case, signs left out, spaces as hyphens."""
    found: dict[str, int] = {}
    result = set()
    for line, plain in zip(text.splitlines(), prose(text).split("\n"), strict=False):
        if not re.match(r"#{1,6} ", plain):
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip().rstrip("#").strip())
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result
