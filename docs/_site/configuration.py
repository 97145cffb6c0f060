"""Pages on what can be written in ``config.yaml``: its keys, the settings of training, those of components."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from tables import code, codes, page, table, text

from favit.components import declared, registry, signature
from favit.components.literals import literals
from favit.components.setting import Setting
from favit.components.signature import CLASSES
from favit.components.source import source
from favit.sweeps.shipped import SCHEMA

HEAD = ("key", "type", "default", "allowed", "meaning")
_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
}
_KINDS = {
    "object": "mapping",
    "array": "list",
    "string": "text",
    "number": "number",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
}
MANY = 12  # choices that a table still shows
_PLURAL = {"integer": "whole numbers", "object": "mappings"}
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


class Schema:
    """The schema of ``config.yaml``, with its references followed."""

    def __init__(self) -> None:
        self.whole: Mapping[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))

    def followed(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a schema says together with what it refers to; its own words come first."""
        if "$ref" not in schema:
            return schema
        return {**self.whole["$defs"][schema["$ref"].rpartition("/")[2]], **schema}

    def rows(self, schema: Mapping[str, Any], prefix: str, depth: int = 9) -> Iterator[tuple[str, ...]]:
        """One row for each key, those below it included to this depth."""
        required = schema.get("required", ())
        for key, found in schema.get("properties", {}).items():
            below = self.followed(found)
            default = "required" if key in required else code(below.get("default"))
            name = f"{prefix}{key}"
            yield code(name), self.kind(below), default, self.allowed(below), text(below.get("description"))
            if depth > 1:
                yield from self.rows(self._inner(below), f"{name}.", depth - 1)

    def _inner(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The mapping below a key: its own, or the one that it may be."""
        return self.followed(schema["then"]) if "then" in schema else schema

    def kind(self, schema: Mapping[str, Any]) -> str:
        """In words, what may stand there."""
        if "then" in schema:
            return (
                f"{self.kind(self.followed(schema['else']))}, or {self.kind(self.followed(schema['then']))}"
            )
        kinds = schema.get("type", [])
        named = " or ".join(_KINDS[k] for k in ([kinds] if isinstance(kinds, str) else kinds))
        if kinds == "array" and isinstance(inner := self.followed(schema.get("items", {})).get("type"), str):
            return f"list of {_PLURAL.get(inner, _KINDS[inner])}"
        return named or "choice"

    def allowed(self, schema: Mapping[str, Any]) -> str:
        """Choices and limits."""
        if "enum" in schema:
            return codes(schema["enum"])
        return ", ".join(f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema)


def config_page() -> str:
    """Every key of ``config.yaml``."""
    schema = Schema()
    top, sweep = schema.whole, schema.whole["$defs"]["sweep"]
    precision = codes(schema.whole["$defs"]["precision"]["enum"])
    return page(
        "Keys of `config.yaml`",
        "What the shipped `config.yaml` sets is in [that file](../../config.yaml), with a comment on each line. This "
        "page has every key there is, and what holds where it is not given at all. An unknown key is an error.",
        "## At the top",
        table(HEAD, schema.rows(top, "", 1)),
        f"`versions` takes for each package one of {precision}.",
        "## `resources`",
        "At the top for all sweeps, and in a sweep for its own runs.",
        table(HEAD, schema.rows(schema.whole["$defs"]["resources"], "")),
        "## `recipes.NAME`",
        "Any [setting of training](settings.md) or [of a component](components.md), and two texts:",
        table(HEAD, schema.rows(schema.whole["$defs"]["recipe"], "")),
        "## `sweeps.NAME`",
        table(HEAD, (row for row in schema.rows(sweep, "") if not row[0].startswith("`resources."))),
        "A row of an axis may be a mapping of settings, with `label`, what readers see, and `reference`, the published "
        "row beside it.",
    )


def setting_row(name: str, setting: Setting, doc: str = "") -> tuple[str, ...]:
    """One setting as it is declared."""
    limits = ", ".join(f"{bound.words} {bound.limit}" for bound in setting.bounds)
    allowed = codes(setting.choices) if setting.choices else limits
    if len(setting.choices) > MANY:
        allowed = f"one of {len(setting.choices)}, listed below"
    return code(name), _WORDS[setting.kind], code(setting.default), allowed, text(setting.doc or doc)


_TRAINING = {
    "Optimisation": "Of every run",
    "Images": "Of runs on images",
    "Validation": "Images held back",
    "Forecasting": "Of forecasts",
}


def listed_below(settings: Mapping[str, Setting]) -> str:
    """The choices that are too many for a table."""
    return "\n\n".join(
        f"{code(name)} is one of {codes(setting.choices)}."
        for name, setting in settings.items()
        if len(setting.choices) > MANY
    )


def settings_page() -> str:
    """Every setting of training."""
    docs = {node.name: ast.get_docstring(node) for node in _classes("train", "settings")}
    parts = []
    for name, title in _TRAINING.items():
        found = signature.from_dataclass(source("train", "settings"), name)
        rows = table(HEAD, (setting_row(*item) for item in found.items()))
        parts += [f"## {title}", text(docs[name]), rows, listed_below(found)]
    return page(
        "Settings of training",
        "They stand in a recipe, in `settings` of a sweep, or as an axis of its matrix. All are part of a run's "
        "identity. Defaults hold where neither recipe nor sweep says anything.",
        *parts,
    )


def _classes(room: str, name: str) -> Iterator[ast.ClassDef]:
    return (node for node in source(room, name).tree.body if isinstance(node, ast.ClassDef))


_ROOMS = {
    "aggregators": (
        "Aggregators",
        "aggregator",
        "FaViT's: how dilated windows become one set of tokens.",
    ),
    "attention": ("Attention", "aggregator", "Informer's self-attention."),
    "encodings": ("Encodings", "encoding", "How position enters."),
    "models": ("Models", "model", "By the names that `model` takes."),
    "data": ("Data sets", "dataset", "By the names that `dataset` takes."),
}


def components_page() -> str:
    """Every component, and its settings."""
    parts = []
    for room, (title, axis, words) in _ROOMS.items():
        names = registry.names(room)
        rows = [
            (code(name), *setting_row(f"{axis}.{key}", setting, described(room, name).get(key, "")))
            for name in names
            for key, setting in declared.settings(room, name).items()
        ]
        parts += [
            f"## {title}",
            words,
            table(("name", "task", "what"), (_component(room, name) for name in names)),
            table(("of", *HEAD), rows),
            *(
                listed_below({f"{axis}.{key}": s for key, s in declared.settings(room, name).items()})
                for name in names
            ),
        ]
    return page(
        "Components and their settings",
        "What a sweep can name, and what may be set of it as `aggregator.factor`, `encoding.normalise`, "
        "`model.d_model` or `dataset.gaps`. [Components of your own](../own-components.md) are as good as these.",
        *parts,
    )


def _component(room: str, name: str) -> tuple[str, str, str]:
    stated = literals(room, name)
    names = stated.get("VARIANTS", (name,))
    shown = codes(names) if len(names) <= 4 else f"{code(names[0])} to {code(names[-1])}"
    if room == "models" and name == "timm":
        shown = "`timm/NAME`"
    doc = ast.get_docstring(source(room, name).tree) or ""
    return shown, str(stated.get("TASK", "")), text(doc.partition("\n\n")[0])


def described(room: str, name: str) -> dict[str, str]:
    """Setting -> what the docstring of a mechanism's class says of it: ````factor``: queries kept ...``."""
    settings = declared.settings(room, name)
    for node in _classes(room, name):
        if node.name == CLASSES.get(room):
            words = ast.get_docstring(node) or ""
            return {key: _said(words, key) for key in settings}
    return {}


def _said(docstring: str, key: str) -> str:
    found = re.search(rf"``{key}``: (.*?)(?=\s*``\w+``:|\n\n|\Z)", docstring, re.DOTALL)
    return found.group(1) if found else ""
