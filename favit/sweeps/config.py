"""``config.yaml``: read, checked against its schema, turned into plain dataclasses.

Free of torch: a dry run must stay fast. Everything that a person can get wrong
ends in a ``ConfigError`` of one line that names what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from favit.components import own
from favit.components.nearest import unknown
from favit.sweeps.errors import ConfigError
from favit.sweeps.loggers import Logger, loggers_of
from favit.sweeps.reading import LOADER, as_yaml, read
from favit.sweeps.recipes import check_recipe
from favit.sweeps.resolve import forget
from favit.sweeps.shipped import SCHEMA
from favit.sweeps.staged import Rounds, Tune, rounds_of, tune_of

__all__ = [
    "Config",
    "ConfigError",
    "Recipe",
    "SweepConfig",
    "TableConfig",
    "as_yaml",
    "load",
    "parse",
    "read",
]


@dataclass(frozen=True)
class TableConfig:
    """A sweep's table: its caption, what makes a row, and what rows are compared with.

    rows: the axes that make a row; empty for the mechanism (aggregator, and encoding where it varies).
    pairing: whether seeds of two rows are paired: ``auto``, ``paired`` or ``unpaired`` (favit.analysis.comparisons).
    equivalence_margin: within which a difference is none, in the unit that the table prints its first metric in.
    """

    caption: str = ""
    label: str = ""
    baseline: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[str] = ()
    pairing: str = "auto"
    equivalence_margin: float | None = None


@dataclass(frozen=True)
class Recipe:
    """The source of a sweep's settings.

    note: a warning about the recipe, printed by the dry run. published: how it relates to the recipe behind published
    values, printed in captions of tables that show some. changed: what the sweep
    overrides, with None for what it leaves out. keys: the settings that come from the recipe.
    """

    name: str = ""
    note: str = ""
    published: str = ""
    changed: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[str] = ()

    @property
    def said(self) -> str:
        """The dry run's line about the recipe; empty if there is nothing to say."""
        if not self.name:
            return (
                "no recipe named; settings that the sweep omits have the defaults of favit/train/settings.py"
            )
        return f"recipe {self.name} {self.note}" if self.note else ""


Beside = str | Mapping[str, Any]  # a model's name, or with settings of its own


@dataclass(frozen=True)
class SweepConfig:
    """One sweep as written: matrix, settings and table, not yet expanded.

    beside: models that stand in each block beside those of the matrix, or in that of a model, by the latter's name.
    """

    name: str
    matrix: Mapping[str, list[Any]]
    settings: Mapping[str, Any]
    include: tuple[Mapping[str, Any], ...] = ()
    exclude: tuple[Mapping[str, Any], ...] = ()
    table: TableConfig = TableConfig()
    resources: Mapping[str, Any] = field(default_factory=dict)
    in_all: bool = True
    recipe: Recipe = Recipe()
    beside: Sequence[Beside] | Mapping[str, Sequence[Beside]] = ()
    rounds: Rounds | None = None
    tune: Tune | None = None

    @property
    def staged(self) -> bool:
        """Whether results decide which runs are asked for (favit.sweeps.stages)."""
        return self.rounds is not None or self.tune is not None


@dataclass(frozen=True)
class Config:
    """The whole configuration. ``data`` and ``results`` are folders, relative to the project."""

    sweeps: Mapping[str, SweepConfig]
    groups: Mapping[str, list[str]]
    versions: Mapping[str, str]
    data: Path = Path("data")
    results: Path = Path("results")
    device: str = "auto"
    keep: str = "none"
    retrain: bool = False
    loggers: Sequence[Logger] = ()

    def sweeps_of(self, name: str) -> list[SweepConfig]:
        """The sweeps that a target stands for: a sweep, a group, or ``all``."""
        if name == "all":
            return [s for s in self.sweeps.values() if s.in_all]
        if name in self.groups:
            return [self.sweeps[member] for member in self.groups[name]]
        if name in self.sweeps:
            return [self.sweeps[name]]
        raise ConfigError(unknown(f"sweep '{name}'", name, ["all", *self.groups, *self.sweeps]))


def load(path: Path | str = "config.yaml") -> Config:
    """Read and check a configuration file. Raises ``ConfigError``."""
    return parse(read(path), str(path))


def parse(raw: Any, source: str = "config.yaml") -> Config:
    """Check a configuration that has been read (and perhaps overridden on the command line)."""
    if raw is None:
        raise ConfigError(f"{source} is empty; it needs at least 'sweeps'")
    _check_keys(raw, source)
    schema = yaml.load(SCHEMA.read_text(encoding="utf-8"), Loader=LOADER)
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(raw), key=lambda e: list(map(str, e.path))
    )
    if errors:
        raise ConfigError(f"{source}: {_sentence(errors[0])}")
    _use(raw.get("components", ()), source)
    recipes = raw.get("recipes", {})
    sweeps = {
        name: _sweep(name, body, recipes, raw.get("resources", {})) for name, body in raw["sweeps"].items()
    }
    for name in recipes.keys() - {body.get("recipe") for body in raw["sweeps"].values()}:
        check_recipe(name, {k: v for k, v in recipes[name].items() if k not in _WORDS})
    groups = raw.get("groups", {})
    _check_groups(groups, sweeps, source)
    return Config(
        sweeps=sweeps,
        groups=groups,
        versions=raw.get("versions", {"torch": "minor", "timm": "minor"}),
        data=Path(raw.get("data", "data")),
        results=Path(raw.get("results", "results")),
        device=raw.get("device", "auto"),
        keep=raw.get("keep", "none"),
        retrain=raw.get("retrain", "ask") in ("yes", True),
        loggers=loggers_of(raw.get("loggers", []), source),
    )


def _use(folders: Sequence[str], source: str) -> None:
    """Take components from these folders, too; they are where people type or, if not there, beside the file."""
    try:
        own.use(f if Path(f).is_dir() else Path(source).parent / f for f in folders)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    if folders:
        forget()  # what was resolved with other components


def _check_keys(value: Any, source: str, where: str = "") -> None:
    """Refuse keys that YAML does not read as text: ``no``, ``on``, ``2026``."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{source}: {where}key {key!r} is not text; put it in quotes")
            _check_keys(below, source, f"{where.removesuffix(': ')}{'.' if where else ''}{key}: ")
    elif isinstance(value, list):
        for item in value:
            _check_keys(item, source, where)


def _sweep(
    name: str, body: dict[str, Any], recipes: dict[str, Any], resources: dict[str, Any]
) -> SweepConfig:
    recipe = body.get("recipe")
    if recipe is not None and recipe not in recipes:
        raise ConfigError(f"sweeps.{name}: {unknown(f'recipe {recipe!r}', recipe, list(recipes))}")
    settings = dict(recipes[recipe]) if recipe else {}
    words = {key: settings.pop(key, "") for key in _WORDS}
    own = body.get("settings", {})
    changed = {key: value for key, value in own.items() if settings.get(key) != value}
    _check_left_out(name, own, settings)
    matrix, rounds = rounds_of(name, body["matrix"])
    return SweepConfig(
        name=name,
        matrix=matrix,
        settings={key: value for key, value in {**settings, **own}.items() if value is not None},
        include=tuple(body.get("include", ())),
        exclude=tuple(body.get("exclude", ())),
        table=TableConfig(**body.get("table", {})),
        resources={**resources, **body.get("resources", {})},
        in_all=body.get("all", True),
        recipe=Recipe(
            recipe or "",
            **words,
            changed=changed if recipe else {},
            keys=[key for key in settings if key not in own],
        ),
        beside=body.get("beside", ()),
        rounds=rounds,
        tune=tune_of(body),
    )


def _check_left_out(name: str, own: Mapping[str, Any], brought: Mapping[str, Any]) -> None:
    """``null`` leaves out what the recipe brings, and nothing else."""
    for key, value in own.items():
        if value is None and key not in brought:
            raise ConfigError(
                f"sweeps.{name}: settings.{key} is null, which removes a setting of the recipe; "
                f"{unknown(f'setting {key!r} of the recipe', key, sorted(brought))}"
            )


# Keys of a recipe that are words about it and no settings.
_WORDS = ("note", "published")


def _check_groups(groups: Mapping[str, list[str]], sweeps: Mapping[str, SweepConfig], source: str) -> None:
    for group, members in groups.items():
        if group in sweeps or group in RESERVED:
            raise ConfigError(
                f"{source}: groups.{group}: a sweep or target already has this name; choose another"
            )
        for member in members:
            if member not in sweeps:
                raise ConfigError(
                    f"{source}: groups.{group}: {unknown(f'sweep {member!r}', member, list(sweeps))}"
                )
    for name in sweeps:
        if name in RESERVED:
            raise ConfigError(f"{source}: sweeps.{name}: a target already has this name; choose another")


# The rules of the workflow: a sweep or a group of such a name would be another rule of it.
RESERVED = ("all", "analysis", "data", "prepare", "report", "stage", "table", "tables", "train")


def _sentence(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(p) for p in error.absolute_path)
    prefix = f"{where}: " if where else ""
    schema: Mapping[str, Any] = error.schema
    if error.validator == "additionalProperties" and schema.get("additionalProperties") is False:
        valid = list(schema["properties"])
        wrong = sorted(str(k) for k in error.instance if k not in valid)[0]
        return prefix + unknown(f"key '{wrong}'", wrong, valid)
    if error.validator == "required":
        missing = [k for k in schema["required"] if k not in error.instance]
        return f"{prefix}missing key '{missing[0]}'"
    if error.validator in ("minItems", "minProperties", "minLength"):
        return f"{where} is empty; give at least one value"
    if error.validator == "minimum":
        return f"{where} must be at least {schema['minimum']}, not {error.instance!r}"
    if error.validator == "pattern":
        return f"{prefix}the name {error.instance!r} may contain only a-z, 0-9 and -"
    if error.validator == "uniqueItems":
        return f"{where} lists a value twice: {error.instance!r}"
    if error.validator == "type":
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return (
            f"{where or 'the file'} must be {' or '.join(_KINDS[k] for k in kinds)}, not {error.instance!r}"
        )
    if error.validator == "enum":
        return f"{where} must be one of {', '.join(map(str, schema['enum']))}, not {error.instance!r}"
    if error.validator == "anyOf":
        if isinstance(error.instance, Mapping):
            key, value = next((k, v) for k, v in error.instance.items() if isinstance(v, list | dict | None))
            return f"{where}.{key} must be text, a number, true or false, not {value!r}"
        return f"{where} must be text, a number, true or false, or a mapping of such, not {error.instance!r}"
    return prefix + str(error.message)


_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "boolean": "true or false",
    "integer": "a whole number",
}
