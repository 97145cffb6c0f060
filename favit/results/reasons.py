"""Why a run must be trained, in words. Free of torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from favit.disk.lease import holder_of
from favit.identity.definitions import differing_names
from favit.identity.fingerprint import Fingerprinter
from favit.identity.settings import neutral
from favit.identity.versions import differing
from favit.results.state import Result, State, same_input
from favit.sweeps.runs import Run

_MOST_NAMED = 4
_MOST_REASONS = 8


def reason(state: State, fingerprinter: Fingerprinter) -> str:
    """Why a run is missing, in one line: what differs from the nearest result, or that there is none."""
    near = nearest(state)
    if near is None:
        return "never run before"
    unread = (r.unread for r in state.others if r.unread and same_input(r, state.fingerprint))
    found = [*differences(near, state, fingerprinter), *(f"{why}; repair or move it" for why in unread)]
    return "; ".join(found) or "its result cannot be read"


def nearest(state: State) -> Result | None:
    """The result that differs in the least among those that do not count today; the latest of equals."""

    def likeness(result: Result) -> tuple[int, int, str]:
        then, now = result.fingerprint, state.fingerprint
        settings = 0 if then["settings"] == now.settings else len(changed_settings(result, state.run))
        parts = (then.get("code") != now.code) + (then.get("data") != (now.data and dict(now.data)))
        return -settings, -parts, result.finished

    return max(state.others, key=likeness, default=None)


def changed_settings(result: Result, run: Run) -> dict[str, tuple[Any, Any]]:
    """Key -> (then, now), with ``default`` where a component's setting is not given.

    A setting that did not exist yet counts as being at its neutral value.
    """
    absent = neutral(run["dataset"])
    keys = sorted({*result.settings, *run.settings})
    sides = (result.settings, run.settings)
    pairs = {k: tuple(side.get(k, absent.get(k, "default")) for side in sides) for k in keys}
    return {k: (a, b) for k, (a, b) in pairs.items() if a != b}


def differences(result: Result, state: State, fingerprinter: Fingerprinter) -> Iterator[str]:
    """List what makes a result invalid today: settings, code, data, versions."""
    then, now = result.fingerprint, state.fingerprint
    changed = changed_settings(result, state.run) if then["settings"] != now.settings else {}
    if changed:
        yield "settings: " + _listed([f"{k} {a} -> {b}" for k, (a, b) in changed.items()])
    if then.get("code") != now.code:
        names = _changed_definitions(result, state, fingerprinter)
        yield "code: " + (_listed(names) if names else "the order of definitions or imports")
    if now.data is not None and then.get("data") != dict(now.data):
        old = then.get("data") or {}
        yield "data: " + _listed([f for f in sorted({*old, *now.data}) if old.get(f) != now.data.get(f)])
    for package, before, version in differing(then.get("versions") or {}, now.versions, now.policy):
        yield f"versions: {package} {before} -> {version}"


def _changed_definitions(result: Result, state: State, fingerprinter: Fingerprinter) -> list[str]:
    """Computed once for all results of the same code: thousands may be stale at once."""
    pair = (str(result.fingerprint.get("code")), state.fingerprint.code)
    if pair not in fingerprinter.differences:
        now = fingerprinter.code(state.run).definitions()
        fingerprinter.differences[pair] = changed_code(result.made_of(), now)
    return fingerprinter.differences[pair]


def changed_code(then: Any, now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Definitions that differ, as ``aggregators/probsparse.py: select_keys``; ``then`` is as a result says it."""
    if not then or not isinstance(then, dict) or not all(isinstance(d, dict) for d in then.values()):
        return ["(the result does not say which)"]
    found = []
    for module, names in differing_names(then, now).items():
        path = (
            module.partition(".")[2].replace(".", "/") + ".py" if "." in module else f"{module}/__init__.py"
        )
        if module not in then or module not in now:
            found.append(f"{path} ({'new' if module in now else 'no longer used'})")
        else:
            found.append(f"{path}: {', '.join(names)}")
    return found


def _listed(items: list[str]) -> str:
    more = len(items) - _MOST_NAMED
    return ", ".join(items[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def line(state: State, fingerprinter: Fingerprinter) -> str:
    """The state of a run in one line."""
    name = f"{state.run['dataset']} {state.run.name}"
    if state.result is None:
        holder = holder_of(state.folder)
        begun = f"running  {name} on {holder}" if holder else f"missing  {name}"
        return f"{begun}: {reason(state, fingerprinter)}"
    status = "" if state.result.status == "finished" else f", {state.result.status}"
    notes = f" ({'; '.join(state.notes)})" if state.notes else ""
    return f"{state.name:<8} {name}{status}{notes}"


def summary(states: Iterable[State], fingerprinter: Fingerprinter) -> str:
    """Say how many runs would be trained, and why, a line for each reason."""
    states = list(states)
    counting = sum(s.counts for s in states)
    reasons = Counter(reason(s, fingerprinter) for s in states if not s.counts)
    lines = [f"{len(states)} runs: {counting} valid, {len(states) - counting} to train"]
    lines += [f"  {number} x {why}" for why, number in reasons.most_common(_MOST_REASONS)]
    if len(reasons) > _MOST_REASONS:
        lines.append(f"  and {len(reasons) - _MOST_REASONS} other reasons; favit explain lists all")
    return "\n".join(lines)
