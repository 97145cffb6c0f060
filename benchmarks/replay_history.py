"""Replay a range of commits: how many runs would each have retrained, and how many of those changed bits?

``python -m benchmarks.replay_history`` judges each pair of successive commits by today's analyser and compares that
with the table in ``benchmarks/history/``, which says what training gave at each commit. ``--train`` makes the table
or goes on with it: 64 runs of a few steps, on one core. Exit status: 0, or 1 where a run whose bits changed is judged
equal.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.history import data, judging, training
from benchmarks.history.commits import commits_of, lay_out
from benchmarks.history.judging import Case, Summary
from benchmarks.history.runs import runs
from benchmarks.history.table import HERE, Table
from benchmarks.history.training import Inside

ROOT = Path(__file__).parents[1]
LAST = "7b0f441"  # what the table is of


def main(arguments: list[str] | None = None) -> int:
    """Train, or judge and print."""
    options = parser().parse_args(arguments)
    commits = commits_of(options.repository, options.span)
    checkouts = [lay_out(options.repository, c, options.scratch / "commits") for c in commits]
    table = Table(options.table)
    if options.train:
        if table.made_on and table.made_on != this_machine():
            print(
                f"the table was made on {table.made_on}, whose bits are not those of {this_machine()}; "
                "begin another with --table FOLDER",
                file=sys.stderr,
            )
            return 1
        table.made_on = this_machine()
        folder = data.make(options.scratch / "data", options.series)
        table.forget_others(runs())
        new = {name: run for name, run in runs().items() if name not in table.settings}
        if new:
            with Inside("resolve", folder) as ask:
                training.complete(table, commits, checkouts, new, ask)
            table.save()
        chosen = {name: run for name, run in runs().items() if not options.only or name in options.only}
        with Inside("train", folder) as ask:
            training.fill(table, commits, checkouts, chosen, ask, lambda text: print(text, flush=True))
        return 0
    if not table.rows:
        print(f"no table in {options.table}; make it with --train", file=sys.stderr)
        return 1
    known = {name: run for name, run in runs().items() if name in table.settings}
    found = list(judging.cases(table, commits, checkouts, known, options.scratch / "numbers"))
    print("\n".join(by_commit(found) if options.by == "commit" else by_definition(found)))
    summary = summed(found)
    print("\n".join(summary.lines()))
    return int(bool(summary.misses))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    found.add_argument(
        "span", nargs="?", default=LAST, help="A..B, or the last commit (default: %(default)s)"
    )
    found.add_argument("--train", action="store_true", help="train what the table does not know yet")
    found.add_argument(
        "--only", nargs="*", default=[], help="runs to train now; the others stay unknown meanwhile"
    )
    found.add_argument(
        "--by", choices=("commit", "definition"), default="commit", help="what lines are about"
    )
    found.add_argument("--table", type=Path, default=HERE, help="folder of the table (default: %(default)s)")
    found.add_argument("--repository", type=Path, default=ROOT, help="whose history (default: %(default)s)")
    found.add_argument(
        "--series", type=Path, default=ROOT / "data" / "ett", help="folder of ETTh1.csv, ETTm1.csv"
    )
    found.add_argument(
        "--scratch", type=Path, default=Path("/tmp/favit-replay"), help="checkouts, made-up data"
    )
    return found


def this_machine() -> dict[str, str]:
    """What bits depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    packages = ("torch", "timm", "numpy", "pandas", "einops", "scikit-learn")
    return {"cpu": cpu, **{name: importlib.metadata.version(name) for name in packages}}


def summed(found: Iterable[Case]) -> Summary:
    """Counts over all cases."""
    summary, commits = Summary(), set()
    for case in found:
        summary.add(case)
        commits.add(case.commit)
    summary.pairs = len(commits)
    return summary


def by_commit(found: Iterable[Case]) -> Iterator[str]:
    """One line for each commit that would have retrained anything."""
    heads = ("files", "changed", "same", "unknown", "definitions", "same", "unproved")
    yield f"{'commit':<10}" + "".join(f"{head:>12}" for head in heads)
    by: dict[str, Summary] = {}
    for case in found:
        by.setdefault(case.commit, Summary()).add(case)
    for commit, s in by.items():
        if s.by_files.total() or s.by_definitions.total():
            files, now = s.by_files, s.by_definitions
            counts = (
                files.total(),
                files["changed"],
                files["same"],
                files["unknown"],
                now.total(),
                now["same"],
            )
            yield f"{commit:<10}" + "".join(f"{count:>12}" for count in (*counts, s.unproved))


def by_definition(found: Iterable[Case]) -> Iterator[str]:
    """How many harmless runs each changed definition that was not executed leaves without proof."""
    counts = Counter((c.commit, name) for c in found if c.bits == "same" for name in c.not_executed)
    for (commit, name), count in counts.most_common():
        yield f"{count:>5}  {commit}  {name}"


if __name__ == "__main__":
    sys.exit(main())
