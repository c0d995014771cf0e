"""The toy genome: a small generated genome whose entropy is known, always called a toy.

It stands in where no genome is given, and needs neither files nor a network. `toy_source` defines it. As the source is
known, so are bounds on its entropy: H(x | latents) <= H(x) <= H(x, latents). Both are taken at the chromosomes as
drawn, exactly; as estimates of an entropy they have a standard error (about 0.01 bits per base for one chromosome).
A model that is clearly below the lower one on a chromosome has seen that chromosome.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnadiff.data.toy_source import ISOCHORES, SEED, Chromosome, N, draw_chromosome
from dnadiff.errors import InputError, ResourceError
from dnadiff.files import sha256, unfinished
from dnadiff.rng import Stream, numpy_generator

VERSION = 1
FASTA_SHA256 = "255021cc98a6cfbff1a4da150191601f74752f10b6a45bca2afa0d5469b5cb9a"
ISOCHORES_SHA256 = "073d6bce351e6d144c665f7d0b50a6c321a5dae13266b29deba1abf61029c32c"
N_ISOCHORES = 12  # of each chromosome, about 0.5 Mb
NAMES = tuple(f"toy{number}" for number in range(1, 9))
VALID, TEST = ("toy7",), ("toy8",)  # the others are for training
COLUMNS = 60
BLOCK_BP = 50_000  # longer than isochores; the standard error takes blocks of this length for independent


class ToyFigures(NamedTuple):
    """What the generator knows about one chromosome; a base that is N costs nothing."""

    length_bp: int
    n_bases: int  # that are not N
    bits_given_latents: float  # -log2 p(bases | latents)
    latent_bits: float  # -log2 p(latents)
    standard_error_bits: float  # of bits_given_latents


class ToyBounds(NamedTuple):
    """Bits per base between which the entropy of the toy's source lies."""

    lower: float
    upper: float


def write_toy_genome(folder: Path) -> Path:
    """The FASTA file of the toy genome in a folder, written if it is absent or damaged.

    60 columns, soft-masked; a JSON file of `ToyFigures` by chromosome lies beside it. A reader never sees half a file,
    and two writers write the same bytes, so that no lock is needed.

    Raises:
        ResourceError: the folder cannot be written, or this machine draws other bases than version 1 has.
    """
    fasta = folder / f"toy-v{VERSION}.fa"
    if fasta.is_file() and sha256(fasta) == FASTA_SHA256:
        return fasta
    text = b"".join(_fasta_record(name, toy_chromosome(name)) for name in NAMES)
    if hashlib.sha256(text).hexdigest() != FASTA_SHA256:
        raise ResourceError(
            f"toy genome: numpy {np.__version__} draws other bases than version {VERSION} has, so that no figure would "
            "compare; install another numpy or give a genome with data.ref=/path/to.fa"
        )
    figures = {name: toy_figures(name)._asdict() for name in NAMES}
    with unfinished(fasta.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    with unfinished(fasta) as temporary:
        temporary.write_bytes(text)
    return fasta


def write_toy_isochores(folder: Path) -> Path:
    """A BED file with a header row in a folder, written if it is absent or damaged: the toy genome's isochores.

    Classes are named by the share of G and C in their background, such as gc40.
    """
    bed = folder / f"toy-v{VERSION}-isochores.bed"
    if bed.is_file() and sha256(bed) == ISOCHORES_SHA256:
        return bed
    with unfinished(bed) as temporary:
        rows = [row for name in NAMES for row in _isochores(name)]
        temporary.write_text("\n".join(["chrom\tstart\tend\tisochore", *rows, ""]), encoding="utf-8")
    return bed


def toy_bounds(contigs: Iterable[str]) -> ToyBounds:
    """Bounds on the entropy per base that is not N, over some chromosomes of the toy genome.

    Raises:
        InputError: no chromosome, or one that the toy genome does not have.
    """
    figures = [toy_figures(name) for name in contigs]
    if not figures:
        raise InputError(f"toy genome: bounds need a chromosome; name some of {', '.join(NAMES)}")
    n_bases = sum(figure.n_bases for figure in figures)
    lower = sum(figure.bits_given_latents for figure in figures) / n_bases
    return ToyBounds(lower, lower + sum(figure.latent_bits for figure in figures) / n_bases)


@cache
def toy_figures(name: str) -> ToyFigures:
    """The figures of one chromosome, from drawing it again (0.1 s); errors as in `toy_chromosome`."""
    chromosome = toy_chromosome(name)
    starts = np.arange(0, len(chromosome.bits), BLOCK_BP)
    blocks = np.add.reduceat(chromosome.bits, starts)[:-1]  # the last one is shorter
    return ToyFigures(
        length_bp=len(chromosome.letters),
        n_bases=int(np.count_nonzero(chromosome.letters != N)),
        bits_given_latents=float(chromosome.bits.sum()),
        latent_bits=chromosome.layout.bits,
        standard_error_bits=float(blocks.std(ddof=1) * np.sqrt(len(chromosome.bits) / BLOCK_BP)),
    )


def toy_chromosome(name: str) -> Chromosome:
    """Draw one chromosome of the toy genome; each has random numbers of its own.

    Raises:
        InputError: the toy genome has no such chromosome.
    """
    if name not in NAMES:
        raise InputError(f"{name!r} is not a chromosome of the toy genome; there are {', '.join(NAMES)}")
    rng = numpy_generator(SEED, Stream.TOY, 1 + NAMES.index(name))
    return draw_chromosome(rng, N_ISOCHORES)


def _isochores(name: str) -> list[str]:
    """Rows of a BED file; neighbours of one class are one."""
    layout = toy_chromosome(name).layout
    first = np.flatnonzero(np.diff(layout.isochore, prepend=-1))
    starts = layout.gap_start[first]
    ends = np.append(starts[1:], layout.end[-1])
    return [
        f"{name}\t{start}\t{end}\tgc{round(100 * ISOCHORES[kind][0])}"
        for start, end, kind in zip(starts.tolist(), ends.tolist(), layout.isochore[first].tolist(), strict=True)
    ]


def _fasta_record(name: str, chromosome: Chromosome) -> bytes:
    upper = np.frombuffer(b"ACGTN", dtype=np.uint8)[chromosome.letters]
    text = np.where(chromosome.masked, upper | 0x20, upper)  # 0x20 makes a letter lower-case
    n_lines = -(-len(text) // COLUMNS)
    lines = np.full((n_lines, COLUMNS + 1), ord("\n"), dtype=np.uint8)
    lines[:, :COLUMNS] = np.pad(text, (0, n_lines * COLUMNS - len(text))).reshape(n_lines, COLUMNS)
    return b">%s\n%s\n" % (name.encode(), lines.tobytes()[: len(text) + n_lines - 1])
