"""A step in parts, with activations computed again, by another optimizer: compared with the plain step."""

from __future__ import annotations

import copy
import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from favit.components import declared
from favit.sweeps.runs import resolve
from favit.train import accumulate, engine, optimizer, recompute, seeds
from favit.train.distributed import World
from favit.train.life import memory
from favit.train.loop import Trainer
from favit.train.settings import Optimisation
from tests.train.lives import Life, shrink, straight
from tests.train.runs import assert_same_result, envelope


class Nobody:
    """A host of a run that nobody asks to stop."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    from favit.models import favit

    monkeypatch.setattr(favit, "SHAPES", dict(favit.SHAPES))
    shrink()


def built(task: str, **changes: Any) -> Trainer:
    """A run's trainer; Informer without the batch norms of its distilling, which see a part at a time."""
    # A batch that does not divide evenly, and dropout everywhere
    own = {"classification": {"batch_size": 7}, "forecasting": {"batch_size": 23, "model.distil": False}}[
        task
    ]
    run = envelope(task, **{"ema": 0.0, "clip_grad": 0.0, **own, **changes})["run"]
    return engine.trainer(run, Path("data"), torch.device("cpu"), World(), 0, Nobody())  # type: ignore[arg-type]


def gradients(trainer: Trainer) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of the run's first step."""
    found: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        found.update(
            {n: p.grad.clone() for n, p in trainer.task.model.named_parameters() if p.grad is not None}
        )

    trainer.learner._optimizer.register_step_pre_hook(keep)
    trainer.task.model.train()
    for batch, examples in trainer.task.batches(trainer.task.order.epoch(0, 0, World(), trainer.device), 0):
        return trainer.learner.step(batch, examples, 0), found
    raise AssertionError


@pytest.mark.parametrize("at_once", [1, 3, 6])
@pytest.mark.parametrize("aggregator", ["probsparse", "full"])
def test_a_step_in_parts_is_the_undivided_step(task: str, at_once: int, aggregator: str) -> None:
    """Dropout, stochastic depth, sampled keys and all of augmentation included."""
    if task == "classification":
        aggregator = {"probsparse": "probsparse", "full": "max_pool"}[aggregator]
    loss, whole = gradients(built(task, aggregator=aggregator))
    in_parts, parts = gradients(built(task, aggregator=aggregator, micro_batch_size=at_once))
    torch.testing.assert_close(in_parts, loss)
    assert parts.keys() == whole.keys()
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    for name, gradient in whole.items():  # some are zero but for rounding
        torch.testing.assert_close(parts[name], gradient, atol=1e-5 * largest, rtol=1e-3)


def test_other_masks_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above fails where each part draws for itself."""
    _, whole = gradients(built("forecasting"))
    monkeypatch.setattr(accumulate, "as_of_the_whole", lambda *_: nullcontext())
    _, parts = gradients(built("forecasting", micro_batch_size=6))
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    assert any(not torch.allclose(parts[n], g, atol=1e-2 * largest) for n, g in whole.items())


DRAWS: dict[str, Any] = {
    "dropout": lambda x: nn.functional.dropout(x, 0.5),
    "dropout, channels last": lambda x: nn.functional.dropout(
        x.contiguous(memory_format=torch.channels_last), 0.5
    ),
    "feature dropout": lambda x: nn.functional.dropout2d(x, 0.5),
    "windows": lambda x: nn.functional.dropout(x.reshape(-1, 2, 4), 0.5).reshape(x.shape),
    "rand": lambda x: x * torch.rand(x.shape[0], 1, 1, 1),
    "rand_like": lambda x: x + torch.rand_like(x),
    "randn": lambda x: x + torch.randn(x.shape),
    "normal_": lambda x: x + torch.empty_like(x).normal_(),
    "randint": lambda x: x + torch.randint(9, x.shape),
    "native_dropout": lambda x: torch.native_dropout(x, 0.25, True)[0],
    "shared": lambda x: x + torch.rand(5, 1)[:4],  # 5: neither of 4 nor of 3 examples
    "attention": lambda x: nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    "attention without dropout": lambda x: nn.functional.scaled_dot_product_attention(x, x, x),
    "own generator": lambda x: x + torch.rand(4, 4, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_each_part_gets_its_rows_of_what_is_drawn_for_all(draw: str) -> None:
    x = torch.randn(7, 3, 4, 4)
    torch.manual_seed(5)
    whole = DRAWS[draw](x)
    found = []
    for part in accumulate.parts(7, 4):
        torch.manual_seed(5)
        with accumulate.as_of_the_whole(part, 7):
            found.append(DRAWS[draw](x[part]))
    torch.testing.assert_close(torch.cat(found), whole, atol=1e-6 if "attention" in draw else 0, rtol=0)


def test_what_cannot_be_drawn_for_all_is_refused() -> None:
    with (
        pytest.raises(accumulate.CannotSplit, match="multinomial"),
        accumulate.as_of_the_whole(slice(0, 2), 4),
    ):
        torch.multinomial(torch.ones(2, 3), 1)
    with pytest.raises(accumulate.CannotSplit, match="bernoulli"), accumulate.as_of_the_whole(slice(0, 2), 4):
        torch.empty(2, 3).bernoulli_(torch.rand(2, 3, generator=torch.Generator()))


def test_activations_computed_again_are_the_same_bits(task: str) -> None:
    wanted = {"aggregator": "probsparse"}
    loss, kept = gradients(built(task, **wanted))
    again, computed = gradients(built(task, **wanted, activation_checkpointing=True))
    assert torch.equal(loss, again) and kept.keys() == computed.keys()
    for name, gradient in kept.items():
        assert torch.equal(gradient, computed[name]), name
    torch.testing.assert_close(
        gradients(built(task, **wanted, activation_checkpointing=True, micro_batch_size=5))[0], loss
    )


def test_activations_are_really_not_kept() -> None:
    """Fewer bytes are saved for the backward pass; evaluation and averaged weights stay as they are."""
    saved = []
    for again in (False, True):
        trainer, sizes = built("classification", activation_checkpointing=again, ema=0.9), {}

        def note(tensor: Tensor, sizes: dict = sizes) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            gradients(trainer)
        saved.append(sum(sizes.values()))
        assert not any("forward" in vars(m) for m in trainer.learner.scored_model.modules())
    assert saved[1] < 0.8 * saved[0]


def test_a_model_without_blocks_says_so() -> None:
    with pytest.raises(ValueError, match="activation_checkpointing: the model has no blocks"):
        recompute.activations(nn.Sequential(nn.Linear(1, 1)))


@pytest.mark.slow
def test_a_run_in_parts_resumes_and_is_one_of_its_own(tmp_path: Path) -> None:
    wanted = envelope("forecasting", epochs=2, micro_batch_size=100, activation_checkpointing=True)
    straight(tmp_path / "one", wanted)
    straight(tmp_path / "two", wanted)
    assert_same_result(tmp_path / "one", tmp_path / "two")


def test_out_of_memory_names_what_fits(tmp_path: Path) -> None:
    life = Life(tmp_path / "run", envelope("forecasting", epochs=1), prepare=scarce, given=(90,))
    assert life.wait() == 1 and life.output.count("\n") == 1, life.output
    assert (
        "out of memory on cpu with batch_size 256; the largest micro_batch_size that fits is 90"
        in life.output
    )


def test_out_of_memory_in_parts_and_in_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = built("forecasting", batch_size=64, micro_batch_size=32)
    run = {"micro_batch_size": 32, "compile": False}
    monkeypatch.setattr(memory, "_fits", lambda trainer, n: n <= 5)
    assert memory.advice(trainer, run) == (
        "out of memory on cpu with batch_size 64, 32 at a time on each process; "
        "the largest micro_batch_size that fits is 5"
    )
    monkeypatch.setattr(memory, "_fits", lambda trainer, n: True)
    assert "scoring may be what needs more" in memory.advice(trainer, run)
    monkeypatch.setattr(memory, "_fits", lambda trainer, n: False)
    assert "not even one example fits" in memory.advice(trainer, run)
    assert "compile: false" in memory.advice(trainer, {**run, "compile": True})


def scarce(examples: int) -> None:
    """Memory of this process is enough for so many examples."""
    from favit.train.tasks.forecasting import Task

    original = Task.losses

    def losses(self: Task, model: Any, given: Any) -> Tensor:
        if len(given[0]) > examples:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate a lot")
        return original(self, model, given)

    Task.losses = losses  # type: ignore[method-assign]


@pytest.mark.parametrize("limit", [0, 1, 2, 63, 64, 126, 127])
def test_bisection_finds_the_largest(limit: int) -> None:
    assert memory.largest(lambda n: n <= limit, 128) == limit


def test_only_the_generators_that_are_needed_are_seeded() -> None:
    """With the numbers of torch.manual_seed, which seeds every device."""
    seeds.seed_forward(3, "forward", 1, 2, 0, device=torch.device("cpu"))
    ours = torch.rand(8)
    torch.manual_seed(seeds.derive(3, "forward", 1, 2, 0))
    assert torch.equal(ours, torch.rand(8))


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(32, 5), nn.LayerNorm(5))


def take_steps(model: nn.Module, stepper: torch.optim.Optimizer, steps: range) -> None:
    for i in steps:
        x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(i))
        model(x).square().sum().backward()
        stepper.step(), stepper.zero_grad(set_to_none=True)


NAMES = declared.training("classification")["optimizer"].choices


@pytest.mark.parametrize(
    "name",
    [n if n in ("sgd", "lamb", "muon") else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_an_optimizer_goes_on_as_if_there_had_been_no_stop(name: str) -> None:
    model = small_model()
    stepper = optimizer.build(model, Optimisation(optimizer=name, weight_decay=0.1))  # type: ignore[arg-type]
    assert [g["weight_decay"] for g in stepper.param_groups] == [0.1, 0.0]
    take_steps(model, stepper, range(4))
    state, weights = io.BytesIO(), copy.deepcopy(model.state_dict())
    torch.save(stepper.state_dict(), state)
    take_steps(model, stepper, range(4, 8))
    other = small_model()
    other.load_state_dict(weights)
    again = optimizer.build(other, Optimisation(optimizer=name, weight_decay=0.1))  # type: ignore[arg-type]
    again.load_state_dict(torch.load(io.BytesIO(state.getvalue()), weights_only=True))
    take_steps(other, again, range(4, 8))
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two) and bool(one.isfinite().all())


def test_sgd_against_its_definition() -> None:
    """Nesterov's momentum of 0.9 with decay, as torch documents it, by hand."""
    model = nn.Linear(3, 2)
    stepper = optimizer.build(model, Optimisation(optimizer="sgd", lr=0.1, weight_decay=0.01))
    w, b = model.weight.detach().clone(), torch.zeros(2, 3)
    for i in range(3):
        model.weight.grad = torch.full((2, 3), float(i + 1))
        stepper.step()
        g = i + 1 + 0.01 * w
        b = g if i == 0 else 0.9 * b + g
        w = w - 0.1 * (g + 0.9 * b)
    torch.testing.assert_close(model.weight.detach(), w)


def test_todays_two_are_torchs_own() -> None:
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        assert type(optimizer.build(nn.Linear(1, 1), Optimisation(optimizer=name))) is kind  # type: ignore[arg-type]


def test_every_name_is_timms() -> None:
    from timm import optim

    import favit.models  # noqa: F401  # makes timm importable

    known = set(optim.list_optimizers())
    assert set(NAMES) <= known
    left_out = {n for n in known - set(NAMES) if not n.startswith(("fused", "bnb"))}
    assert left_out == {"adahessian", "kron", "kronc", "kronw"}, "second order; states that are not kept"


BARE = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optimizer": "muonn"}, "did you mean 'muon'"),
        ({"optimizer": "kron"}, "optimizer must be one of 'adamw', 'adam', "),
        ({"micro_batch_size": 4, "compile": True}, r"micro_batch_size \(4\) and compile exclude each other"),
        ({"micro_batch_size": -1}, "micro_batch_size must be at least 0"),
    ],
)
def test_what_does_not_go_is_told_before_anything_runs(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve({**BARE, **changes})


def test_an_optimizer_that_cannot_be_made_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from timm import optim

    import favit.models  # noqa: F401

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("needs\na GPU")

    monkeypatch.setattr(optim, "create_optimizer_v2", refuse)
    with pytest.raises(ValueError, match="optimizer 'lamb' cannot be made: AssertionError: needs a GPU"):
        optimizer.build(nn.Linear(1, 1), Optimisation(optimizer="lamb"))


def test_settings_at_their_neutral_value_are_no_other_run() -> None:
    from favit.identity.settings import settings_digest

    plain = dict(resolve(BARE).settings)
    assert plain["micro_batch_size"] == 0 and plain["activation_checkpointing"] is False
    before = {k: v for k, v in plain.items() if k not in ("micro_batch_size", "activation_checkpointing")}
    assert settings_digest(plain) == settings_digest(before)
    assert settings_digest({**plain, "micro_batch_size": 32}) != settings_digest(before)


@pytest.mark.slow
def test_timms_optimizers_are_part_of_the_runs_that_name_one(tmp_path: Path) -> None:
    """A forecaster counts timm and its maker with one of timm's, and neither with Adam; it trains with both."""
    from favit.identity.fingerprint import Fingerprinter

    run = envelope("forecasting", epochs=1)["run"]
    fingerprinter = Fingerprinter(tmp_path)
    for name, counted in (("adam", False), ("lamb", True)):
        wanted = resolve({**run, "optimizer": name})
        assert ("favit.train.optimizers.of_timm" in fingerprinter.program(wanted).modules) == counted
        assert ("timm" in fingerprinter.fingerprint(wanted).versions) == counted
    life = Life(tmp_path / "run", dict(resolve({**run, "optimizer": "lamb"}).settings))
    assert life.wait() == 0, life.output
