"""What a sweep's table says about runs without a result that counts; made-up results, nothing trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from favit.analysis import costs, sweep_tables
from favit.commands.main import run as favit
from favit.components import registry
from favit.disk.files import write_atomic
from favit.identity.fingerprint import Fingerprinter
from favit.results.state import Results, State
from favit.results.tables import distinct, table_digest, table_is_current
from favit.sweeps.config import Config, parse
from favit.sweeps.resolve import resolve
from favit.sweeps.runs import cells, runs
from tests.contracts.conftest import Write
from tests.contracts.conftest import write as write  # the fixture


def configured(folder: Path, **settings: Any) -> Config:
    """Two attentions at two horizons, two seeds, on a series of one's own."""
    matrix = {
        "dataset": ["csv"],
        "model": ["informer"],
        "aggregator": ["full", "probsparse"],
        "encoding": ["none"],
        "horizon": [24, 48],
        "seed": [0, 1],
    }
    body = {
        "matrix": matrix,
        "settings": {"dataset.path": "own.csv", "epochs": 3, "schedule": "constant", **settings},
    }
    return parse({"data": str(folder / "data"), "results": str(folder / "results"), "sweeps": {"s": body}})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    return configured(tmp_path)


def finish(
    config: Config, horizon: int, content: dict[str, Any] | None = None, **changes: Any
) -> list[State]:
    """Results of a horizon's runs, with parts of their fingerprints changed; today's states of these runs."""
    chosen = [run for run in runs(config) if run["horizon"] == horizon]
    for state in Results(config).states(chosen):
        metrics = {
            "status": "finished",
            "run": dict(state.run.settings),
            "fingerprint": {**state.fingerprint.as_dict(), "modules": {}, **changes},
            "metrics": {"mse": 0.5, "mae": 0.5},
            **(content or {}),
        }
        write_atomic(state.folder / "metrics.json", json.dumps(metrics))
    return Results(config).states(chosen)


def notes(config: Config) -> dict[int, set[str]]:
    """Footnotes of the blocks, by horizon."""
    table, _ = sweep_tables.build(config, config.sweeps["s"], Results(config))
    return {g.key["horizon"]: {note for line in g.lines for note in line.notes} for g in table.groups}


def test_stale_runs_say_what_differs(config: Config, tmp_path: Path) -> None:
    finish(config, 24)
    changed = configured(tmp_path, epochs=5)
    assert notes(changed)[24] == {"2 of 2 runs out of date and excluded (settings: epochs 3 -> 5)"}
    finish(config, 48, code="0" * 64)
    assert notes(config)[48] == {
        "2 of 2 runs out of date and excluded (code: (the result does not say which))"
    }


def test_another_horizons_result_is_not_a_stale_one(config: Config) -> None:
    """Results of all horizons lie side by side."""
    finish(config, 24)
    assert notes(config) == {24: set(), 48: {"2 of 2 runs not finished yet"}}


def test_accepted_and_diverged_runs_say_so(config: Config) -> None:
    (state, *_) = finish(config, 24, code="0" * 64)
    favit("accept", [str(state.folder), "--why", "reworded", "--config", str(_written(config))])
    assert any("included although out of date (accepted by" in note for note in notes(config)[24])
    finish(config, 48, {"status": "diverged", "diverged_at_step": 7, "metrics": {}})
    assert notes(config)[48] == {"seeds 0, 1 diverged at step 7 and excluded"}


def _written(config: Config) -> Path:
    raw = {
        "data": str(config.data),
        "results": str(config.results),
        "sweeps": {
            "s": {"matrix": dict(config.sweeps["s"].matrix), "settings": dict(config.sweeps["s"].settings)}
        },
    }
    path = config.results.parent / "config.yaml"
    path.write_text(json.dumps(raw))
    return path


def test_a_table_is_outdated_when_its_reasons_change(config: Config) -> None:
    def today() -> str:
        results, sweep = Results(config), config.sweeps["s"]
        states = {s.run.key: s for s in results.states(runs(config))}
        return table_digest(sweep, cells(sweep), results, states)

    never = today()
    finish(config, 24, code="0" * 64)
    assert today() != never


def test_a_table_with_a_file_of_another_is_not_current(config: Config) -> None:
    sweep, results = config.sweeps["s"], Results(config)
    in_sweep = cells(sweep)

    def current() -> bool:
        states = {state.run.key: state for state in results.states(distinct(in_sweep))}
        return table_is_current(config, "s", table_digest(sweep, in_sweep, results, states))

    assert not current()
    markdown = sweep_tables.make(config, sweep, results)
    assert current()
    kept = markdown.read_text()
    markdown.write_text(kept + "a line of another table")
    assert not current()
    markdown.write_text(kept)
    assert current()
    markdown.unlink()
    assert not current()


def test_costs_are_counted_from_a_file_of_one_s_own(config: Config) -> None:
    """Without the file they are unknown; with it, those of a data set that states as much."""
    (one, *_) = runs(config)

    def counted() -> costs.Cost | None:
        return costs.Costs(config.results / "costs.json", Results(config).fingerprinter, config.data).cost(
            one
        )

    assert counted() is None, "one row is no series"
    days = pd.date_range("2020-01-01", periods=1000)
    table = pd.DataFrame({"date": days, **{name: range(1000) for name in "abc"}})
    table.to_csv(config.data / "own.csv", index=False)
    plain = {key: value for key, value in one.settings.items() if not key.startswith("dataset.")}
    facts = {"variables": 3, "time_features": 3}
    model = registry.load("models", "informer").build(plain, facts)
    assert (found := counted()) is not None
    assert found.params == sum(p.numel() for p in model.parameters())
    table[["date", "a"]].to_csv(config.data / "own.csv", index=False)
    assert (fewer := counted()) is not None and fewer.params < found.params


def test_a_model_of_one_s_own_that_cannot_be_counted_has_no_cost(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        "models/mine",
        """
from torch import nn

VARIANTS = ("mine",)
TASK = "classification"
AGGREGATORS = "none"


class Mine(nn.Module):
    def forward(self, x):
        return x.mean().item()


def build(run, facts):
    return Mine()
""",
    )
    axes = {"dataset": "digits", "model": "mine", "aggregator": "none", "encoding": "none", "seed": 0}
    counting = costs.Costs(tmp_path / "costs.json", Fingerprinter(tmp_path), tmp_path)
    assert counting.cost(resolve(axes)) is None
    assert "mine.none.none.seed0: parameters and FLOPs cannot be counted" in capsys.readouterr().err
