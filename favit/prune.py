"""List results that no sweep asks for, and with ``--yes`` remove them: ``python -m favit.prune [--stale] [--yes]``.

A result is asked for when a sweep has a run of its settings, whatever code it
was made with: going back to that code finds it. ``--stale`` lists those, too,
that are asked for but were made with other code, data or versions than today's.
Free of torch.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from favit import lease_holder
from favit.config import Config, ConfigError, load
from favit.state import METRICS, Result, Results
from favit.sweep import Run, runs


def superfluous(config: Config, results: Results, stale: bool = False) -> Iterator[Result]:
    """Finished results that are not asked for, in the order of their folders."""
    asked: dict[str, Run] = {run.key: run for name in config.sweeps for run in runs(config, name)}
    states = results.states(asked.values())
    settings = {state.fingerprint.settings for state in states}
    counting = {state.result.folder for state in states if state.result is not None}
    places = {path.parent.parent for path in (results.root / "runs").glob(f"*/*/*/*/*/*/{METRICS}")}
    for place in sorted(places):
        for result in results.in_place(place):
            if result.folder in counting or lease_holder.of(result.folder):
                continue
            if stale or result.fingerprint["settings"] not in settings:
                yield result


def remove(folder: Path) -> None:
    """Remove a result's folder; under another name first, so that no half of it is ever taken for a result."""
    doomed = folder.with_name(f".{folder.name}.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def main(arguments: list[str] | None = None) -> int:
    """List, or remove."""
    parser = argparse.ArgumentParser(prog="python -m favit.prune", description=__doc__.partition("\n")[0])
    parser.add_argument("--yes", action="store_true", help="remove them")
    parser.add_argument(
        "--stale", action="store_true", help="also those of asked-for runs that are not today's"
    )
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        doomed = list(superfluous(config, Results(config), options.stale))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for result in doomed:
        print(f"{result.folder}  {result.seconds / 3600:.2f} device hours")
        if options.yes:
            remove(result.folder)
    word = "removed" if options.yes else "not asked for; --yes removes them"
    print(f"{len(doomed)} results {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
