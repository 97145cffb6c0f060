"""A folder of pictures that ``favit prepare --folder`` has packed or indexed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from favit.data import _index, _pictures, _stored
from favit.data._stored import StoredImages


@dataclass(frozen=True)
class PreparedPictures(StoredImages):
    """Pictures on disk, whose classes their folders count. ``mean`` and ``std`` are ImageNet's."""

    @property
    def facts(self) -> dict[str, int]:
        """What a model must know: the number of classes, and of channels."""
        return {"classes": len(self.class_names), "channels": 3}


def load(folder: Path, scored: str, share: float, seed: int) -> PreparedPictures:
    """The prepared pictures; ``ValueError`` if they were split otherwise than these settings say."""
    index = _index.read_unchecked(folder)
    _check_split(index, folder, scored, share, seed)
    data = _stored.load(folder, len(index.classes))
    return PreparedPictures(data.train, data.test, data.mean, data.std, data.class_names)


def _check_split(index: _index.Index, folder: Path, scored: str, share: float, seed: int) -> None:
    train, test = (_index.labels_and_names(index.parts[part], folder)[1] for part in _index.PARTS)
    if all(name.startswith("train/") for name in train):
        part = test[0].partition("/")[0] if test else ""
        same = scored in ("auto", part)
    else:
        # What was left out as damaged was split, too
        every, held = defaultdict(list), set(test) | set(index.left_out)
        for name in {*train, *test, *index.left_out}:
            every[name.partition("/")[0]].append(name)
        out = set().union(*(_pictures.held_out(names, share, seed) for names in every.values()))
        same = set(test) <= out <= held and not out & set(train)
    if not same:
        raise ValueError(
            f"{folder} was prepared with another split than dataset.scored ({scored}), dataset.test_share ({share}) "
            f"and dataset.split_seed ({seed}) say; remove {folder / _index.NAME} and prepare it with these"
        )
