"""Each encoding against its formula, written out one entry at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import legendre as npl

from favit.components import registry
from favit.encodings.learned import Encoding as Learned
from favit.encodings.legendre import Encoding as Legendre
from favit.encodings.legendre import legendre
from favit.encodings.sinusoidal import Encoding as Sinusoidal

NAMES = registry.names("encodings")


def make(name: str, dim: int, **size: object) -> torch.nn.Module:
    return registry.load("encodings", name).Encoding(dim, **size)


@pytest.mark.parametrize("name", NAMES)
def test_declares_where_it_may_be_used(name: str) -> None:
    module = registry.load("encodings", name)
    for flag in ("IMAGES", "SERIES", "TIME", "ADDS_POSITION"):
        assert isinstance(getattr(module, flag), bool)


@pytest.mark.parametrize("name", ["none", "sinusoidal", "legendre"])
def test_the_kept_table_is_the_computed_one(name: str) -> None:
    torch.testing.assert_close(make(name, 6, length=7)(7), make(name, 6, length=3)(7))
    torch.testing.assert_close(make(name, 6, grid=(2, 4))(2, 4), make(name, 6)(2, 4))


@pytest.mark.parametrize("name", ["sinusoidal", "legendre"])
def test_fixed_tables_are_in_no_checkpoint(name: str) -> None:
    assert not make(name, 6, length=7).state_dict()


@pytest.mark.parametrize("name", ["sinusoidal", "legendre"])
def test_an_image_takes_half_the_channels_for_each_axis(name: str) -> None:
    rows, cols, dim = 3, 5, 8
    table = make(name, dim)(rows, cols).reshape(rows, cols, dim)
    along_rows, along_cols = make(name, dim // 2)(rows), make(name, dim // 2)(cols)
    for r in range(rows):
        for c in range(cols):
            torch.testing.assert_close(table[r, c], torch.cat((along_rows[r], along_cols[c])))


@pytest.mark.parametrize("name", ["sinusoidal", "legendre"])
def test_an_image_needs_an_even_number_of_channels(name: str) -> None:
    with pytest.raises(ValueError, match="even number of channels"):
        make(name, 7, grid=(2, 2))


@pytest.mark.parametrize("name", ["none", "temporal"])
def test_absent_encodings_add_nothing(name: str) -> None:
    assert not registry.load("encodings", name).ADDS_POSITION
    assert make(name, 4)(5).count_nonzero() == 0


def test_time_without_an_image() -> None:
    with pytest.raises(ValueError, match="series"):
        make("temporal", 4)(2, 2)


@pytest.mark.parametrize(("length", "dim"), [(1, 2), (6, 8), (99, 7)])
def test_sinusoids_by_hand(length: int, dim: int) -> None:
    by_hand = torch.empty(length, dim, dtype=torch.float64)
    for pos in range(length):
        for i in range(dim):
            angle = pos / 10_000 ** ((i - i % 2) / dim)
            by_hand[pos, i] = math.cos(angle) if i % 2 else math.sin(angle)
    torch.testing.assert_close(Sinusoidal(dim).compute(length), by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("length", "dim"), [(1, 4), (2, 4), (96, 33)])
def test_legendre_order_is_the_position(length: int, dim: int) -> None:
    """PoPE, Eq. 14: PE(pos, i) = P_pos(-1 + 2 i / dim), against numpy's Clenshaw evaluation."""
    x = np.array([-1 + 2 * i / dim for i in range(dim)])
    expected = np.stack([npl.legval(x, [0] * pos + [1]) for pos in range(length)])
    np.testing.assert_allclose(Legendre(dim).compute(length).numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("length", "dim"), [(5, 4), (64, 32)])
def test_legendre_order_along_the_channels(length: int, dim: int) -> None:
    x = np.linspace(-1, 1, length)
    expected = np.stack([npl.legval(x, [0] * i + [1]) for i in range(dim)], axis=1)
    table = Legendre(dim, order_along="channel").compute(length)
    np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("order_along", ["position", "channel"])
def test_normalised_legendre_is_each_order_times_its_root(order_along: str) -> None:
    plain = Legendre(12, order_along=order_along).compute(9)
    normalised = Legendre(12, order_along=order_along, normalise=True).compute(9)
    for pos in range(9):
        for i in range(12):
            n = pos if order_along == "position" else i
            expected = math.sqrt(2 * n + 1) * plain[pos, i].item()
            assert normalised[pos, i].item() == pytest.approx(expected, abs=1e-12)


def test_normalising_takes_the_scale_out_of_the_order() -> None:
    """Over enough channels the root mean square is that over [-1, 1]: 1 normalised, 1 / sqrt(2n + 1) else."""
    rms = Legendre(4096).compute(64).square().mean(1).sqrt()
    torch.testing.assert_close(rms[0].item(), 1.0)
    expected = 1 / (2 * torch.arange(64, dtype=torch.float64) + 1).sqrt()
    torch.testing.assert_close(rms, expected, rtol=0.02, atol=0)
    rms = Legendre(4096, normalise=True).compute(64).square().mean(1).sqrt()
    torch.testing.assert_close(rms, torch.ones_like(rms), rtol=0.02, atol=0)


def test_legendre_polynomials_are_orthogonal() -> None:
    """Gauss-Legendre quadrature of n nodes is exact to degree 2n - 1: <P_m, P_n> = 2 / (2n + 1) if m = n, else 0."""
    orders = 96
    nodes, weights = npl.leggauss(orders)
    p = legendre(orders, torch.from_numpy(nodes))
    gram = (p * torch.from_numpy(weights)) @ p.T
    expected = torch.diag(2 / (2 * torch.arange(orders, dtype=torch.float64) + 1))
    assert (gram - expected).abs().max() < 1e-10


def test_legendre_by_position_does_not_depend_on_the_length() -> None:
    encoding = Legendre(16)
    torch.testing.assert_close(encoding.compute(10), encoding.compute(40)[:10], rtol=0, atol=0)


def test_legendre_names_its_choices() -> None:
    with pytest.raises(ValueError, match=r"position.*channel"):
        Legendre(8, order_along="row")


def test_learned_is_its_parameter_and_receives_a_gradient() -> None:
    encoding = Learned(4, length=6)
    encoding(6)[2].sum().backward()
    assert encoding.table.grad is not None
    assert encoding.table.grad.sum(-1).tolist() == [0, 0, 4, 0, 0, 0]


def test_learned_interpolates_between_neighbours() -> None:
    """At half the length each new position lies midway between two old ones."""
    encoding = Learned(3, length=8)
    with torch.no_grad():
        table = encoding.table
        torch.testing.assert_close(encoding(4), (table[0::2] + table[1::2]) / 2)


def test_learned_image_keeps_a_constant_and_the_order_of_rows() -> None:
    encoding = Learned(2, grid=(4, 6))
    with torch.no_grad():
        encoding.table.copy_(torch.arange(4.0)[:, None, None].expand(4, 6, 2))
        resized = encoding(8, 3).reshape(8, 3, 2)
    assert (resized.diff(dim=0).sum(0) > 0).all()  # rows still ascend
    torch.testing.assert_close(resized[:, 0], resized[:, 2])  # columns still agree


def test_learned_must_know_its_size_and_kind() -> None:
    with pytest.raises(ValueError, match=r"length=.*grid="):
        Learned(4)
    with pytest.raises(ValueError, match="not both"):
        Learned(4, length=3, grid=(1, 3))
    with pytest.raises(ValueError, match="series"):
        Learned(4, length=3)(3, 3)
