"""`dnadiff bench`: how fast kernels, a training step and sampling are on this machine, beside the reference in torch.

Everything is measured in one process on the same input, and takes turns with what it is compared with, so that other
work on the machine meets both; figures are medians over the turns.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import typer
from pydantic import Field
from rich.table import Table
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.noise import draw_noise
from dnadiff.diffusion.samplers import Auto
from dnadiff.files import write_text
from dnadiff.inference.device import best_device
from dnadiff.inference.sample import sample
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.models.kernels import Kernels, use_kernels
from dnadiff.ops.conv import CONV
from dnadiff.ops.scan import SCAN
from dnadiff.ops.trust import Operation, find_trouble
from dnadiff.tasks.machine import machine, versions
from dnadiff.tasks.tables import print_table
from dnadiff.vocab import DNA


class BenchSettings(Settings):
    """What is measured."""

    width: int = Field(118, gt=0)
    """Channels of the Caduceus-PS that is trained and sampled from; kernels run on twice as many."""
    n_layers: int = Field(4, gt=0)
    """Its layers."""
    batch: int = Field(4, gt=0)
    """Windows of a training step."""
    length: int = Field(1024, gt=0)
    """Bases of a window."""
    steps: int = Field(32, gt=0)
    """Steps of the sampler."""
    turns: int = Field(7, gt=0)
    """How often everything is timed, after once to warm up."""


class Measured(NamedTuple):
    """One way to do something."""

    what: str  # scan forward, scan backward, ...
    how: str  # torch, native, ...
    seconds: float  # median
    rate: float  # units per second
    unit: str
    times_torch: float


Work = Callable[[], tuple[float, ...]]  # seconds of each part of one turn


def run(settings: BenchSettings, out: str | None) -> None:
    """Measure, print a table, and write JSON to `out` (`-`: print that instead)."""
    device = best_device()
    measured = [
        *_kernels(SCAN, _scan_inputs(settings, device), settings, states=16),
        *_kernels(CONV, _conv_inputs(settings, device), settings, states=1),
        *_training(settings, device),
        *_sampling(settings),
    ]
    about = {"versions": versions(), "machine": machine(), "device": str(device), "settings": settings.model_dump()}
    text = json.dumps({**about, "measured": [each._asdict() for each in measured]}, indent=2)
    if out not in (None, "-"):
        write_text(Path(out).expanduser(), text)
    if out == "-":
        typer.echo(text)
    else:
        _print(measured, f"{device}, {torch.get_num_threads()} threads, medians of {settings.turns}")


def _kernels(operation: Operation, inputs: dict[str, Any], settings: BenchSettings, *, states: int) -> list[Measured]:
    """Forward and backward of every implementation that serves here."""
    device = inputs["x"].device
    serving = [
        kernel
        for kernel in operation.kernels
        if kernel.device == device.type
        and kernel.missing() is None
        and kernel.limits(**inputs) is None
        and find_trouble(operation.name, kernel.name, device) is None
    ]
    ways = {"torch": operation.definition, **{kernel.name: kernel.run for kernel in serving}}
    differentiated = [value for value in inputs.values() if isinstance(value, Tensor) and value.requires_grad]

    def work(function: Callable[..., Tensor]) -> tuple[float, float]:
        start = _now(device)
        y = function(**inputs)
        middle = _now(device)
        torch.autograd.grad(y, differentiated, torch.ones_like(y))
        return middle - start, _now(device) - middle

    works = {name: (lambda function=function: work(function)) for name, function in ways.items()}
    parts = [f"{operation.name} forward", f"{operation.name} backward"]
    return _compare(parts, works, settings.turns, inputs["x"].numel() * states, "updates/s")


def _training(settings: BenchSettings, device: torch.device) -> list[Measured]:
    """A step without the optimiser: loss and gradients."""
    letters = torch.randint(4, (settings.batch, settings.length), generator=torch.Generator().manual_seed(0))
    batch = Batch(DNA.letter_ids[letters]).to(device)
    noise = draw_noise(np.random.default_rng(0), settings.batch, settings.length).to(device)

    def step(model: DiffusionModel) -> tuple[float]:
        model.zero_grad()
        start = _now(device)
        model.loss(batch, noise).nats.sum().backward()  # type: ignore[no-untyped-call]
        return (_now(device) - start,)

    works = {name: (lambda model=model: step(model.to(device))) for name, model in _models(settings).items()}
    return _compare(["training step"], works, settings.turns, batch.tokens.numel(), "bases/s")


def _sampling(settings: BenchSettings) -> list[Measured]:
    def draw(model: DiffusionModel) -> tuple[float]:
        start = time.perf_counter()
        sample(model, settings.batch, settings.length, Auto(steps=settings.steps), batch_size=settings.batch)
        return (time.perf_counter() - start,)

    works = {name: (lambda model=model: draw(model)) for name, model in _models(settings).items()}
    return _compare([f"sampling, {settings.steps} steps"], works, settings.turns, settings.batch, "sequences/s")


def _models(settings: BenchSettings) -> dict[str, DiffusionModel]:
    """The same model on the reference and on the fastest kernels."""
    models = {}
    for name, kernels in (("torch", Kernels(scan="torch", conv="torch")), ("auto", Kernels())):
        torch.manual_seed(0)
        config = ModelConfig(model=Caduceus(width=settings.width, n_layers=settings.n_layers))
        models[name] = DiffusionModel(config, DNA)
        use_kernels(models[name], kernels)
    return models


def _compare(parts: list[str], works: Mapping[str, Work], turns: int, n_units: float, unit: str) -> list[Measured]:
    """Let all take turns; `torch` is among them."""
    for work in works.values():
        work()
    seconds: dict[str, list[tuple[float, ...]]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            seconds[name].append(work())
    medians = {name: [statistics.median(part) for part in zip(*turns, strict=True)] for name, turns in seconds.items()}
    return [
        Measured(part, name, median, n_units / median, unit, medians["torch"][number] / median)
        for number, part in enumerate(parts)
        for name, median in ((name, medians[name][number]) for name in works)
    ]


def _scan_inputs(settings: BenchSettings, device: torch.device) -> dict[str, Any]:
    """As a layer at initialisation calls it: two strands of every window."""
    generator, inner = torch.Generator().manual_seed(0), 2 * settings.width
    rows, maps = (2 * settings.batch, settings.length, inner), (2 * settings.batch, settings.length, 16)
    shapes = {"x": rows, "delta": rows, "B": maps, "C": maps, "D": (inner,), "delta_bias": (inner,)}
    shapes |= {"gate": rows, "plus": rows}
    inputs: dict[str, Any] = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    inputs["delta_bias"] -= 4.0
    inputs["A"] = -torch.arange(1.0, 17.0).repeat(inner, 1)
    inputs = {name: value.to(device).requires_grad_() for name, value in inputs.items()}
    return {**inputs, "valid": None, "segments": None, "reverse": False}


def _conv_inputs(settings: BenchSettings, device: torch.device) -> dict[str, Any]:
    generator, inner = torch.Generator().manual_seed(0), 2 * settings.width
    shapes = {"x": (2 * settings.batch, settings.length, inner), "weight": (inner, 4), "bias": (inner,)}
    inputs = {name: torch.randn(shape, generator=generator).to(device) for name, shape in shapes.items()}
    given = {name: value.requires_grad_() for name, value in inputs.items()}
    return {**given, "valid": None, "segments": None, "reverse": False, "activation": "silu"}


def _now(device: torch.device) -> float:
    """Seconds, when the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _print(measured: list[Measured], title: str) -> None:
    table = Table("", "by", "ms", "rate", "times torch", title=title)
    for each in measured:
        rate = f"{_scaled(each.rate)}{each.unit}"
        table.add_row(each.what, each.how, f"{each.seconds * 1e3:,.1f}", rate, f"{each.times_torch:.1f}")
    print_table(table)


def _scaled(rate: float) -> str:
    """With a prefix of the metric system."""
    factor, prefix = next(((f, p) for f, p in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if rate >= f), (1.0, ""))
    return f"{rate / factor:.2f} {prefix}"
