"""What is known of the runs at each commit: settings, and the digests of what training gave."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from favit.disk.files import write_atomic

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One training: digests of its numbers, or why there are none. ``executed`` names a set of functions."""

    commit: str
    run: str
    weights: str = ""
    predictions: str = ""
    history: str = ""
    scores: str = ""
    executed: str = ""
    failed: str = ""

    @property
    def bits(self) -> tuple[str, ...]:
        """What is equal where every number is."""
        return (self.weights, self.predictions, self.history, self.scores, self.failed)


class Table:
    """``table.csv``, ``settings.json``, ``executed.json`` and ``made_on.json`` in one folder.

    Bits are those of one kind of processor and of one version of torch: ``made_on`` says which.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self._folder = folder
        self.rows: dict[tuple[str, str], Row] = {}  # by commit and run
        # of each run, the commits at which its complete settings are others than before; a text says why it has none
        self.settings: dict[str, dict[str, dict[str, Any] | str]] = {}
        self.stated: dict[str, dict[str, Any]] = {}  # what each run stated of them
        self.made_on: dict[str, str] = {}
        self._names: list[str] = []
        self._sets: dict[str, str] = {}
        self._load()

    def add(self, commit: str, run: str, answer: Mapping[str, Any]) -> None:
        """Note a training's answer."""
        executed = self._set(answer["executed"]) if "executed" in answer else ""
        known = {f.name: answer[f.name] for f in fields(Row) if f.name in answer and f.name != "executed"}
        self.rows[commit, run] = Row(commit, run, executed=executed, **known)

    def forget_others(self, runs: Mapping[str, Mapping[str, Any]]) -> None:
        """Forget runs that are not among these, and those that state other settings now."""
        for run in [run for run, stated in self.stated.items() if stated != runs.get(run)]:
            del self.stated[run], self.settings[run]
            self.rows = {key: row for key, row in self.rows.items() if row.run != run}

    def executed(self, row: Row) -> set[str]:
        """The functions that a training executed, ``module:name``."""
        mask = int(self._sets.get(row.executed, "0"), 16)
        return {name for i, name in enumerate(self._names) if mask >> i & 1}

    def save(self) -> None:
        """Write the files, each whole."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [f.name for f in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(self.rows[key]) for key in sorted(self.rows))
        write_atomic(self._folder / "table.csv", text.getvalue())
        runs = ",\n".join(
            f'"{run}": {json.dumps({"stated": self.stated[run], "complete": known})}'
            for run, known in self.settings.items()
        )
        write_atomic(self._folder / "settings.json", f"{{\n{runs}\n}}\n")
        write_atomic(self._folder / "made_on.json", json.dumps(self.made_on, indent=1) + "\n")
        lists = {"names": self._names, "sets": self._sets}
        write_atomic(self._folder / "executed.json", json.dumps(lists, indent=0) + "\n")

    def _set(self, names: list[str]) -> str:
        places = {name: i for i, name in enumerate(self._names)}
        for name in names:
            if name not in places:
                places[name] = len(self._names)
                self._names.append(name)
        mask = f"{sum(1 << places[name] for name in names):x}"
        known = {m: label for label, m in self._sets.items()}
        label = known.get(mask, f"e{len(self._sets)}")
        self._sets[label] = mask
        return label

    def _load(self) -> None:
        try:
            with (self._folder / "table.csv").open(newline="") as file:
                self.rows = {(row["commit"], row["run"]): Row(**row) for row in csv.DictReader(file)}
            both = json.loads((self._folder / "settings.json").read_text())
            self.settings = {run: known["complete"] for run, known in both.items()}
            self.stated = {run: known["stated"] for run, known in both.items()}
            lists = json.loads((self._folder / "executed.json").read_text())
            self._names, self._sets = lists["names"], lists["sets"]
            self.made_on = json.loads((self._folder / "made_on.json").read_text())
        except FileNotFoundError:
            return
