"""The folder of files that belong to ``favit`` but are not code: Snakefile, rules, schema, profile, configuration."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]

# What ``favit init`` lays out, and pyproject.toml puts into the wheel.
NAMES = ("Snakefile", "config.yaml", "workflow", "slurm", "workstation")
# What an export has besides: how to cite, and what may be done with the code in it.
TERMS = ("CITATION.cff", "LICENSE")


def folder() -> Path:
    """The folder that holds them: the checkout, or in a wheel a folder within the package."""
    packed = _PACKAGE / "_project"
    return packed if packed.is_dir() else _PACKAGE.parent


SCHEMA = folder() / "workflow" / "schemas" / "config.schema.yaml"
