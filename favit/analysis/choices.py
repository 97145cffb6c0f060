"""Choose the settings of each row from a grid: those with the best validation score. The test is not read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from favit.analysis.results import METRICS
from favit.results.state import State
from favit.sweeps.stages import Option, Place


@dataclass(frozen=True)
class Choice:
    """The choice of a row's settings.

    option: the chosen one; None while candidates are missing. scores: of each option in the order of the grid, None
    where a candidate diverged or is missing. seconds: that the candidates took, on all of their devices.
    """

    place: Place
    option: Option | None
    scores: tuple[float | None, ...]
    there: int
    seconds: float

    @property
    def candidates(self) -> int:
        """Runs that choose."""
        return sum(len(option.candidates) for option in self.place.options)


def validation_score(content: Mapping[str, Any], task: str) -> float | None:
    """Top-1 or MSE on the validation part, at the epoch that a result is scored at; None if it has none.

    Of images that is the last epoch, of series the best by this very score. Raises ``ValueError`` for a finished
    result without validation scores, which is a defect of whoever asked for it.
    """
    if content["status"] != "finished":
        return None
    metric = METRICS[task][0].key
    best = content.get("best", {})
    found = content.get("validation", {}) if task == "classification" else best
    if metric not in found or (task == "forecasting" and best.get("selected_on") != "validation"):
        raise ValueError(f"a result has no validation {metric} to choose settings by")
    return float(found[metric]) if math.isfinite(found[metric]) else None


def choose(place: Place, states: Mapping[str, State]) -> Choice:
    """The option whose candidates have the best mean validation score; of equals the one named first.

    Where every option has a candidate that diverged there is no better or worse: the first is taken, and its runs
    show it.
    """
    candidates = [[states[run.key] for run in option.candidates] for option in place.options]
    every = [state for of in candidates for state in of]
    scores = tuple(_mean(of) for of in candidates)
    results = [state.result for state in every if state.result is not None]
    chosen = None
    if len(results) == len(every):
        metric = METRICS[place.options[0].cells[0].run.task][0]
        sign = 1 if metric.higher_is_better else -1
        best = max(range(len(scores)), key=lambda i: -math.inf if (s := scores[i]) is None else sign * s)
        chosen = place.options[best]
    return Choice(place, chosen, scores, len(results), sum(result.seconds for result in results))


def _mean(candidates: Sequence[State]) -> float | None:
    scores = [
        None if s.result is None else validation_score(s.result.content, s.run.task) for s in candidates
    ]
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(scores) else None


def sentence(choice: Choice) -> str:
    """The footnote of a row: its settings, how they were chosen, the cost, and whether at the edge of the grid."""
    options = choice.place.options
    if choice.option is None:
        return f"settings not chosen yet: {choice.there} of {choice.candidates} candidates are done"
    if not choice.candidates:
        return f"{choice.option.name}, the only point of its grid"
    seeds = sorted({run["seed"] for run in options[0].candidates})
    over = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    cost = f"{choice.candidates} runs, {choice.seconds / 3600:.3g} device hours"
    lost = sum(one is None for one in choice.scores)
    score = choice.scores[options.index(choice.option)]
    if score is None:
        return f"{choice.option.name}, the first of {lost}: all settings diverged, {over}, {cost}"
    metric = METRICS[options[0].cells[0].run.task][0]
    by = f"validation {metric.label} {score:.{metric.decimals}f}"
    text = f"{choice.option.name} chosen from {len(options)} by {by} of {over}, {cost}"
    if lost:
        text += f"; {lost} of them diverged"
    if edges := _at_the_edge(choice):
        text += f"; at the edge of its grid in {' and '.join(edges)}"
    return text


def _at_the_edge(choice: Choice) -> list[str]:
    """Settings whose chosen value is the smallest or largest of their numbers; a better one may lie beyond."""
    assert choice.option is not None
    found = []
    for key, value in choice.option.values.items():
        numbers = {option.values.get(key) for option in choice.place.options}
        plain = [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
        if len(plain) == len(numbers) > 1 and value in (min(plain), max(plain)):
            found.append(key)
    return found
