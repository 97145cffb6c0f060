"""What timm's users expect of a model."""

import argparse
import pickle
import subprocess
import sys

import pytest
import torch

import favit.models  # noqa: F401  (before timm: makes the models known to it)

# isort: split

import timm

from favit.components import registry
from favit.models.favit import SHAPES, build

ENCODINGS = [name for name in registry.names("encodings") if registry.load("encodings", name).IMAGES]
RUN = {
    "model": "favit_b0",
    "aggregator": "probsparse",
    "encoding": "none",
    "image_size": 64,
    "drop_path": 0.1,
}


def create(variant="favit_b0", **settings):
    return timm.create_model(
        variant, **{"num_classes": 10, "img_size": 64, "aggregator": "max_pool", **settings}
    )


def test_timm_lists_all_variants():
    assert timm.list_models("favit*") == sorted(SHAPES)


@pytest.mark.parametrize(
    "first",
    [
        "favit.models, timm",
        pytest.param("favit.models, timm.models", marks=pytest.mark.slow),
        pytest.param("favit.models.favit, timm", marks=pytest.mark.slow),
    ],
)
def test_timm_knows_the_models_whoever_is_imported_first(first):
    code = f"import {first}; import timm; print(*timm.list_models('favit*'))"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.split() == sorted(SHAPES), done.stderr


def test_a_forecaster_loads_neither_timm_nor_favit():
    code = "import sys, favit.models.informer; print([m for m in ('timm', 'favit.models.favit') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_create_model_takes_aggregator_and_encoding():
    model = create(num_classes=100, aggregator="probsparse", encoding="none")
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 100)


def test_features_only_gives_the_four_maps():
    model = create(features_only=True)
    assert model.feature_info.channels() == [32, 64, 128, 256]
    assert model.feature_info.reduction() == [4, 8, 16, 32]
    maps = model(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 256, 2, 3)]
    assert [
        tuple(m.shape[2:]) for m in create(features_only=True, out_indices=(1, 3))(torch.randn(1, 3, 64, 64))
    ] == [
        (8, 8),
        (2, 2),
    ]


def test_features_then_head_is_forward():
    model, images = create().eval(), torch.randn(2, 3, 64, 64)
    features = model.forward_features(images)
    assert features.shape == (2, model.num_features, 2, 2)
    assert torch.equal(model.forward_head(features), model(images))
    pre_logits = model.forward_head(features, pre_logits=True)
    torch.testing.assert_close(pre_logits, features.mean((2, 3)))
    torch.testing.assert_close(model.get_classifier()(pre_logits), model(images))


def test_reset_classifier():
    model, images = create().eval(), torch.randn(2, 3, 64, 64)
    model.reset_classifier(5)
    assert model(images).shape == (2, 5)
    model.reset_classifier(0)
    assert model(images).shape == (2, 256)
    model.reset_classifier(0, global_pool="")
    assert model(images).shape == (2, 256, 2, 2)


def test_drop_path_rises_to_the_rate_given():
    rates = [
        getattr(b.drop_path, "drop_prob", 0.0) for s in create(drop_path_rate=0.2).stages for b in s.blocks
    ]
    assert rates == pytest.approx([0.2 * i / 11 for i in range(12)])


def test_drop_path_changes_training_only():
    torch.manual_seed(0)
    model, images = create(drop_path_rate=0.5), torch.randn(2, 3, 64, 64)
    assert torch.equal(model.eval()(images), model(images))
    assert not torch.equal(model.train()(images), model(images))


def test_checkpointing_recomputes_every_block():
    model, images, calls = create().train(), torch.randn(2, 3, 64, 64), []
    for stage in model.stages:
        for block in stage.blocks:
            block.norm1.register_forward_hook(lambda *_: calls.append(1))
    model.set_grad_checkpointing()
    model(images).sum().backward()
    assert len(calls) == 24
    model.set_grad_checkpointing(False)
    calls.clear()
    model(images).sum().backward()
    assert len(calls) == 12


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_only_what_encodings_learn_is_kept_from_decay(encoding):
    model = create(encoding=encoding)
    matrices = {name for name, p in model.named_parameters() if p.ndim > 1}
    assert model.no_weight_decay() & matrices == {name for name in matrices if "encoding" in name}
    assert model.no_weight_decay() <= {name for name, _ in model.named_parameters()}
    assert bool(model.no_weight_decay()) == (encoding == "learned")


def test_layer_groups_cover_every_parameter():
    model = create()
    groups = timm.models.group_parameters(model, model.group_matcher())
    grouped = [name for names in groups.values() for name in names]
    assert sorted(grouped) == sorted(name for name, _ in model.named_parameters())
    first = [i for i, names in groups.items() if "stages.0.blocks.0.attn.q.weight" in names]
    last = [i for i, names in groups.items() if "head.weight" in names]
    assert first < last


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [(64, 64), (32, 57), (75, 96)])
def test_encodings_work_at_any_size_and_matter(encoding, size):
    torch.manual_seed(0)
    model, images = create(encoding=encoding).eval(), torch.randn(2, 3, *size)
    logits = model(images)
    assert logits.shape == (2, 10) and logits.isfinite().all()
    for stage in model.stages:
        stage.encoding = None
    assert torch.equal(model(images), logits) == (encoding == "none")


@pytest.mark.parametrize("size", [(32, 32), (33, 95), (96, 96), (112, 64), (40, 200)])
@pytest.mark.parametrize("aggregator", registry.names("aggregators"))
def test_any_size_from_32_pixels(aggregator, size):
    model = create(aggregator=aggregator, img_size=size)
    logits = model(torch.randn(2, 3, *size))
    logits.sum().backward()
    assert logits.shape == (2, 10) and logits.isfinite().all()


@pytest.mark.parametrize("aggregator", ["published", "avg_pool", "max_pool", "probsparse"])
def test_built_for_one_size_works_the_same_at_another(aggregator):
    torch.manual_seed(0)
    model = create(aggregator=aggregator, img_size=96).eval()
    there = create(aggregator=aggregator, img_size=64).eval()
    there.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model(images), there(images))


@pytest.mark.parametrize("aggregator", ["linear", "pointwise_conv"])
def test_learned_fusion_says_which_size_it_is_for(aggregator):
    with pytest.raises(ValueError, match="img_size"):
        create(aggregator=aggregator)(torch.randn(1, 3, 128, 128))


@pytest.mark.parametrize(
    ("settings", "images", "named"),
    [
        ({"aggregator": "maxpool"}, None, "max_pool"),
        ({"encoding": "sinusoid"}, None, "sinusoidal"),
        ({"encoding": "temporal"}, None, "none, sinusoidal|learned, legendre"),
        ({"img_size": 31}, None, "32"),
        ({}, (1, 1, 64, 64), r"channels = 3; got \(1, 1, 64, 64\)"),
        ({}, (1, 3, 64, 31), "32"),
    ],
)
def test_a_mistake_is_answered_with_what_is_allowed(settings, images, named):
    with pytest.raises(ValueError, match=named):
        model = create(**settings)
        model(torch.randn(*images))


@pytest.fixture
def published_file(tmp_path, published_weights):
    """A file as the authors' training writes it: weights beside the arguments of the run."""
    file = tmp_path / "favit_b0.pth"
    torch.save({"model": published_weights, "epoch": 299, "args": argparse.Namespace(lr=1e-3)}, file)
    return file


def test_a_published_file_loads_through_timm(published_file, published_weights):
    model = timm.create_model(
        "favit_b0",
        pretrained=True,
        aggregator="published",
        pretrained_cfg_overlay={"file": str(published_file)},
    )
    assert torch.equal(model.stages[0].embed.proj.bias, published_weights["patch_embed1.proj.bias"])
    smaller = create(pretrained=True, pretrained_cfg_overlay={"file": str(published_file)})
    assert smaller.head.weight.shape == (10, 256)
    assert torch.equal(smaller.stages[3].norm.weight, published_weights["norm4.weight"])


class Danger:
    """Unpickling it would call something."""

    def __reduce__(self):
        return (print, ("unpickled",))


def test_a_file_with_anything_else_is_refused(tmp_path, capsys):
    torch.save({"model": {}, "args": Danger()}, tmp_path / "bad.pth")
    with pytest.raises((RuntimeError, pickle.UnpicklingError), match=r"(?i)weights.only"):
        create(pretrained=True, pretrained_cfg_overlay={"file": str(tmp_path / "bad.pth")})
    assert "unpickled" not in capsys.readouterr().out
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_build_reads_a_run():
    model = build({**RUN, "aggregator.factor": 5, "aggregator.measure": "exact"}, {"classes": 12})
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 12)
    fuse = model.stages[0].blocks[0].attn.aggregators[0]
    assert (fuse.factor, fuse.measure) == (5, "exact")
    assert model.stages[3].blocks[1].drop_path.drop_prob == pytest.approx(0.1)
