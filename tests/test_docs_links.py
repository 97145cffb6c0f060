"""Every relative link of the documentation leads somewhere: its file is there, and its heading."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from favit.components import registry
from favit.identity.closure import ROOT
from tests import markdown

sys.path.insert(0, str(ROOT / "docs" / "_site"))
import links as site_links
import navigation

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "jobs").glob("*.md")),
    *sorted((ROOT / "jobs" / "docs").glob("*.md")),
    ROOT / "results" / "README.md",
]
INDEX = ROOT / "docs" / "index.md"


def broken(page: Path, text: str) -> list[str]:
    """What a page's relative links lead to and is not there."""
    found = []
    for line, target in markdown.links(text):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if file != page and not (file.exists() and file.is_relative_to(ROOT)):
            found.append(f"line {line}: {target} is not there")
        elif anchor and file.suffix == ".md":
            there = text if file == page else file.read_text(encoding="utf-8")
            if anchor not in markdown.anchors(there):
                found.append(f"line {line}: {target}: no heading of that name")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not broken(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[a](data.md) and [b](../favit/train/loop.py), [c](https://example.org/no)", 0),
        ("[a](dta.md)", 1),
        ("[a](data.md#no-such-heading), [b](#here)\n## Here", 1),
        ("`[a](dta.md)` and\n```\n[a](dta.md)\n```", 0),
        ("```\ncode\n```\n[a](dta.md)", 1),
        ('![picture](no.png) <img src="no.svg">', 2),
        ("[![badge](no.png)](data.md)", 1),
        ("[out](../../elsewhere.md)", 1),
        ("[`code`](dta.md)", 1),
    ],
)
def test_broken_links_are_found(text: str, problems: int) -> None:
    found = broken(ROOT / "docs" / "made-up.md", text)
    assert len(found) == problems, found


def test_headings_have_the_anchors_that_they_have_on_the_web() -> None:
    text = "# A `code` word: [link](x.md), 2.0!\n## Twice\n## Twice\n```\n# no heading\n```\n### Ümlaut — und so\n"
    assert markdown.anchors(text) == {"a-code-word-link-20", "twice", "twice-1", "ümlaut--und-so"}


def test_every_page_is_in_the_navigation_once() -> None:
    pages = {str(page.relative_to(ROOT).with_suffix("")) for page in PAGES}
    shown = [page for listed in navigation.placed(INDEX.read_text(), pages).values() for _, page in listed]
    assert len(shown) == len(set(shown))
    assert {*shown, navigation.INDEX} == pages


def test_pages_that_nobody_listed_come_last() -> None:
    index = "## How-to\n\n- [Data](data.md): words.\n\n## Explanation\n\n- [Why](why.md)\n"
    tree = navigation.contents(
        index, {"docs/data", "docs/why", "docs/howto/new", "docs/later", "docs/index", "README"}
    )
    order = ["Data </docs/data>", "\n/docs/howto/new", "Why </docs/why>", "\n/docs/later"]
    assert sorted(order, key=tree.index) == order and "README" not in tree and "docs/index" not in tree


def test_every_mechanism_has_its_place_among_the_api_pages() -> None:
    page = (ROOT / "docs" / "api" / "mechanisms.md").read_text(encoding="utf-8")
    for room in ("aggregators", "attention", "encodings"):
        named = set(re.findall(rf"automodule:: favit\.{room}\.(\w+)", page))
        assert named == set(registry.names(room))


@pytest.mark.parametrize(
    ("written", "without", "within"),
    [
        ("[a](data.md)", "[a](data.md)", "[a](data.md)"),
        ("[a](../config.yaml)", "[a](../config.yaml)", "[a](https://host/us/it/blob/main/config.yaml)"),
        ("[`a`](../favit/train)", "`a`", "[`a`](https://host/us/it/tree/main/favit/train)"),
        ("`[a](../config.yaml)`", "`[a](../config.yaml)`", "`[a](../config.yaml)`"),
        ("[a](../jobs)", "[a](../jobs/README.md)", "[a](../jobs/README.md)"),
        ("[a](../no.yaml)", "[a](../no.yaml)", "[a](../no.yaml)"),
    ],
)
def test_links_to_what_is_no_page_lead_to_the_repository_or_to_a_copy(
    written: str, without: str, within: str
) -> None:
    pages = {"docs/data", "jobs/README"}
    assert site_links.resolved(written, "docs/here.md", ROOT, pages, "") == without
    assert site_links.resolved(written, "docs/here.md", ROOT, pages, "https://host/us/it/") == within
