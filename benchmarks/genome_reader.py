"""How fast windows of a genome become tokens, against the way of published loaders.

    python benchmarks/genome_reader.py [--megabases 64] [--length 1024]

A random genome is written to a temporary folder. The way of published loaders: pyfaidx cuts a string (upper case),
a dictionary look-up makes a list of ids, the list becomes an array. Both first read all windows once, which checks that
they agree and brings the file into memory; then they read the same random batches in turns, on one core. Medians over
the turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyfaidx
from rich.console import Console
from rich.table import Table

from dnadiff.data.fasta import Genome
from dnadiff.vocab import DNA

BATCH_BP = 1 << 18
BATCHES = 4  # in a turn
TURNS = 21
CONTIGS = ("chr1", "chr2", "chr3", "chr4")
Read = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def write_genome(path: Path, megabases: int) -> None:
    """Four contigs of lines of 60 bases, a thousandth of them N."""
    rng = np.random.default_rng(0)
    n_lines = megabases * 1_000_000 // len(CONTIGS) // 60
    with path.open("wb") as handle:
        for name in CONTIGS:
            letters = np.frombuffer(b"ACGTacgt", np.uint8)[rng.integers(0, 8, (n_lines, 61))]
            letters[rng.random(letters.shape) < 0.001] = ord("N")
            letters[:, 60] = ord("\n")
            handle.write(b">" + name.encode() + b"\n" + letters.tobytes())


def published_way(path: Path) -> Read:
    """String, list, array: what loaders built on pyfaidx and a character tokenizer do for each window."""
    fasta = pyfaidx.Fasta(str(path), sequence_always_upper=True)
    ids = {DNA.tokens[i]: i for i in (*DNA.letters, DNA.unknown)}

    def window(contig: int, start: int, length: int) -> np.ndarray:
        sequence = str(fasta[CONTIGS[contig]][start : start + length])
        return np.array([ids.get(letter, DNA.unknown) for letter in sequence], dtype=np.uint8)

    def read(contigs: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        places = zip(contigs.tolist(), starts.tolist(), strict=True)
        return np.stack([window(contig, start, length) for contig, start in places])

    return read


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read_turn(read: Read, contigs: np.ndarray, starts: np.ndarray, length: int) -> None:
    for contig, start in zip(contigs, starts, strict=True):
        read(contig, start, length)


def main(megabases: int, length: int) -> None:
    """Print bases per second of both ways, and their ratio."""
    rng = np.random.default_rng(1)
    batch = max(1, BATCH_BP // length)
    n_windows = BATCHES * batch
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "genome.fa"
        write_genome(path, megabases)
        index_s = seconds(lambda: pyfaidx.Faidx(str(path)))
        open_s = seconds(lambda: Genome.open(path, cache=Path(folder)))
        genome, published = Genome.open(path, cache=Path(folder)), published_way(path)
        contigs = rng.integers(0, len(CONTIGS), (TURNS, BATCHES, batch))
        starts = rng.integers(0, genome.contigs[CONTIGS[0]] - length, contigs.shape)
        for turn in range(TURNS):
            for contig, start in zip(contigs[turn], starts[turn], strict=True):
                assert np.array_equal(genome.read(contig, start, length), published(contig, start, length))
        times: dict[str, list[float]] = {"dnadiff": [], "pyfaidx, string, list": []}
        for turn in range(TURNS):
            for name, read in zip(times, (genome.read, published), strict=True):
                times[name].append(seconds(lambda r=read, t=turn: read_turn(r, contigs[t], starts[t], length)))
    medians = {name: statistics.median(turns) for name, turns in times.items()}
    table = Table("way", "million bases/s", "us/window", title=f"windows of {length:,} bases, {megabases} Mb genome")
    for name, median in medians.items():
        table.add_row(name, f"{n_windows * length / median / 1e6:.1f}", f"{median / n_windows * 1e6:.2f}")
    Console().print(table)
    ours, theirs = medians.values()
    print(f"ratio {theirs / ours:.1f}")
    print(f"first open: {open_s:.2f} s (index and a check of every byte); pyfaidx: {index_s:.2f} s (index alone)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabases", type=int, default=64)
    parser.add_argument("--length", type=int, default=1024)
    given = parser.parse_args()
    main(given.megabases, given.length)
