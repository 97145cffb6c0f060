"""Looks after every seed, simulated: how often a sweep says what is wrong, and how many runs a difference takes.

A sweep is a baseline and four rows; a row is compared with the baseline after 3, 4 ... 10 seeds until its interval at
the level of favit.analysis.sequential excludes zero. Prints, for paired and unpaired seeds, the share of sweeps in
which some row without any difference is said to differ: where scores vary by seed alone, where test examples add
half of, as much as, or twice the variance that ten seeds leave, where one arm's deviation is double, and where
variances are pooled over all arms; then the share of its ten runs that a row with an effect of some deviations of
its differences takes, and of rows that are within a margin the share that is found so.

    python benchmarks/bench_sequential.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from favit.analysis.sequential import Design
from favit.analysis.statistics import quantile

Floats = NDArray[np.float64]

FIRST, LAST, ROWS = 3, 10, 4
DESIGN = Design(FIRST, LAST, ROWS)


@dataclass(frozen=True)
class World:
    """What is simulated. Deviations are those of one score.

    effect: of every row, in deviations of its paired difference (sqrt 2 where seeds share nothing).
    shared: the part of a score's variance that rows of one seed share.
    examples: variance of an infinitely large test set's difference that the examples at hand add, in units of the
        variance that ten seeds leave. deviations: of the baseline and the rows.
    """

    paired: bool
    effect: float = 0.0
    shared: float = 0.0
    examples: float = 0.0
    deviations: tuple[float, ...] = (1.0,) * (ROWS + 1)
    pooled: bool = False
    margin: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """(sweeps, rows) each: the look that decided (LAST where none did), and what it said."""

    runs: NDArray[np.int64]
    different: NDArray[np.bool_]
    equivalent: NDArray[np.bool_]


TEST_EXAMPLES = 60


def simulate(world: World, sweeps: int, rng: np.random.Generator) -> Outcome:
    """Looks at sweeps drawn from a world until each row is decided."""
    spread = np.asarray(world.deviations)[None, :, None]
    own = rng.standard_normal((sweeps, ROWS + 1, LAST)) * np.sqrt(1 - world.shared)
    common = rng.standard_normal((sweeps, 1, LAST)) * np.sqrt(world.shared)
    scores = spread * (own + common)  # (sweeps, rows + 1, seeds)
    unit = np.sqrt(2 * (1 - world.shared))
    scores[:, 1:] += world.effect * unit
    by_example, noise = _examples(world, sweeps, unit, rng)
    scores += by_example.mean(-1)[..., None] + noise.mean(-1)
    runs = np.full((sweeps, ROWS), LAST)
    different, equivalent = (np.zeros((sweeps, ROWS), bool) for _ in range(2))
    open_rows = np.ones((sweeps, ROWS), bool)
    for n in range(FIRST, LAST + 1):
        estimate, half = look(
            scores[..., :n], by_example[:, :, None] + noise[:, :, :n] if world.examples else None, world
        )
        far = open_rows & (np.abs(estimate) > half)
        near = open_rows & ~far & (np.abs(estimate) + half <= world.margin * unit)
        different |= far
        equivalent |= near
        runs[far | near] = n
        open_rows &= ~(far | near)
    return Outcome(runs, different, equivalent)


def _examples(world: World, sweeps: int, unit: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Each row's own deviation by test example (sweeps, rows + 1, K), and what each seed adds to it by chance."""
    shape = (sweeps, ROWS + 1, TEST_EXAMPLES if world.examples else 1)
    if not world.examples:
        return np.zeros(shape), np.zeros((*shape[:2], LAST, 1))
    deviation = np.sqrt(world.examples * unit**2 / LAST / 2 * TEST_EXAMPLES)
    noise = rng.standard_normal((*shape[:2], LAST, TEST_EXAMPLES)) * deviation
    # A seed's mean over examples is in its score already: what is left here is interaction alone.
    return rng.standard_normal(shape) * deviation, noise - noise.mean(-1, keepdims=True)


def look(scores: Floats, examples: Floats | None, world: World) -> tuple[Floats, Floats]:
    """Estimate and half-width (sweeps, rows) after n seeds: scores (sweeps, rows + 1, n), examples (..., n, K).

    The formulas of favit.analysis.statistics for many sweeps at once; the tests hold one to the other.
    """
    n, level = scores.shape[-1], DESIGN.level
    estimate = scores[:, 1:].mean(-1) - scores[:, :1].mean(-1)
    if world.paired:
        variance = (scores[:, 1:] - scores[:, :1]).var(-1, ddof=1) / n
        half2 = quantile(level, n - 1) ** 2 * variance
    else:
        each = scores.var(-1, ddof=1) / n
        row, base = each[:, 1:], each[:, :1]
        df = (row + base) ** 2 / (row**2 + base**2) * (n - 1)
        if world.pooled:
            row = base = each.mean(1, keepdims=True)
            df = np.full_like(row, (n - 1) * each.shape[1])
        half2 = quantile(level, df) ** 2 * (row + base)
    if examples is not None:
        half2 = half2 + quantile(level, examples.shape[-1] - 1) ** 2 * _example_variance(
            examples, world.paired
        )
    return estimate, np.sqrt(half2)


def _example_variance(examples: Floats, paired: bool) -> Floats:
    if paired:
        mean, interaction = _two_way(examples[:, 1:] - examples[:, :1])
    else:
        each, noise = _two_way(examples)
        mean, interaction = each[:, 1:] - each[:, :1], noise[:, 1:] + noise[:, :1]
    return np.maximum(0, mean.var(-1, ddof=1) - interaction) / examples.shape[-1]


def _two_way(x: Floats) -> tuple[Floats, Floats]:
    n, count = x.shape[-2:]
    by_example, by_seed = x.mean(-2), x.mean(-1)
    rest = x - by_example[..., None, :] - by_seed[..., :, None] + x.mean((-1, -2))[..., None, None]
    return by_example, (rest**2).sum((-1, -2)) / ((n - 1) * (count - 1)) / n


def wrong(world: World, sweeps: int, rng: np.random.Generator, at_once: int = 500) -> float:
    """The share of sweeps without a difference in which some row is said to have one."""
    parts = [simulate(world, at_once, rng).different.any(1) for _ in range(sweeps // at_once)]
    return float(np.mean(np.concatenate(parts)))


def worlds(examples: Sequence[float] = (0.0, 0.5, 1.0, 2.0)) -> dict[str, World]:
    """Those without a difference, by name; each paired and unpaired."""
    doubled = {"one row's deviation doubled": 1, "the baseline's deviation doubled": 0}
    found = {}
    for paired in (True, False):
        how, plain = ("paired" if paired else "unpaired"), World(paired)
        for part in examples:
            found[f"{how}, examples {part}"] = replace(plain, examples=part)
        found[f"{how}, half of the variance shared"] = replace(plain, shared=0.5)
        for name, arm in doubled.items():
            deviations = tuple(2.0 if i == arm else 1.0 for i in range(ROWS + 1))
            found[f"{how}, {name}"] = replace(plain, deviations=deviations)
            if not paired:
                found[f"pooled over arms, {name}"] = replace(plain, deviations=deviations, pooled=True)
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the sweeps")
    sweeps = 1_000 if parser.parse_args().quick else 10_000
    rng = np.random.default_rng(1)
    print(f"level of each look, {ROWS} comparisons, {FIRST} to {LAST} seeds: {DESIGN.level:.6f}")
    print("share of sweeps in which some row without a difference is said to differ")
    for name, world in worlds().items():
        more = f", of {10 * sweeps}: {wrong(world, 10 * sweeps, rng):.4f}" if not world.examples else ""
        print(f"  {name}: {wrong(world, sweeps, rng):.4f}{more}", flush=True)
    print(f"an effect, in deviations of its differences: share of {LAST} runs that it takes, share found")
    for effect in (1.0, 1.5, 2.0, 3.0, 4.0):
        for paired in (True, False):
            found = simulate(World(paired, effect=effect), sweeps, rng)
            how = "paired" if paired else "unpaired"
            print(
                f"  {effect} {how}: {found.runs.mean() / LAST:.3f} {found.different.mean():.3f}", flush=True
            )
    print("no effect, margin in deviations of differences: share of runs, share found equivalent")
    for margin in (1.0, 1.5, 2.0, 3.0):
        for paired in (True, False):
            found = simulate(World(paired, margin=margin), sweeps, rng)
            how = "paired" if paired else "unpaired"
            print(
                f"  {margin} {how}: {found.runs.mean() / LAST:.3f} {found.equivalent.mean():.3f}", flush=True
            )


if __name__ == "__main__":
    main()
