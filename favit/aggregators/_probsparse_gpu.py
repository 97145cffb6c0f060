"""Two operations that ProbSparse fusion takes on a GPU, one launch each, in place of twenty of torch's.

They are registered with torch as ``favit::kl_attention_uniform`` and ``favit::highest_scores``, so that compiled
code and whoever counts operations sees them as such. On CUDA they are kernels (``_probsparse_triton.py``); where these
cannot be made, which one warning says, and on other devices they are torch's operations, equal up to rounding. What
they return is contiguous either way, which compiled code relies on. Neither has a gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from favit.aggregators._contract import Grid
from favit.aggregators._selection import full, in_windows, top
from favit.aggregators._voting import kl_attention_uniform_in_few_launches, pooled_scores, queries_at

MOST_KEYS = 128  # that one program of a kernel compares queries with
MOST_CHANNELS = 128  # of a head
MOST_AT_ONCE = 16384  # queries or samples of an image and head, which one program holds in registers

_library = torch.library.Library("favit", "FRAGMENT")
_broken: set[str] = set()  # operations that go without kernels in this process


def serve(queries_bhnc: Tensor, samples_blhc: Tensor, sampled: int) -> bool:
    """Whether the operations are for these queries and samples, and that many sampled keys."""
    few = sampled <= MOST_KEYS and queries_bhnc.shape[3] <= MOST_CHANNELS
    held = max(queries_bhnc.shape[2], samples_blhc.shape[1]) <= MOST_AT_ONCE
    return queries_bhnc.is_cuda and queries_bhnc.dtype != torch.float64 and few and held


def divergence(
    queries_bhnc: Tensor, samples_blhc: Tensor, sample: Tensor, columns: int, weight: Tensor
) -> Tensor:
    """``kl_attention_uniform`` of queries (B, heads, N, c) over keys of sampled places: (B, heads, N).

    ``sample`` (S,) counts samples by row, then column of the map, which has 7 x ``columns`` columns; ``samples_blhc``
    (B, L, heads, c) has them by window. ``weight`` (c, c) maps a sample to its key; in any precision.
    """
    found: Tensor = torch.ops.favit.kl_attention_uniform(queries_bhnc, samples_blhc, sample, columns, weight)
    return found


def choice(
    queries_bhnc: Tensor,
    divergence_bhn: Tensor,
    samples_blhc: Tensor,
    key_map: tuple[Tensor, Tensor],
    grid: Grid,
    voters: int,
    pool: str,
) -> tuple[Tensor, Tensor]:
    """The 49 samples (B, heads, 49) that score highest with the ``voters`` queries of largest divergence.

    Ascending by map, as ``top`` has them, counted by map first and by window second. Of queries that diverge the same
    the kernel takes the first, torch's operations any.
    """
    asked = (queries_bhnc, divergence_bhn, samples_blhc, *key_map, grid[1], voters, pool)
    found: tuple[Tensor, Tensor] = torch.ops.favit.highest_scores(*asked)
    return found


def _plain_divergence(
    queries_bhnc: Tensor, samples_blhc: Tensor, sample: Tensor, columns: int, weight: Tensor
) -> Tensor:
    grid = (samples_blhc.shape[1] // (49 * columns), columns)
    sampled_blhc = full(samples_blhc.index_select(1, in_windows(sample, grid)))
    keys_bhlc = (sampled_blhc @ weight.T).transpose(1, 2)
    return kl_attention_uniform_in_few_launches(full(queries_bhnc), keys_bhlc).contiguous()


def _plain_choice(
    queries_bhnc: Tensor,
    divergence_bhn: Tensor,
    samples_blhc: Tensor,
    weight: Tensor,
    bias: Tensor,
    columns: int,
    voters: int,
    pool: str,
) -> tuple[Tensor, Tensor]:
    grid = (samples_blhc.shape[1] // (49 * columns), columns)
    voters_bhuc = full(queries_at(queries_bhnc, divergence_bhn.topk(voters, dim=2).indices))
    by_map = top(pooled_scores(full(samples_blhc), voters_bhuc, weight, bias, pool), grid)
    return by_map, in_windows(by_map, grid)


def _with_kernels(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of that name, and torch's operations from the first time on that it cannot be made or started."""

    def run(*arguments: Any) -> Any:
        if name not in _broken:
            try:
                from favit.aggregators import _probsparse_triton

                with torch.cuda.device_of(arguments[0]):  # Triton starts kernels on the current one
                    return getattr(_probsparse_triton, name)(*arguments)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # no compiler, no Triton, no folder to write to, an unknown GPU ...
                _broken.add(name)
                warnings.warn(
                    f"probsparse goes without its kernel '{name}', which is slower and gives the same numbers up to "
                    f"rounding: {type(error).__name__}: {error}",
                    stacklevel=2,
                )
        return plain(*arguments)

    return run


def _register(schema: str, kernel: str, plain: Callable[..., Any]) -> None:
    operation = schema.partition("(")[0]
    if hasattr(torch.ops.favit, operation):
        return  # by this module, imported before and forgotten: torch takes a name once in a process
    _library.define(schema)
    _library.impl(operation, plain, "CompositeExplicitAutograd")
    _library.impl(operation, _with_kernels(kernel, plain), "CUDA")


_register(
    "kl_attention_uniform(Tensor queries, Tensor samples, Tensor sample, int columns, Tensor weight) -> Tensor",
    "divergence",
    _plain_divergence,
)
_register(
    "highest_scores(Tensor queries, Tensor divergence, Tensor samples, Tensor weight, Tensor bias, int columns, "
    "int voters, str pool) -> (Tensor, Tensor)",
    "choice",
    _plain_choice,
)
