"""The commits of a range, each laid out in a folder, and where in each a run's numbers begin."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.disk.files import atomic_path


@dataclass(frozen=True)
class Layout:
    """Where a checkout keeps what trains; modules by their dotted names, ``{task}`` being the run's.

    ``program`` are the roots of all that a job executes, which was a run's identity once. ``numbers`` are the roots
    of what trains, evaluates and scores. ``life`` are modules that these import though they cannot change a number,
    of which today's layout keeps the numbers apart; they are taken out before the numbers are digested.
    """

    marker: str
    program: tuple[str, ...]
    numbers: tuple[str, ...]
    life: tuple[str, ...] = ()
    begin: str = ""


# The first whose marker is there is a checkout's layout: the latest stands first.
LAYOUTS = (
    Layout(
        "favit/train/engine.py",
        ("favit.train.life.__main__", "favit.train.tasks.{task}"),
        ("favit.train.engine", "favit.train.tasks.{task}"),
    ),
    Layout(
        "favit/train/__main__.py",
        ("favit.train.__main__", "favit.train.{task}"),
        ("favit.train.begin", "favit.train.{task}"),
        (
            "favit.train.progress", "favit.train.record", "favit.train.lease", "favit.train.signals",
            "favit.train.outcome", "favit.train.request", "favit.train.probe", "favit.lease_holder",
        ),
        """
from favit.train import device, distributed
from favit.train.loop import Trainer

def begin(task):
    return device.choose, device.own, device.configure, distributed.join, task.Task, Trainer
""",
    ),
)  # fmt: skip

# Settings that came later than the first commits, and the values under which training does what it did before.
NEUTRAL: Mapping[str, Any] = {"lr_batch": 0, "test_crop": 1.0}

ROOMS = {"forecasting": "attention", "classification": "aggregators"}


def git(repository: Path, *arguments: str) -> str:
    """What a git command says; its failure is an error."""
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout


def commits_of(repository: Path, span: str) -> list[str]:
    """The commits of a range along first parents, oldest first: ``A..B`` without ``A``, as git reads it."""
    return git(repository, "rev-list", "--reverse", "--first-parent", "--abbrev-commit", span).split()


def lay_out(repository: Path, commit: str, folder: Path) -> Path:
    """``favit`` as it was at a commit, in a folder of its own; made once."""
    target = folder / commit
    if target.is_dir():
        return target
    packed = subprocess.run(
        ["git", "archive", commit, "favit"], cwd=repository, capture_output=True, check=True
    ).stdout
    with atomic_path(target) as temporary:
        temporary.unlink()
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(temporary, filter="data")
    return target


def without_life(checkout: Path, layout: Layout, folder: Path) -> Path:
    """A copy of a checkout without the modules that cannot change a number, and with where the numbers begin; itself
    where its layout keeps them apart."""
    if not layout.life:
        return checkout
    target = folder / checkout.name
    if not target.is_dir():
        with atomic_path(target) as temporary:
            temporary.unlink()
            shutil.copytree(checkout, temporary)
            for module in layout.life:
                temporary.joinpath(*module.split(".")).with_suffix(".py").unlink(missing_ok=True)
            temporary.joinpath(*layout.numbers[0].split(".")).with_suffix(".py").write_text(layout.begin)
    return target


def layout_of(checkout: Path) -> Layout | None:
    """The layout of a checkout, ``None`` where nothing can be trained yet."""
    return next((layout for layout in LAYOUTS if (checkout / layout.marker).is_file()), None)


def named(checkout: Path, run: Mapping[str, Any]) -> list[str]:
    """The modules that a run names, as far as they are there."""
    task = task_of(run)
    model = str(run["model"]).partition("_")[0]
    modules = [
        f"favit.data.{run['dataset']}", f"favit.models.{model}", f"favit.{ROOMS[task]}.{run['aggregator']}",
        f"favit.encodings.{run['encoding']}",
    ]  # fmt: skip
    if task == "classification":
        modules.append(f"favit.train.feeds.{'stored' if run['dataset'] == 'imagenet1k' else 'memory'}")
    return [name for name in modules if checkout.joinpath(*name.split(".")).with_suffix(".py").is_file()]


def task_of(run: Mapping[str, Any]) -> str:
    """What kind of run it is."""
    return "forecasting" if run["model"] == "informer" else "classification"
