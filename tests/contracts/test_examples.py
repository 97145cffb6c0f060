"""The examples of docs/own-components.md: they are found together, keep their contracts and can stand in a sweep."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from favit.commands import main
from favit.components import own
from favit.contracts import aggregators, attention, data, encodings, models
from favit.identity import snapshot
from favit.identity.closure import ROOT, Reader
from favit.identity.definitions import Sources
from favit.sweeps.config import ConfigError, load, parse
from favit.sweeps.runs import runs

TEXT = (ROOT / "docs" / "own-components.md").read_text()
EXAMPLES = {
    f"{m[1]}/{m[2]}": m[0] for m in re.finditer(r"# my_lab/(\w+)/(\w+)\.py\n.*?(?=```)", TEXT, re.DOTALL)
}
ROOMS = {
    "aggregators": aggregators,
    "attention": attention,
    "encodings": encodings,
    "models": models,
    "data": data,
}
SWEEPS = {
    "pictures": {
        "settings": {"image_size": 32, "schedule": "constant", "model.width": 8},
        "matrix": {"dataset": ["stripes"], "model": ["tiny_mlp"], "aggregator": ["none"], "encoding": ["none"],
                   "seed": [0]},
    },
    "fused": {
        "settings": {"image_size": 32, "schedule": "constant"},
        "matrix": {"dataset": ["stripes"], "model": ["favit_b0"], "aggregator": ["median"], "encoding": ["none"],
                   "seed": [0]},
    },
    "days": {
        "settings": {"schedule": "constant", "aggregator.decay": 2.0},
        "matrix": {"dataset": ["seattle_weather"], "model": ["informer"], "aggregator": ["nearby"],
                   "encoding": ["ramp"], "seed": [0, 1]},
    },
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    """The folder of the examples, in use."""
    for name, text in EXAMPLES.items():
        file = tmp_path / "my_lab" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    parse({"components": [str(tmp_path / "my_lab")], "sweeps": SWEEPS})
    models._run.cache_clear()
    yield tmp_path / "my_lab"
    own.use(())
    parse({"components": [], "sweeps": SWEEPS})


def test_there_is_an_example_of_each_kind() -> None:
    assert {name.split("/")[0] for name in EXAMPLES} == set(ROOMS)


@pytest.mark.parametrize("where", EXAMPLES)
def test_an_example_keeps_its_contract(lab: Path, where: str) -> None:
    room, name = where.split("/")
    arguments: tuple[object, ...] = (name,)
    if room == "models":
        arguments = ("tiny_mlp",)
    if room == "data":
        (lab / "stripes.txt").write_text("10")
        arguments = (name, lab, {"dataset": name})
    for check in ROOMS[room].CHECKS:
        torch.manual_seed(0)
        check(*arguments)


def test_the_examples_stand_in_sweeps_with_their_settings(lab: Path) -> None:
    config = parse({"components": [str(lab)], "sweeps": SWEEPS})
    assert [run["model.width"] for run in runs(config, "pictures")] == [8]
    assert [run["aggregator"] for run in runs(config, "fused")] == ["median"]
    assert [run["aggregator.decay"] for run in runs(config, "days")] == [2.0, 2.0]
    broken = {**SWEEPS["days"], "settings": {"aggregator.decay": -1.0, "schedule": "constant"}}
    with pytest.raises(ConfigError, match=r"aggregator.decay must be .*0.0"):
        runs(parse({"components": [str(lab)], "sweeps": {"days": broken}}), "days")
    (lab / "aggregators" / "_shared.py").write_text("x = 1\n")
    (lab / "aggregators" / "median.py").write_text(
        "from favit.aggregators._shared import x\nfrom ._more import y\n"
    )
    (lab / "aggregators" / "_more.py").write_text("y = 2\n")
    reached = Reader().closure(["favit.aggregators.median"]).modules
    assert {"favit.aggregators._shared", "favit.aggregators._more"} <= set(reached)


def test_without_the_folder_nothing_is_found(lab: Path) -> None:
    config = parse({"sweeps": SWEEPS})
    with pytest.raises(ConfigError, match="unknown data set 'stripes'"):
        runs(config, "pictures")
    with pytest.raises(ConfigError, match="unknown aggregator for informer 'nearby'"):
        runs(config, "days")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "aggregators/max_pool.py",
            "",
            r"'max_pool' exists twice in aggregators: .*favit/aggregators/max_pool.py and",
        ),
        ("data/_csv.py", "", r"'_csv' exists twice in data"),
        (
            "models/other.py",
            "VARIANTS = ('favit_b0',)\n",
            r"model 'favit_b0' exists twice: .*favit.py and .*other.py",
        ),
        ("aggregators/my-agg.py", "", r"'my-agg' is not a valid name"),
        ("helpers.py", "", r"helpers.py is not in a folder of components.*aggregators, attention, encodings"),
        ("aggregator/x.py", "", r"did you mean 'aggregators'"),
        ("aggregators/none.py", "", r"'none' is for models that have no aggregator"),
        ("aggregators/median/__init__.py", "", r"'median' exists twice .*median.py and median/__init__.py"),
        ("aggregators/x.py", "# W\udce4rme\n", r"x.py, line 1: not UTF-8"),
        ("aggregators/x.py", "\0", r"x.py holds a null byte"),
        ("aggregators/x.py/y.txt", "", r"x.py is no file"),
        ("models/x.py", "VARIANTS = 'x'\n", r"models/x.py: VARIANTS must list names, .* and is 'x'"),
        ("models/x.py", "VARIANTS = ('x', 'x')\n", r"models/x.py: VARIANTS names a model twice"),
        ("models/x.py", "VARIANTS = ('x/y',)\n", r"'x/y' in VARIANTS cannot name a model; use letters"),
        ("models/x.py", "VARIANTS = ('timm-x',)\n", r"'timm-x' in VARIANTS .*do not begin with timm-"),
    ],
)
def test_what_cannot_be_is_an_error_of_one_line(lab: Path, file: str, text: str, message: str) -> None:
    (lab / file).parent.mkdir(exist_ok=True)
    (lab / file).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=message) as caught:
        parse({"components": [str(lab)], "sweeps": SWEEPS})
    assert "\n" not in str(caught.value)


def test_a_component_that_is_a_folder_is_found_in_its_snapshot(lab: Path, tmp_path: Path) -> None:
    """Registry and declarations there know files alone; an older snapshot, without, is made anew."""
    package = lab / "aggregators" / "thick"
    package.mkdir()
    (package / "__init__.py").write_text("from ._core import x as x\n\nSETTINGS = {'y': 3}\n")
    (package / "_core.py").write_text("x = 1\n")
    config = parse({"components": [str(lab)], "sweeps": SWEEPS})
    assert config and own.folders() == (lab,)
    reader, roots = Reader(), ["favit.components.literals", "favit.aggregators.thick"]
    program, code = reader.closure(roots), Sources().code(roots)
    for _ in range(2):
        place = snapshot.keep(program, code, tmp_path / "results", reader)
        asked = (
            "from favit.components import literals, registry; import importlib.util as u;"
            "print(registry.names('aggregators'), literals.literals('aggregators', 'thick'),"
            " u.find_spec('favit.aggregators.thick').origin)"
        )
        done = subprocess.run(
            [sys.executable, "-c", asked],
            cwd=place,
            env={"PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
        )
        origin = place / "favit" / "aggregators" / "thick" / "__init__.py"
        assert done.stdout == f"['thick'] {{'SETTINGS': {{'y': 3}}}} {origin}\n", done.stderr
        (place / "favit" / "aggregators" / "thick.py").unlink()


def test_a_name_in_two_folders_and_a_folder_that_is_none(lab: Path, tmp_path: Path) -> None:
    second = tmp_path / "second" / "aggregators"
    second.mkdir(parents=True)
    (second / "median.py").write_text("")
    with pytest.raises(ConfigError, match="'median' exists twice in aggregators"):
        parse({"components": [str(lab), str(second.parent)], "sweeps": SWEEPS})
    with pytest.raises(
        ConfigError, match=r"nowhere is not a folder; .*aggregators, attention, encodings, models, data"
    ):
        parse({"components": [str(tmp_path / "nowhere")], "sweeps": SWEEPS})
    with pytest.raises(ConfigError, match="has the built-in components"):
        parse({"components": [str(ROOT / "favit")], "sweeps": SWEEPS})


def test_init_fills_an_empty_folder_only_and_goes_on_after_an_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    assert main.main(["init", str(made)]) == 0
    laid = {str(p.relative_to(made)) for p in made.rglob("*") if p.is_file()}
    assert {
        "Snakefile",
        "config.yaml",
        "slurm/config.yaml",
        "workflow/rules/train.smk",
        "my_lab/README.md",
    } <= laid
    assert main.main(["init", str(made)]) == 1 and "already holds a project" in capsys.readouterr().err
    (made / "Snakefile").unlink()  # the last one: as if it had been killed
    (made / "workflow" / "rules" / "data.smk").unlink()
    assert main.main(["init", str(made)]) == 0
    assert {str(p.relative_to(made)) for p in made.rglob("*") if p.is_file()} == laid
    (made / "Snakefile").unlink()
    (made / "config.yaml").write_text("mine")
    assert main.main(["init", str(made)]) == 1 and "it has config.yaml" in capsys.readouterr().err
    assert (made / "config.yaml").read_text() == "mine" and not (made / "Snakefile").exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "paper.tex").write_text("")
    assert main.main(["init", str(full)]) == 1 and "it has paper.tex" in capsys.readouterr().err
    assert [p.name for p in full.iterdir()] == ["paper.tex"]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "nothing half-made is left"


def test_a_folder_lies_where_people_type_or_beside_the_configuration(lab: Path, tmp_path: Path) -> None:
    own.use(())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"components": ["my_lab"], "sweeps": SWEEPS}))
    config = load(tmp_path / "config.yaml")
    assert own.folders() == (lab,) and len(runs(config, "days")) == 2


def test_one_run_by_itself_is_told_the_folder(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from favit.train.__main__ import complete
    from favit.train.__main__ import main as train

    own.use(())
    bare = {
        "dataset": "seattle_weather",
        "model": "informer",
        "aggregator": "nearby",
        "encoding": "ramp",
        "seed": 0,
    }
    with pytest.raises(ValueError, match="nearby"):
        complete(bare, tmp_path)
    arguments = [
        "--run",
        str(tmp_path / "absent.json"),
        "--out",
        str(tmp_path / "out"),
        "--components",
        str(lab),
    ]
    assert train(arguments) == 1 and "absent.json cannot be read" in capsys.readouterr().err
    assert complete({**bare, "schedule": "constant"}, tmp_path)["run"]["aggregator"] == "nearby"
    assert train([*arguments[:-1], str(tmp_path / "nowhere")]) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err
