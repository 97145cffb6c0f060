"""Try what is a user's own once before anything is queued: read their data, have their models answer.

In a process of its own, which imports torch; whoever asks does not. What was tried is remembered by what it depends on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from favit.components import declared, own, registry
from favit.components.literals import literals, task_of
from favit.disk.cache import Cache
from favit.identity.digests import data_files, short_digest
from favit.planning._process import ask, last_words
from favit.results.state import State
from favit.sweeps.config import ConfigError

_SIZES = {
    "classification": {"classes": 10, "channels": 3},
    "forecasting": {"variables": 3, "time_features": 4},
}  # of data whose facts are not known without them
_SHAPING = ("image_size", "drop_path", "input_length", "label_length", "horizon")


def check(states: Iterable[State], data: Path, cache: Cache) -> list[str]:
    """A line for each model that fails here. ``ConfigError`` for data that are here and cannot be trained on.

    A model is tried on the CPU of this machine, and may be made for another one: its runs are started all the same.
    """
    states = list(states)
    asked: dict[str, dict[str, Any]] = {}
    runs: dict[str, int] = {}
    for state in states:
        if one := _asked(state, data):
            key = short_digest([one, dict(state.fingerprint.data or {}), dict(state.fingerprint.versions)])
            asked[key] = one
            runs[key] = runs.get(key, 0) + 1
    unknown = [key for key in asked if cache.get(key) is None]
    for key, answer in zip(unknown, _answers([asked[key] for key in unknown], data), strict=True):
        cache[key] = answer
    cache.save()
    answers = {key: cache.get(key) for key in asked}
    if problems := list(dict.fromkeys(answer["data"] for answer in answers.values() if answer["data"])):
        raise ConfigError("\n".join(problems))
    failing: dict[str, int] = {}
    for key, answer in answers.items():
        if answer["model"]:
            line = f"{asked[key]['run']['model']}: {answer['model']}"
            failing[line] = failing.get(line, 0) + runs[key]
    return [
        f"{line} (tried on this machine's CPU; `favit check` says more): {count} of {len(states)} runs"
        for line, count in failing.items()
    ]


def _asked(state: State, data: Path) -> dict[str, Any]:
    """What is to be tried of a run; nothing where all is built in, or its files are not here."""
    run = state.run.settings
    reads = run["dataset"] in ("csv", "image_folder") and all(
        path.exists() for path in data_files(run, data).values()
    )
    builds = own.used_by(run)
    if not reads and not builds:
        return {}
    kept = {k: v for k, v in run.items() if k in declared.NAMING or "." in k or k in _SHAPING}
    code = {"code": state.fingerprint.code} if builds else {}
    return {"run": {**kept, "seed": 0}, "reads": reads, "builds": builds, **code}


def _answers(asked: list[dict[str, Any]], data: Path) -> list[Mapping[str, Any]]:
    if not asked:
        return []
    question = {"components": [str(folder) for folder in own.folders()], "data": str(data), "asked": asked}
    done = ask("favit.planning.tried", question)
    try:
        answers: list[Mapping[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return answers
    except (IndexError, ValueError):
        why = last_words(done, f"it ended with {done.returncode}")
        raise ConfigError(f"cannot try the components and data of your own here: {why}") from None


def answer(asked: Mapping[str, Any], data: Path) -> dict[str, str | None]:
    """What is wrong with the ``data`` and with the ``model``, each in one line; None: nothing."""
    run, found = asked["run"], None
    if asked["reads"]:
        from favit.data import _unsaid

        try:
            found = _unsaid.check(data, run)
        except Exception as problem:
            return {"data": _line(problem), "model": None}
    if not asked["builds"]:
        return {"data": None, "model": None}
    facts = literals("data", run["dataset"]).get("FACTS") or getattr(found, "facts", None)
    for device in ("meta", "cpu"):  # on the first nothing is computed; what fails there, once more
        try:
            _try(run, facts or _SIZES[task_of(run["dataset"])], device)
            return {"data": None, "model": None}
        except (Exception, SystemExit) as problem:
            said = _line(problem)
    return {"data": None, "model": said}


def _try(run: Mapping[str, Any], facts: Mapping[str, Any], device: str) -> None:
    import torch

    from favit.train import build

    wanted: tuple[int, ...]
    shapes: list[tuple[int, ...]]
    if "image_size" in run:
        size, wanted = run["image_size"], (2, facts["classes"])
        shapes = [(2, facts["channels"], size, size)]
    else:
        steps, wanted = run["label_length"] + run["horizon"], (2, run["horizon"], facts["variables"])
        lengths = (run["input_length"], run["input_length"], steps, steps)
        widths = (facts["variables"], facts["time_features"]) * 2
        shapes = [(2, length, width) for length, width in zip(lengths, widths, strict=True)]
    registry.load("data", run["dataset"])
    with torch.no_grad():
        model = build.model(run, facts, torch.device("cpu")).to(device).train()
        made = model(*(torch.zeros(shape, device=device) for shape in shapes))
    if not isinstance(made, torch.Tensor):
        raise ValueError(f"its output is a {type(made).__name__}, not a tensor")
    if tuple(made.shape) != wanted or not made.is_floating_point():
        raise ValueError(f"its output is {tuple(made.shape)} of {made.dtype}, not {wanted} of torch.float32")


def _line(problem: BaseException) -> str:
    said = " ".join(str(problem).split())
    return said if isinstance(problem, ValueError) and said else f"{type(problem).__name__}: {said}"


def main() -> None:
    """Answer the question on standard input."""
    from favit.models import _torchvision

    _torchvision.prepare_when_imported()
    question = json.load(sys.stdin)
    own.use(question["components"])
    answers = [answer(asked, Path(question["data"])) for asked in question["asked"]]
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
