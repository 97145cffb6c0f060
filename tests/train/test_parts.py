"""The smaller parts: averages of weights, progress, requests to stop, precision, what a run imports."""

from __future__ import annotations

import importlib.abc
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from favit.train import seeds
from favit.train.ema import WeightAverage
from favit.train.life.reporter import Reporter, epoch_line
from favit.train.life.signals import StopRequest
from tests.train.lives import Life
from tests.train.runs import envelope


def test_seeds_differ_by_what_they_are_for_and_where() -> None:
    places = [
        (0, "order", 1),
        (0, "order", 11),
        (0, "order", 1, 1),
        (1, "order", 1),
        (0, "augment", 1),
        (0, "order1"),
    ]
    found = [seeds.derive(*place) for place in places]
    assert len(set(found)) == len(found)
    assert all(0 <= seed < 2**63 for seed in found)
    assert seeds.derive(0, "order", 1) == 6234617378211481862, "a change of this changes every result"


def test_the_average_follows_the_weights() -> None:
    """Against the sum it stands for, and torch's own."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    average = WeightAverage(model, 0.8)
    theirs = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8)
    )
    theirs.update_parameters(model)  # torch copies at the first call
    expected = model[0].weight.detach().clone()
    for _ in range(5):
        model(torch.randn(8, 3))
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn(p.shape))
        average.update()
        theirs.update_parameters(model)
        expected = 0.8 * expected + 0.2 * model[0].weight.detach()
    torch.testing.assert_close(average.model[0].weight, expected)
    for ours, other in zip(average.model.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(ours, other)
    assert torch.equal(average.model[1].running_mean, model[1].running_mean)
    assert not any(p.requires_grad for p in average.model.parameters())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_plain_line_an_epoch_where_there_is_no_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    reporter = Reporter(tmp_path, speaks=True, stream=stream)
    reporter.begin_epoch(0, 3, 5, 0)
    for _ in range(5):
        reporter.step(0.5)
    reporter.end_epoch()
    reporter.say("epoch 1/3  done")
    assert stream.getvalue() == "epoch 1/3  done\n" == (tmp_path / "train.log").read_text()
    reporter.close()


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    stream = Terminal()
    reporter = Reporter(tmp_path, speaks=True, stream=stream)
    reporter.begin_epoch(1, 3, 5, 2)
    reporter.step(0.25)
    reporter.say("a line")
    reporter.end_epoch()
    reporter.close()
    assert "epoch 2/3" in stream.getvalue() and "a line" in stream.getvalue()
    assert (tmp_path / "train.log").read_text() == "a line\n"


def test_other_processes_are_silent(tmp_path: Path) -> None:
    stream = Terminal()
    reporter = Reporter(tmp_path, speaks=False, stream=stream)
    reporter.begin_epoch(0, 1, 1, 0), reporter.step(None), reporter.say("x"), reporter.close()
    assert stream.getvalue() == "" and list(tmp_path.iterdir()) == []


def test_a_line_says_all() -> None:
    row = {"epoch": 3, "train_loss": 1.5, "lr": 1e-4, "test_top1": 71.25, "test_loss": 1.1}
    row |= {"seconds": 9.0, "examples_per_second": 512.4, "memory_bytes": 3 * 2**29}
    line = epoch_line(row, "test", 300, 3725, "images")
    assert line == (
        "epoch 3/300  loss 1.5000  test top1 71.25 loss 1.1  lr 0.0001  512 images/s  left 1:02:05  memory 1.50 GiB"
    )


def test_the_first_request_to_stop_is_remembered() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    stop = StopRequest().listen()
    try:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGUSR2"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bfloat16", "channels_last": True},
        {"precision": "float16", "clip_grad": 0.5},
        {"fused": False, "tf32": True, "deterministic": True},
        {"color_jitter": 0.4, "randaugment": "", "ema": 0.0},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_settings_train(tmp_path: Path, changes: dict) -> None:
    life = Life(tmp_path / "run", envelope("classification", epochs=1, **changes))
    assert life.wait() == 0, life.output
    assert "finished: top1" in life.output


@pytest.mark.slow
def test_a_compiled_run_is_close_to_a_plain_one(tmp_path: Path, task: str) -> None:
    quiet = {"drop_path": 0.0} if task == "classification" else {"model.dropout": 0.0}
    losses = []
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        life = Life(folder, envelope(task, epochs=2, compile=compiled, **quiet))
        assert life.wait(500) == 0, life.output
        losses.append(
            [float(line.split(",")[1]) for line in (folder / "history.csv").read_text().splitlines()[1:]]
        )
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)


IMAGE_ONLY = {"timm", "torchvision", "favit.train.tasks.classification", "favit.train.augment"}
SERIES_ONLY = {"favit.train.tasks.forecasting", "favit.data._series"}


@pytest.mark.parametrize(
    ("names", "foreign"),
    [
        (
            ["favit.train.tasks.forecasting", "favit.models.informer", "favit.data.seattle_weather"],
            IMAGE_ONLY,
        ),
        (["favit.train.tasks.classification", "favit.models.favit", "favit.data.digits"], SERIES_ONLY),
        ([], IMAGE_ONLY | SERIES_ONLY),
    ],
    ids=["forecasting", "classification", "the program itself"],
)
def test_a_run_imports_nothing_of_the_other_task(names: list[str], foreign: set[str]) -> None:
    """Nor what starts runs, Snakemake and submitit."""
    foreign = foreign | {"snakemake", "submitit", "jsonschema", "favit.sweeps", "favit.results"}
    wanted = ["favit.train.life.__main__", *names]
    code = f"import sys, importlib\nfor n in {wanted}: importlib.import_module(n)\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not foreign & set(loaded)


def test_nothing_that_starts_runs_is_needed_to_train(tmp_path: Path) -> None:
    """A prepared run, with Snakemake, submitit and the configuration's readers out of reach."""
    life = Life(tmp_path / "run", envelope("forecasting", epochs=1), prepare=forbid)
    assert life.wait() == 0, life.output


def forbid() -> None:
    """From now on this process cannot import what a machine that only trains may lack."""

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name.split(".")[0] in {
                "snakemake",
                "submitit",
                "jsonschema",
                "yaml",
                "jinja2",
                "matplotlib",
                "filelock",
            }:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Finder())
