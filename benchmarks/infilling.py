"""How many bases of the middle of real windows a model recovers from both flanks, beside a Markov chain from the left.

    python benchmarks/infilling.py runs/yeast [--windows 256] [--gap 64] [--fillings 4] [--split test] [data.length=512]

The middle of each window of a split is hidden and drawn anew, by the run's model with its first-hitting sampler (exact
in law) and by the Markov chain of its training split, whose order and smoothing are those that are best on the
validation split; a share of bases equal to the hidden ones, with its standard error over windows. Both draw from their
law: taking the likeliest base instead would recover more, and would not be a filling that the law calls typical.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from dnadiff import checkpoint
from dnadiff.data.genome import open_data
from dnadiff.data.markov import MarkovModel
from dnadiff.diffusion.samplers import FirstHitting
from dnadiff.inference.infill import Gapped, infill
from dnadiff.run import find_checkpoint
from dnadiff.tasks.baselines import markov_chain
from dnadiff.tasks.evaluate import settings_of
from dnadiff.vocab import DNA

Tokens = NDArray[np.uint8]


def by_chain(chain: MarkovModel, order: int, rows: Tokens, gap: slice, seed: int) -> Tokens:
    """(n, length): the gap of each row drawn from left to right."""
    generator, filled = np.random.default_rng(seed), rows.copy()
    for at in range(gap.start, gap.stop):
        context = np.repeat(filled[:, at - order : at], 4, axis=0)
        letters = np.tile(np.array(DNA.letters, dtype=np.uint8), len(rows))[:, None]
        apart = np.full_like(letters, DNA.unknown)
        log_probs = chain.log_probs(np.hstack([context, letters, apart]).ravel(), order)
        cumulative = np.exp(log_probs.reshape(len(rows), 4, -1)[:, :, order]).cumsum(1)
        drawn = (generator.random((len(rows), 1)) * cumulative[:, -1:] >= cumulative[:, :-1]).sum(1)
        filled[:, at] = np.array(DNA.letters, dtype=np.uint8)[drawn]
    return filled


def recovered(fillings: Tokens, rows: Tokens, gap: slice) -> tuple[float, float]:
    """Mean share of bases that are those of the rows, and its standard error; (fillings, n, length) each row's."""
    by_window = (fillings[:, :, gap] == rows[:, gap]).mean((0, 2))
    return float(by_window.mean()), float(by_window.std(ddof=1) / math.sqrt(len(by_window)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("settings", nargs="*", metavar="data.x=y", help="of the windows, if not the run's")
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--gap", type=int, default=64)
    parser.add_argument("--fillings", type=int, default=4)
    parser.add_argument("--split", default="test")
    args = parser.parse_intermixed_args()
    words = [*args.settings, f"evaluate.max_windows={args.windows}"]
    settings = settings_of(args.run, words, {"evaluate.split": args.split})
    data = open_data(settings.data, seed=settings.train.seed)
    windows = data.sets()[args.split]
    rows = windows.rows(settings.evaluate.chosen(len(windows)), epoch=None)
    rows = rows[np.isin(rows, DNA.letters).all(1)]
    start = (rows.shape[1] - args.gap) // 2
    gap = slice(start, start + args.gap)
    gapped = rows.copy()
    gapped[:, gap] = DNA.mask
    model = checkpoint.load(find_checkpoint(args.run))
    drawn = infill(model, [Gapped(row) for row in gapped], FirstHitting(), n=args.fillings)
    chain = markov_chain(settings, data)
    assert chain.best_order is not None
    of_chain = [by_chain(chain, chain.best_order, rows, gap, seed) for seed in range(args.fillings)]
    title = f"{args.run}: the middle {args.gap} of {rows.shape[1]} bases, {len(rows)} windows, {args.fillings} fillings"
    table = Table("filled by", "recovered", "standard error", title=title)
    for name, fillings in (
        ("model", np.stack(drawn, axis=1)),
        (f"Markov, order {chain.best_order}", np.stack(of_chain)),
    ):
        mean, error = recovered(fillings, rows, gap)
        table.add_row(name, f"{mean:.4f}", f"{error:.4f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
