"""How a training step of Caduceus-PS grows with the window, and what one long window takes.

    python benchmarks/length.py [--width 128] [--layers 4] [--tokens 131072] [--threads 2]
    python benchmarks/length.py --width 256 --layers 16 --longest --recompute
    python benchmarks/length.py --width 256 --layers 16 --forward

The first: windows of 1,024 to `tokens` bases, as many as make up `tokens` in each step, one window at a time through
the network where they are long (micro-batches of 8,192 bases or one window). The second: the longest window alone,
forward and as a training step. The third: its forward pass alone, beside the floor that
training_step.py explains. Every measurement is a process of its own, whose peak memory is given above what its imports
take; times are the best of `turns`.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from contest import floor, in_its_own_process, peak_memory, timed
from rich.console import Console
from rich.table import Table

from dnadiff.allocator import keep_memory
from dnadiff.batch import Batch
from dnadiff.diffusion.noise import draw_noise
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.training.recompute import recomputed
from dnadiff.vocab import DNA

SHORTEST = 1024
AT_ONCE = 8192  # bases through the network at a time, where windows are shorter


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Seconds and bytes of one length, in this process."""
    before = peak_memory()
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=Caduceus(width=args.width, n_layers=args.layers)), DNA)
    rows, size = max(1, args.tokens // args.length), max(1, AT_ONCE // args.length)
    batch = Batch(DNA.letter_ids[torch.randint(4, (rows, args.length))])
    noise = draw_noise(np.random.default_rng(0), rows, args.length)

    def step() -> None:
        with recomputed(model.network.blocks if args.recompute else ()):
            for start in range(0, rows, size):
                model.loss(batch.rows(start, start + size), noise.rows(start, start + size)).nats.sum().backward()

    @torch.no_grad()
    def forward() -> None:
        for start in range(0, rows, size):
            model.network(batch.rows(start, start + size).tokens)

    work = forward if args.forward else step
    seconds = min(timed(work) for _ in range(args.turns))
    return {"seconds": seconds, "bytes": peak_memory() - before, "tokens": rows * args.length}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 128, "layers": 4, "tokens": 131072, "threads": torch.get_num_threads(), "turns": 2, "length": 0}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--recompute", action="store_true", help="activation checkpointing")
    parser.add_argument("--longest", action="store_true", help="the longest window only, forward and training step")
    parser.add_argument("--forward", action="store_true", help="the longest window's forward pass only, and its floor")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # as the command line does
    if args.length:
        print(json.dumps(measure(args)))
        return

    title = f"Caduceus-PS {args.width} x {args.layers}, {args.tokens:,} bases a step, {args.threads} threads"
    table = Table("", "window", "s", "us/base", "MiB", "bytes/base", title=title)
    is_one = args.longest or args.forward
    works = ([] if args.forward else [("training step", ())]) + ([("forward", ("--forward",))] if is_one else [])
    for length in [args.tokens] if is_one else [n for n in (SHORTEST << k for k in range(8)) if n <= args.tokens]:
        for name, more in works:
            found = json.loads(in_its_own_process("--length", str(length), *more))
            at_once = max(length, AT_ONCE)
            table.add_row(
                name, f"{length:,}", f"{found['seconds']:.2f}", f"{found['seconds'] / found['tokens'] * 1e6:.1f}",
                f"{found['bytes'] / 2**20:,.0f}", f"{found['bytes'] / at_once:,.0f}",
            )  # fmt: skip
    Console().print(table)
    if args.forward:
        parts = floor(args.width, args.layers, 1, args.tokens, backward=False)
        print(f"floor {sum(parts.values()):.2f} s:", ", ".join(f"{name} {value:.2f}" for name, value in parts.items()))


if __name__ == "__main__":
    main()
