"""The error for data that is not on this machine."""

from __future__ import annotations

from pathlib import Path


class DataMissing(FileNotFoundError):
    """A file of a data set is missing; the message says which, where, and how to get it."""

    def __init__(
        self, path: Path, remedy: str = "fetch it with `snakemake data`, or name its folder with --data"
    ) -> None:
        super().__init__(f"data file {path} not found; {remedy}")
        self.path = path
