"""The authors' kernels are called as they document it; a stand-in with their interface computes by the reference."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from dnadiff.errors import InputError
from dnadiff.ops import published
from dnadiff.ops.conv import CONV, causal_conv
from dnadiff.ops.scan import SCAN, selective_scan


def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    """u, delta, z: (batch, channels, length); B, C: (batch, states, length); all of one type. The rest is float32."""
    assert delta_softplus
    assert {each.dtype for each in (delta, B, C)} == {u.dtype}
    assert {each.dtype for each in (A, D, delta_bias) if each is not None} == {torch.float32}
    assert all(each.stride(-1) == 1 for each in (u, delta, B, C))
    rows = [None if each is None else each.mT for each in (u, delta, B, C, z)]
    return selective_scan(*rows[:2], A, *rows[2:4], D=D, gate=rows[4], delta_bias=delta_bias, implementation="torch").mT


def causal_conv1d_fn(x, weight, bias=None, activation=None):
    """x: (batch, channels, length)."""
    assert activation in (None, "silu")
    return causal_conv(x.mT, weight, bias, activation=activation or "none", implementation="torch").mT


@pytest.fixture
def stand_ins(monkeypatch):
    for name, function in (
        ("mamba_ssm.ops.selective_scan_interface", selective_scan_fn),
        ("causal_conv1d", causal_conv1d_fn),
    ):
        module = ModuleType(name)
        setattr(module, function.__name__, function)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


@pytest.mark.parametrize("operation", [SCAN, CONV], ids=["scan", "conv"])
def test_calls_follow_the_interface(stand_ins, operation):
    kernel = operation.kernels[-1]
    examples = [each for each in operation.examples() if each["valid"] is None and each["segments"] is None]
    assert {each["reverse"] for each in examples} == {False, True}
    names = ("plus", "gate") if operation is SCAN else ()
    for inputs in examples:
        for absent in ({}, *({name: None} for name in names)):
            found, expected = (run(**inputs | absent) for run in (kernel.run, operation.definition))
            rounding = 1e-2 if found.dtype == torch.bfloat16 else 1e-5
            assert torch.allclose(found, expected, rtol=rounding, atol=rounding)


def test_weights_stay_float32_beside_bf16(stand_ins):
    inputs = next(each for each in SCAN.examples() if each["valid"] is None)
    large = {name: inputs[name].bfloat16() for name in ("x", "gate", "D")}  # delta, B and C come as float32
    assert SCAN.kernels[-1].run(**inputs | large).dtype == torch.bfloat16


@pytest.mark.parametrize("operation", [SCAN, CONV], ids=["scan", "conv"])
def test_what_they_cannot_do_is_refused(operation, monkeypatch):
    limits = operation.kernels[-1].limits
    busy, plain = (
        {**next(each for each in operation.examples() if (each["valid"] is None) == bare)} for bare in (0, 1)
    )
    assert "takes cuda tensors of float32, bfloat16 or float16, found torch.float32 on cpu" in limits(**plain)
    monkeypatch.setattr(published, "DEVICE", "cpu")
    assert limits(**plain) is None
    assert "knows neither padding (valid) nor packed documents (segments)" in limits(**busy)
    assert "found torch.float64" in limits(**plain | {"x": plain["x"].double()})


def test_their_sizes_are_limited(monkeypatch):
    monkeypatch.setattr(published, "DEVICE", "cpu")
    scan, conv = ({**next(each for each in one.examples() if each["valid"] is None)} for one in (SCAN, CONV))
    assert "takes up to 256 states, found 257" in SCAN.kernels[-1].limits(**scan | {"A": torch.zeros(19, 257)})
    assert "takes 2 to 4 taps, found 5" in CONV.kernels[-1].limits(**conv | {"weight": torch.zeros(19, 5)})


def test_what_does_not_import_says_why(monkeypatch):
    published._missing.cache_clear()
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    inputs = next(iter(SCAN.examples()))
    with pytest.raises(
        InputError, match=r"scan: no implementation 'mamba_ssm' here: .*; pip install 'dnadiff\[cuda\]'"
    ):
        selective_scan(**inputs, implementation="mamba_ssm")
    published._missing.cache_clear()
