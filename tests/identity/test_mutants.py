"""Every change of code that a run executes changes its digest; a change of what it cannot reach changes none.

``FAVIT_MUTANTS_SEED=7 pytest tests/identity/test_mutants.py`` draws others.
"""

from __future__ import annotations

import ast
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from favit.identity.closure import ROOT
from favit.identity.definitions import Sources
from favit.identity.linking import Linker
from tests.identity.mutation import Mutant, mutated, places, used_outside
from tests.identity.traced import FEW, MANY, Lines, executed, module_of, roots_of


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("FAVIT_MUTANTS_SEED", "0"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lines, Lines]:
    return executed(list(MANY), tmp_path_factory.mktemp("many"))


def outside(lines: tuple[Lines, Lines]) -> Lines:
    """Lines outside functions on which those rest that each kind of run executes."""
    inside, imported = lines
    return {
        kind: {
            file: used_outside(ast.parse((ROOT / file).read_text()), found, imported[kind].get(file, set()))
            for file, found in of_kind.items()
        }
        for kind, of_kind in inside.items()
    }


def drawn(inside: Lines, around: Lines, number: int, seed: int) -> Iterator[tuple[str, Mutant]]:
    """(file, mutant) for so many changes of statements that some run executes, each file parsed once.

    Every third is one outside of functions, as far as there are so many.
    """
    every = {file for of_kind in inside.values() for file in of_kind}
    sources = {file: (ROOT / file).read_text() for file in sorted(every)}
    trees = {file: ast.parse(source) for file, source in sources.items()}

    def lines(of: Lines, file: str) -> set[int]:
        return set().union(*(of_kind.get(file, set()) for of_kind in of.values()))

    left = number
    for part, wanted in (
        (around, number // 3),
        (inside, number),
    ):  # where there are fewer outside, more inside
        found = [
            (file, place)
            for file, tree in trees.items()
            for place in (
                places(tree, lines(inside, file))
                if part is inside
                else places(tree, set(), lines(around, file))
            )
        ]
        random.Random(seed).shuffle(found)
        wanted = min(wanted, left)
        for file, place in found:
            if wanted and (mutant := mutated(sources[file], trees[file], place)) is not None:
                yield file, mutant
                wanted, left = wanted - 1, left - 1


def missed(lines: tuple[Lines, Lines], number: int, seed: int, anew: bool) -> list[str]:
    """The changes that did not change the digest of a run that executes them; ``anew`` learns everything again."""
    inside, around = lines[0], outside(lines)
    sources, found = Sources(), []
    before = {kind: sources.linker(roots_of(kind)) for kind in inside}
    count = 0
    for file, mutant in drawn(inside, around, number, seed):
        count += 1
        sources.replace(module_of(file), mutant.source)
        for kind in inside:
            own = around if mutant.outside else inside
            if mutant.line in own[kind].get(file, ()):
                like: Linker | None = None if anew else before[kind]
                if sources.linker(roots_of(kind), like).text() == before[kind].text():
                    found.append(f"{kind}: {file}, line {mutant.line}: {mutant.what}")
        sources.restore(module_of(file))
    assert count == number, f"only {count} changes of what was executed; missed of them: {found}"
    return found


def test_no_change_of_executed_code_is_missed(tmp_path: Path, seed: int) -> None:
    few = executed(list(FEW), tmp_path)
    assert {"favit/train/loop.py", "favit/models/informer.py"} <= set(few[0]["series"])
    images = set(few[0]["images"])
    assert {"favit/train/learner.py", "favit/models/favit.py", "favit/train/augment/mix.py"} <= images
    assert missed(few, 200, seed, anew=False) == []


@pytest.mark.slow
def test_none_of_many_changes_is_missed(many: tuple[Lines, Lines], seed: int) -> None:
    assert missed(many, 2000, seed, anew=True) == []


def test_what_no_name_reaches_changes_nothing() -> None:
    """Unreached functions, in the files that are taken apart: another body is the same code."""
    sources = Sources()
    changed = 0
    for kind in FEW:
        code, before = sources.code(roots_of(kind)), sources.linker(roots_of(kind))
        for module in code.loaded:
            path = ROOT / (module.replace(".", "/") + ".py")
            if module in code.whole or not path.is_file():
                continue
            tree = ast.parse(path.read_text())
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and node.name not in code.names.get(module, {}):
                    node.body = [ast.Return(ast.Constant(changed))]
                    changed += 1
            sources.replace(module, ast.unparse(ast.fix_missing_locations(tree)))
            assert sources.linker(roots_of(kind), before).text() == before.text(), (kind, module)
            sources.restore(module)
    assert changed > 3


def test_comments_layout_and_docstrings_change_nothing(tmp_path: Path) -> None:
    """All files at once, as ``ast.unparse`` writes them without any docstring."""
    sources = Sources()
    before = {kind: sources.code(roots_of(kind)) for kind in FEW}
    for module in {module for code in before.values() for module in code.loaded}:
        source = sources.content(module)
        if source is not None:
            sources.replace(module, ast.unparse(_bare(ast.parse(source))))
    assert {kind: sources.code(roots_of(kind)).digest for kind in FEW} == {
        k: c.digest for k, c in before.items()
    }


def _bare(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree
