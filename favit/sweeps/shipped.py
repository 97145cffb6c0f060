"""The folder of files that belong to ``favit`` but are not code: Snakefile, rules, schema, profile, configuration."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]

# What ``favit init`` lays out, and pyproject.toml puts into the wheel.
NAMES = ("Snakefile", "config.yaml", "workflow", "slurm", "workstation")
# What an export has besides: how to cite, and what may be done with the code in it.
TERMS = ("CITATION.cff", "LICENSE")

LAST = "Snakefile"  # is laid out when all else is: a folder that has it has all


def folder() -> Path:
    """The folder that holds them: the checkout, or in a wheel a folder within the package."""
    packed = _PACKAGE / "_project"
    return packed if packed.is_dir() else _PACKAGE.parent


SCHEMA = folder() / "workflow" / "schemas" / "config.schema.yaml"

# In a project that ``favit init`` laid out: SHA-256 of each file as it was laid out, by its name, and by which version.
RECORD = ".favit-init.json"

_PROGRAM = (
    "Snakefile",
    "workflow",
)  # of these files, which are part of the program; the others are the user's


def is_program(name: str) -> bool:
    """Whether a file of a project is part of the program, and not the user's to fill in."""
    return Path(name).parts[0] in _PROGRAM


def laid_out(project: Path) -> dict[str, str]:
    """Digests of the files that ``favit init`` wrote to a project; none where an older version did, or nobody."""
    try:
        return {str(name): str(digest) for name, digest in json.loads(_record(project))["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def outdated(project: Path) -> str:
    """A sentence for a project whose workflow came from another version than this one; else empty."""
    root = folder()
    for name, digest in laid_out(project).items():
        today = root / name
        if is_program(name) and (not today.is_file() or digest != digest_of(today.read_bytes())):
            return (
                f"{name} in {project} is of another version of favit; "
                "`favit init --update` brings the project to this one"
            )
    return ""


def digest_of(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def _record(project: Path) -> bytes:
    return (project / RECORD).read_bytes()
