"""What a trained model makes of its aggregator: against models that are built with another one, and its command."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from favit.analysis import _trained_images, aggregator_use
from favit.components import registry
from favit.components.declared import training_defaults
from favit.models.favit import FaViT, Shape, build

CPU = torch.device("cpu")
RUN = {
    **training_defaults("classification"),
    "dataset": "digits",
    "model": "favit_b0",
    "aggregator": "probsparse",
    "encoding": "none",
    "image_size": 32,  # one stage has several windows
    "limit_test": 24,
}
NAMES = registry.names("aggregators")
WITH_WEIGHTS = {"linear", "pointwise_conv"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(aggregator: str, **settings: Any) -> FaViT:
    """One block a stage; at 64 pixels three stages have several windows. Fused tokens weigh more than untrained."""
    torch.manual_seed(0)
    shape = Shape((32, 64, 128, 256), (1, 1, 1, 1))
    model = FaViT(shape, 5, img_size=64, aggregator=aggregator, aggregator_settings=settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and ".attn." in name:
                parameter *= 4
    return model


@pytest.mark.parametrize("trained_with", ["probsparse", "max_pool", "linear"])
def test_swapping_is_the_same_weights_in_a_model_built_with_the_other(trained_with: str) -> None:
    model, images = small(trained_with), torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        for name in sorted(set(NAMES) - WITH_WEIGHTS - {trained_with}):
            other = small(name)
            weights = {k: v for k, v in model.state_dict().items() if ".aggregators." not in k}
            other.load_state_dict(weights)
            with aggregator_use.changed(model, aggregator_use.swapped_for(name)):
                swapped = model(images)
            torch.testing.assert_close(swapped, other(images), msg=name)
            assert (swapped - before).abs().max() > 1e-6, name
            assert torch.equal(model(images), before), "the model is as it was"


def test_an_error_inside_leaves_the_model_as_it_was() -> None:
    model = small("max_pool")
    before = [id(m) for m in model.modules()]
    with pytest.raises(KeyError), aggregator_use.changed(model, aggregator_use.swapped_for("zero")):
        raise KeyError
    assert [id(m) for m in model.modules()] == before


def test_shuffled_gives_each_image_the_tokens_of_another() -> None:
    class Sum(nn.Module):
        def forward(self, samples: Tensor, *rest: Any) -> Tensor:
            return samples.sum(3)

    samples = torch.randn(4, 2, 49, 6, 5)
    shuffled = aggregator_use.Shuffled(Sum())(samples, None)
    for image in range(4):
        torch.testing.assert_close(shuffled[image], samples[(image - 1) % 4].sum(2))

    model, one = small("max_pool"), torch.randn(1, 3, 64, 64)
    with (
        torch.no_grad(),
        aggregator_use.changed(model, lambda a, g: aggregator_use.Shuffled(a.aggregators[g])),
    ):
        same = model(one.expand(3, -1, -1, -1))
        different = model(torch.cat((one, torch.randn(2, 3, 64, 64))))
    torch.testing.assert_close(same, model(one).expand_as(same))
    assert (different[0] - same[0]).abs().max() > 1e-4


def test_every_aggregator_is_swapped_or_has_a_reason() -> None:
    changes = dict(aggregator_use.changes("probsparse"))
    assert set(changes) == {*NAMES, "as trained", "shuffled"} - {"probsparse"}
    assert {name for name, change in changes.items() if change is None} == WITH_WEIGHTS
    assert {name for name in NAMES if aggregator_use.has_weights(name)} == WITH_WEIGHTS


def finished_run(folder: Path, **changes: Any) -> Path:
    """What a training that keeps its weights leaves, without the training."""
    run = {**RUN, **changes}
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"run": run, "metrics": {"top1": 12.5}}))
    if run["model"].startswith("favit"):
        torch.manual_seed(0)
        torch.save(build(run, {"classes": 10}).state_dict(), folder / "weights.pt")
    return folder


def test_scores_are_those_of_the_images_one_by_one(tmp_path: Path) -> None:
    """Accuracy, changed predictions and moved logits as a loop over images finds them."""
    run = finished_run(tmp_path / "run", **{"aggregator.factor": 2})
    trained = _trained_images.load(run, tmp_path, CPU)
    rows = {row["fused_by"]: row for row in aggregator_use.measure(trained)}
    assert list(rows) == ["as trained", *(n for n in NAMES if n != "probsparse"), "shuffled"]
    other = build({**RUN, "aggregator": "zero"}, {"classes": 10}).eval()
    other.load_state_dict(trained.model.state_dict())
    right = changed = seen = 0
    moved = norm = 0.0
    with torch.no_grad():
        for images, labels in trained.batches():
            for image, label in zip(images, labels.tolist(), strict=True):
                was, now = trained.model(image[None])[0].double(), other(image[None])[0].double()
                right, changed = (
                    right + (int(now.argmax()) == label),
                    changed + bool(was.argmax() != now.argmax()),
                )
                moved, norm, seen = (
                    moved + float((now - was).square().sum()),
                    norm + float(was.square().sum()),
                    seen + 1,
                )
    assert seen == RUN["limit_test"] == rows["zero"]["images"]
    assert rows["zero"]["top1"] == pytest.approx(100 * right / seen)
    assert rows["zero"]["changed_percent"] == pytest.approx(100 * changed / seen)
    assert rows["zero"]["logits_moved_percent"] == pytest.approx(100 * (moved / norm) ** 0.5, rel=1e-3)
    assert rows["as trained"]["top1_change"] == rows["as trained"]["logits_moved_percent"] == 0
    assert rows["linear"]["top1"] == "" and "training" in rows["linear"]["note"]
    assert {row["recorded_top1"] for row in rows.values()} == {12.5}


@pytest.mark.slow
def test_command_writes_a_row_for_each_run_and_change(tmp_path: Path) -> None:
    runs = [
        finished_run(tmp_path / "a"),
        finished_run(tmp_path / "b", aggregator="linear", encoding="learned", seed=1, precision="bfloat16"),
    ]
    out = tmp_path / "out"
    assert aggregator_use.main([*map(str, runs), "--out", str(out), "--images", "5", "--device", "cpu"]) == 0
    assert {p.name for p in out.iterdir()} == {f"aggregator-use.{kind}" for kind in ("csv", "pdf", "png")}
    with (out / "aggregator-use.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (len(NAMES) + 1)
    assert {row["images"] for row in rows} == {"5"}


def test_runs_that_will_not_do_are_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(run: Path) -> str:
        assert aggregator_use.main([str(run), "--out", str(tmp_path / "out")]) == 1
        return capsys.readouterr().err

    assert "a finished run" in answer(tmp_path)
    assert "give a run of FaViT" in answer(finished_run(tmp_path / "series", model="informer"))
    bare = finished_run(tmp_path / "bare")
    (bare / "weights.pt").unlink()
    assert "--keep weights" in answer(bare)
    assert not (tmp_path / "out").exists()
