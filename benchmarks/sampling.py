"""Sampling: ours beside the published cached sampler's way, and our samplers beside each other.

    python benchmarks/sampling.py text [--vocab 30522 50257] [--length 256 1024] [--steps 64 256 1000] [--batch 1 8]
    python benchmarks/sampling.py dna runs/hg38 --judge runs/hg38-ar [-n 64] [--length 1024] [--steps 128]

`text` times a diffusion transformer of width 256 with 4 blocks and random weights. `published` is what MDLM's authors
do, with the same weights: logits of the whole vocabulary at every position, one Gumbel draw in float32 that decides at
once whether a position is revealed and to what, and the last answer reused only while no row of the batch changes.
Both take turns in one process, on one thread, in seconds of the processor, so that other programs hardly count; `calls`
are runs of the network. Peak memory is that of a process of its own, less what
its imports, its weights and a pass of the network without its head take.

`dna` draws from a trained run by every sampler: sequences per second, bits per base under an autoregressive run that
was trained apart (compare with that run's own figure on real windows), and the distance of 4-mers to real windows.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from itertools import pairwise, product
from pathlib import Path
from typing import cast

import numpy as np
import torch
from contest import peak_memory
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dnadiff import checkpoint
from dnadiff.allocator import keep_memory
from dnadiff.batch import Batch
from dnadiff.data.domains import open_data
from dnadiff.diffusion.caching import Cached
from dnadiff.diffusion.samplers import (
    Analytic,
    Ancestral,
    EntropyBounded,
    FirstHitting,
    Ordered,
    PathPlanning,
    ReMDM,
    Sampler,
)
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.diffusion.uniforms import RowUniforms
from dnadiff.inference.counted import Counted
from dnadiff.inference.evaluate import evaluate
from dnadiff.inference.measures import likelihood
from dnadiff.inference.sample import sample
from dnadiff.models.dit import DiffusionTransformer, DiT
from dnadiff.network import Network
from dnadiff.report.kmers import excess_js
from dnadiff.run import find_checkpoint
from dnadiff.vocab import Vocab

TURNS = 3
EPS = 1e-5  # where the published grid of times ends


def text_vocab(size: int) -> Vocab:
    """Letters 0 to size - 1, then the mask, as published text models have it."""
    letters = tuple(range(size))
    return Vocab(tokens=(*map(str, letters), "[MASK]"), size=size + 1, letters=letters, mask=size, pad=0, unknown=0)


def published(network: DiffusionTransformer, vocab: Vocab, batch: int, length: int, steps: int) -> tuple[Tensor, int]:
    """MDLM's `ddpm_cache` with its log-linear schedule: tokens (batch, length), and runs of the network."""
    times, calls = torch.linspace(1, EPS, steps + 1).tolist(), 0
    tokens, probs = torch.full((batch, length), vocab.mask), None
    for now, later in pairwise(times):
        if probs is None:
            logits = network.logits(network.features(network.embed(tokens)))  # (batch, length, vocab)
            logits[..., vocab.mask] = -torch.inf
            probs, calls = logits.log_softmax(-1).exp(), calls + 1
        chances = probs * (now - later)
        chances[..., vocab.mask] = later
        noise = 1e-10 - (torch.rand_like(chances) + 1e-10).log()
        drawn = torch.where(tokens == vocab.mask, (chances / noise).argmax(-1), tokens)
        if not torch.equal(drawn, tokens):
            probs = None
        tokens = drawn
    return tokens, calls


def ours(network: DiffusionTransformer, vocab: Vocab, batch: int, length: int, steps: int) -> tuple[Tensor, int]:
    """Ancestral sampling in two stages with a cache: tokens (batch, length), and runs of the network."""
    counted, state = Counted(network), Batch(torch.full((batch, length), vocab.mask))
    denoiser, uniforms = Cached(SubsDenoiser(cast(Network, counted), vocab)), RowUniforms(0, range(batch))
    for after in Ancestral(steps=steps).sample(denoiser, state, LogLinear(), vocab, uniforms=uniforms):
        state = after
    return state.tokens, counted.n_calls


WAYS = {"published": published, "ours": ours}


def build(vocab: Vocab) -> DiffusionTransformer:
    """The same weights whenever it is called; with a head of zeros, as trained ones begin, letters would be alike."""
    torch.manual_seed(0)
    network = DiT(width=256, n_blocks=4, n_heads=4).build(vocab).eval()
    assert network.head is not None
    torch.nn.init.normal_(network.head, std=0.02)
    return network


def timed(way: str, vocab_size: int, batch: int, length: int, steps: int) -> tuple[float, int]:
    """Seconds and runs of the network of one turn."""
    vocab = text_vocab(vocab_size)
    network, start = build(vocab), time.process_time()
    with torch.no_grad():
        tokens, calls = WAYS[way](network, vocab, batch, length, steps)
    seconds = time.process_time() - start
    if way == "ours":
        assert (tokens != vocab.mask).all(), "masks were left"
    return seconds, calls


def memory(way: str, *sizes: int) -> float:
    """MiB of a process of its own."""
    command = [sys.executable, __file__, "memory", way, *map(str, sizes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def own_memory(way: str, vocab_size: int, batch: int, length: int) -> float:
    """What `memory` asks of the process that it starts; a few steps reach the peak."""
    vocab = text_vocab(vocab_size)
    network = build(vocab)
    with torch.no_grad():
        network.features(network.embed(torch.full((batch, length), vocab.mask)))
        before = peak_memory()
        WAYS[way](network, vocab, batch, length, 4)
    return (peak_memory() - before) / 2**20


def text(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    columns = ("vocabulary", "length", "steps", "batch", "by", "s", "calls", "times", "MiB")
    table = Table(*columns, title="CPU, one thread")
    for size, length, steps, batch in product(args.vocab, args.length, args.steps, args.batch):
        turns = [{way: timed(way, size, batch, length, steps) for way in WAYS} for _ in range(args.turns)]
        seconds = {way: statistics.median(turn[way][0] for turn in turns) for way in WAYS}
        for way in WAYS:
            times, mib = seconds["published"] / seconds[way], memory(way, size, batch, length)
            figures = (f"{seconds[way]:.2f}", str(turns[0][way][1]), f"{times:.1f}", f"{mib:,.0f}")
            table.add_row(*map(str, (size, length, steps, batch)), way, *figures)
    Console().print(table)


def samplers(steps: int, *, scores: bool) -> list[Sampler]:
    """Those of a posterior; that of scores where the objective gives scores."""
    grid: list[Sampler] = [Ancestral(steps=steps), Ancestral(steps=steps, grid="cosine"), ReMDM(steps=steps)]
    orders: list[Sampler] = [Ordered(steps=steps), PathPlanning(steps=steps), EntropyBounded(), FirstHitting()]
    return [*grid, *orders, *([Analytic(steps=steps)] if scores else [])]


def dna(args: argparse.Namespace) -> None:
    from dnadiff.tasks.evaluate import settings_of  # only here: it takes seconds, which `memory` would take as well

    model, judge = (checkpoint.load(find_checkpoint(path)) for path in (args.run, args.judge))
    settings = settings_of(args.run, [], {"data.ref": args.ref})
    windows = open_data(settings.data, seed=settings.train.seed).sets()["test"]
    generator = np.random.default_rng(0)
    chosen = np.sort(generator.permutation(len(windows))[:2000])
    real = [row[: args.length] for row in windows.rows(chosen, epoch=None)]

    def bits(tokens: np.ndarray) -> str:
        found = evaluate(judge, likelihood(judge), lambda rows: tokens[rows], len(tokens), sweeps=2).bits_per_base
        return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"

    def show(*cells: str) -> None:
        print("".join(f"{cell:{width}}" for cell, width in zip(cells, (32, 13, 25, 16, 12), strict=True)), flush=True)

    show("sampler", "sequences/s", "judge's bits per base", "4-mer distance", "real to real")
    show("real windows", "", bits(np.stack(real[: args.n])), "", "")
    for sampler in samplers(args.steps, scores=model.config.objective.kind == "sedd"):
        start = time.perf_counter()
        tokens = sample(model, args.n, args.length, sampler, batch_size=64)
        rate = args.n / (time.perf_counter() - start)
        realism = excess_js(list(tokens), real, generator, k=4)
        changed = sampler.model_dump(exclude_defaults=True, exclude={"kind"})
        name = " ".join([sampler.kind, *(f"{key}={value}" for key, value in changed.items())])
        show(name, f"{rate:.3f}", bits(tokens), f"{realism.samples:.4f}", f"{realism.floor:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    of_text, of_dna, of_memory = (parts.add_parser(name) for name in ("text", "dna", "memory"))
    grid = {"vocab": [30_522, 50_257], "length": [256, 1024], "steps": [64, 256, 1000], "batch": [1, 8]}
    for name, values in grid.items():
        of_text.add_argument(f"--{name}", type=int, nargs="+", default=values)
    of_text.add_argument("--turns", type=int, default=TURNS)
    of_dna.add_argument("run", type=Path)
    of_dna.add_argument("--judge", type=Path, required=True)
    of_dna.add_argument("--ref")
    for name, value in {"-n": 64, "--length": 1024, "--steps": 128}.items():
        of_dna.add_argument(name, type=int, default=value)
    of_memory.add_argument("way", choices=WAYS)
    of_memory.add_argument("sizes", type=int, nargs=3, help="vocabulary, batch, length")
    args = parser.parse_args()
    keep_memory()
    if args.part == "memory":
        print(own_memory(args.way, *args.sizes))
    else:
        {"text": text, "dna": dna}[args.part](args)


if __name__ == "__main__":
    main()
