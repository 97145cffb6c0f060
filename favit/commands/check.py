"""Test your own components as the built-in ones are tested: ``favit check my_lab``.

Data sets are checked as the runs of the configuration set them, or else with their defaults. A data set whose files are
missing is skipped, with a note.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favit.commands.main import add_config, command_line
from favit.components import declared, own, registry
from favit.components.literals import families, literals
from favit.components.signature import CLASSES
from favit.identity import outside
from favit.identity.closure import Reader
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.resolve import Run, resolve
from favit.sweeps.runs import runs

_STILL = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}


@dataclass(frozen=True)
class Subject:
    """A component to check: its room, its name in ``config.yaml`` and the name of its file."""

    room: str
    name: str
    file: str


def main(arguments: Sequence[str]) -> int:
    """Run the checks; the exit status is 1 if one fails."""
    parser = command_line("check", __doc__)
    parser.add_argument(
        "what",
        nargs="*",
        help="folders or names of components (default: the folders under `components` in config.yaml)",
    )
    parser.add_argument("--slow", action="store_true", help="also compile whole models; takes minutes")
    add_config(parser)
    options = parser.parse_args(arguments)
    config = _configured(options.config, [w for w in options.what if Path(w).is_dir()])
    subjects = list(_subjects(options.what))
    if not subjects:
        raise ConfigError(
            f"no component in {', '.join(options.what) or 'the folders under components'} yet; a file in one of "
            f"{', '.join(registry.KINDS)} is one"
        )
    reader = Reader()
    failed = checked = 0
    for subject in subjects:
        print(f"{own.shown(subject.room, subject.file)}: {subject.name}", flush=True)
        for place, check in enumerate(_checks(subject, config, options.slow, reader)):
            checked += 1
            problem = _problem(check)
            failed += problem is not None
            said = " ".join((check.__doc__ or "").replace("``", "").split())
            print(f"  {'ok    ' if problem is None else 'FAILED'}  {said}", flush=True)
            if problem is not None:
                print(f"          {problem}", flush=True)
            if problem is not None and place == 0:
                break  # the others would say the same
    held = "all passed" if not failed else f"{failed} failed"
    print(
        f"{len(subjects)} component{'s' * (len(subjects) != 1)}, {checked} check{'s' * (checked != 1)}: {held}"
    )
    return int(bool(failed))


def _configured(path: str, folders: Sequence[str]) -> Config | None:
    """The configuration with these folders of components added; None if there is no file."""
    if not Path(path).is_file():
        _use(folders)
        return None
    config = load(path)
    known = own.folders()
    if more := [folder for folder in folders if Path(folder).absolute() not in known]:
        _use([*map(str, known), *more])
    return config


def _use(folders: Sequence[str]) -> None:
    try:
        own.use(folders)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _subjects(what: Sequence[str]) -> Iterator[Subject]:
    """The components in the given folders or of the given names. ``ConfigError`` if there are none."""
    folders = [Path(w).absolute() for w in what if Path(w).is_dir()] or ([] if what else own.folders())
    names = [w for w in what if not Path(w).is_dir()]
    if not folders and not names:
        raise ConfigError("nothing to check; name a folder of components: favit check my_lab")
    for folder in folders:
        for room, name in own.modules(folder):
            if name.isidentifier() and not name.startswith("_"):
                yield from _of_file(room, name)
    for name in names:
        rooms = [room for room in registry.KINDS if name in registry.names(room)]
        if name in families():
            yield Subject("models", name, families()[name])
            rooms = [room for room in rooms if room != "models"]
        elif not rooms:
            raise ConfigError(f"no component or folder '{name}'")
        for room in rooms:
            yield from _of_file(room, name)


def _of_file(room: str, file: str) -> Iterator[Subject]:
    """A mechanism or data set is named by its file, models by its ``VARIANTS``."""
    if room != "models":
        yield Subject(room, file, file)
        return
    variants = literals(room, file).get("VARIANTS", ())
    if not variants:
        raise ConfigError(f"{own.shown(room, file)} defines no model names; add VARIANTS = ('my_model',)")
    for variant in variants:
        yield Subject(room, str(variant), file)


def _checks(
    subject: Subject, config: Config | None, slow: bool, reader: Reader
) -> Iterator[Callable[[], None]]:
    """The checks of a component, ready to call; each docstring is the sentence to print.

    Where the first one fails the others say nothing new.
    """
    yield _declares(subject, reader)
    contract = importlib.import_module(f"favit.contracts.{subject.room}")
    checks = (*contract.CHECKS, *(contract.SLOW if slow else ()))
    if subject.room != "data":
        yield from (_bound(check, subject.name) for check in checks)
        return
    root = config.data if config else Path("data")
    several = _runs_with(subject.name, config)
    for run in several:
        if len(several) > 1:
            print(f"  with    {', '.join(f'{key}: {value}' for key, value in _own_settings(run).items())}")
        loads = _loads(subject, root, run)
        try:
            loads()
        except FileNotFoundError as error:
            print(f"  skipped: {error}")
        except (Exception, SystemExit):
            yield loads
        else:
            yield from (_bound(check, subject.name, root, run.settings) for check in checks)


def _loads(subject: Subject, root: Path, run: Run) -> Callable[[], None]:
    def loads() -> None:
        """Its data can be loaded with these settings."""
        contract = importlib.import_module("favit.contracts.data")
        contract.is_what_was_meant(subject.name, root, run.settings)  # first: it tells the remedy
        registry.load("data", subject.name).load(root, run.settings)

    return loads


_DEFINES = {"models": "build", "data": "load"}
_MODULES = ("aggregators", "attention")  # an encoding need not be one


def _declares(subject: Subject, reader: Reader) -> Callable[[], None]:
    def declares() -> None:
        """Its declarations (settings, facts, flags) can be read without importing it, and it can be imported."""
        closure = reader.closure([f"favit.{subject.room}.{subject.file}"])
        outside.check(closure, reader)
        for line in outside.untracked([m for m in closure.modules if own.file_of(m)], reader):
            print(f"  note    {line}")
        declared.settings(subject.room, subject.file)
        axis = {"data": "dataset", "models": "model", "encodings": "encoding"}.get(subject.room, "aggregator")
        if axis in ("dataset", "model"):
            declared.check_facts(axis, {**_STILL, axis: subject.name})
        if subject.room == "models":
            declared.task_of_model(subject.name), declared.room_of(subject.name)
        module = registry.load(subject.room, subject.file)
        wanted = _DEFINES.get(subject.room)
        if wanted and not callable(getattr(module, wanted, None)):
            raise ValueError(f"{own.shown(subject.room, subject.file)} has no function {wanted}; define it")
        if subject.room in _MODULES:
            _is_a_module(subject, getattr(module, CLASSES[subject.room]))

    return declares


def _is_a_module(subject: Subject, kind: Any) -> None:
    from torch import nn

    if isinstance(kind, type) and not issubclass(kind, nn.Module):
        where = own.shown(subject.room, subject.file)
        raise ValueError(
            f"{kind.__name__} in {where} is no torch module; write class {kind.__name__}(nn.Module)"
        )


def _bound(check: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    def bound() -> None:
        import torch

        torch.manual_seed(0)
        check(*arguments)

    bound.__doc__ = check.__doc__
    return bound


def _problem(check: Callable[[], None]) -> str | None:
    """The failure in one line; None if the check passes."""
    try:
        check()
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split()) or f"{check.__name__} failed"
        return said if isinstance(error, AssertionError | ValueError) else f"{type(error).__name__}: {said}"
    return None


def _runs_with(dataset: str, config: Config | None) -> list[Run]:
    """A run of the configuration for each way in which it sets this data set, else one with default settings."""
    found: dict[str, Run] = {}
    for run in runs(config) if config else ():
        if run["dataset"] == dataset:
            windows = [run.settings.get(key) for key in ("input_length", "horizon")]
            found.setdefault(repr((_own_settings(run), windows)), run)
    if found:
        return list(found.values())
    forecasts = literals("data", dataset).get("TASK") == "forecasting"
    more = {"model": "informer", "aggregator": "full", "schedule": "constant"} if forecasts else {}
    try:
        return [resolve({**_STILL, **more, "dataset": dataset})]
    except ValueError as error:
        raise ConfigError(
            f"{dataset}: no run in the configuration names it, and without settings {error}"
        ) from None


def _own_settings(run: Run) -> dict[str, Any]:
    """How a run sets its data set."""
    return {key: value for key, value in run.settings.items() if key.startswith("dataset.")}
