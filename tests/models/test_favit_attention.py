"""FaSA and its windows against slow, obvious references in float64: values and gradients, at several sizes."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from favit.aggregators.avg_pool import Aggregator as AvgPool
from favit.models._attend import attend
from favit.models._fasa import FaSA
from favit.models._fasa_windows import Windows, sampled, windows_along


def reflected(index, length):
    """Walk from the first entry, turning round at both ends, until ``index`` steps are made."""
    place, step = 0, 1
    for _ in range(index):
        if length == 1:
            break
        if not 0 <= place + step < length:
            step = -step
        place += step
    return place


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 8, 13, 24, 28, 49, 56])
@pytest.mark.parametrize("dilation", [1, 2, 4, 8])
def test_windows_sample_the_axis_reflected_as_often_as_it_takes(length, dilation):
    span = 6 * dilation + 1
    windows = windows_along(length, dilation)
    assert windows == math.ceil(length / span)
    expected = [reflected(w * span + p * dilation, length) for w in range(windows) for p in range(7)]
    assert sampled(length, dilation).tolist() == expected


@pytest.mark.parametrize("size", [(14, 14), (8, 20), (1, 9), (28, 13)])
@pytest.mark.parametrize("built_for", [(14, 14), (56, 56)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_are_an_unfolded_padded_map(size, built_for, dilation):
    heads, channels, span = 2, 3, 6 * dilation + 1
    x = torch.randn(2, *size, heads * channels, dtype=torch.double)
    rows, columns = (-(-n // span) * span for n in size)
    padded = torch.stack(
        [
            torch.stack([x[:, reflected(r, size[0]), reflected(c, size[1])] for c in range(columns)], 1)
            for r in range(rows)
        ],
        1,
    )
    unfolded = F.unfold(padded.permute(0, 3, 1, 2), 7, dilation=dilation, stride=span)  # (B, C 49, windows)
    expected = unfolded.view(2, heads, channels, 49, -1).permute(0, 1, 3, 4, 2)
    assert torch.equal(Windows(built_for, dilation)(x, heads), expected)


@pytest.mark.parametrize(
    ("heads", "length", "keys", "channels"), [(1, 12, 49, 4), (3, 5, 49, 14), (2, 7, 1, 3)]
)
def test_attention_over_few_keys_equals_its_definition(heads, length, keys, channels):
    make = partial(torch.randn, dtype=torch.double, requires_grad=True)
    q, k, v = make(2, length, heads, channels), make(2, heads, keys, channels), make(2, heads, keys, channels)
    weights = (torch.einsum("bnhc,bhmc->bhnm", q, k) / math.sqrt(channels)).softmax(3)
    expected = torch.einsum("bhnm,bhmc->bnhc", weights, v).flatten(2)
    ours = attend(q, k, v)
    torch.testing.assert_close(ours, expected)
    direction = torch.randn_like(ours)
    torch.testing.assert_close(
        torch.autograd.grad(ours, (q, k, v), direction), torch.autograd.grad(expected, (q, k, v), direction)
    )


def reference(fasa, x, reduction):
    """FaSA by loops over groups, heads and windows; the authors' order of channels throughout."""
    batch, height, width, dim = x.shape
    heads, groups, c, coarse = fasa.heads, fasa.groups, fasa.head_dim, fasa.coarse
    q = F.linear(x, fasa.q.weight, fasa.q.bias).flatten(1, 2)
    outputs = [global_group(fasa.global_group, q[..., :coarse], x[..., :coarse], reduction)]
    fine = F.conv2d(
        x[..., coarse:].permute(0, 3, 1, 2),
        fasa.depthwise.weight,
        fasa.depthwise.bias,
        padding=1,
        groups=dim - coarse,
    )
    fine = F.linear(fine.permute(0, 2, 3, 1), fasa.pointwise.weight, fasa.pointwise.bias)
    for group in range(groups):
        dilation = 1 if group == 0 else reduction
        span = 6 * dilation + 1
        part = fine[..., group * heads * c : (group + 1) * heads * c]
        fuse, kv = fasa.fuse.map_of_group(group), fasa.kv.map_of_group(group)
        local = slice(group * heads * c, (group + 1) * heads * c)
        local_weight, local_bias = fasa.local.weight[local], fasa.local.bias[local]
        for head in range(heads):
            mine = part[..., head * c : (head + 1) * c]
            tokens = 0
            windows = [(r, k) for r in range(-(-height // span)) for k in range(-(-width // span))]
            for row, column in windows:
                rows = [reflected(row * span + p * dilation, height) for p in range(7)]
                columns = [reflected(column * span + p * dilation, width) for p in range(7)]
                tokens = tokens + mine[:, rows][:, :, columns].flatten(1, 2) / len(windows)
            keys, values = F.linear(F.linear(tokens, *fuse), *kv).chunk(2, dim=2)
            grid = values.transpose(1, 2).unflatten(2, (7, 7))
            own = slice(head * c, (head + 1) * c)
            values = values + F.conv2d(grid, local_weight[own], local_bias[own], padding=1, groups=c).flatten(
                2
            ).transpose(1, 2)
            start = coarse + head * groups * c + group * c
            scores = q[..., start : start + c] @ keys.transpose(1, 2) / math.sqrt(c)
            outputs.append((head, group, scores.softmax(2) @ values))
    ordered = [outputs[0]] + [o for _, _, o in sorted(outputs[1:], key=lambda t: t[:2])]
    return F.linear(torch.cat(ordered, 2), fasa.proj.weight, fasa.proj.bias).view(batch, height, width, dim)


def global_group(group, q, x, reduction):
    reduced = F.conv2d(x.permute(0, 3, 1, 2), group.reduce.weight, group.reduce.bias, stride=reduction)
    size, channels = reduced.shape[2:], reduced.shape[1]
    tokens = F.layer_norm(
        reduced.flatten(2).transpose(1, 2), (channels,), group.norm.weight, group.norm.bias, 1e-5
    )
    keys, values = F.linear(tokens, group.kv.weight, group.kv.bias).chunk(2, dim=2)
    grid = values.transpose(1, 2).unflatten(2, size)
    values = values + F.conv2d(
        grid, group.local.weight, group.local.bias, padding=1, groups=channels
    ).flatten(2).transpose(1, 2)
    return (q @ keys.transpose(1, 2) / math.sqrt(channels)).softmax(2) @ values


@pytest.mark.parametrize(
    ("dim", "heads", "reduction", "size"),
    [(32, 1, 8, (8, 8)), (32, 1, 8, (14, 23)), (64, 2, 4, (5, 31)), (64, 4, 2, (14, 14)), (64, 2, 1, (9, 1))],
)
def test_fasa_equals_its_loops(dim, heads, reduction, size):
    torch.manual_seed(0)
    fasa = FaSA(dim, heads, reduction, size, AvgPool).double()
    for parameter in fasa.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, *size, dim, dtype=torch.double, requires_grad=True)
    ours, theirs = fasa(x), reference(fasa, x, reduction)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    wanted = [x, *fasa.parameters()]
    ours, theirs = (torch.autograd.grad(y, wanted, direction) for y in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
