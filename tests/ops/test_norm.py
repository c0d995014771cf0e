"""The norm against its formula."""

from __future__ import annotations

import torch

from dnadiff.ops.norm import rms_norm


def test_follows_the_formula_over_the_last_axis():
    x = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.arange(1.0, 6.0, dtype=torch.float64)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight
    assert torch.allclose(rms_norm(x, weight, eps=1e-5), expected)


def test_squares_that_overflow_half_precision_do_not():
    x = torch.full((1, 4), 300.0, dtype=torch.float16)
    y = rms_norm(x, torch.ones(4, dtype=torch.float16), eps=1e-5)
    assert y.dtype == torch.float16
    assert torch.equal(y, torch.ones_like(y))
