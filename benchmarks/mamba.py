"""A training step of a causal Mamba on the CPU: ours beside that of transformers, in both of its ways.

    pip install mambapy transformers
    python benchmarks/mamba.py [--width 118] [--layers 4] [--batch 4] [--length 1024] [--threads 2]

Same width, depth, states and tokens, next-token cross-entropy over 16 tokens, float32; each with weights of its own
(what is timed does not depend on them). `slow path` is what transformers runs without CUDA kernels, `mambapy` what it
runs with `use_mambapy=True`. They take turns in one process; medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from contest import take_turns
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dnadiff.allocator import keep_memory
from dnadiff.models import Mamba
from dnadiff.vocab import DNA

TURNS = 5
N_TOKENS = 16


def ours(width: int, layers: int) -> Callable[[Tensor], Tensor]:
    return Mamba(width=width, n_layers=layers).build(DNA)


def theirs(width: int, layers: int, *, use_mambapy: bool) -> Callable[[Tensor], Tensor]:
    from transformers import MambaConfig, MambaForCausalLM

    sizes = {"hidden_size": width, "num_hidden_layers": layers, "state_size": 16, "expand": 2, "conv_kernel": 4}
    model = MambaForCausalLM(MambaConfig(vocab_size=N_TOKENS, use_mambapy=use_mambapy, use_cache=False, **sizes))
    model.train()
    return lambda tokens: model(tokens).logits


def step(model: Callable[[Tensor], Tensor], tokens: Tensor) -> None:
    logits = model(tokens)[:, :-1]
    F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1)).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 118, "layers": 4, "batch": 4, "length": 1024, "threads": torch.get_num_threads()}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # as the command line does, for all
    torch.manual_seed(0)
    tokens = torch.randint(N_TOKENS, (args.batch, args.length))
    models = {
        "ours": ours(args.width, args.layers),
        "transformers, slow path": theirs(args.width, args.layers, use_mambapy=False),
        "transformers, mambapy": theirs(args.width, args.layers, use_mambapy=True),
    }
    steps = {name: partial(step, model, tokens) for name, model in models.items()}
    take_turns(steps, 1)  # warms up
    seconds = take_turns(steps, TURNS)
    title = f"causal Mamba {args.width} x {args.layers}, {args.batch} x {args.length} tokens, {args.threads} threads"
    table = Table("", "s/step", "times ours", title=title)
    for name, each in seconds.items():
        table.add_row(name, f"{each:.3f}", f"{each / seconds['ours']:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
