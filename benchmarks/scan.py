"""How fast the selective scan runs on the CPU: the C kernel, the reference in torch, and a loop over time steps.

    python benchmarks/scan.py [--threads 2] [--batch 4] [--length 1024] [--channels 256] [--states 16]

The loop makes decays and inputs of all steps at once and then goes one step at a time, under autograd. (The loop that
published code falls back to cuts each step out of a tensor, which makes its backward pass slower still.) All three see
the same input and first run once, which checks that they agree; then they take turns. Medians over the turns, of wall
time; the loop takes part in the first turns only. `bare` is the recurrence alone, `fused` has D, the bias of delta and
the gate, as in a Mamba layer.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from contest import timed
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dnadiff.allocator import keep_memory
from dnadiff.ops.scan import selective_scan

TURNS = 15
LOOP_TURNS = 1  # it is slow
Inputs = dict[str, Tensor]
Scan = Callable[..., Tensor]


def loop(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, **fused: Tensor) -> Tensor:
    """The recurrence step by step under autograd."""
    steps = F.softplus(delta + fused["delta_bias"] if fused else delta)
    decays = torch.exp(steps.unsqueeze(-1) * A).unbind(1)
    drives = ((steps * x).unsqueeze(-1) * B.unsqueeze(2)).unbind(1)
    state, states = torch.zeros_like(drives[0]), []
    for decay, drive in zip(decays, drives, strict=True):
        state = decay * state + drive
        states.append(state)
    y = torch.einsum("blcn,bln->blc", torch.stack(states, 1), C)
    return (y + fused["D"] * x) * F.silu(fused["gate"]) if fused else y


def draw(batch: int, length: int, channels: int, states: int, *, fused: bool) -> Inputs:
    """Inputs as of a layer at initialisation: decays of 1 to `states` per unit of time, short steps."""
    generator = torch.Generator().manual_seed(0)
    rows, maps = (batch, length, channels), (batch, length, states)
    shapes = {"x": rows, "delta": rows, "B": maps, "C": maps}
    if fused:
        shapes |= {"D": (channels,), "gate": rows, "delta_bias": (channels,)}
    inputs = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    inputs["delta"] -= 3.0
    inputs["A"] = -torch.arange(1.0, states + 1).repeat(channels, 1)
    return {name: value.requires_grad_() for name, value in inputs.items()}


def run(scan: Scan, inputs: Inputs) -> tuple[float, float, list[Tensor]]:
    """Seconds forward and backward, and what came out."""
    start = time.perf_counter()
    y = scan(**inputs)
    middle = time.perf_counter()
    gradients = torch.autograd.grad(y, list(inputs.values()), torch.ones_like(y))
    return middle - start, time.perf_counter() - middle, [y.detach(), *gradients]


def compare(scans: dict[str, Scan], inputs: Inputs) -> dict[str, tuple[float, float]]:
    """Median seconds forward and backward of each; all must agree."""
    _, _, expected = run(scans["torch"], inputs)
    for name, scan in scans.items():
        _, _, found = run(scan, inputs)
        for one, other in zip(found, expected, strict=True):
            assert (one - other).abs().max() < 1e-3 * other.abs().max(), f"{name} disagrees"
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in scans}
    for turn in range(TURNS):
        for name, scan in scans.items():
            if name != "loop" or turn < LOOP_TURNS:
                seconds[name].append(run(scan, inputs)[:2])
    return {
        name: (statistics.median(f for f, _ in times), statistics.median(b for _, b in times))
        for name, times in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"threads": torch.get_num_threads(), "batch": 4, "length": 1024, "channels": 256, "states": 16}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # as the command line does, for all three
    updates = args.batch * args.length * args.channels * args.states
    scans: dict[str, Scan] = {
        "C": lambda **inputs: selective_scan(**inputs, implementation="native"),
        "torch": lambda **inputs: selective_scan(**inputs, implementation="torch"),
        "loop": loop,
    }
    title = f"10^9 state updates per second and thread, {args.threads} threads; times the loop"
    table = Table("", "scan", "forward", "", "backward", "", title=title)
    for label in ("bare", "fused"):
        inputs = draw(args.batch, args.length, args.channels, args.states, fused=label == "fused")
        medians = compare(scans, inputs)
        for name, pair in medians.items():
            cells = []
            for seconds, slow in zip(pair, medians["loop"], strict=True):
                cells += [f"{updates / seconds / args.threads / 1e9:.2f}", f"{slow / seconds:.1f}x"]
            table.add_row(label, name, *cells)
    Console().print(table)
    source = torch.randn(16_000_000)
    target = torch.empty_like(source)
    seconds = statistics.median(timed(lambda: target.copy_(source)) for _ in range(TURNS))
    print(f"a copy of {source.nbytes / 1e6:.0f} MB reads and writes {2 * source.nbytes / seconds / 1e9:.1f} GB/s")


if __name__ == "__main__":
    main()
