"""A folder of pictures by class: both layouts, any size and kind, in memory as prepared, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from favit.components import registry
from favit.data import _decoded, _pictures
from favit.data._missing import DataMissing
from favit.data.image_folder import load
from favit.identity.digests import data_digests
from favit.prepare.__main__ import main
from favit.sweeps.resolve import resolve
from favit.train.distributed import World
from favit.train.feeds.stored import Feed
from favit.train.order import Batch
from favit.train.settings import Images, parse
from favit.train.tasks.classification import Task

CPU = torch.device("cpu")


def picture(path: Path, height: int, width: int, seed: int = 0, mode: str = "RGB") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "RGBA": 4}.get(mode)
    shape = (height, width, channels) if channels else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode).save(path)
    return pixels


def run(path: str, **settings: Any) -> Any:
    axes = {
        "dataset": "image_folder",
        "model": "favit_b0",
        "aggregator": "max_pool",
        "encoding": "none",
        "seed": 0,
    }
    given = {"image_size": 32, "schedule": "constant", "dataset.path": path}
    return resolve(
        axes | given | {f"dataset.{k}" if k in OWN else k: v for k, v in settings.items()}
    ).settings


OWN = ("scored", "test_share", "split_seed", "memory_mb")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """train/ and val/ with two classes of lossless pictures of all sizes."""
    for part, count in (("train", 4), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            for i in range(count):
                seed = 100 * label + 10 * i + (part == "val")
                picture(tmp_path / "pets" / part / name / f"{i}.png", 40 + 7 * i, 33 + 11 * label, seed)
    return tmp_path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three classes of 10, 5 and 2 pictures, without parts."""
    for name, count in (("a", 10), ("b", 5), ("c", 2)):
        for i in range(count):
            picture(tmp_path / "flat" / name / f"{i}.png", 4, 4, i)
    return tmp_path


def test_parts_are_their_folders(parts: Path) -> None:
    data = load(parts, run("pets"))
    assert data.class_names == ("cat", "dog") and data.facts == {"classes": 2, "channels": 3}
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 and data.test.labels.tolist() == [0, 0, 1, 1]
    for number, (name, label) in enumerate([("cat", 0), ("cat", 0), ("dog", 1), ("dog", 1)]):
        there = np.asarray(Image.open(parts / "pets" / "val" / name / f"{number % 2}.png"))
        (image,) = data.test.encoded([number])
        assert (image.decode() == there).all() and (image.height, image.width) == there.shape[:2], label
    pixels = np.concatenate([p.decode().reshape(-1, 3) for p in data.train.pictures]) / 255
    np.testing.assert_allclose(data.mean, pixels.mean(0))
    np.testing.assert_allclose(data.std, pixels.std(0))
    assert len(data.limited(3, 1).train) == 3 and len(data.limited(3, 1).test) == 1
    picture(parts / "pets" / "test" / "dog" / "x.png", 9, 9)
    assert len(load(parts, run("pets")).test) == 1, "test/ is scored where it is there"
    assert len(load(parts, run("pets", scored="val")).test) == 4


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_split_is_of_each_class_by_its_seed_alone(classes: Path, share: float) -> None:
    def found(seed: int) -> Any:
        return _pictures.listed(classes / "flat", "auto", share, seed)

    first = found(0)
    assert first == found(0) and first != found(1)
    train, test = set(first.train), set(first.test)
    assert not train & test and len(train | test) == 17
    held = [sum(label == k for label, _ in test) for k in range(3)]
    assert held == [max(1, round(share * n)) for n in (10, 5, 2)]
    picture(classes / "flat" / "a" / "new.png", 4, 4)
    moved = {n for _, n in found(0).test} ^ {n for _, n in first.test}
    assert len(moved - {"a/new.png"}) <= 1, "a new picture moves at most one other"
    digests = data_digests(run("flat"), classes)
    assert digests is not None and list(digests) == ["flat"]


def test_any_kind_of_picture_becomes_rgb(tmp_path: Path) -> None:
    folder = tmp_path
    rgba = picture(folder / "a.png", 5, 7, mode="RGBA")
    assert (_decoded.read(folder / "a.png") == rgba[:, :, :3]).all(), "transparency is dropped"
    grey = picture(folder / "b.bmp", 5, 7, mode="L")
    assert (_decoded.read(folder / "b.bmp") == grey[:, :, None]).all()
    Image.fromarray(grey, "L").convert("P").save(folder / "c.gif")
    assert (_decoded.read(folder / "c.gif") == grey[:, :, None]).all()
    deep = (np.arange(35, dtype=np.uint16) * 1800).reshape(5, 7)
    Image.fromarray(deep).save(folder / "d.png")
    assert (_decoded.read(folder / "d.png") == (deep // 256)[:, :, None]).all(), "the upper 8 of 16 bits"
    for name in ("e.jpg", "f.webp", "g.tiff", "h.ppm"):
        picture(folder / name, 5, 7)
        assert _decoded.read(folder / name).shape == (5, 7, 3)
    Image.fromarray(np.random.default_rng(0).random((5, 7), dtype=np.float32)).save(folder / "i.tiff")
    with pytest.raises(ValueError, match="neither of 8 nor of 16 bits"):
        _decoded.read(folder / "i.tiff")


def test_corrupt_pictures_are_named_all_at_once(parts: Path) -> None:
    whole = (parts / "pets" / "train" / "cat" / "1.png").read_bytes()
    (parts / "pets" / "train" / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    (parts / "pets" / "val" / "dog" / "0.png").write_text("no picture")
    (parts / "pets" / "train" / "cat" / ".hidden.png").write_text("passed over")
    (parts / "pets" / "train" / "cat" / "notes.txt").write_text("passed over")
    with pytest.raises(ValueError, match="2 pictures cannot be read") as caught:
        load(parts, run("pets"))
    said = str(caught.value)
    assert (
        "train/cat/1.png (" in said
        and "val/dog/0.png (" in said
        and "\n" not in said
        and "hidden" not in said
    )


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda f: (f / "pets" / "val").rename(f / "pets" / "other"), {},
         "has train/ and no test/; pictures lie in train/"),
        (lambda f: None, {"scored": "test"}, "no test/; dataset.scored: val takes that"),
        (lambda f: picture(f / "pets" / "val" / "cow" / "x.png", 4, 4), {}, "has a class 'cow', which train/ has not"),
        (lambda f: (f / "pets" / "train" / "empty").mkdir(), {}, "empty holds no picture to train on"),
        (lambda f: None, {"memory_mb": 1}, r"pictures take 3 MB in memory.*favit prepare --folder"),
        (lambda f: (f / "pets").rename(f / "gone"), {}, "pets not found; dataset.path names it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(
    parts: Path, change: Any, settings: dict[str, Any], message: str
) -> None:
    if "memory_mb" in settings:
        picture(parts / "pets" / "train" / "cat" / "large.png", 1000, 1000)
    change(parts)
    with pytest.raises((ValueError, DataMissing), match=message) as caught:
        load(parts, run("pets", **settings))
    assert "\n" not in str(caught.value)


def test_every_change_of_a_picture_changes_the_digest(parts: Path) -> None:
    def digest() -> str:
        found = data_digests(run("pets"), parts)
        assert found is not None
        return found["pets"]

    first, file = digest(), parts / "pets" / "train" / "cat" / "0.png"
    file.rename(file.with_name("z.png"))
    renamed = digest()
    file.with_name("z.png").rename(file)
    picture(file, 40, 33, seed=5)
    changed = digest()
    picture(file, 40, 33, seed=0)
    assert digest() == first and len({first, renamed, changed}) == 3
    (file.parent / ".DS_Store").write_text("")
    assert digest() == first, "hidden files say nothing"
    assert data_digests(run("nowhere"), parts) is None


def batches(data: Any, chosen: Images) -> list[torch.Tensor]:
    feed = Feed(data, chosen, 0, CPU, World(), 0)
    order = [Batch(0, i, torch.ones(len(i))) for i in (torch.arange(len(data.train)), torch.tensor([3, 1]))]
    return [images for _, images, _ in feed.train(iter(order), 1)] + [
        images for images, _ in feed.test([torch.arange(len(data.test))])
    ]


@pytest.mark.parametrize("layout", ["parts", "classes"])
def test_prepared_pictures_make_the_same_batches(layout: str, request: pytest.FixtureRequest) -> None:
    """Lossless ones; in memory no package is needed that prepared ones need."""
    root, name = request.getfixturevalue(layout), {"parts": "pets", "classes": "flat"}[layout]
    wanted = run(name, crop_scale_min=0.3, image_size=32)
    chosen = parse(Images, wanted)
    in_memory = load(root, wanted)
    before = batches(in_memory, chosen)
    pytest.importorskip("simplejpeg")
    assert main(["--folder", str(root / name), "--in-place", "--workers", "1"]) == 0
    prepared = load(root, wanted)
    assert type(prepared) is not type(in_memory) and prepared.class_names == in_memory.class_names
    assert prepared.facts == in_memory.facts and torch.equal(prepared.test.labels, in_memory.test.labels)
    for ours, theirs in zip(before, batches(prepared, chosen), strict=True):
        assert torch.equal(ours, theirs)
    digests = data_digests(wanted, root)
    assert digests is not None and list(digests) == [f"{name}/index.json"]
    other = {"scored": "test"} if layout == "parts" else {"split_seed": 3}
    with pytest.raises(
        ValueError, match=r"prepared with another split .*index.json and prepare it with these"
    ):
        load(root, run(name, **other))


def test_a_model_is_built_and_scored_on_it(parts: Path) -> None:
    wanted = run("pets", batch_size=4)
    task = Task(wanted, parts, CPU, World())
    scores = task.evaluate(task.model.eval(), lambda: None)
    assert task.train_examples == 8 and task.test_examples == 4
    assert 0 <= scores["top1"] <= 100 and registry.load("data", "image_folder").TASK == "classification"


def test_top_5_stands_only_where_there_are_more_than_five_classes(tmp_path: Path) -> None:
    from favit.analysis.top5 import only_where_it_says_something

    def kept(dataset: str, most: int) -> bool:
        np.savez(tmp_path / "predictions.npz", labels=np.array([0, most]), predicted=np.array([1, 0]))
        content = {"run": {"dataset": dataset}, "metrics": {"top1": 50.0, "top5": 100.0}}
        found = only_where_it_says_something(content, tmp_path / "predictions.npz")["metrics"]
        assert found["top1"] == 50.0
        return "top5" in found

    assert not kept("image_folder", 4) and kept("image_folder", 5)
    assert kept("digits", 4), "ten classes, whatever the test shows"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("newline", "has a line break or a byte that is not UTF-8"),
        ("bytes", "has a line break or a byte that is not UTF-8"),
        ("bomb", "pixels; reduce or remove it"),
        ("nothing", "no picture for training can be read"),
        ("names", "which would be taken for classes"),
    ],
)
def test_what_cannot_be_prepared_is_told_and_leaves_no_index(
    parts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: str, said: str
) -> None:
    pytest.importorskip("simplejpeg")
    folder = parts / "pets"
    one = folder / "train" / "cat" / "0.png"
    if change == "newline":
        one.rename(one.with_name("a\nb.png"))
    elif change == "bytes":
        one.rename(os.fsdecode(os.fsencode(one.parent) + b"/\xff.png"))
    elif change == "bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    elif change == "nothing":
        for file in (folder / "train").rglob("*.png"):
            file.write_bytes(b"")
    else:
        (folder / "train").rename(folder / "Train")
    assert main(["--folder", str(folder), "--in-place", "--workers", "1"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert said in line and not (folder / "index.json").exists()
