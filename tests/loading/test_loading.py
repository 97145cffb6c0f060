"""What people load: runs by any of their names, results and histories as tidy tables, without touching any digest."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import favit
from favit.disk.run_folder import RunFolder
from favit.identity.closure import ROOT
from favit.identity.definitions import Sources
from favit.loading import frames, places, run
from favit.results.selection import chosen
from favit.results.state import Results
from favit.sweeps.config import Config, ConfigError
from favit.train import weights
from tests.loading.made_up import MODELS, study
from tests.workflow.conftest import TINY

SPARSE = "digits.favit_b0.probsparse.none.seed0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("study")
    (root / "project").mkdir()
    return study(root / "project", leave=("informer.full",))


@pytest.fixture
def here(made: Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made.results.parent)
    return made.results.parent


@pytest.mark.parametrize("module", [frames, places, run])
def test_examples_of_the_docstrings(here: Path, module: object) -> None:
    failed, tried = doctest.testmod(module)
    assert failed == 0 and (tried > 0 or module is places)


def test_a_run_by_each_of_its_names_is_the_model_that_was_kept(here: Path, made: Config) -> None:
    [asked] = chosen(made, [SPARSE])
    [state] = Results(made).states([asked])
    x = torch.randn(3, 3, 32, 32)
    expected = MODELS[asked.key](x)
    words = "dataset=digits aggregator=probsparse seed=0"
    shown = f"digits {asked.name}"
    for name in (
        SPARSE,
        asked.name,
        shown,
        words,
        asked.key,
        state.folder.name,
        state.folder,
        str(state.folder),
    ):
        loaded = favit.load_run(name)
        assert loaded.folder.resolve() == state.folder.resolve() and dict(loaded.settings) == dict(
            asked.settings
        )
    assert not loaded.model.training and torch.equal(loaded.model(x), expected)
    assert favit.load_run(state.folder / "metrics.json").metrics["top5"] == 100.0
    assert len(loaded.data.test_labels) > 100 and list(loaded.history.epoch) == [1]


def test_a_folder_needs_no_configuration(
    made: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [state] = Results(made).states(chosen(made, [SPARSE]))
    monkeypatch.chdir(tmp_path)
    assert favit.load_run(state.folder).settings["aggregator"] == "probsparse"


def test_from_another_folder_the_configuration_s_own_folders_count(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (here / "config.yaml").read_text()
    (here / "relative.yaml").write_text(text.replace(str(here / "results"), "results"))
    monkeypatch.chdir(tmp_path)
    assert list(favit.load_results("images", config=here / "relative.yaml").state) == ["valid", "valid"]
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dataset=digits", "matches 2 runs"),
        ("informer.full.temporal.seed0", "has no valid result"),
        ("aggregator=probspars", "did you mean 'probsparse'"),
        ("agregator=probsparse", "did you mean 'aggregator'"),
        ("nowhere", "unknown sweep, run or folder 'nowhere'"),
    ],
)
def test_what_names_no_run_is_answered(here: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        favit.load_run(name)


def test_weights_are_read_by_timm_and_say_their_settings(here: Path) -> None:
    loaded = favit.load_run(SPARSE)
    file = RunFolder(loaded.folder).weights
    assert file.name == "weights.safetensors" and weights.settings_in(file) == dict(loaded.settings)
    import timm  # after favit.models, which brings torchvision

    other = timm.create_model(
        "favit_b0", aggregator="probsparse", num_classes=10, img_size=32, checkpoint_path=str(file)
    )
    for name, value in other.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name])


def test_weights_of_before_still_load(here: Path, tmp_path: Path) -> None:
    loaded = favit.load_run(SPARSE)
    for name in ("metrics.json", "history.csv"):
        (tmp_path / name).write_bytes((loaded.folder / name).read_bytes())
    torch.save(loaded.model.state_dict(), tmp_path / "weights.pt")
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(favit.load_run(tmp_path).model(x), loaded.model(x))
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(FileNotFoundError, match="kept no weights"):
        _ = favit.load_run(tmp_path).model


def test_a_model_of_timm_is_built_as_its_training_built_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"dataset": ["digits"], "model": ["timm/resnet10t"], "aggregator": ["none"], "encoding": ["none"]}
    config = study(tmp_path, sweeps={"t": {"settings": {"epochs": 1, "warmup_epochs": 0, "cooldown_epochs": 0},
                                  "matrix": {**body, "seed": [0]}}}, recipes={}, groups={})  # fmt: skip
    monkeypatch.chdir(tmp_path)
    loaded = favit.load_run("model=timm-resnet10t")
    (asked,) = chosen(config, ["model=timm-resnet10t"])
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded.model(x), MODELS[asked.key](x))


def test_weights_that_share_memory_are_kept_apart(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    state = {
        "a": tied,
        "b": tied,
        "c": tied.T,
        "n": torch.tensor(3),
        "h": torch.ones(2, dtype=torch.bfloat16),
    }
    (tmp_path / "weights.safetensors").write_bytes(weights.packed(state, {"lr": 0.1}, {"fingerprint": "f"}))
    found = weights.read(tmp_path / "weights.safetensors")
    assert found.keys() == state.keys() and all(torch.equal(found[n], state[n]) for n in state)
    assert all(found[n].dtype == state[n].dtype for n in state)


def test_results_are_one_row_a_run_without_fingerprints(here: Path) -> None:
    found = favit.load_results()
    assert list(found.state) == ["missing", "valid", "valid", "valid"] and len(found.columns) < 25
    assert {"run", "dataset", "model", "aggregator", "encoding", "seed", "top1", "mse", "folder"} <= {
        *found.columns
    }
    assert not any("fingerprint" in c or "snapshot" in c for c in found.columns)
    row = found.set_index("run").loc["favit_b0.probsparse.none.seed0"]
    recorded = json.loads((Path(row.folder) / "metrics.json").read_text())
    assert row.top1 == recorded["metrics"]["top1"] and row.memory_gib == 0.5 and pd.isna(row.mse)
    assert list(favit.load_results("seed=0", "aggregator=max_pool,full").aggregator) == ["full", "max_pool"]


def test_settings_that_differ_are_columns_and_no_others(tmp_path: Path) -> None:
    from tests.workflow.conftest import TINY

    images = TINY["sweeps"]["images"]
    matrix = {**images["matrix"], "aggregator": ["probsparse"], "aggregator.factor": [5, 3], "lr": [0.1]}
    config = study(tmp_path, sweeps={"images": {**images, "matrix": matrix, "table": {}}}, groups={}, recipes={
        "images": TINY["recipes"]["images"]})  # fmt: skip
    found = favit.load_results("images", config=tmp_path / "config.yaml")
    assert list(found["aggregator.factor"]) == [5, 3] and "lr" not in found and "epochs" in found
    assert [run["seed"] for run in chosen(config, ["aggregator.factor=5"])] == [0]  # by default, not given
    assert len(chosen(config, ["lr=1e-1"])) == 2


def test_settings_called_as_a_column_have_their_own(tmp_path: Path) -> None:
    matrix = {**TINY["sweeps"]["series"]["matrix"], "lr": [0.1, 0.2], "epochs": [1, 2]}
    sweep = {**TINY["sweeps"]["series"], "matrix": matrix}
    made = study(tmp_path, leave=("lr=0.2",), sweeps={"series": sweep}, groups={})
    config = tmp_path / "config.yaml"
    histories = favit.load_histories(config=config)
    assert set(histories["setting.lr"]) == {0.1} and "lr" in histories and "epochs" in histories
    results = favit.load_results(config=config)
    assert set(results["lr"]) == {0.1, 0.2} and set(results["setting.epochs"]) == {1, 2}
    assert results.epochs.isna().sum() == (results.state == "missing").sum() == 4
    state = Results(made).state(chosen(made, ["lr=0.1"])[0])
    RunFolder(state.folder).history.write_text("")
    with pytest.raises(ValueError, match=r"cannot read .*history.csv"):
        favit.load_histories(config=config)
    with pytest.raises(TypeError, match="one by one"):
        favit.load_results(["series"], config=config)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown sweep, run or folder ''"):
        favit.load_results("", config=config)


def test_histories_hold_runs_that_are_still_going(here: Path, made: Config) -> None:
    from tests.loading.made_up import history

    [state] = Results(made).states(chosen(made, ["informer.full.temporal.seed0"]))
    history(RunFolder(state.folder), images=False, epochs=3)
    found = favit.load_histories("dataset=seattle_weather")
    assert found.groupby("aggregator").epoch.max().to_dict() == {"full": 3, "probsparse": 1}
    assert found.groupby("aggregator").going.first().to_dict() == {"full": True, "probsparse": False}


def test_importing_favit_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, favit; assert 'load_run' in dir(favit); assert not {'torch', 'pandas', 'numpy'} & {*sys.modules};"
        "favit.load_results; assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'load_ran'"):
        _ = favit.load_ran


def test_the_stub_offers_what_the_package_answers_to() -> None:
    from favit import loading

    stub = (ROOT / "favit" / "__init__.pyi").read_text()
    offered = {name for name in loading.__all__ if name.startswith("load_")}
    assert {line.rpartition(" ")[2] for line in stub.splitlines() if " as " in line} == offered
    assert offered <= {*dir(favit)}


ROOTS = ("favit.train.engine", "favit.data.digits", "favit.models.favit", "favit.aggregators.max_pool")
EMPTY = '"""FaViT."""\n'


def test_what_people_load_with_is_no_part_of_any_code() -> None:
    """FaViT's code holds the package as a value: all else that its file says counts."""
    sources = Sources(ROOT)
    now = sources.code(ROOTS).digest
    sources.replace("favit", EMPTY)
    assert sources.code(ROOTS).digest == now
    for more in ("def load(run):\n    return run\n", "@f\ndef __getattr__(name):\n    return 1\n"):
        sources.replace("favit", EMPTY + more)
        assert sources.code(ROOTS).digest != now, more
    sources.restore("favit")
    own, models = ((ROOT / "favit" / f).read_text() for f in ("__init__.py", "models/__init__.py"))
    sources.replace("favit.models", models + own)
    assert sources.code(ROOTS).digest != now  # it is the package's own file alone that may answer
