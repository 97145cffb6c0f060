"""Pack image data sets into large files: ``favit prepare --data data imagenet1k``.

What was downloaded lies in, or is linked into, the data set's folder
(``data/imagenet1k``). Every image is decoded once: what is damaged is named and
left out. Whatever stops it, the same command goes on with the shards that are
missing; ``index.json`` comes last.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL import Image

from favit.components import registry
from favit.components.command_line import Parser
from favit.components.literals import literals
from favit.components.nearest import unknown
from favit.data import _index, _pictures
from favit.data._index import IN_PLACE, PACKED, PARTS
from favit.disk.files import write_atomic
from favit.prepare import pack, sources, verify
from favit.prepare.sources import Example, Found, Incomplete


def prepare(dataset: str, root: Path, images: str, workers: int, a_shard: int) -> list[str]:
    """Prepare one data set; returns lines to print. Raises ``Incomplete``."""
    facts = literals("data", dataset)
    folder = (root / next(iter(facts["FILES"]))).parent
    try:
        ready = _index.read(folder)
    except (FileNotFoundError, ValueError):
        return _make(dataset, facts, folder, images, workers, a_shard)
    return [f"{dataset}: already prepared", *_remarks(ready)]


def _verified(dataset: str, root: Path, workers: int) -> list[str]:
    folder = (root / next(iter(literals("data", dataset)["FILES"]))).parent
    return verify.verify(dataset, folder, workers)


def _make(
    dataset: str, facts: Mapping[str, Any], folder: Path, images: str, workers: int, a_shard: int
) -> list[str]:
    if not folder.is_dir():
        raise Incomplete(
            f"{folder} not found; create it and move or link the downloaded folders or archives into it"
        )
    found = sources.find(folder)
    _check_counts(found, facts, folder)
    index, shards = _packed(dataset, found, folder, images, workers, a_shard)
    counts = ", ".join(f"{index.parts[part].examples:,} {part}" for part in PARTS)
    return [f"{dataset}: {counts} images in {shards} shards", *_remarks(index)]


def prepare_folder(folder: Path, options: argparse.Namespace, workers: int) -> list[str]:
    """Prepare the pictures of a folder for ``dataset: image_folder``; returns lines to print."""
    try:
        ready = _index.read(folder)
    except (FileNotFoundError, ValueError):
        there = _pictures.listed(folder, options.scored, options.test_share, options.split_seed)
        _check_bits(folder, [name for _, name in (*there.train, *there.test)])
        parts = {"train": there.train, "val": there.test}
        found = Found(
            list(there.classes),
            {
                part: [Example(label, name, folder / name) for label, name in those]
                for part, those in parts.items()
            },
        )
        images = IN_PLACE if options.in_place else PACKED
        ready, _ = _packed(str(folder), found, folder, images, workers, options.shard)
    counts = ", ".join(f"{ready.parts[part].examples:,} for {_USE[part]}" for part in PARTS)
    return [f"{folder}: {counts}", *(f"skipped, damaged: {name}" for name in ready.left_out)]


def _check_bits(folder: Path, names: Sequence[str]) -> None:
    """``Incomplete`` for pictures of more than 8 bits, which would be cut off: in memory they are brought to 8."""
    for name in names:
        try:
            with Image.open(folder / name) as image:
                if image.mode.startswith(("I", "F")):
                    raise Incomplete(
                        f"{folder / name} has more than 8 bits per channel; convert such pictures first"
                    )
        except (OSError, SyntaxError):
            continue  # damaged: named and left out


_USE = {"train": "training", "val": "the test"}


def _packed(
    dataset: str, found: Found, folder: Path, images: str, workers: int, a_shard: int
) -> tuple[_index.Index, int]:
    """Pack what was found, the index last; returns it and the number of shards."""
    try:
        with FileLock(folder / ".prepare.lock", timeout=0):
            pack.remove_leftovers(folder)
            wanted = pack.jobs(found, folder, images, a_shard)
            everything = [job for part in wanted.values() for job in part]
            finished = {}
            for job, done in pack.run_all(everything, workers):
                finished[job.name] = done
                print(f"{dataset}: {job.name}, {len(finished)} of {len(everything)} shards", flush=True)
            parts = {part: [finished[job.name] for job in wanted[part]] for part in PARTS}
            index = pack.index(found.classes, images, parts, folder)
            write_atomic(folder / _index.NAME, index.to_json())
    except Timeout:
        raise Incomplete(f"{folder} is being prepared by another process") from None
    return index, len(everything)


def _check_counts(found: Found, facts: Mapping[str, Any], folder: Path) -> None:
    there = {"classes": len(found.classes), **{part: len(found.parts[part]) for part in PARTS}}
    expected = {"classes": facts["FACTS"]["classes"], **facts["COUNTS"]}
    if there != expected:
        wrong = ", ".join(
            f"{there[k]:,} of {expected[k]:,} {_WORDS[k]}" for k in expected if there[k] != expected[k]
        )
        raise Incomplete(f"{folder} is not complete: {wrong}")


_WORDS = {"classes": "classes", "train": "training images", "val": "validation images"}


def _remarks(index: _index.Index) -> list[str]:
    lists = {"skipped, damaged": index.left_out, "CMYK": index.cmyk, "not a JPEG": index.not_jpeg}
    return [f"{what}: {name}" for what, names in lists.items() for name in names]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="favit prepare",
        description=f"{__doc__}\n{sources.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("datasets", nargs="*", help=f"data sets: {', '.join(prepared())} (default: all)")
    parser.add_argument(
        "--data", default="data", type=Path, help="folder of the data sets (default: %(default)s)"
    )
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="check and index the files of train/ and val/ instead of packing them; training then reads these files",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare all images of a prepared data set with its index (slow)",
    )
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        type=Path,
        help="folder of pictures by class, for image_folder (may be repeated)",
    )
    parser.add_argument(
        "--scored",
        choices=("auto", "test", "val"),
        default="auto",
        help="like dataset.scored (default: %(default)s)",
    )
    parser.add_argument(
        "--test-share", type=float, default=0.2, help="like dataset.test_share (default: %(default)s)"
    )
    parser.add_argument(
        "--split-seed", type=int, default=0, help="like dataset.split_seed (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one per core)")
    parser.add_argument(
        "--shard", type=int, default=pack.EXAMPLES_A_SHARD, help="images per shard (default: %(default)s)"
    )
    return parser


def prepared() -> list[str]:
    """The data sets that need preparation."""
    return [name for name in registry.names("data") if "COUNTS" in literals("data", name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the named data sets; skip those that need no preparation."""
    options = parser().parse_args(arguments)
    workers = options.workers or len(os.sched_getaffinity(0))
    failed = False
    for folder in options.folder:
        try:
            print("\n".join(prepare_folder(folder, options, workers)))
        except (Incomplete, OSError, ValueError) as error:
            print(error, file=sys.stderr)
            failed = True
    for name in options.datasets or ([] if options.folder else prepared()):
        if name not in registry.names("data"):
            print(unknown(f"data set '{name}'", name, prepared()), file=sys.stderr)
            return 1
        if name not in prepared():
            print(f"{name}: nothing to prepare")
            continue
        try:
            images = IN_PLACE if options.in_place else PACKED
            if options.verify:
                said = _verified(name, options.data, workers)
            else:
                said = prepare(name, options.data, images, workers, options.shard)
            print("\n".join(said))
        except (Incomplete, OSError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
