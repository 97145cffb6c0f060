"""Digests of a run's settings and of its data, the same where runs are prepared and where they are trained.

Free of torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from favit.components.literals import literals
from favit.disk.files import sha256_of

DIGITS = 16  # how long every short digest is


def short_digest(value: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a plain value's canonical JSON."""
    return text_digest(json.dumps(value, sort_keys=True, separators=(",", ":")))


def text_digest(text: str) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a text, such as JSON that is canonical already."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def data_digests(
    settings: Mapping[str, Any], root: Path, digest: Callable[[Path], str] = sha256_of
) -> dict[str, str] | None:
    """SHA-256 of each file of a run's data set; None if they are not all there."""
    files = data_files(settings, root)
    if not all(path.exists() for path in files.values()):
        return None
    return {n: _of_folder(p, digest) if p.is_dir() else digest(p) for n, p in files.items()}


def _of_folder(folder: Path, digest: Callable[[Path], str]) -> str:
    """SHA-256 of the names and contents of all files below a folder, but for hidden ones."""
    found = ((p.relative_to(folder), p) for p in folder.rglob("*") if p.is_file())
    rows = [
        f"{name}\t{digest(p)}\n"
        for name, p in sorted(found)
        if not any(x.startswith(".") for x in name.parts)
    ]
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def data_files(settings: Mapping[str, Any], root: Path) -> dict[str, Path]:
    """The files of a run's data set, by the name under which their digests are recorded."""
    facts = literals("data", settings["dataset"])
    files = {name: root / name for name in facts.get("FILES", ())}
    if "FILE_SETTING" in facts:
        chosen = str(settings.get(f"dataset.{facts['FILE_SETTING']}", ""))
        index = f"{chosen.rstrip('/')}/index.json"  # of a folder that was prepared: it stands for all that lies there
        name = index if chosen and (root / index).is_file() else chosen
        files[name] = root / name
    for package, names in facts.get("PACKAGE_FILES", {}).items():
        spec = importlib.util.find_spec(package)
        folder = Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")
        files.update({f"{package}/{name}": folder / name for name in names})
    return files
