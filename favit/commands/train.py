"""Train one run: ``favit train --run FILE --out FOLDER``."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Train and end the process with the exit status of ``favit.train``."""
    from favit.train import __main__ as training  # torch, for those who need it
    from favit.train.life.process import leave

    leave(training.main(arguments))
