"""What proofs leave: pairs of successive commits whose code differs, each proved as ``favit accept --prove`` would.

``python -m benchmarks.prove_history`` takes the commits of a range at which numbers have a root of their own, draws
pairs of a commit and its parent at which a run would be trained again, runs both codes and compares them. A table
beside the replay's keeps what came out, and the next call goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.history import data
from benchmarks.history.commits import LAYOUTS, git, lay_out, named, task_of
from benchmarks.history.runs import runs
from benchmarks.history.table import HERE
from benchmarks.history.training import Inside
from favit.disk.files import write_atomic
from favit.identity import snapshot
from favit.identity.definitions import Sources
from favit.identity.settings import settings_digest
from favit.proof.prove import Side, Unprovable, compare

ROOT = Path(__file__).parents[1]
RUNS = ("series-probsparse-sinusoidal", "series-delta-v-none", "images-aggregator-probsparse", "images-mixup")
OUTLINE = (
    "favit/train/engine.py",
    "favit/train/checkpoint.py",
)  # what a probe calls, see favit/proof/probe.py
HEAD = ("before", "commit", "run", "outcome", "seconds", "why")


def main() -> None:
    """Prove and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("span", nargs="?", default="HEAD", help="as git reads it (default: %(default)s)")
    parser.add_argument("--most", type=int, default=1000, help="proofs to make now (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which pairs are drawn")
    parser.add_argument("--series", type=Path, default=ROOT / "data" / "ett", help="folder of ETTh1.csv")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/favit-replay"))
    parser.add_argument("--table", type=Path, default=HERE / "proved.csv")
    options = parser.parse_args()
    rows = read(options.table)
    folder = data.make(options.scratch / "data", options.series)
    found = list(pairs(options.span))
    random.Random(options.seed).shuffle(found)
    made = 0
    with Inside("resolve", folder) as ask:
        for before, commit in found:
            for run, outcome in judged(before, commit, options.scratch, ask, rows, folder):
                rows[before, commit, run] = {"before": before, "commit": commit, "run": run, **outcome}
                write(options.table, rows)
                print(*rows[before, commit, run].values(), flush=True)
                made += outcome["outcome"] != "valid"
            if made >= options.most:
                break
    print("\n".join(summed(rows)))


def pairs(span: str) -> Iterator[tuple[str, str]]:
    """Each commit that changed code, with its parent."""
    lines = git(ROOT, "rev-list", "--no-merges", "--parents", "--abbrev-commit", span, "--", "favit")
    for commit, before, *_ in (line.split() for line in lines.splitlines() if " " in line):
        real = git(ROOT, "rev-parse", "--short", f"{commit}^").strip()  # history is simplified above
        yield real or before, commit


def judged(
    before: str, commit: str, scratch: Path, ask: Inside, rows: Mapping[Any, Any], folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What comes of each run at a pair of commits that is not in the table yet."""
    left = {name: run for name, run in runs().items() if name in RUNS and (before, commit, name) not in rows}
    checkouts = [lay_out(ROOT, c, scratch / "commits") for c in (before, commit)]
    if not left or not all((checkout / file).is_file() for checkout in checkouts for file in OUTLINE):
        return
    settings = [{name: answer.get("settings") for name, answer in ask(c, left)} for c in checkouts]
    for name, run in left.items():
        old, new = settings[0].get(name), settings[1].get(name)
        if old is None or new is None:
            continue
        roots = [roots_of(checkout, run) for checkout in checkouts]
        codes = [Sources(c).code(r).digest for c, r in zip(checkouts, roots, strict=True)]
        if codes[0] == codes[1] and settings_digest(old) == settings_digest(new):
            yield name, {"outcome": "valid", "seconds": 0, "why": ""}
            continue
        sides = [
            Side(kept(checkout, name, r, scratch / "proving"), completed)
            for checkout, r, completed in zip(checkouts, roots, (old, new), strict=True)
        ]
        began = time.monotonic()
        try:
            reasons = compare(*sides, task_of(run), folder, "cpu").reasons
        except Unprovable as error:
            reasons = (str(error),)
            outcome = "no end"
        else:
            differs = any(re.search(r" differs(, and \d+ more)?$", reason) for reason in reasons)
            outcome = "differs" if differs else "not proved" if reasons else "proved"
        yield (
            name,
            {"outcome": outcome, "seconds": round(time.monotonic() - began), "why": "; ".join(reasons)},
        )


def roots_of(checkout: Path, run: Mapping[str, Any]) -> list[str]:
    """Where a run's numbers begin in a checkout."""
    return [*(root.format(task=task_of(run)) for root in LAYOUTS[0].numbers), *named(checkout, run)]


def kept(checkout: Path, run: str, roots: list[str], folder: Path) -> Path:
    """A checkout as a snapshot of a run's code."""
    target = folder / f"{checkout.name}-{run}"
    if not (target / snapshot.FACTS).is_file():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(checkout, target)
        write_atomic(target / snapshot.FACTS, json.dumps({"layout": snapshot.LAYOUT, "roots": roots}))
        snapshot.record_files(target)
    return target


def read(file: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The table so far."""
    if not file.is_file():
        return {}
    with file.open(newline="") as lines:
        return {(row["before"], row["commit"], row["run"]): row for row in csv.DictReader(lines)}


def write(file: Path, rows: Mapping[Any, Mapping[str, Any]]) -> None:
    """Write the table, whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEAD, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_atomic(file, text.getvalue())


def summed(rows: Mapping[Any, Mapping[str, Any]]) -> Iterator[str]:
    """Counts, and what kept equal numbers from being a proof."""
    counts = Counter(str(row["outcome"]) for row in rows.values())
    equal = counts["proved"] + counts["not proved"]
    yield f"{len({key[:2] for key in rows})} pairs of commits, {len(rows)} runs: {dict(counts)}"
    if equal:
        yield f"of {equal} with equal numbers, {counts['not proved']} ({counts['not proved'] / equal:.0%}) not proved"
    for row in rows.values():
        if row["outcome"] == "not proved":
            yield f"  {row['commit']} {row['run']}: {row['why'][:160]}"


if __name__ == "__main__":
    main()
