"""Matrices expand as people expect, settings resolve to plain values, and slips are answered with one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from favit.components import declared
from favit.identity.closure import ROOT
from favit.identity.fingerprint import VERSIONED
from favit.sweeps.config import Config, ConfigError, load, parse
from favit.sweeps.runs import cells, expand, resolve, runs

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
    run = resolve({**FORECAST, "lr": "1e-3", "epochs": 20})
    assert list(run.settings) == sorted(run.settings)
    assert run["lr"] == 0.001 and type(run["lr"]) is float
    assert all(type(v) in (str, int, float, bool) for v in run.settings.values())
    assert json.loads(run.key) == dict(run.settings)


def test_training_settings_are_always_explicit_and_components_only_where_they_differ() -> None:
    defaults = declared.defaults(declared.settings("attention", "probsparse"))
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
        ({"matrix": {"dataset": ["etth1"], "seed": [0]}}, ["model is missing"]),
        ({"recipe": "favti"}, ["recipe", "favti"]),
        ({"matrx": {}}, ["'matrx'", "'matrix'"]),
        ({"exclude": [{"seed": 0}]}, ["removes every run"]),
        ({"table": {"captoin": "x"}}, ["'captoin'", "'caption'"]),
        ({"table": {"baseline": "ful"}}, ["baseline", "'ful'", "'full'"]),
        ({"table": {"labels": {"ful": "Full attention"}}}, ["labels", "'ful'", "'full'"]),
        ({"table": {"labels": {"max_pool": "Max pool"}}}, ["labels", "'max_pool'", "full"]),
        ({"table": {"references": {"ful": "vanilla"}}}, ["references", "'ful'", "'full'"]),
        ({"table": {"references": {"full": "vanila"}}}, ["published", "'vanila'", "'vanilla'"]),
        (
            {"matrix": {"row": [{**FORECAST, "reference": "all_deltav"}]}},
            ["published", "'all_deltav'", "'all_delta_v'"],
        ),
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


IMAGES = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"epochs": 3, "warmup_epochs": 3, "cooldown_epochs": 1},
            ["warmup_epochs + cooldown_epochs (3 + 1)", "epochs (3)"],
        ),
        ({**IMAGES, "color_jitter": 0.4, "randaugment": "m9-inc1"}, ["exclude", "color_jitter (0.4)"]),
        ({**IMAGES, "randaugment": "m9"}, ["inc1", "'m9'"]),
        ({**IMAGES, "randaugment": "m9-inc1-x3"}, ["mstd", "'m9-inc1-x3'"]),
        ({**IMAGES, "image_size": 31}, ["32 pixels", "image_size is 31"]),
        ({**IMAGES, "drop_path": 1}, ["drop_path", "below 1", "not 1.0"]),
        ({**IMAGES, "flip": 50}, ["flip", "at most 1", "not 50.0"]),
        ({**IMAGES, "ema": 1}, ["ema", "below 1", "not 1.0"]),
        ({"label_length": 70}, ["label_length (70)", "input_length (64)"]),
        ({"model.d_model": 65}, ["model 'informer'", "multiple of n_heads", "d_model is 65", "n_heads is 8"]),
        ({"dataset": "csv"}, ["dataset.path is ''"]),
        ({"dataset": "csv", "dataset.path": "a.csv", "dataset.train": 0.9}, ["dataset.validation (0.1)"]),
        ({"aggregator": "cross_terms"}, ["cross_terms", "the encoding is 'none'", "legendre"]),
    ],
)
def test_what_each_may_be_but_not_together_is_refused(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError) as raised:
        resolve({**FORECAST, **settings})
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value), raised.value


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 3, "warmup_epochs": 2, "cooldown_epochs": 1},
        {"epochs": 3, "schedule": "halving"},
        {**IMAGES, "image_size": 32, "randaugment": "rand-m9-mstd0.5-inc1"},
        {"label_length": 64},
        {"aggregator": "cross_terms", "encoding": "sinusoidal"},
    ],
)
def test_what_fits_just_so_is_accepted(settings: dict[str, Any]) -> None:
    resolve({**FORECAST, **settings})


@pytest.mark.parametrize(
    "text",
    [
        *("m9-mstd0.5-inc1", "rand-m9-inc1", "inc1-m9", "inc1", "m9-n2-p0.5-mmax7-inc1", "m9", "m9-inc0"),
        *("m9--inc1", "m9-inc1-", "-inc1", "m-inc1", "m9-x1-inc1", "m9.-inc1", "m.5-inc1", "rand-", "9-inc1"),
    ],
)
def test_the_dry_run_reads_randaugment_as_training_does(text: str) -> None:
    from favit.train.augment.randaugment import Policy

    def accepts(read: Any) -> bool:
        try:
            read()
        except ValueError:
            return False
        return True

    given = {**FORECAST, **IMAGES, "randaugment": text}
    assert accepts(lambda: resolve(given)) == accepts(lambda: Policy.parse(text))


def test_unknown_sweep_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="demo"):
        runs(load(ROOT / "config.yaml"), "demoo")


def test_published_sweeps_have_the_runs_that_the_study_needs() -> None:
    config = load(ROOT / "config.yaml")
    count = {name: len(runs(config, name)) for name in config.sweeps}
    assert count["cifar100-aggregators"] == 9 * 5 + 9 * 3  # three are controls, one is timm's PVT
    assert count["cifar100-encodings"] == 2 * 4 * 3
    assert count["imagenet-aggregators"] == 2 * 2 * 3
    linear, exact = 3 * 5, 2  # beside the study's rows: three that are trained, and two that are not
    assert count["etth1-delta-v"] == 5 * 5 + linear + exact
    assert count["ettm1-delta-v"] == 2 * (5 * 5 + linear + 1)  # a day does not fit into the input
    assert count["etth1-encodings"] == 5 * 5 + linear + exact
    assert count["etth1-cross-terms"] == 7 * 5 + linear + exact
    assert count["ettm1-input-length"] == 3 * (3 * 5 + linear + exact)
    assert count["ett-baselines"] == 2 * 4 * (3 * 3 + exact)
    assert not {r.key for r in runs(config, "demo")} & {r.key for r in runs(config, "all")}


def test_controls_of_the_demonstration_train_what_it_has_trained_only_once() -> None:
    config = load(ROOT / "config.yaml")
    controls, demo = (
        {r["aggregator"]: r.key for r in runs(config, f"demo-{n}")} for n in ("controls", "digits")
    )
    assert {name for name in controls if controls[name] == demo.get(name)} == {"max_pool", "probsparse"}
    assert set(controls) - set(demo) == {"random", "top_norm", "zero"}


def test_command_prints_one_json_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "favit.sweep", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["dataset"] for line in lines} == {"digits", "seattle_weather"}
    assert len(lines) == 6 + 9


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


def axes_of(**changes: Any) -> dict[str, Any]:
    return {**{k: [v] for k, v in FORECAST.items()}, **changes}


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"exclude": [{"modle": "informer"}]}, ["'modle'", "'model'"]),
        ({"exclude": [{"aggregator": "ful"}]}, ["'ful'", "'full'"]),
        ({"exclude": [{"seed": 7}]}, ["no combination", "seed 7"]),
        ({"exclude": [{"seed": "0"}]}, ["unknown seed '0'", "0"]),
        (
            {"matrix": {"agregator" if k == "aggregator" else k: v for k, v in axes_of().items()}},
            ["aggregator is missing", "'agregator'"],
        ),
        ({"matrix": axes_of(seed=[0, 0])}, ["seed", "twice"]),
        ({"matrix": axes_of(row=[{"aggregator": "full"}])}, ["aggregator", "another axis"]),
        (
            {"matrix": {"dataset": ["etth1"], "seed": [0]}, "settings": {"model.d_model": 8}},
            ["model is missing"],
        ),
        ({"resources": {"cpu": 1}}, ["'cpu'", "'cpus'"]),
        ({"resources": {"gpus": -1}}, ["gpus", "at least 0"]),
        ({"settings": {3: 1}}, ["sweeps.s.settings", "key 3", "quotes"]),
        ({"settings": {"lr": 10**400}}, ["lr", "finite"]),
    ],
)
def test_slips_that_would_train_what_nobody_wants(sweep: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        cells(parse(config_of(**sweep)).sweeps["s"])
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value), raised.value


@pytest.mark.parametrize("name", ["train", "table", "report", "Mine", "a b", "my_sweep"])
def test_names_of_targets_are_words_that_no_rule_has(name: str) -> None:
    raw = config_of()
    raw["groups"] = {name: ["s"]}
    with pytest.raises(ConfigError, match=name):
        parse(raw)


def test_versions_that_could_count_are_those_that_are_compared() -> None:
    assert parse({**config_of(), "versions": dict.fromkeys(VERSIONED, "exact")}).versions["timm"] == "exact"


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    text = yaml.safe_dump(config_of())
    (tmp_path / "c.yaml").write_text(text.replace("sweeps:", "sweeps:\n  s: {matrix: {seed: [1]}}", 1))
    with pytest.raises(ConfigError, match=r"line \d+: 's' is given twice"):
        load(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("x: &a {b: 1}\ny: {<<: *a, b: 2}\n")  # merging is no repetition
    with pytest.raises(ConfigError, match="unknown key"):
        load(tmp_path / "c.yaml")


@pytest.mark.parametrize("content", [b"", b"- a\n", b"a: [1", b"null\n", b"a: \xff\n", b"a: 2026-01-01\n"])
def test_files_that_are_no_configuration(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    for path in (tmp_path / "c.yaml", tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(ConfigError) as raised:
            load(path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("matrix", "include"),
    [
        ({"setup": [{"lr": 0.1}, {"lr": 0.2}]}, []),
        ({"aggregator.factor": [1, 5], "aggregator": ["probsparse"]}, []),
        ({"setup": [{"aggregator.factor": 1}, {"aggregator.factor": 5}], "aggregator": ["probsparse"]}, []),
        ({"seed": [0, 1]}, [{**FORECAST, "seed": 2, "horizon": 96}, {**FORECAST, "seed": 3, "lr": 0.5}]),
        ({"row": [{"encoding": "none"}, {"encoding": "temporal"}], "encoding": None}, []),
    ],
)
def test_only_repetitions_share_a_row(matrix: dict[str, Any], include: list[dict[str, Any]]) -> None:
    """A table averages what has the same row and group: nothing but the seed may differ there."""
    axes = {k: v for k, v in axes_of(**matrix).items() if v is not None}
    together: dict[Any, set[str]] = {}
    for cell in cells(parse(config_of(matrix=axes, include=include)).sweeps["s"]):
        unseeded = json.dumps({**cell.run.settings, "seed": 0}, sort_keys=True)
        together.setdefault((cell.row, cell.group), set()).add(unseeded)
    assert len(together) >= 2
    assert all(len(different) == 1 for different in together.values())


def test_a_run_has_one_cell_however_often_it_is_included() -> None:
    extra = {**FORECAST, "seed": 5}
    found = cells(parse(config_of(include=[extra, dict(extra)])).sweeps["s"])
    assert [cell.run["seed"] for cell in found] == [0, 5]


@pytest.mark.parametrize("value", [[1], {"a": 1}, None])
def test_a_value_that_is_not_plain_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match="lr must be"):
        resolve({**FORECAST, "lr": value})
