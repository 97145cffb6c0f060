"""Why a run must run, in words.

``python -m favit.explain [SWEEP|RUN]`` says for each run whether it is valid,
running, or missing with the nearest result and what differs. Free of torch.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from favit.disk import lease_holder
from favit.identity.fingerprint import Fingerprinter, cut
from favit.results.state import Result, Results, State
from favit.sweeps.config import Config, ConfigError, load
from favit.sweeps.runs import Run, runs

_MOST_NAMED = 4


def reason(state: State, fingerprinter: Fingerprinter) -> str:
    """One line for a missing run: what differs from the nearest result, or that there is none."""
    near = nearest(state)
    if near is None:
        return "never run before"
    return "; ".join(differences(near, state, fingerprinter)) or "its result is not readable"


def nearest(state: State) -> Result | None:
    """Of the results that do not count today, the one that differs in the least; the latest of equals."""

    def distance(result: Result) -> tuple[int, int, str]:
        then, now = result.fingerprint, state.fingerprint
        settings = 0 if then["settings"] == now.settings else len(changed_settings(result, state.run))
        parts = (then.get("code") != now.code) + (then.get("data") != (now.data and dict(now.data)))
        return settings, parts, _reversed_text(str(result.content.get("finished", "")))

    return min(state.others, key=distance, default=None)


def _reversed_text(text: str) -> str:
    """Orders texts the other way round: later times first."""
    return "".join(chr(0x10FFFF - ord(c)) for c in text)


def changed_settings(result: Result, run: Run) -> dict[str, tuple[Any, Any]]:
    """Key -> (then, now), with ``default`` where a component's setting is not given."""
    then: Mapping[str, Any] = result.content["run"]
    keys = sorted({*then, *run.settings})
    pairs = {k: (then.get(k, "default"), run.settings.get(k, "default")) for k in keys}
    return {k: (a, b) for k, (a, b) in pairs.items() if a != b}


def differences(result: Result, state: State, fingerprinter: Fingerprinter) -> Iterator[str]:
    """What keeps a result from counting today: settings, code, data, versions."""
    then, now = result.fingerprint, state.fingerprint
    changed = changed_settings(result, state.run)
    if changed:
        yield "settings: " + _listed([f"{k} {a} -> {b}" for k, (a, b) in changed.items()])
    if then.get("code") != now.code:
        recorded = result.content["fingerprint"].get("modules")
        names = changed_code(recorded, fingerprinter.closure(state.run).definitions())
        yield "code: " + (_listed(names) if names else "the order of definitions")
    if now.data is not None and then.get("data") != dict(now.data):
        old = then.get("data") or {}
        yield "data: " + _listed([f for f in sorted({*old, *now.data}) if old.get(f) != now.data.get(f)])
    versions = then.get("versions") or {}
    for package, version in now.versions.items():
        precision = now.policy.get(package, "none")
        before = versions.get(package, "unknown")
        if cut(before, precision) != cut(version, precision):
            yield f"versions: {package} {before} -> {version}"


def changed_code(then: Any, now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Definitions that differ, as ``aggregators/probsparse.py: select_keys``; ``then`` is as a result says it."""
    if not then or not isinstance(then, dict) or not all(isinstance(d, dict) for d in then.values()):
        return ["(the result does not say which)"]
    found = []
    for module in sorted({*then, *now}):
        path = (
            module.partition(".")[2].replace(".", "/") + ".py" if "." in module else f"{module}/__init__.py"
        )
        if module not in then or module not in now:
            found.append(f"{path} ({'new' if module in now else 'no longer used'})")
            continue
        old, new = then[module], now[module]
        names = [n for n in [*new, *(o for o in old if o not in new)] if old.get(n) != new.get(n)]
        if names:
            found.append(f"{path}: {', '.join(names)}")
    return found


def _listed(items: list[str]) -> str:
    more = len(items) - _MOST_NAMED
    return ", ".join(items[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def line(state: State, fingerprinter: Fingerprinter) -> str:
    """One run, one line."""
    name = f"{state.run['dataset']} {state.run.name}"
    if state.counts:
        notes = f" ({'; '.join(state.notes)})" if state.notes else ""
        status = (
            "" if state.result is None or state.result.status == "finished" else f", {state.result.status}"
        )
        return f"{state.name:<8} {name}{status}{notes}"
    holder = lease_holder.of(state.folder)
    word = "running" if holder else "missing"
    where = f" on {holder}" if holder else ""
    return f"{word:<8} {name}{where}: {reason(state, fingerprinter)}"


def summary(states: Iterable[State], fingerprinter: Fingerprinter) -> str:
    """What would be trained and why, a line for each reason."""
    states = list(states)
    counting = sum(s.counts for s in states)
    reasons = Counter(reason(s, fingerprinter) for s in states if not s.counts)
    lines = [f"{len(states)} runs: {counting} valid, {len(states) - counting} to train"]
    lines += [f"  {number} x {why}" for why, number in reasons.most_common(8)]
    if len(reasons) > 8:
        lines.append(f"  and {len(reasons) - 8} other reasons; all of them: python -m favit.explain")
    return "\n".join(lines)


def select(config: Config, wanted: str) -> list[Run]:
    """Runs of a sweep, group or ``all``, or those whose name or folder ``wanted`` is."""
    if wanted == "all" or wanted in config.sweeps or wanted in config.groups:
        return runs(config, wanted)
    every = {run.key: run for name in config.sweeps for run in runs(config, name)}
    by_name = [run for run in every.values() if wanted in (run.name, f"{run['dataset']}.{run.name}")]
    if by_name:
        return by_name
    by_folder = _in_folder(Results(config), list(every.values()), Path(wanted).resolve())
    if by_folder:
        return by_folder
    config.sweeps_of(wanted)  # raises, naming the sweeps
    raise AssertionError


def _in_folder(results: Results, every: list[Run], folder: Path) -> list[Run]:
    """The runs whose results lie below a folder, or that a result's own folder belongs to."""
    if folder.is_file():
        folder = folder.parent
    below = [run for run in every if results.place(run).resolve().is_relative_to(folder)]
    here = [run for run in every if results.place(run).resolve() == folder.parent]
    settings = {r.fingerprint["settings"] for r in results.in_place(folder.parent) if r.folder == folder}
    return below or [
        s.run
        for s in results.states(here)
        if s.fingerprint.settings in settings or s.folder.resolve() == folder
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.explain", description="Say what must run, and why."
    )
    parser.add_argument("what", nargs="?", default="all", help="a sweep, a group, all (default), or a run")
    parser.add_argument("--config", default="config.yaml", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        results = Results(config)
        states = results.states(select(config, options.what))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for state in states:
        print(line(state, results.fingerprinter))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    sys.exit(main())
