"""Matrices expand as people expect, settings resolve to plain values, and slips are answered with one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from favit.closure import ROOT
from favit.config import Config, ConfigError, load, parse
from favit.literals import literals
from favit.sweep import cells, expand, resolve, runs

FORECAST = {"dataset": "etth1", "model": "informer", "aggregator": "full", "encoding": "none", "seed": 0}


def config_of(**sweep: Any) -> dict[str, Any]:
    matrix = {k: [v] for k, v in FORECAST.items()}
    return {"sweeps": {"s": {"matrix": matrix, **sweep}}}


def test_expand_is_a_product_with_the_first_axis_slowest() -> None:
    assert expand({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_mappings_in_an_axis_bring_their_own_keys() -> None:
    found = expand({"row": [{"a": 1, "b": 2}, {"a": 3}], "seed": [0]})
    assert found == [{"a": 1, "b": 2, "seed": 0}, {"a": 3, "seed": 0}]


def test_exclude_drops_what_matches_in_full() -> None:
    matrix = {"model": ["b0", "b2"], "seed": [0, 1, 2]}
    found = expand(matrix, exclude=({"model": "b2", "seed": [1, 2]},))
    assert [(c["model"], c["seed"]) for c in found] == [("b0", 0), ("b0", 1), ("b0", 2), ("b2", 0)]


def test_include_extends_what_it_agrees_with_and_adds_what_stands_alone() -> None:
    matrix = {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]}
    include = (
        {"color": "green"},
        {"color": "pink", "animal": "cat"},
        {"fruit": "apple", "shape": "circle"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    )
    assert expand(matrix, include) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_a_run_is_flat_plain_and_sorted() -> None:
    run = resolve({**FORECAST, "lr": "1e-3", "epochs": 2})
    assert list(run.settings) == sorted(run.settings)
    assert run["lr"] == 0.001 and type(run["lr"]) is float
    assert all(type(v) in (str, int, float, bool) for v in run.settings.values())
    assert json.loads(run.key) == dict(run.settings)


def test_training_settings_are_always_explicit_and_components_only_where_they_differ() -> None:
    defaults = literals("attention", "probsparse")["SETTINGS"]
    run = resolve({**FORECAST, "aggregator": "probsparse", "aggregator.factor": defaults["factor"]})
    assert "aggregator.factor" not in run.settings
    assert {"precision", "horizon", "epochs"} <= set(run.settings)
    assert "image_size" not in run.settings
    other = resolve({**FORECAST, "aggregator": "probsparse", "aggregator.factor": defaults["factor"] + 1})
    assert other["aggregator.factor"] == defaults["factor"] + 1


def test_equal_runs_of_two_sweeps_are_one() -> None:
    config = load(ROOT / "config.yaml")
    shared = {c.run.key for c in cells(config.sweeps["cifar100-aggregators"])} & {
        c.run.key for c in cells(config.sweeps["cifar100-encodings"])
    }
    assert len(shared) == 6  # max_pool and probsparse without encoding, three seeds
    keys = [run.key for run in runs(config, "all")]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"epoch": 3}}, ["epoch'", "'epochs'"]),
        ({"settings": {"epochs": "many"}}, ["epochs", "whole number", "'many'"]),
        ({"settings": {"epochs": 0}}, ["epochs", "at least 1"]),
        ({"settings": {"epochs": True}}, ["epochs", "whole number"]),
        ({"settings": {"lr": "nan"}}, ["lr", "finite"]),
        ({"settings": {"precision": "half"}}, ["precision", "'float32'"]),
        ({"settings": {"aggregator.factr": 3}}, ["aggregator.factr"]),
        ({"matrix": {**{k: [v] for k, v in FORECAST.items()}, "aggregator": ["ful"]}}, ["'ful'", "'full'"]),
        (
            {"matrix": {**{k: [v] for k, v in FORECAST.items()}, "encoding": ["legendr"]}},
            ["'legendr'", "'legendre'"],
        ),
        (
            {"matrix": {**{k: [v] for k, v in FORECAST.items()}, "model": ["favit_b9"]}},
            ["'favit_b9'", "'favit_b"],
        ),
        (
            {"matrix": {**{k: [v] for k, v in FORECAST.items()}, "model": ["favit_b0"]}},
            ["forecasting", "informer"],
        ),
        ({"matrix": {**{k: [v] for k, v in FORECAST.items()}, "dataset": ["ETTh1"]}}, ["'ETTh1'", "etth1"]),
        ({"matrix": {**{k: [v] for k, v in FORECAST.items()}, "seed": []}}, ["seed", "empty"]),
        ({"matrix": {**{k: [v] for k, v in FORECAST.items()}, "seed": [-1]}}, ["seed", "at least 0"]),
        ({"matrix": {"dataset": ["etth1"], "seed": [0]}}, ["model is not given"]),
        ({"recipe": "favti"}, ["recipe", "favti"]),
        ({"matrx": {}}, ["'matrx'", "'matrix'"]),
        ({"exclude": [{"seed": 0}]}, ["leaves no run"]),
        ({"table": {"captoin": "x"}}, ["'captoin'", "'caption'"]),
        ({"table": {"baseline": "ful"}}, ["baseline", "'ful'", "'full'"]),
    ],
)
def test_slips_are_answered_with_one_line_that_names_what_is_allowed(
    change: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        parsed = parse(config_of(**change))
        cells(parsed.sweeps["s"])
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_unknown_sweep_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="demo"):
        runs(load(ROOT / "config.yaml"), "demoo")


def test_published_sweeps_have_the_runs_that_the_study_needs() -> None:
    config = load(ROOT / "config.yaml")
    count = {name: len(runs(config, name)) for name in config.sweeps}
    assert count["cifar100-aggregators"] == 5 * 5 + 5 * 3
    assert count["cifar100-encodings"] == 2 * 4 * 3
    assert count["imagenet-aggregators"] == 2 * 2 * 3
    assert count["etth1-delta-v"] == 5 * 3
    assert count["ettm1-delta-v"] == 2 * 5 * 3
    assert count["etth1-encodings"] == 3 * 3
    assert count["etth1-cross-terms"] == 6 * 3
    assert not {r.key for r in runs(config, "demo")} & {r.key for r in runs(config, "all")}


def test_command_prints_one_json_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "favit.sweep", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["dataset"] for line in lines} == {"digits", "seattle_weather"}
    assert len(lines) == 5 + 4


def test_command_ends_with_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config_of(settings={"epoch": 1})))
    command = [sys.executable, "-m", "favit.sweep", "s", "--config", str(tmp_path / "c.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_groups_name_known_sweeps() -> None:
    raw = config_of()
    raw["groups"] = {"g": ["t"]}
    with pytest.raises(ConfigError, match="'t'"):
        parse(raw)
    raw["groups"] = {"g": ["s"]}
    config: Config = parse(raw)
    assert [s.name for s in config.sweeps_of("g")] == ["s"]
