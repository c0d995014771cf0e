"""`dnadiff doctor`: what is installed, what it runs on, and whether it works."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import warnings
from pathlib import Path

import torch
import typer

from dnadiff.cache import cache_folder
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.ops.trust import OPERATIONS, Kernel, Operation, find_trouble
from dnadiff.tasks.machine import machine, versions
from dnadiff.vocab import DNA

EXTRAS = {
    "flash_attn": "pip install 'dnadiff[cuda]'  (needs a CUDA compiler)",
    "transformers": "pip install 'dnadiff[text]'",
}


def run() -> None:
    """Print one fact per line."""
    for name, value in {**versions(), **machine()}.items():
        shown = (", ".join(value) or "no GPU") if isinstance(value, list) else value
        typer.echo(f"{name:20} {shown}")
    typer.echo(f"{'cache':20} {cache_folder()}")
    for operation in OPERATIONS.values():
        for kernel in operation.kernels:
            typer.echo(f"{operation.name + ' ' + kernel.name:20} {_state(operation, kernel)}")
    for module, mend in EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        typer.echo(f"{module:20} {'installed' if found else 'not installed, not needed; to get it: ' + mend}")
    typer.echo(f"{'forward pass':20} {_forward_pass()}")
    typer.echo(f"{'on the PATH':20} {_first_on_path()}")


def _state(operation: Operation, kernel: Kernel) -> str:
    """Whether a kernel serves on the devices of its kind, or why not; torch serves on all others."""
    missing = kernel.missing()
    if missing is not None:
        return f"no: {missing}; to get it: {kernel.mend}"
    asked = "" if kernel.automatic else ", if asked for by name"
    states = []
    for device in _devices(kernel.device):
        with warnings.catch_warnings(action="ignore"):  # the line says the same
            trouble = find_trouble(operation.name, kernel.name, device)
        states.append(f"{device} {trouble or f'serves ({kernel.build()}{asked})'}")
    return ", ".join(states) or "no: there is no GPU"


def _devices(kind: str) -> list[torch.device]:
    n_cards = torch.cuda.device_count()
    return [torch.device(kind)] if kind == "cpu" else [torch.device(kind, number) for number in range(n_cards)]


def _forward_pass() -> str:
    """A real forward pass on every device: installing is not working."""
    model = DiffusionModel(ModelConfig(model=Caduceus(width=16, n_layers=1)), DNA)
    tokens = torch.tensor([[7, 8, 9, 10, 3, 3]])
    results = []
    for device in [*_devices("cpu"), *_devices("cuda")]:
        network = model.network.to(device)
        logits = network.logits(network.features(network.embed(tokens.to(device))))
        results.append(f"{device} {'ok' if logits.isfinite().all() else 'WRONG: not finite'}")
    return ", ".join(results)


def _first_on_path() -> str:
    """Which program `dnadiff` starts: MUMmer installs one of the same name."""
    first, ours = shutil.which("dnadiff"), Path(sys.executable).with_name("dnadiff")
    if first is None:
        return f"no dnadiff; call {ours}, or python -m dnadiff"
    if Path(first).resolve() == ours.resolve():
        return f"{first} (this one)"
    return f"{first} comes first, not {ours} (MUMmer has a dnadiff too): call dnadiff-lm or python -m dnadiff"
