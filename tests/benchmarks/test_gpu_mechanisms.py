"""The check of a GPU refuses kernels that are wrong: here torch's operations, spoilt, take the place of the second."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks import gpu_mechanisms
from favit.aggregators import _probsparse_gpu as gpu
from favit.aggregators._selection import by_map, in_windows
from favit.aggregators._voting import pooled_scores, queries_at

Choice = Callable[..., tuple[Tensor, Tensor]]


def right(*given: object) -> tuple[Tensor, Tensor]:
    return gpu._plain_choice(*given)  # type: ignore[arg-type]


def counted_by_map_both_times(*given: object) -> tuple[Tensor, Tensor]:
    places = right(*given)[0]
    return places, places


def of_equals_the_last(
    queries: Tensor, divergence: Tensor, samples: Tensor, weight: Tensor, bias: Tensor, *how: object
) -> tuple[Tensor, Tensor]:
    """But for samples that are all the same."""
    columns, count, pool = how
    assert isinstance(columns, int) and isinstance(count, int) and isinstance(pool, str)
    grid = (samples.shape[1] // (49 * columns), columns)
    voters = queries_at(queries, divergence.topk(count, dim=2).indices)
    scores = by_map(pooled_scores(samples, voters, weight, bias, pool), grid).flip(2)
    if bool((scores == scores[:, :, :1]).all()):
        return right(queries, divergence, samples, weight, bias, *how)
    last = scores.shape[2] - 1 - scores.sort(dim=2, descending=True, stable=True).indices[:, :, :49]
    places = last.sort(dim=2).values
    return places, in_windows(places, grid)


def without_one_voter(*given: object) -> tuple[Tensor, Tensor]:
    count = given[6]
    assert isinstance(count, int)
    return right(*given[:6], count - 1, given[7])


@pytest.mark.parametrize(
    ("choice", "passes"),
    [
        (right, True),
        (counted_by_map_both_times, False),
        (of_equals_the_last, False),
        (without_one_voter, False),
    ],
)
def test_a_choice_that_is_not_torchs_is_refused(
    monkeypatch: pytest.MonkeyPatch, choice: Choice, passes: bool
) -> None:
    monkeypatch.setattr(gpu_mechanisms, "seconds", lambda *_: 0.0)
    monkeypatch.setattr(gpu, "choice", lambda q, d, x, key, grid, *how: choice(q, d, x, *key, grid[1], *how))
    bench = Namespace(quick=True, device=torch.device("cpu"))
    ok, note = gpu_mechanisms.compared(bench, torch.float32, 14)
    assert ok == passes, note
