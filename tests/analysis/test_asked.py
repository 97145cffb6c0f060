"""What is asked for now, from made-up results: settings chosen by validation alone, seeds until decided."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from favit.analysis import tables
from favit.analysis.asked import Asked, asked, run_result_of
from favit.analysis.choices import choose, sentence, validation_score
from favit.analysis.sequential import Design
from favit.analysis.spec import table_spec
from favit.analysis.statistics import Sample, compare
from favit.results.state import State
from favit.sweeps.config import parse
from favit.sweeps.resolve import Run
from favit.sweeps.stages import possible

MATRIX = {"dataset": ["etth1"], "model": ["informer"], "aggregator": ["full", "probsparse", "delta_v"]}
ROUNDS = {"seed": {"min": 3, "max": 6, "stop": "decided"}}
IMAGES = {"dataset": ["digits"], "model": ["favit_b0"], "aggregator": ["max_pool", "probsparse"]}


def sweep_of(matrix: dict[str, Any], **body: Any) -> Any:
    matrix = {"encoding": ["none"], **matrix}
    table = {"baseline": matrix["aggregator"][0], **body.pop("table", {})}
    return possible(parse({"sweeps": {"s": {"matrix": matrix, "table": table, **body}}}).sweeps["s"])


class Disk:
    """States of runs, by what their ``metrics.json`` would say; runs without are missing."""

    def __init__(self, what: Any) -> None:
        self.what = what
        self.contents: dict[str, dict[str, Any]] = {}

    def finish(self, run: Run, **content: Any) -> None:
        self.contents[run.key] = {"status": "finished", "run": dict(run.settings), "best": {}, **content}

    def score(self, run: Run, value: float) -> None:
        """A result whose test scores are ``value``."""
        names = ("mse", "mae") if run.task == "forecasting" else ("top1", "top5")
        self.finish(run, metrics=dict.fromkeys(names, value))

    @property
    def states(self) -> dict[str, State]:
        found: dict[str, Any] = {}
        for run in self.what.runs:
            content = self.contents.get(run.key)
            result = content and SimpleNamespace(content=content, seconds=360.0, stamp="")
            found[run.key] = SimpleNamespace(
                run=run, name="valid" if content else "missing", counts=content is not None,
                folder=Path("/nowhere") / run.name, result=result, notes=(), others=(),
            )  # fmt: skip
        return found

    def asked(self) -> Asked:
        return asked(self.what, self.states)


def seeds_asked(now: Asked) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for run in now.runs:
        found.setdefault(run["aggregator"], []).append(run["seed"])
    return found


# Scores by seed: delta_v is far from full, probsparse never settles.
SCORES = {
    "full": [1.00, 1.01, 0.99, 1.00, 1.01, 0.99],
    "probsparse": [1.02, 0.97, 1.03, 0.98, 1.04, 0.99],
    "delta_v": [5.00, 5.01, 4.99, 5.00, 5.01, 4.99],
}


def train(disk: Disk, now: Asked) -> None:
    for run in now.runs:
        disk.score(run, SCORES[run["aggregator"]][run["seed"]])


def test_rows_get_seeds_until_they_are_decided_and_the_baseline_keeps_pace() -> None:
    disk, history = Disk(sweep_of({**MATRIX, **ROUNDS})), []
    now = disk.asked()
    while not all(run.key in disk.contents for run in now.runs):
        history.append({row: len(seeds) for row, seeds in seeds_asked(now).items()})
        train(disk, now)
        now = disk.asked()
    assert history[0] == {"full": 3, "probsparse": 3, "delta_v": 3}
    assert history[1:] == [{"full": n, "probsparse": n, "delta_v": 3} for n in (4, 5, 6)]
    said = {row: (look.seeds, look.said) for (_, row), look in now.looks.items()}
    assert said == {"probsparse": (6, "undecided"), "delta_v": (3, "different")}


def finished() -> Disk:
    disk = Disk(sweep_of({**MATRIX, **ROUNDS}))
    for run in disk.what.runs:
        disk.score(run, SCORES[run["aggregator"]][run["seed"]])
    return disk


def test_seeds_beyond_the_stop_do_not_enter_though_they_are_there() -> None:
    disk = finished()
    assert {row: len(of) for row, of in seeds_asked(disk.asked()).items()} == {
        "full": 6,
        "probsparse": 6,
        "delta_v": 3,
    }
    for run in disk.what.runs:
        if run["aggregator"] == "delta_v" and run["seed"] > 2:
            disk.score(run, 1.0)  # which would undo the difference
    assert disk.asked().record == finished().asked().record


def test_a_seed_that_is_lost_reopens_what_it_had_decided() -> None:
    disk = finished()
    lost = next(r for r in disk.what.runs if r["aggregator"] == "full" and r["seed"] == 1)
    del disk.contents[lost.key]
    now = disk.asked()
    assert {(look.seeds, look.said) for look in now.looks.values()} == {(3, "waiting")}
    assert [run for run in now.runs if not disk.states[run.key].counts] == [lost]
    disk.score(lost, SCORES["full"][1])
    assert disk.asked().record == finished().asked().record, "nothing is remembered in between"


def test_a_margin_settles_rows_that_are_alike() -> None:
    disk = Disk(sweep_of({**MATRIX, **ROUNDS}, table={"equivalence_margin": 0.5}))
    for run in disk.what.runs:
        disk.score(run, SCORES[run["aggregator"]][run["seed"]])
    said = {row: look.said for (_, row), look in disk.asked().looks.items()}
    assert said == {"probsparse": "equivalent", "delta_v": "different"}


def table_of(disk: Disk) -> Any:
    now, states = disk.asked(), disk.states
    spec = table_spec(disk.what.sweep, list(now.cells))
    runs = [run_result_of(cell, states, now.choices, spec.pairing) for cell in now.cells]
    notes = {(spec.key(dict(group)), row): n for (group, row), n in now.notes().items()}
    return tables.make(spec, runs, None, notes)


def test_the_table_says_when_and_why_and_shows_the_intervals_of_the_looks() -> None:
    lines = {line.row.id: line for line in table_of(finished()).lines}
    assert [lines[row].averaged for row in ("full", "probsparse", "delta_v")] == [6, 6, 3]
    assert lines["delta_v"].notes == (
        "stopped after 3 seeds of up to 6: MSE differs from that of the baseline's first 3 seeds",
    )
    assert lines["probsparse"].notes == ("undecided after 6 seeds, the maximum",)
    level = Design(3, 6, 4).level  # two rows, MSE and MAE
    a, b = (Sample(np.array(SCORES[row][:3])) for row in ("delta_v", "full"))
    by_hand = compare(a, b, paired=False, confidence=1 - level)
    shown = lines["delta_v"].scores["mse"].difference
    assert (shown.low, shown.high) == pytest.approx((by_hand.low, by_hand.high))
    assert lines["delta_v"].scores["mse"].significant and not lines["probsparse"].scores["mse"].significant
    assert lines["delta_v"].scores["mse"].p == pytest.approx(Design(3, 6, 4).p_value(by_hand.p))


def test_a_run_that_diverged_is_a_result_without_a_score() -> None:
    disk = finished()
    for run in disk.what.runs:
        if run["aggregator"] == "probsparse" and run["seed"] == 0:
            disk.contents[run.key] = {
                "status": "diverged",
                "run": dict(run.settings),
                "metrics": {},
                "best": {},
            }
    look = next(look for (_, row), look in disk.asked().looks.items() if row == "probsparse")
    assert (look.seeds, look.said) == (6, "undecided")


TUNE = {"grid": {"lr": [1e-4, 1e-3, 1e-2]}, "seeds": [100, 101], "refit": True}


def tuned(**changes: Any) -> Disk:
    return Disk(
        sweep_of({**IMAGES, "seed": [0, 1]}, tune={**TUNE, **changes}, settings={"validation_split": 0.2})
    )


def validate(disk: Disk, scores: dict[float, float | None], test: float = 50.0) -> None:
    """Finish all candidates with a validation score by learning rate; None diverges."""
    for place in disk.what.places:
        for option in place.options:
            for run in option.candidates:
                value = scores[run["lr"]]
                if value is None:
                    disk.finish(run, status="diverged", metrics={})
                else:
                    metrics = {"top1": test * (run["lr"] + 1), "top5": test}
                    disk.finish(run, metrics=metrics, validation={"top1": value, "top5": 0.0})


def test_first_the_candidates_then_the_chosen_setting_with_the_sweeps_own_seeds() -> None:
    disk = tuned()
    first = disk.asked()
    assert {(r["seed"], r["validation_split"]) for r in first.runs} == {(100, 0.2), (101, 0.2)}
    assert len(first.runs) == 2 * 3 * 2
    assert [len(alternatives) for alternatives in first.follow] == [3, 3]
    validate(disk, {1e-4: 30.0, 1e-3: 60.0, 1e-2: 40.0})
    second = disk.asked()
    new = [run for run in second.runs if not disk.states[run.key].counts]
    assert {(r["lr"], r["seed"], r["validation_split"]) for r in new} == {(1e-3, 0, 0.0), (1e-3, 1, 0.0)}
    note = sentence(next(iter(second.choices.values())))
    assert (
        note == "lr 0.001 chosen from 3 by validation Top-1 60.00 of seeds 100, 101, 6 runs, 0.6 device hours"
    )


@pytest.mark.parametrize(
    ("scores", "chosen", "said"),
    [
        ({1e-4: 60.0, 1e-3: 60.0, 1e-2: 10.0}, 1e-4, "at the edge of its grid in lr"),
        ({1e-4: 10.0, 1e-3: 60.0, 1e-2: 60.0}, 1e-3, "validation Top-1 60.00"),
        ({1e-4: None, 1e-3: 1.0, 1e-2: None}, 1e-3, "2 of them diverged"),
        ({1e-4: None, 1e-3: None, 1e-2: None}, 1e-4, "all settings diverged"),
        ({1e-4: 1.0, 1e-3: 2.0, 1e-2: 3.0}, 1e-2, "at the edge of its grid in lr"),
    ],
)
def test_ties_go_to_the_value_named_first_and_what_diverged_is_not_chosen(
    scores: dict[float, float | None], chosen: float, said: str
) -> None:
    disk = tuned()
    validate(disk, scores)
    for choice in disk.asked().choices.values():
        assert choice.option is not None and choice.option.values == {"lr": chosen}
        assert said in sentence(choice)


def test_no_test_score_has_a_say() -> None:
    records = []
    for test in (50.0, -1.0, float("nan")):
        disk = tuned()
        validate(disk, {1e-4: 30.0, 1e-3: 60.0, 1e-2: 40.0}, test)
        records.append(disk.asked().record)
    assert records[0] == records[1] == records[2]


def test_one_candidate_that_is_missing_leaves_its_row_open_and_its_table_empty() -> None:
    disk = tuned()
    validate(disk, {1e-4: 30.0, 1e-3: 60.0, 1e-2: 40.0})
    for cell in disk.what.cells:
        disk.score(cell.run, 70.0)  # all that may be chosen is on disk for another sweep
    del disk.contents[disk.what.places[0].options[2].candidates[0].key]
    lines = {line.row.id: line for line in table_of(disk).lines}
    assert lines["max_pool"].averaged == 0 and lines["probsparse"].averaged == 2
    assert "not chosen yet: 5 of 6 candidates" in lines["max_pool"].notes[0]


def test_series_are_chosen_by_the_error_of_the_epoch_that_is_scored() -> None:
    disk = Disk(sweep_of({**MATRIX, "seed": [0]}, tune={"grid": {"lr": [1e-4, 1e-3]}, "seeds": [100]}))
    for place in disk.what.places:
        for option, error in zip(place.options, (0.5, 0.4), strict=True):
            best = {"epoch": 2, "selected_on": "validation", "mse": error, "mae": 1.0}
            disk.finish(option.candidates[0], metrics={"mse": -error, "mae": 0.0}, best=best)
        choice = choose(place, disk.states)
        assert choice.option is not None and choice.option.values == {"lr": 1e-3}
    with pytest.raises(ValueError, match="no validation top1"):
        validation_score({"status": "finished", "metrics": {"top1": 1.0}}, "classification")


def test_tuned_rows_may_have_seeds_until_decided() -> None:
    disk = Disk(sweep_of({**IMAGES, **ROUNDS}, tune=TUNE, settings={"validation_split": 0.2}))
    assert {run["seed"] for run in disk.asked().runs} == {100, 101}
    validate(disk, {1e-4: 30.0, 1e-3: 60.0, 1e-2: 40.0})
    now = disk.asked()
    assert {(r["seed"], r["lr"]) for r in now.runs if r["validation_split"] == 0} == {
        (s, 1e-3) for s in (0, 1, 2)
    }
    assert [len(each) for each in now.follow] == [1, 1] and len(now.follow[0][0]) == 3


def test_a_model_that_is_not_trained_is_asked_for_at_once() -> None:
    body = {"tune": {"grid": {"lr": [1e-4, 1e-3]}, "seeds": [100]}, "beside": ["repeat_last"]}
    disk = Disk(sweep_of({**MATRIX, "seed": [0]}, **body))
    now = disk.asked()
    assert {run["model"] for run in now.runs if run["seed"] != 100} == {"repeat_last"}
    assert [row for _, row in now.notes()] == MATRIX["aggregator"]
