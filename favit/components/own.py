"""Your own components: the files in folders listed under ``components`` in ``config.yaml``.

``my_lab/aggregators/median.py`` is the module ``favit.aggregators.median``, as if it lay beside the built-in ones, and
does lie there in the snapshot that a run's job executes. What trains a run therefore knows nothing of this file, and
no result depends on where a component lay: the look-ups of ``registry`` and ``source``, which are part of every run's
code, are not changed but replaced, and only where there is something to add. Free of torch.
"""

from __future__ import annotations

import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from favit.components import declared, literals, registry, source, timm_names

_PACKAGE = "favit"
_BUILT_IN = Path(__file__).parents[1]

_folders: tuple[Path, ...] = ()
_before = registry.names, source.file_of  # what the replaced look-ups fall back on


def use(folders: Iterable[Path | str]) -> None:
    """Use the components in these folders like built-in ones, and those of no other folder.

    ``ValueError`` says in one line which folder is absent or holds no rooms, or which name exists twice.
    """
    global _folders, _before
    wanted = tuple(Path(folder).absolute() for folder in folders)
    if not wanted and not _folders:
        return  # nothing is replaced where nothing is added
    for folder in wanted:
        _check(folder)
    _check_once(wanted)
    if not _folders:
        _before = registry.names, source.file_of
        sys.meta_path.append(_FINDER)
    _forget()
    _folders = wanted
    registry.names, source.file_of = (_names, _file_of) if wanted else _before
    if not wanted:
        sys.meta_path.remove(_FINDER)
        return
    try:
        _check_models()
    except ValueError:
        use(())
        raise


def folders() -> tuple[Path, ...]:
    """The folders in use."""
    return _folders


def file_of(module: str) -> Path | None:
    """The file of your own module, by its dotted name in ``favit``; None for any other module."""
    package, _, rest = module.partition(".")
    room, _, inside = rest.partition(".")
    if package != _PACKAGE or room not in registry.KINDS or not inside:
        return None
    for folder in _folders:
        path = folder.joinpath(room, *inside.split("."))
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


def used_by(run: Mapping[str, Any]) -> bool:
    """Whether a run names a component of your own."""
    pieces = (".".join((_PACKAGE, *declared.component(axis, run))) for axis in declared.naming(run))
    return any(file_of(piece) for piece in pieces)


def modules(folder: Path) -> Iterator[tuple[str, str]]:
    """(room, dotted name within it) of each module in a folder, private ones included."""
    for room in registry.KINDS:
        for path in sorted((folder / room).rglob("*.py")):
            if not path.is_file():
                continue
            parts = path.relative_to(folder / room).with_suffix("").parts
            if any(part.startswith(".") or part == "__pycache__" for part in parts):
                continue
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if name:
                yield room, name


def shown(room: str, name: str) -> str:
    """A component's file to print: ``favit/data/csv.py``, or with the folder as it is named in ``components``."""
    file = source.file_of(room, name)
    for base in (_BUILT_IN.parent, Path.cwd()):
        if file.is_relative_to(base):
            return str(file.relative_to(base))
    return str(file)


def _names(kind: str) -> list[str]:
    """Like ``registry.names``, including your own."""
    found = {name for folder in _folders for room, name in modules(folder) if room == kind}
    return sorted({*_before[0](kind), *(name for name in found if name.isidentifier() and name[0] != "_")})


def _file_of(*path: str) -> Path:
    """Like ``source.file_of``, including your own."""
    return file_of(".".join((_PACKAGE, *path))) or _before[1](*path)


def _check(folder: Path) -> None:
    rooms = ", ".join(registry.KINDS)
    if not folder.is_dir():
        raise ValueError(f"components: {folder} is not a folder; make it, with one or more of {rooms} in it")
    if _BUILT_IN in (folder, folder / _PACKAGE):
        raise ValueError(f"components: {folder} has the built-in components; remove it from the list")
    for below in sorted(p for p in folder.iterdir() if p.is_dir() and p.name not in registry.KINDS):
        near = difflib.get_close_matches(below.name, registry.KINDS, n=1, cutoff=0.7)
        if near and any(below.glob("*.py")):
            raise ValueError(
                f"components: {below} is not a kind of component; did you mean '{near[0]}'? Valid: {rooms}"
            )
    if stray := sorted(p.name for p in folder.glob("*.py") if p.name != "__init__.py"):
        raise ValueError(
            f"components: {folder / stray[0]} is not in a folder of components; move it into one of "
            f"{rooms}, with a name that begins with _ if it is a helper"
        )
    found = (p for room in registry.KINDS for p in (folder / room).rglob("*.py"))
    if lost := sorted(p for p in found if not p.is_file() and not p.name.startswith(".")):
        raise ValueError(f"components: {lost[0]} is no file, or a link to nothing; remove or rename it")
    for room, name in modules(folder):
        _check_readable(folder.joinpath(room, *name.split(".")))
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(
                f"components: {folder / room / name}.py: '{name}' is not a valid name; use letters, digits and _"
            )
        if (folder / room / name / "__init__.py").is_file() and (folder / room / f"{name}.py").is_file():
            raise ValueError(
                f"components: '{name}' exists twice in {folder / room}: {name}.py and {name}/__init__.py; rename one "
                "of them"
            )
        if name == "none" and room in ("aggregators", "attention"):
            raise ValueError(
                f"components: {folder / room / name}.py: 'none' is for models that have no aggregator; rename it"
            )
        if "." in name and not (folder / room / name.split(".")[0] / "__init__.py").is_file():
            raise ValueError(f"components: {folder / room / name.split('.')[0]} has no __init__.py; add one")


def _check_readable(path: Path) -> None:
    file = path / "__init__.py" if (path / "__init__.py").is_file() else path.with_name(f"{path.name}.py")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise ValueError(
            f"components: {file}, line {line}: not UTF-8; save the file in this encoding"
        ) from None
    if "\0" in text:
        raise ValueError(f"components: {file} holds a null byte and is no source; remove or rename it")


def _check_once(wanted: Sequence[Path]) -> None:
    """``ValueError`` for two modules of the same name, of your own or built in."""
    places: dict[tuple[str, str], Path] = {}
    for folder in dict.fromkeys(wanted):
        for room, name in modules(folder):
            top = name.split(".")[0]
            built_in = _BUILT_IN / room / f"{top}.py"
            there = built_in if built_in.is_file() else places.get((room, top))
            if there is not None and there != folder:
                raise ValueError(
                    f"components: '{top}' exists twice in {room}: {there} and {folder / room}; rename one of them"
                )
            places[room, top] = folder


def _check_models() -> None:
    """``ValueError`` for two models of the same name."""
    known: dict[str, str] = {}
    for family in registry.names("models"):
        variants = literals.literals("models", family).get("VARIANTS", ())
        _check_variants(family, variants)
        for variant in variants:
            other = known.setdefault(str(variant), family)
            if other != family:
                raise ValueError(
                    f"components: model '{variant}' exists twice: {shown('models', other)} and "
                    f"{shown('models', family)}; rename one of them"
                )


def _check_variants(family: str, variants: Any) -> None:
    """``ValueError`` unless a file's models have names that can stand in a path and mean no other model."""
    file = shown("models", family)
    if not isinstance(variants, tuple | list) or not all(isinstance(v, str) for v in variants):
        raise ValueError(
            f"components: {file}: VARIANTS must list names, such as ('my_model',), and is {variants!r}"
        )
    if len(set(variants)) < len(variants):
        raise ValueError(
            f"components: {file}: VARIANTS names a model twice; remove one of {', '.join(variants)}"
        )
    for name in variants:
        if not _NAME.fullmatch(name) or name.startswith(timm_names.KEPT):
            raise ValueError(
                f"components: {file}: '{name}' in VARIANTS cannot name a model; use letters, digits, . - and _, and "
                f"do not begin with {timm_names.KEPT}"
            )


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def _forget() -> None:
    """Nothing of what was read or imported so far holds for other folders."""
    for cached in (source.source, literals.literals, literals.families):
        cached.cache_clear()
    for more in (declared.settings, declared._rule):
        more.cache_clear()
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and any(
            Path(file).is_relative_to(f) for f in _folders
        ):
            package, _, last = name.rpartition(".")
            del sys.modules[name]
            if vars(sys.modules.get(package, module)).get(last) is module:
                delattr(sys.modules[package], last)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds your own modules, after all other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = file_of(fullname)
        if file is None:
            return None
        below = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=below)


_FINDER = _Finder()
