"""The scores of a run by epoch, from its ``history.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

from favit.disk.run_folder import RunFolder


def scores_by_epoch(folder: Path, metric: str) -> list[float]:
    """The scores of each epoch, the first at place 0; NaN and infinity where the run had them.

    metric: ``top1``; the column is ``test_top1`` or ``validation_top1``. Empty if there is no such column or no file.
    A file that somebody cut or edited counts as far as it can be read: a figure is no reason to lose the others.
    """
    found: list[float] = []
    try:
        with RunFolder(folder).history.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                column = next((name for name in row if name and name.endswith(f"_{metric}")), None)
                if column is None:
                    break
                found.append(float(row[column]))
    except (OSError, ValueError, TypeError, csv.Error):
        return found
    return found
