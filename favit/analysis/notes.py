"""Footnotes about the runs behind a row: missing, stale, diverged, accepted, trusted."""

from __future__ import annotations

from collections.abc import Sequence

from favit.analysis.results import Metric, RunResult


def remarks(runs: Sequence[RunResult], metrics: Sequence[Metric]) -> tuple[str, ...]:
    """The footnotes of a line, one for each kind of remark."""
    settled = {run.seed for run in runs if run.state in ("valid", "accepted")}
    pending = [run for run in runs if run.state not in ("valid", "accepted") and run.seed not in settled]
    total = len({run.seed for run in runs})
    notes = []
    for state, words in (
        ("missing", "not finished yet"),
        ("running", "still running"),
        ("stale", "out of date and excluded"),
    ):
        chosen = [run for run in pending if run.state == state]
        if chosen:
            notes.append(f"{len(chosen)} of {total} runs {words}{_reasons(chosen)}")
    diverged = [run for run in runs if run.state in ("valid", "accepted") and run.diverged]
    if diverged:
        notes.append(f"{_seeds(diverged)} diverged{_steps(diverged)} and excluded{_reasons(diverged)}")
    counted = [run for run in runs if run.state in ("valid", "accepted") and not run.diverged]
    broken = [run for run in counted if all(run.score(m.key) is None for m in metrics)]
    if broken:
        notes.append(f"{_seeds(broken)} without a finite score, excluded")
    for metric in metrics:
        without = [run for run in counted if run not in broken and _not_finite(run, metric)]
        if without:
            notes.append(f"{_seeds(without)} without a finite {metric.label}, excluded there")
    accepted = [run for run in counted if run.state == "accepted"]
    if accepted:
        notes.append(f"{_seeds(accepted)} included although out of date{_reasons(accepted)}")
    noted = [run for run in counted if run.state == "valid" and run.note]
    if noted:
        notes.append(f"{_seeds(noted)}: {'; '.join(sorted({run.note for run in noted}))}")
    return tuple(notes)


def _not_finite(run: RunResult, metric: Metric) -> bool:
    value = (run.metrics or {}).get("metrics", {}).get(metric.key)
    return value is not None and run.score(metric.key) is None


def _seeds(runs: Sequence[RunResult]) -> str:
    numbers = [str(run.seed) for run in runs]
    return f"seed {numbers[0]}" if len(numbers) == 1 else f"seeds {', '.join(numbers)}"


def _steps(runs: Sequence[RunResult]) -> str:
    """Where the loss stopped being a number, in the order of the runs."""
    steps = [str(step) for run in runs if (step := (run.metrics or {}).get("diverged_at_step")) is not None]
    if len(set(steps)) > 1:
        return f" at steps {', '.join(steps)}"
    return f" at step {steps[0]}" if steps else ""


def _reasons(runs: Sequence[RunResult]) -> str:
    reasons = sorted({run.note for run in runs if run.note})
    return f" ({'; '.join(reasons)})" if reasons else ""
