"""Bring a project that ``favit init`` laid out to this version: ``favit init --update``.

A file is compared with what was laid out then, which the project's record tells, and with what would be laid out now.
Where only one of user and program changed it, theirs holds. Where both did, or a record of an older version tells
nothing: of the program's files (Snakefile, rules, schema) today's is put in place, since it must fit the code, and the
user's stays beside it as ``NAME.old``; of the user's (configuration, profiles) nothing is touched, and today's is put
beside it as ``NAME.new``. ``config.yaml`` decides what is trained and is never replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from favit.disk.files import write_atomic
from favit.sweeps import shipped
from favit.sweeps.config import ConfigError

CONFIG = "config.yaml"


class Step(NamedTuple):
    """One thing to do: what it is called, the file in the project, its new content (None: removed), what is kept."""

    does: str
    name: str
    content: bytes | None
    keep: str = ""  # name for a copy of what stands there now


def update(project: Path, today: Mapping[str, bytes], record: bytes) -> list[str]:
    """Bring a project to the files of ``today``, which ``record`` describes; returns a line for each thing done.

    ``ConfigError`` where there is no project or nothing may be written; then nothing is. Each file is replaced as a
    whole and the record comes last: after an interruption the same call goes on.
    """
    _check(project, today)
    before = shipped.laid_out(project)
    steps = list(_steps(project, before, today))
    said = []
    for step in steps:
        target = project / step.name
        if step.keep:
            write_atomic(project / step.keep, target.read_bytes())
        if step.content is None:
            target.unlink()
        else:
            write_atomic(target, step.content)
        said.append(_line(step))
    if not before or (project / shipped.RECORD).read_bytes() != record:
        write_atomic(project / shipped.RECORD, record)
    return said or [f"{project} is up to date"]


def _steps(project: Path, before: Mapping[str, str], today: Mapping[str, bytes]) -> Iterator[Step]:
    for name, content in today.items():
        if (step := _step(project, name, content, before.get(name))) is not None:
            yield step
    for name, digest in before.items():
        there = project / name
        if name not in today and there.is_file() and shipped.digest_of(there.read_bytes()) == digest:
            yield Step("removed", name, None)


def _step(project: Path, name: str, content: bytes, before: str | None) -> Step | None:
    """What is to be done with one file; ``before`` is the digest of what was laid out, None if that is not known."""
    target, program = project / name, shipped.is_program(name)
    named = Path(name).parts[0] in shipped.NAMES  # not the texts that only explain, or .gitignore
    if not target.exists():
        wanted = program or (named and before is None)  # else the user removed it
        return Step("added", name, content) if wanted else None
    now = target.read_bytes()
    if now == content or before == shipped.digest_of(content):
        return None
    if before == shipped.digest_of(now) and name != CONFIG:
        return Step("updated", name, content)
    if program:
        return Step("updated", name, content, _free(project, f"{name}.old", now))
    beside = project / f"{name}.new"
    if not named or (beside.is_file() and beside.read_bytes() == content):
        return None
    kept = _free(project, f"{name}.new.old", beside.read_bytes()) if beside.is_file() else ""
    return Step("kept", f"{name}.new", content, kept)


def _free(project: Path, name: str, content: bytes) -> str:
    """The first of ``name``, ``name.1`` and so on where nothing stands, or the same."""
    number, found = 0, name
    while os.path.lexists(project / found) and _content(project / found) != content:
        number += 1
        found = f"{name}.{number}"
    return found


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _line(step: Step) -> str:
    if step.does == "kept":
        return f"kept     {step.name.removesuffix('.new')}; this version's is beside it, {step.name}"
    kept = f"; what stood there is kept as {step.keep}" if step.keep else ""
    return f"{step.does:8} {step.name}{kept}"


def _check(project: Path, today: Mapping[str, bytes]) -> None:
    """``ConfigError`` unless this is a project of ``favit init`` that can be written to and is at rest."""
    if not (project / shipped.LAST).is_file() and not (project / "workflow").is_dir():
        raise ConfigError(f"{project} holds no project; `favit init {project}` creates one")
    if (project / "favit" / "__init__.py").is_file():
        raise ConfigError(f"{project} is a checkout, which holds its workflow itself; `git pull` updates it")
    if any((project / ".snakemake" / "locks").glob("*")):
        raise ConfigError(
            f"snakemake is at work in {project}, or was killed there; let it end, or unlock with `snakemake --unlock`"
        )
    for name in today:
        target = project / name
        if os.path.lexists(target) and not target.is_file():
            raise ConfigError(f"{target} is not a file; move it away")
        place = next(p for p in target.parents if p.exists())
        if not place.is_dir() or not os.access(place, os.W_OK):
            raise ConfigError(f"no permission to write to {place}")
