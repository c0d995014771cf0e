"""The convolution against torch's own, and its neighbours: padding, segments, direction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dnadiff.ops.conv import causal_conv


def example(length=9, channels=3, kernel=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, length, channels), (channels, kernel), (channels,)]
    return [torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
def test_agrees_with_a_grouped_convolution(length):
    x, weight, bias = example(length)
    kernel = weight.shape[1]
    expected = F.conv1d(F.pad(x.transpose(1, 2), (kernel - 1, 0)), weight[:, None], bias, groups=3).transpose(1, 2)
    assert torch.allclose(causal_conv(x, weight, bias, activation="none"), expected)
    assert torch.allclose(causal_conv(x, weight, bias), F.silu(expected))


def test_reverse_is_the_mirror_image():
    x, weight, bias = example()
    assert torch.allclose(causal_conv(x, weight, bias, reverse=True), causal_conv(x.flip(1), weight, bias).flip(1))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 3, 7])
def test_gradient_is_the_derivative(length, reverse):
    segments = torch.tensor([[0, 0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0]])[:, :length]
    valid = torch.tensor([[True] * 6 + [False], [False] + [True] * 6])[:, :length]

    def run(x, weight, bias):
        return causal_conv(x, weight, bias, segments=segments, valid=valid, reverse=reverse)

    assert torch.autograd.gradcheck(run, example(length))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_segment_alone_equals_the_segment_in_a_row(reverse):
    x, weight, bias = example()
    segments = torch.tensor([[4, 4, 4, 7, 4, 4, 4, 4, 4]] * 2)  # the number 4 returns: it is another document
    packed = causal_conv(x, weight, bias, segments=segments, reverse=reverse)
    alone = [causal_conv(part, weight, bias, reverse=reverse) for part in x.split([3, 1, 5], dim=1)]
    assert torch.allclose(packed, torch.cat(alone, 1))


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_not_valid_counts_as_zero(reverse):
    x, weight, bias = example()
    valid = torch.tensor([[True] * 5 + [False] * 4, [False] * 3 + [True] * 6])
    expected = causal_conv(torch.where(valid[..., None], x, 0.0), weight, bias, reverse=reverse)
    assert torch.equal(causal_conv(x, weight, bias, valid=valid, reverse=reverse), expected)


def test_bf16_in_and_out():
    x, weight, bias = (value.detach().to(torch.bfloat16) for value in example())
    y = causal_conv(x, weight, bias)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.double(), causal_conv(x.double(), weight.double(), bias.double()), rtol=2**-8, atol=1e-6)
