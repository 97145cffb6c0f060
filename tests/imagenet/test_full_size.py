"""FaViT at ImageNet's size: one whole training step of 224 x 224 pixels and 1,000 classes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from favit.components import declared
from favit.components.literals import literals
from favit.train import build, optimizer
from favit.train.settings import Optimisation, parse

FACTS = literals("data", "imagenet1k")["FACTS"]


@pytest.mark.slow
@pytest.mark.parametrize("aggregator", ["max_pool", "probsparse"])
@pytest.mark.parametrize(("model", "parameters"), [("favit_b0", 3.4e6), ("favit_b2", 24.9e6)])
def test_a_step_moves_every_weight(model: str, parameters: float, aggregator: str) -> None:
    defaults = declared.training_defaults("classification")
    run = {**defaults, "model": model, "aggregator": aggregator, "encoding": "none", "drop_path": 0.1}
    network = build.model(run, FACTS, torch.device("cpu")).train()
    count = sum(p.numel() for p in network.parameters())
    assert count == pytest.approx(parameters, rel=0.1)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    steps = optimizer.build(network, parse(Optimisation, run))
    torch.manual_seed(0)
    logits = network(torch.randn(2, 3, 224, 224))
    assert logits.shape == (2, 1000)
    loss = cross_entropy(logits, torch.tensor([3, 997]))
    assert loss.isfinite()
    loss.backward()
    steps.step()
    still = [name for name, p in network.named_parameters() if torch.equal(p, before[name])]
    assert not still
