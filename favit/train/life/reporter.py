"""Report the progress of a run: a bar within an epoch on a terminal, and a line for each epoch everywhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from favit.disk.run_folder import RunFolder


class Reporter:
    """Speaks for the first process; all others are silent. Lines also go to ``train.log``.

    ``name`` tells what is shown apart from what other runs print to the same terminal.
    """

    def __init__(self, folder: Path, speaks: bool, stream: TextIO | None = None, name: str = "") -> None:
        self._stream = stream or sys.stdout
        self._prefix = f"{name}  " if name else ""
        self._log = RunFolder(folder).log.open("a", encoding="utf-8", buffering=1) if speaks else None
        self._bar: tqdm | None = None
        self._shows_bar = speaks and self._stream.isatty()

    def say(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        if self._log is None:
            return
        self._log.write(text + "\n")
        if self._shows_bar:
            tqdm.write(self._prefix + text, file=self._stream)
        else:
            print(self._prefix + text, file=self._stream, flush=True)

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Open the bar of ``epoch`` (from 0), ``done`` of whose steps are behind it."""
        if self._shows_bar:
            self._bar = tqdm(
                total=steps,
                initial=done,
                desc=f"{self._prefix}epoch {epoch + 1}/{epochs}",
                unit="step",
                leave=False,
                file=self._stream,
            )

    def step(self, loss: float | None) -> None:
        """One step further; ``loss`` is the latest that is known without waiting for the device."""
        if self._bar is None:
            return
        if loss is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update()

    def end_epoch(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Close the log."""
        self.end_epoch()
        if self._log is not None:
            with contextlib.suppress(OSError):  # of a disk that has failed and was told of
                self._log.close()
            self._log = None


def epoch_line(row: Mapping[str, Any], scored: str, epochs: int, seconds_left: float, unit: str) -> str:
    """A history row for people; ``scored`` is the part of the data (``test``) that its scores are of."""
    scores = {name.removeprefix(f"{scored}_"): v for name, v in row.items() if name.startswith(f"{scored}_")}
    shown = " ".join(f"{name} {value:.4g}" for name, value in scores.items())
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['train_loss']:.4f}  {scored} {shown}  lr {row['lr']:.3g}  "
        f"{row['examples_per_second']:.0f} {unit}/s  left {timedelta(seconds=round(seconds_left))}  "
        f"memory {row['memory_bytes'] / 2**30:.2f} GiB"
    )
