"""Pack data sets of many small files for fast reading: ``favit prepare imagenet1k``."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Pack; returns the exit status of ``favit.prepare``."""
    from favit.prepare import __main__ as preparing  # Pillow and array-record, for those who need them

    return preparing.main(list(arguments))
