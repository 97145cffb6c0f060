"""Pictures in folders by class: ``train/<class>/*`` and ``test/`` or ``val/``, or ``<class>/*`` split by a seed.

Small sets are decoded once and live in memory; large ones are packed by ``favit prepare --folder`` and stay on disk.
Either way crops are cut from whole pictures, as from ImageNet's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from favit.components.bounds import Above, AtLeast, Below
from favit.components.checks import check_fields
from favit.components.flat import own
from favit.data import _decoded, _index, _pictures

TASK = "classification"
FEED = "stored"
FILE_SETTING = "path"  # the setting that names the folder, relative to the data root


@dataclass(frozen=True)
class Settings:
    """The settings of this data set: ``dataset.path`` and so on."""

    path: str = ""
    """The folder, relative to the folder of the data."""
    scored: Literal["auto", "test", "val"] = "auto"
    """The folder beside train/ to score; auto: test/, else val/."""
    test_share: Annotated[float, Above(0.0), Below(1.0)] = 0.2
    """Share of each class to score if there is no train/."""
    split_seed: Annotated[int, AtLeast(0)] = 0
    """Seed that selects this share."""
    memory_mb: Annotated[int, AtLeast(1)] = 4000
    """Most memory (MB) that the decoded pictures may take."""

    def __post_init__(self) -> None:
        """``ValueError`` for what the annotations or ``check_settings`` do not allow."""
        check_fields(self)
        check_settings(self.path)


def check_settings(path: str) -> None:
    """``ValueError`` without a folder."""
    if not path:
        raise ValueError(
            "dataset.path is ''; it names the folder of the pictures, relative to the folder of the data"
        )


def load(root: Path, run: Mapping[str, Any]) -> Any:
    """The pictures that the run's ``dataset.*`` settings describe, in memory or prepared."""
    chosen = Settings(**own(run, "dataset"))
    folder = Path(root) / chosen.path
    if (folder / _index.NAME).is_file():
        from favit.data import _prepared  # what reads packed pictures, for those who need it

        return _prepared.load(folder, chosen.scored, chosen.test_share, chosen.split_seed)
    found = _pictures.listed(folder, chosen.scored, chosen.test_share, chosen.split_seed)
    return _decoded.load(folder, found, chosen.memory_mb)
