"""Pages on what is typed, and on what comes of it: commands, profiles, files of a run, exit codes."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, get_type_hints
from unittest import mock

import yaml
from snakemake_executor_plugin_submitit import __main__ as executor
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from tables import code, codes, page, table, text

from favit.commands.main import MISUSED, VERBS
from favit.disk.run_folder import RunFolder
from favit.identity.closure import ROOT

YOU = "you"  # stands for the name of whoever types


class _Asked(Exception):
    """A command has asked its parser for its arguments: here it is."""


def parser_of(main: Callable[[Sequence[str]], Any]) -> argparse.ArgumentParser:
    """The parser that a command builds, taken from it when it would read its first argument."""

    def ask(parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise _Asked(parser)

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", ask),
        mock.patch.dict(os.environ, LOGNAME=YOU),
    ):
        try:
            main([])
        except _Asked as asked:
            return asked.args[0]
    raise AssertionError(f"{main} reads no arguments")


def arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    """A row for each argument: how it is written, default, choices, meaning."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if (
            isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
            or action.help == argparse.SUPPRESS
        ):
            continue
        help_text = formatter._expand_help(action) if action.help else ""
        shown = action.default not in (None, False, argparse.SUPPRESS) and action.default != []
        yield (
            code(_written(action)),
            code(str(action.default)) if shown and not _stated(help_text) else "",
            codes(action.choices or ()),
            text(help_text),
        )


def _stated(help_text: str) -> bool:
    return "default" in help_text


def _written(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    if action.option_strings:
        name = action.option_strings[-1]
        return name if action.nargs == 0 else f"{name} {value}"
    word = str(action.metavar or action.dest.upper())
    return {"*": f"[{word} ...]", "+": f"{word} ...", "?": f"[{word}]"}.get(str(action.nargs), word)


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    rows = table(("argument", "default", "choices", "meaning"), arguments(parser))
    said = [text(paragraph) for paragraph in (parser.description or "").split("\n\n")]
    return "\n\n".join([f"### `{name}`", *(part for part in [*said, rows] if part)])


def commands_page() -> str:
    """Every command with its arguments, from the parsers that read them."""
    verbs = [
        _command(f"favit {verb}", parser_of(importlib.import_module(f"favit.commands.{verb}").main))
        for verb in VERBS
    ]
    subparsers = next(
        action
        for action in parser_of(executor.main)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    helps = {action.dest: action.help for action in subparsers._choices_actions}
    of_executor = []
    for verb, parser in subparsers.choices.items():
        parser.description = helps[verb]
        of_executor.append(_command(f"python -m snakemake_executor_plugin_submitit {verb}", parser))
    return page(
        "Commands",
        "Everything that can be typed. `favit VERB` and `python -m favit VERB` are the same.",
        "## `favit`",
        table(("verb", "what it does"), ((f"[`{v}`](#favit-{v})", text(does)) for v, does in VERBS.items())),
        *verbs,
        "## The executor",
        "Its settings are in [profiles](profiles.md).",
        *of_executor,
        "## `snakemake`",
        "Targets besides the names of sweeps and groups. They come first, options after them.",
        table(("target", "what it does"), sorted(targets())),
        "## `make`",
        "In a checkout.",
        table(("target", "what it does"), make_targets()),
    )


def targets() -> Iterator[tuple[str, str]]:
    """The rules that a person may name, with their docstrings."""
    for file in [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]:
        for name, words in re.findall(
            r'^rule (\w+):\n +"""(.*?)"""', file.read_text(encoding="utf-8"), re.M | re.S
        ):
            yield code(name), text(words)


def make_targets() -> list[tuple[str, str]]:
    """What ``make help`` says, a row for each target."""
    said = re.findall(r'^\t@echo "(.*)"$', (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    lines = [line for line in said if line.startswith(("make ", "  "))]
    joined = re.sub(r"\n +", " ", "\n".join(lines)).replace("$(VENV)", "`.venv`").splitlines()
    return [
        (code(line[: len("make setup       ")].strip()), text(line[len("make setup       ") :]))
        for line in joined
    ]


def profiles_page() -> str:
    """Every setting of the executor, and what the two profiles set."""
    here = {
        name: yaml.safe_load((ROOT / name / "config.yaml").read_text()) for name in ("slurm", "workstation")
    }
    kinds = get_type_hints(ExecutorSettings)
    rows = [
        (
            code(name := f"submitit-{field.name.replace('_', '-')}"),
            _kind(kinds[field.name]),
            code(field.default),
            "<br>".join(f"{profile}: {code(keys[name])}" for profile, keys in here.items() if name in keys),
            text(field.metadata["help"]),
        )
        for field in fields(ExecutorSettings)
        if "help" in field.metadata
    ]
    others = [
        key
        for key in dict.fromkeys([*here["slurm"], *here["workstation"]])
        if not key.startswith("submitit-")
    ]
    said = {**_comments("workstation"), **_comments("slurm")}
    return page(
        "Keys of the profiles",
        "`snakemake --profile slurm` reads [slurm/config.yaml](../../slurm/config.yaml), `--profile workstation` "
        "[workstation/config.yaml](../../workstation/config.yaml). Every key is an option of `snakemake` without its "
        "dashes, and on the command line the same option wins.",
        "## The executor",
        "What a rule asks for itself (`slurm_partition`, `gpu`, `runtime`, ...) wins over these.",
        table(("key", "type", "default", "set by the profile", "meaning"), rows),
        "## Snakemake's own, as the profiles set them",
        "Their defaults and all others: `snakemake --help`.",
        table(
            ("key", "slurm", "workstation", "why"),
            ((code(k), *(code(here[p].get(k)) for p in here), text(said.get(k, ""))) for k in others),
        ),
    )


def _kind(kind: Any) -> str:
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    return next(said for name, said in words.items() if name in str(kind))


def _comments(profile: str) -> dict[str, str]:
    """Key -> the lines of comment right above it, and behind it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in (ROOT / profile / "config.yaml").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            words = line.lstrip("# ")
            above = [] if words.startswith("---") or re.match(r"submitit-[\w-]+:", words) else [*above, words]
        elif match := re.match(r"([\w-]+):", line):
            found[match.group(1)] = " ".join(above)
            above = []
        else:
            above = []
    return found


def files_page() -> str:
    """Every file that a run may leave, from the class that names them."""
    folder = RunFolder(Path())
    return page(
        "Files of a run",
        "Each run has a folder `results/runs/{dataset}/{model}/{aggregator}/{encoding}/seed{seed}/{digest}/`. Every "
        "file in it is whole or absent. [What else lies in `results/`](../../results/README.md).",
        table(("file", "what it holds"), ((code(name), text(doc)) for name, doc in _files(folder))),
        "Which of weights and checkpoints stay is [`keep`](config.md#at-the-top)'s to say.",
    )


def _files(folder: RunFolder) -> Iterator[tuple[str, str | None]]:
    for name, member in vars(RunFolder).items():
        if (
            isinstance(member, property)
            and member.fget
            and member.fget.__annotations__.get("return") == "Path"
        ):
            yield str(getattr(folder, name)), inspect.getdoc(member)
        elif inspect.isfunction(member) and member.__annotations__ == {"position": "int", "return": "Path"}:
            digits = str(member(folder, 0))
            yield re.sub("0+", "POSITION", digits), inspect.getdoc(member)


def exit_codes_page() -> str:
    """Every exit status that a program of this project gives a meaning to."""
    head = ("status", "meaning")
    of_verbs = _constants("favit/commands/main.py")
    training = {**_constants("favit/train/life/process.py"), **_constants("favit/train/life/launch.py")}
    return page(
        "Exit codes",
        "128 + n means everywhere that signal n ended the process.",
        "## `favit VERB`",
        table(head, _sorted(of_verbs)),
        "## Training a run",
        "`favit train`, `python -m favit.train` and the command of each job. A list of runs "
        "([`--runs`](../engine.md#several-runs-in-one-process)) has one status for all of them.",
        table(head, _sorted({MISUSED: of_verbs[MISUSED], **training})),
    )


def _sorted(constants: dict[int, str]) -> list[tuple[str, str]]:
    return [(code(value), text(words)) for value, words in sorted(constants.items())]


def _constants(file: str) -> dict[int, str]:
    """The numbers that a module names, each with the text below it."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    return {
        statement.value.value: following.value.value
        for statement, following in itertools.pairwise(body)
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and type(statement.value.value) is int
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
        and isinstance(following.value.value, str)
    }
