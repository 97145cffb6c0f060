"""The commands that README, start and how-to show: each is run, or says what it needs that is not everywhere.

A comment right above a block marks it. ``<!-- needs: cluster -->``, ``gpu``, ``network``, or several joined by commas:
it is not run here. ``<!-- output -->``: it is what a command prints. All other blocks of a shell are run, in their
order, in a fresh copy of the project for each page, and what they print has the lines that the page shows.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from favit.commands.main import VERBS
from favit.identity.closure import ROOT
from tests import markdown

PAGES = [page for page in (ROOT / "README.md", ROOT / "docs" / "start.md") if page.is_file()]
PAGES += sorted((ROOT / "docs" / "howto").glob("*.md"))
# What a page may tell people to do that is done already where its commands are run: the environment is there.
DONE = {"make setup": "true"}
KEYWORDS = {"while", "until", "if", "then", "else", "elif", "do", "done", "fi", "esac", "{", "}", "!"}
OF_CLUSTERS = {
    "sbatch",
    "srun",
    "squeue",
    "sinfo",
    "scancel",
    "sacct",
    "scontrol",
    "module",
    "nvidia-smi",
    "rsync",
}
BLOCKS = [block for page in PAGES for block in markdown.blocks(page)]
COMMANDS = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a script as words, here-documents, comments and the shell's own words left out."""
    script = re.sub(
        r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^\s*\2$", r"\3", script, flags=re.MULTILINE | re.DOTALL
    )
    for line in logical_lines(re.sub(r"\\\n", " ", script)):
        words: list[str] = []
        for word in [*line, ";"]:
            if set(word) <= set("();|&") and word not in ("&>", "<", ">"):
                if words:
                    yield words
                words = []
            elif word in ("for", "case") and not words:
                words = ["true"]  # what follows are its values
            elif words or not (word in KEYWORDS or re.match(r"[A-Za-z_]\w*=", word)):
                words.append(word)


def logical_lines(script: str) -> Iterator[list[str]]:
    """The words of each line, signs of the shell apart; a quoted text may go over several lines."""
    pending = ""
    for line in script.splitlines():
        pending += line
        lexer = shlex.shlex(pending, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        try:
            yield list(lexer)
            pending = ""
        except ValueError:
            pending += "\n"


def problems(words: list[str], anywhere: bool) -> Iterator[str]:
    """What of a simple command does not exist. ``anywhere``: it must exist on this machine, too."""
    first, *others = words
    if (
        shutil.which(first, path=PATH) is None
        and not _is_builtin(first)
        and (anywhere or first not in OF_CLUSTERS)
    ):
        yield f"there is no command {first}"
    if first == "make":
        yield from (
            f"there is no target {word}"
            for word in others
            if re.fullmatch("[a-z-]+", word) and word not in TARGETS
        )
    if (
        first in ("python", "python3")
        and others[:1] == ["-m"]
        and importlib.util.find_spec(others[1]) is None
    ):
        yield f"there is no module {others[1]}"
    named = others[2:] if others[:2] == ["-m", "favit"] else others if first == "favit" else []
    if named and not named[0].startswith("-"):
        if named[0] not in VERBS:
            yield f"there is no favit {named[0]}"
        else:
            section = (
                COMMANDS.partition(f"### `favit {named[0]}`\n")[2]
                .partition("\n## ")[0]
                .partition("\n### ")[0]
            )
            options = {word.partition("=")[0] for word in named[1:] if word.startswith("--")} - {"--help"}
            yield from (
                f"favit {named[0]} has no {o}"
                for o in sorted(options)
                if not re.search(rf"`{o}[ `]", section)
            )


def _is_builtin(word: str) -> bool:
    return (
        subprocess.run(["bash", "-c", 'type -t -- "$1"', "bash", word], capture_output=True).returncode == 0
    )


def faults(block: markdown.Block) -> list[str]:
    """What is wrong with a block: a mark that means nothing, what bash cannot read, words that do not exist."""
    if not block.is_known:
        return [
            f"the mark {block.mark!r} means nothing; it is 'output', or 'needs: ' and one of {markdown.NEEDS}"
        ]
    if not block.is_shell:
        return []
    read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    if read.returncode:
        return [f"bash cannot read it: {read.stderr.strip()}"]
    return [problem for words in commands(block.text) for problem in problems(words, block.is_run)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_marked_or_can_be_run(page: Path) -> None:
    found = {block.where: wrong for block in BLOCKS if block.page == page and (wrong := faults(block))}
    assert not found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```sh\nfavit explain\n```", ""),
        ("<!-- needs: cluster -->\n```sh\nsbatch job.sh\n```", ""),
        ("<!-- needs: cluster, network -->\n```\nsqueue\n```", ""),
        ("<!-- output -->\n```\nno command at all (\n```", ""),
        ("```python\nimport nothing_of_the_kind\n```", ""),
        ("<!-- need: cluster -->\n```sh\nls\n```", "means nothing"),
        ("<!-- needs: luck -->\n```sh\nls\n```", "means nothing"),
        ("```sh\nfavit xplain\n```", "no favit xplain"),
        ("```sh\nfavit prune --all\n```", "has no --all"),
        ("```\nsbatch job.sh\n```", "no command sbatch" if shutil.which("sbatch") is None else ""),
        ("```sh\nfor x in 1; do frobnicate $x; done\n```", "no command frobnicate"),
        ("```sh\nA=1 ls | frobnicate\n```", "no command frobnicate"),
        ("```sh\nmake supper\n```", "no target supper"),
        ("```sh\npython -m favit.no_such_module\n```", "no module"),
        ("```sh\nls 'open\n```", "bash cannot read it"),
        ("```sh\npython -c '\nprint(1)\n' && frobnicate\n```", "no command frobnicate"),
        ("```sh\ncat > x.py <<'EOF'\nfrobnicate x\nEOF\nls\n```", ""),
    ],
)
def test_faults_are_found(text: str, problem: str) -> None:
    (block,) = markdown.blocks(ROOT / "docs" / "made-up.md", text + "\n")
    found = faults(block)
    assert (problem in found[0]) if problem else not found, found


def script(of_page: Sequence[markdown.Block], said: Path) -> str:
    """All that a page's blocks run; what the n-th block prints goes to the file n in ``said``."""
    parts = ["set -e"]
    for number, block in enumerate(of_page):
        if block.is_run:
            text = block.text
            for told, done in DONE.items():
                text = re.sub(rf"(^|&& *){re.escape(told)}\b", rf"\1{done}", text, flags=re.MULTILINE)
            parts.append(f"exec > {shlex.quote(str(said / str(number)))} 2>&1\n{text}")
    return "\n".join(parts)


def not_printed(of_page: Sequence[markdown.Block], said: Path) -> dict[str, list[str]]:
    """Lines that a page shows as output, and that the block before it did not print. ``...`` stands for anything."""
    found: dict[str, list[str]] = {}
    for number, (before, block) in enumerate(itertools.pairwise(of_page)):
        if block.mark == "output" and before.is_run:
            printed = (said / str(number)).read_text(encoding="utf-8", errors="replace")
            lines = filter(None, map(str.strip, block.text.splitlines()))
            missing = [
                line for line in lines if not re.search(".*".join(map(re.escape, line.split("..."))), printed)
            ]
            if missing:
                found[block.where] = missing
    return found


def test_output_is_compared_with_what_was_printed(tmp_path: Path) -> None:
    text = (
        "```\nls\n```\n<!-- output -->\n```\ntook ... s\nfive runs\n```\n<!-- needs: gpu -->\n```\nx\n```\n"
        + ("<!-- output -->\n```\nnot looked at\n```\n")
    )
    page = list(markdown.blocks(ROOT / "docs" / "made-up.md", text))
    (tmp_path / "0").write_text("it took 3.5 s in all\nfour runs\n")
    assert list(not_printed(page, tmp_path).values()) == [["five runs"]]
    (tmp_path / "0").write_text("it took 3.5 s in all\nfive runs\n")
    assert not not_printed(page, tmp_path)


def copy_tracked(target: Path) -> Path:
    """A copy of all files that git knows or would take, as a clone has them, with this environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run_in_their_order(page: Path, tmp_path: Path) -> None:
    of_page = [block for block in BLOCKS if block.page == page]
    if not any(block.is_run for block in of_page):
        pytest.skip("every block of the page says what it needs")
    (said := tmp_path / "said").mkdir()
    project = copy_tracked(tmp_path / "project")
    (project / ".venv").symlink_to(Path(sys.executable).parents[1])
    (project / "Makefile").write_text(
        # The environment is there: whatever its age says, nothing is installed into it.
        re.sub(
            r"^\$\(READY\):.*?\n(?=\n)", "$(READY):\n", (project / "Makefile").read_text(), flags=re.M | re.S
        )
    )
    environment = {**os.environ, "PATH": PATH, "PYTHONPATH": f"{project}{os.pathsep}{project / 'jobs'}"}
    environment.pop("PYTEST_CURRENT_TEST", None)
    command = ["bash", "-c", script(of_page, said)]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=7200)
    if done.returncode:
        number = max((int(path.name) for path in said.iterdir()), default=0)
        printed = (said / str(number)).read_text(errors="replace")[-6000:]
        pytest.fail(
            f"{of_page[number].where}: exit status {done.returncode}\n{printed}\n{done.stderr[-2000:]}"
        )
    assert not not_printed(of_page, said)
