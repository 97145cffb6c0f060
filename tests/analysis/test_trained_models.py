"""What trained models keep and what their encodings have become: against loops and known tables."""

from __future__ import annotations

import csv
import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from favit.aggregators.probsparse import Aggregator
from favit.analysis import kept_keys, trained_encodings
from favit.analysis._trained_images import load
from favit.components.declared import training_defaults
from favit.encodings.sinusoidal import Encoding as Sinusoidal
from favit.models import favit, informer

IMAGES = {
    **training_defaults("classification"),
    "dataset": "digits",
    "model": "favit_b0",
    "aggregator": "probsparse",
    "encoding": "none",
    "image_size": 32,  # the first stage's map is 8 x 8: four windows of dilation 1, padded
    "limit_test": 4,
}
SERIES = {
    "dataset": "seattle_weather",
    "model": "informer",
    "aggregator": "full",
    "encoding": "learned",
    "input_length": 12,
    "label_length": 6,
    "horizon": 3,
    "model.d_model": 8,
    "model.n_heads": 2,
    "model.d_ff": 8,
}


def kept(folder: Path, run: dict[str, Any], model: torch.nn.Module) -> Path:
    """What a training that keeps its weights leaves, without the training."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"run": run, "metrics": {"top1": 10.0}}))
    torch.save(model.state_dict(), folder / "weights.pt")
    return folder


def image_run(folder: Path, **changes: Any) -> Path:
    run = {**IMAGES, **changes}
    torch.manual_seed(0)
    return kept(folder, run, favit.build(run, {"classes": 10}))


def test_apart_is_the_mean_over_pairs() -> None:
    points = torch.randn(3, 6, 2, dtype=torch.float64)
    pairs = [math.dist(a, b) for some in points.tolist() for a, b in combinations(some, 2)]
    assert kept_keys.apart(points) == pytest.approx(sum(pairs) / len(pairs))


def test_what_is_kept_is_measured_where_it_lies_on_the_map(tmp_path: Path) -> None:
    """By loops over images and the 49 kept places: where they are on the map, padding folded back."""
    trained = load(image_run(tmp_path / "run"), tmp_path, torch.device("cpu"))
    first, *_ = rows = kept_keys.measure(trained)
    assert [(row["layer"], row["windows"]) for row in rows] == [(f"stages.0.blocks.{b}", 4) for b in (0, 1)]
    block = trained.model.stages[0].blocks[0].attn
    seen: list[Any] = []

    def note(aggregator: Aggregator, inputs: tuple[Any, ...]) -> None:
        samples, queries, key_map, grid = inputs
        flat = samples.permute(0, 3, 2, 1, 4).flatten(1, 2)
        weight, bias = key_map()
        for image, places in enumerate(aggregator.select(flat, queries, key_map, grid)[:, 0].tolist()):
            tokens, keys = [], []
            for place in places:
                row, column = divmod(place, 14)
                tokens.append(tuple(n if n < 8 else 14 - n for n in (row, column)))
                at = samples[image, 0, row % 7 * 7 + column % 7, row // 7 * 2 + column // 7]
                keys.append((weight @ at + bias).double().tolist())
            seen.append((tokens, keys))

    block.aggregators[0].register_forward_pre_hook(note)
    for x, _ in trained.batches():
        trained.logits(x)
    assert len(seen) == 4

    def mean(sets: list[list[Any]]) -> float:
        return sum(math.dist(a, b) for some in sets for a, b in combinations(some, 2)) / (len(sets) * 49 * 24)

    assert first["kept_tokens_apart"] == pytest.approx(mean([tokens for tokens, _ in seen]))
    assert first["kept_keys_apart"] == pytest.approx(mean([keys for _, keys in seen]), rel=1e-4)
    assert first["kept_distinct"] == sum(len(set(tokens)) for tokens, _ in seen) / 4
    assert first["tokens_apart_ratio"] == pytest.approx(
        first["kept_tokens_apart"] / first["random_tokens_apart"]
    )


@pytest.mark.slow
def test_kept_keys_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    run = image_run(tmp_path / "run")
    assert kept_keys.main([str(run), "--images", "2", "--out", str(out), "--device", "cpu"]) == 0
    with (out / "kept-keys.csv").open() as file:
        assert {row["images"] for row in csv.DictReader(file)} == {"2"}
    capsys.readouterr()
    assert kept_keys.main([str(image_run(tmp_path / "pool", aggregator="max_pool"))]) == 1
    assert "give one of probsparse" in capsys.readouterr().err


def test_correlation_by_distance_is_a_loop_over_pairs() -> None:
    table = torch.randn(3, 4, 6, dtype=torch.float64)
    found: dict[int, list[float]] = {}
    for a in range(12):
        for b in range(12):
            (i, j), (k, m) = divmod(a, 4), divmod(b, 4)
            r = torch.corrcoef(torch.stack((table[i, j], table[k, m])))[0, 1].item()
            found.setdefault(round(math.dist((i, j), (k, m))), []).append(r)
    ours = trained_encodings.by_distance(table)
    assert ours.keys() == found.keys()
    for distance, values in found.items():
        assert ours[distance] == pytest.approx(sum(values) / len(values))


def test_a_learned_table_that_has_become_sinusoids_lies_on_theirs(tmp_path: Path) -> None:
    model = informer.build(SERIES, {"variables": 4, "time_features": 3})
    with torch.no_grad():
        model.enc_embedding.encoding.table.copy_(Sinusoidal(8).compute(12))
    rows = trained_encodings.rows_of(kept(tmp_path / "run", SERIES, model))
    assert {row["place"] for row in rows} == {"enc_embedding", "dec_embedding"}
    assert {row["encoding"] for row in rows} == {"learned", "learned, untrained", "sinusoidal", "legendre"}

    def line(place: str, encoding: str) -> list[float]:
        return [r["correlation"] for r in rows if (r["place"], r["encoding"]) == (place, encoding)]

    assert len(line("enc_embedding", "learned")) == 12
    assert line("enc_embedding", "learned") == pytest.approx(line("enc_embedding", "sinusoidal"), abs=1e-6)
    assert line("dec_embedding", "learned") != pytest.approx(line("dec_embedding", "sinusoidal"), abs=1e-2)


@pytest.mark.slow
def test_trained_encodings_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [image_run(tmp_path / "images", encoding="learned")]
    runs.append(
        kept(tmp_path / "series", SERIES, informer.build(SERIES, {"variables": 4, "time_features": 3}))
    )
    assert trained_encodings.main([*map(str, runs), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "encodings-trained.csv").open() as file:
        places = {(row["place"], row["positions"]) for row in csv.DictReader(file)}
    assert {
        ("stages.0", "8 x 8"),
        ("stages.3", "1 x 1"),
        ("enc_embedding", "12"),
        ("dec_embedding", "9"),
    } <= places
    capsys.readouterr()
    assert trained_encodings.main([str(image_run(tmp_path / "none"))]) == 1
    assert "give one of the encoding learned" in capsys.readouterr().err
