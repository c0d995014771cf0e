"""A training step of Caduceus-PS on the CPU: ours, and the same model on what else can be installed there.

    pip install mambapy transformers
    python benchmarks/training_step.py [--width 118] [--layers 4] [--batch 4] [--length 1024] [--threads 2] [--loop]

All contenders have the same weights, see the same input and reach the same loss; they take turns in one process, so
that whatever else the machine does meets all of them. Each one's memory is the peak of a process of its own, less what
its imports take. `mambapy` is the published block (two projections in, two out, one strand after the other) with
mambapy's parallel scan; `loop` is the published step-by-step reference, which is slow enough to be timed once, on one
row. `floor` adds up matrix products at the rate measured here, scans at the rate of the bare kernel, and one read and
write of every tensor that a layer cannot do without at the rate of a copy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from contest import descend, floor, in_its_own_process, peak_memory, take_turns, timed
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from dnadiff.allocator import keep_memory
from dnadiff.batch import Batch
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.models.caduceus import TiedMixer
from dnadiff.models.kernels import Kernels, use_kernels
from dnadiff.models.mamba import SelectiveState
from dnadiff.vocab import DNA

TURNS = 5
CONTENDERS = ("ours", "ours bf16", "torch", "mambapy", "loop")
Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]  # x, delta, A, B, C -> y


def parallel_scan(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """mambapy's, as its own model calls it."""
    from mambapy.pscan import pscan

    decay = torch.exp(delta.unsqueeze(-1) * A)
    drive = (delta * x).unsqueeze(-1) * B.unsqueeze(2)
    return (pscan(decay, drive) @ C.unsqueeze(-1)).squeeze(3)


def reference_loop(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Step by step, indexing each step as the published reference does."""
    decay = torch.exp(torch.einsum("bld,dn->bdln", delta, A))
    drive = torch.einsum("bld,bln,bld->bdln", delta, B, x)
    state, outputs = decay.new_zeros(decay.shape[0], decay.shape[1], decay.shape[3]), []
    for step in range(x.shape[1]):
        state = decay[:, :, step] * state + drive[:, :, step]
        outputs.append(torch.einsum("bdn,bn->bd", state, C[:, step]))
    return torch.stack(outputs, 1)


class PublishedMixer(nn.Module):
    """The published bidirectional block on the weights of ours: each direction projects in and out by itself."""

    def __init__(self, mixer: TiedMixer, scan: Scan) -> None:
        super().__init__()
        self.mixer, self.scan = mixer, scan

    def forward(self, hidden: Tensor, **_: Any) -> Tensor:
        strands = hidden.chunk(2)  # the published wrapper runs one strand after the other
        return torch.cat([self._both_directions(strand) for strand in strands])

    def _both_directions(self, hidden: Tensor) -> Tensor:
        right = self._direction(hidden, self.mixer.rightward)
        return right + self._direction(hidden.flip(1), self.mixer.leftward).flip(1)

    def _direction(self, hidden: Tensor, state: SelectiveState) -> Tensor:
        x, z = self.mixer.in_proj(hidden).chunk(2, dim=-1)
        taps = state.conv_weight.shape[1]
        padded = F.pad(x.transpose(1, 2), (taps - 1, 0))
        x = F.silu(F.conv1d(padded, state.conv_weight.unsqueeze(1), state.conv_bias, groups=x.shape[2])).transpose(1, 2)
        dt, B, C = state.x_proj(x).split(state.splits, dim=-1)
        delta = F.softplus(F.linear(dt, state.dt_weight, state.dt_bias))
        y = self.scan(x, delta, -state.A_log.exp(), B, C) + state.D * x
        return self.mixer.out_proj(y * F.silu(z))


def build(contender: str, width: int, layers: int) -> DiffusionModel:
    """The same model for all."""
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=Caduceus(width=width, n_layers=layers)), DNA)
    if contender in ("mambapy", "loop"):
        scan = parallel_scan if contender == "mambapy" else reference_loop
        for block in model.network.blocks:
            block.mixer = PublishedMixer(block.mixer, scan)
    elif contender == "torch":
        use_kernels(model, Kernels(scan="torch", conv="torch"))
    return model


class Step:
    """A training step that can be repeated."""

    def __init__(self, contender: str, args: argparse.Namespace) -> None:
        self.model = build(contender, args.width, args.layers)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)
        rows = 1 if contender == "loop" else args.batch
        letters = torch.randint(4, (rows, args.length), generator=torch.Generator().manual_seed(1))
        self.batch: Batch = Batch(DNA.letter_ids[letters])
        self.noise: Noise = draw_noise(np.random.default_rng(0), rows, args.length)
        self.bf16 = contender == "ours bf16"

    def __call__(self) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            terms = self.model.loss(self.batch, self.noise)
        loss = terms.nats.sum() / terms.valid.sum()
        return descend(self.model, self.optimizer, loss)


def measure_memory(contender: str, args: argparse.Namespace) -> None:
    """Print the peak of three steps above what there was before; in a process of its own."""
    before = peak_memory()
    step = Step(contender, args)
    for _ in range(1 if contender == "loop" else 3):
        step()
    print(peak_memory() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 118, "layers": 4, "batch": 4, "length": 1024, "threads": torch.get_num_threads()}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--loop", action="store_true", help="time the step-by-step reference too: a minute or more")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # as the command line does, for all
    if args.memory_of:
        measure_memory(args.memory_of, args)
        return

    names = [name for name in CONTENDERS if name != "loop" or args.loop]
    steps = {name: Step(name, args) for name in names if name != "loop"}
    losses = {name: step() for name, step in steps.items()}
    for name, loss in losses.items():
        assert abs(loss - losses["ours"]) < (2e-2 if "bf16" in name else 1e-4), f"{name} reaches another loss: {losses}"
    seconds = take_turns(steps, TURNS)
    if args.loop:
        seconds["loop"] = timed(Step("loop", args)) * args.batch

    title = f"Caduceus-PS {args.width} x {args.layers}, {args.batch} x {args.length} bases, {args.threads} threads"
    table = Table("", "s/step", "times ours", "MiB", "times ours", title=title)
    memory = {name: int(in_its_own_process("--memory-of", name)) for name in names}
    for name in names:
        ratio, more = seconds[name] / seconds["ours"], memory[name] / memory["ours"]
        label = "loop (one row, times the rows)" if name == "loop" else name
        table.add_row(label, f"{seconds[name]:.3f}", f"{ratio:.1f}", f"{memory[name] / 2**20:,.0f}", f"{more:.1f}")
    parts = floor(args.width, args.layers, args.batch, args.length)
    total = sum(parts.values())
    ratio = total / seconds["ours"]
    table.add_row("floor", f"{total:.3f}", f"{ratio:.2f}", "", "")
    Console().print(table)
    print("floor:", ", ".join(f"{name} {value:.3f}" for name, value in parts.items()))


if __name__ == "__main__":
    main()
