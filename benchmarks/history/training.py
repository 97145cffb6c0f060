"""Fills the table: which commits have to be trained so that every change of bits is found."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.history.commits import layout_of, named, task_of
from benchmarks.history.table import Row, Table
from favit.identity.closure import Reader

# Where settings are declared and completed, in every layout; other files cannot change them.
DECLARING = ("*.py", "components/*.py", "sweeps/*.py", "data/*.py", "models/*.py", "encodings/*.py",
             "attention/*.py", "aggregators/*.py", "train/*.py", "train/tasks/*.py")  # fmt: skip
# Changes in these are likely to change numbers: only the order of the trainings follows from it.
NUMBERS = ("models.", "attention", "aggregators", "encodings", "augment", "feeds", "evaluation", "order",
           "device", "optimizer", "loop", "classification", "forecasting")  # fmt: skip

SAVED_EVERY = 8


@dataclass(frozen=True)
class Segment:
    """Successive commits between which neither the files of a run's program nor its settings differ."""

    first: int  # place of the first commit in the range
    settings: Mapping[str, Any] | None
    files: Mapping[str, str]  # digest of each module's file

    def likely(self, before: Segment) -> bool:
        """Whether numbers may well differ from the segment before."""
        changed = {m for m in {*self.files, *before.files} if self.files.get(m) != before.files.get(m)}
        return self.settings != before.settings or any(word in m for m in changed for word in NUMBERS)


# Answers for runs in a checkout, by their names, as they come.
Ask = Callable[[Path, Mapping[str, Any]], Iterator[tuple[str, dict[str, Any]]]]


class Inside:
    """A process that completes settings or trains inside checkouts, see ``inside.py``."""

    def __init__(self, verb: str, data: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__).with_name("inside.py")), verb, str(data.resolve())]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, checkout: Path, runs: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The answer for each run, by its name, as they come."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps({"checkout": str(checkout), "runs": runs}), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            answer = json.loads(line)
            if not answer:
                return
            yield answer.pop("name"), answer
        raise RuntimeError(f"{checkout}: the process that trains there died")

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def complete(
    table: Table, commits: Sequence[str], checkouts: Sequence[Path], runs: Mapping[str, Any], ask: Ask
) -> None:
    """Note the complete settings of these runs at each commit at which they may differ from before."""
    table.stated |= {name: dict(run) for name, run in runs.items()}
    before = ""
    for commit, checkout in zip(commits, checkouts, strict=True):
        declared = digest(
            path for pattern in DECLARING for path in sorted((checkout / "favit").glob(pattern))
        )
        if declared != before and layout_of(checkout):
            for name, answer in ask(checkout, runs):
                known = table.settings.setdefault(name, {})
                found = answer.get("settings", answer.get("failed"))
                if not known or found != list(known.values())[-1]:
                    known[commit] = found
        before = declared


def segments(
    table: Table, commits: Sequence[str], checkouts: Sequence[Path], runs: Mapping[str, Any]
) -> dict[str, list[Segment]]:
    """The segments of each run over a range of commits; commits at which nothing can be trained have none."""
    found: dict[str, list[Segment]] = {name: [] for name in runs}
    current: dict[str, Any] = dict.fromkeys(runs)
    for place, (commit, checkout) in enumerate(zip(commits, checkouts, strict=True)):
        layout = layout_of(checkout)
        if layout is None:
            continue
        reader, closures = Reader(root=checkout), {}
        for name, run in runs.items():
            current[name] = table.settings.get(name, {}).get(commit, current[name])
            settings = current[name] if isinstance(current[name], dict) else None
            roots = (*(root.format(task=task_of(run)) for root in layout.program), *named(checkout, run))
            if roots not in closures:
                closures[roots] = {m: digest([reader.file_of(m)]) for m in reader.closure(roots).modules}
            segment = Segment(place, settings, closures[roots])
            last = found[name][-1] if found[name] else None
            if last is None or (last.settings, last.files) != (segment.settings, segment.files):
                found[name].append(segment)
    return found


def states(own: Sequence[Segment], row_of: Callable[[Segment], Row | None]) -> list[Row | None]:
    """What is known of each segment: its row, or the row on both sides where these agree; ``None``: not yet.

    That two commits undo each other to the bit is left out of account.
    """
    found = [row_of(segment) for segment in own]
    known = [i for i, row in enumerate(found) if row is not None]
    for i, k in pairwise(known):
        a, b = found[i], found[k]
        if a is not None and b is not None and a.bits == b.bits:
            found[i + 1 : k] = [a] * (k - i - 1)
    return found


def wanted(own: Sequence[Segment], row_of: Callable[[Segment], Row | None]) -> list[int]:
    """The places in ``own`` of the segments to train next; none where all is known."""
    can = [i for i, segment in enumerate(own) if segment.settings is not None]
    if not can:
        return []
    ends = [i for i in (can[0], can[-1]) if row_of(own[i]) is None]
    if ends:
        return sorted(set(ends))
    found, chosen = states(own, row_of), []
    unknown = [i for i in can if found[i] is None]
    while unknown:
        gap = [i for i in unknown if all(found[j] is None for j in range(unknown[0], i))]
        good = [i for i in gap if own[i].likely(own[i - 1]) or own[i + 1].likely(own[i])] or gap
        chosen.append(good[len(good) // 2])
        unknown = unknown[len(gap) :]
    return chosen


def fill(
    table: Table,
    commits: Sequence[str],
    checkouts: Sequence[Path],
    runs: Mapping[str, Any],
    ask: Ask,
    say: Callable[[str], None],
) -> None:
    """Train until the table knows every run at every commit; it is saved after every few trainings."""
    all_segments = segments(table, commits, checkouts, runs)
    while True:
        tasks: dict[int, dict[str, Any]] = {}
        for name, own in all_segments.items():
            for i in wanted(own, lambda s, name=name: table.rows.get((commits[s.first], name))):
                tasks.setdefault(own[i].first, {})[name] = own[i].settings
        if not tasks:
            break
        say(f"{sum(map(len, tasks.values()))} trainings at {len(tasks)} commits")
        for place in sorted(tasks):
            for name, answer in ask(checkouts[place], tasks[place]):
                table.add(commits[place], name, answer)
                say(f"{commits[place]} {name}: {answer.get('failed', answer.get('weights'))}")
                if len(table.rows) % SAVED_EVERY == 0:
                    table.save()
            for name in tasks[place]:
                if (commits[place], name) not in table.rows:
                    table.add(commits[place], name, {"failed": "the checkout cannot be imported"})
            table.save()


def digest(files: Iterable[Path | None]) -> str:
    """Of the names and bytes of some files."""
    hasher = hashlib.sha256()
    for path in files:
        assert path is not None
        hasher.update(f"{path.name} ".encode() + path.read_bytes())
    return hasher.hexdigest()[:16]
