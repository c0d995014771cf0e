"""The source of the toy genome; this docstring is its definition, the constants below are its parameters.

A chromosome is a row of isochores, an isochore a class (its composition) and a number of pairs, a pair a gap of
background and an element. All draws are independent unless said:

- Isochore: class uniform over `ISOCHORES`, number of pairs uniform over `PAIRS`.
- Gap: length uniform over `GAP_BP`, bases from a stationary order-2 chain that has the same law on both strands:
  a trinucleotide abc weighs composition(b) x CpG(ab) x CpG(bc) x bias(abc), bias being shared by all classes.
- Element: one of `GENE`, `UNKNOWN` and the templates, by its share; of a size uniform over its own range. Genes and
  templates lie on either strand with equal chance.
  Gene: ATG, as many codons as its size, each drawn by one usage, and one of three stops.
  Unknown: as many N as its size.
  Template: the last `size` bases of a repeat family's consensus or of a microsatellite's long run. A copy has one of
  three divergences; with this chance each base is replaced, by one of the other three.

Repeats and microsatellites are soft-masked. All but the bases is latent: a `Chromosome` carries -log2 p of each base
given the latents and -log2 p of the latents, both exact. Draws come from `Generator.random` alone, and only
arithmetic and comparisons lie between them and the bases, so that every platform makes the same bytes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from dnadiff.rng import Stream, numpy_generator

SEED = 1
N = 4  # letters are 0 1 2 3 for A C G T, 4 for N; a letter x pairs with 3 - x
OUTSIDE = 4  # as context of a base: before the gap

ISOCHORES = ((0.24, 0.40), (0.32, 0.40), (0.40, 0.50), (0.52, 0.70))  # share of G + C in composition, weight of CpG
BIAS = 0.75  # trinucleotides weigh 1 - BIAS to 1 + BIAS, then the mean of both strands
PAIRS = (30, 70)  # this and all ranges: half-open
GAP_BP = (100, 1100)
THIRD_POSITION = (0.15, 0.40, 0.30, 0.15)  # weights of A C G T there
CODING_BIAS = 0.8  # codons and their first two letters weigh 1 - CODING_BIAS to 1 + CODING_BIAS
SATELLITE_BP = (20, 101)
SATELLITES = ("A", "AC", "AT", "AG", "AAT", "AAAG", "GATA")


class Element(NamedTuple):
    """A kind of element: share of all elements, range of sizes, and for templates the divergences."""

    share: float
    sizes: tuple[int, int]
    divergences: tuple[float, ...] = ()


GENE, UNKNOWN, FIRST_TEMPLATE = 0, 1, 2
REPEATS = (
    Element(0.08, (150, 301), (0.05, 0.10, 0.20)),
    Element(0.05, (90, 181), (0.05, 0.10, 0.20)),
    Element(0.03, (250, 501), (0.05, 0.10, 0.20)),
)
ELEMENTS = (
    Element(0.33, (60, 260)),
    Element(0.02, (20, 120)),
    *REPEATS,
    *(Element(0.07, SATELLITE_BP, (0.01, 0.03, 0.06)) for _ in SATELLITES),
)


class Layout(NamedTuple):
    """The latents: (n_pairs,) arrays, a pair being the gap gap_start:start and the element start:end (bases)."""

    isochore: np.ndarray  # class
    gap_start: np.ndarray
    start: np.ndarray
    end: np.ndarray
    element: np.ndarray  # index into ELEMENTS
    reverse: np.ndarray  # bool
    divergence: np.ndarray
    bits: float  # -log2 p of all of them


class Chromosome(NamedTuple):
    """Bases, what they cost and the latents.

    Attributes:
        letters: (length,) uint8, 0 to 3, and 4 for N.
        masked: (length,) bool, repeats and microsatellites.
        bits: (length,) float64, -log2 p(base | latents), 0 at N; a codon's are shared by its three bases.
        layout: the latents.
    """

    letters: np.ndarray
    masked: np.ndarray
    bits: np.ndarray
    layout: Layout


def draw_chromosome(rng: np.random.Generator, n_isochores: int) -> Chromosome:
    """One chromosome of the toy genome."""
    layout = draw_layout(rng, n_isochores)
    uniforms = rng.random(layout.end[-1])
    letters, bits = np.full(len(uniforms), N, dtype=np.uint8), np.zeros(len(uniforms))
    masked = np.zeros(len(uniforms), dtype=bool)
    _paint_gaps(layout, uniforms, letters, bits)
    _paint_genes(layout, uniforms, letters, bits)
    masked[_paint_templates(layout, uniforms, letters, bits)] = True
    return Chromosome(letters, masked, bits, layout)


def draw_layout(rng: np.random.Generator, n_isochores: int) -> Layout:
    """The latents of a chromosome; `bits` counts each choice that means something to its element."""
    kinds, sizes = rng.random((2, n_isochores))
    isochore = np.repeat(_uniform(kinds, (0, len(ISOCHORES))), _uniform(sizes, PAIRS))
    gaps, elements, sizes, strands, divergences = rng.random((5, len(isochore)))
    share, low, high, divergence = element_columns()
    gap_bp = _uniform(gaps, GAP_BP)
    element = np.searchsorted(np.cumsum(share)[:-1], elements, side="right")
    size = _uniform(sizes, (low[element], high[element]))
    bp = np.where(element == GENE, 3 * (size + 2), size)
    end = np.cumsum(gap_bp + bp)
    choices = (GAP_BP[1] - GAP_BP[0]) * (high - low) * np.where(np.isnan(divergence[:, 0]), 1, 3) / share
    choices[np.arange(len(ELEMENTS)) != UNKNOWN] *= 2  # strands
    bits = n_isochores * np.log2(len(ISOCHORES) * (PAIRS[1] - PAIRS[0])) + np.log2(choices[element]).sum()
    return Layout(
        isochore, end - bp - gap_bp, end - bp, end, element, strands < 0.5,
        divergence[element, _uniform(divergences, (0, 3))], float(bits),
    )  # fmt: skip


@cache
def element_columns() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`ELEMENTS` as (n_elements,) shares, lowest and highest sizes, and (n_elements, 3) divergences, nan without."""
    low, high = np.array([element.sizes for element in ELEMENTS]).T
    divergences = np.array([element.divergences or (np.nan,) * 3 for element in ELEMENTS])
    return np.array([element.share for element in ELEMENTS]), low, high, divergences


@cache
def background() -> np.ndarray:
    """(classes, 5, 5, 4): p of a base given the class and two bases before it, `OUTSIDE` where the gap starts."""
    bias = 1 + BIAS * (2 * _parameters(0).random((4, 4, 4)) - 1)
    bias += bias.transpose()[::-1, ::-1, ::-1]
    return np.stack([_stationary_chain(bias, gc, cpg) for gc, cpg in ISOCHORES])


@cache
def codon_usage() -> np.ndarray:
    """(3, 64): p of a codon, as a number in base 4, at the start of a gene, inside and at its stop."""
    weights = 1 + CODING_BIAS * (2 * _parameters(1).random((2, 4, 4, 4)) - 1)
    inside = (weights[0, :, :, :1] * weights[1] * np.array(THIRD_POSITION)).ravel()
    start, stop = np.zeros(64), np.zeros(64)
    start[[_number("ATG")]] = 1
    stop[[_number("TAA"), _number("TAG"), _number("TGA")]] = 1 / 3
    inside[stop > 0] = 0
    return np.stack([start, inside / inside.sum(), stop])


@cache
def templates() -> tuple[np.ndarray, ...]:
    """Letters of the full length of each template, in the order of `ELEMENTS[FIRST_TEMPLATE:]`."""
    rng = _parameters(2)
    consensus = [(4 * rng.random(element.sizes[1] - 1)).astype(np.uint8) for element in REPEATS]
    units = [["ACGT".index(letter) for letter in unit] for unit in SATELLITES]
    runs = [np.resize(unit, SATELLITE_BP[1] - 1).astype(np.uint8) for unit in units]
    return (*consensus, *runs)


def _parameters(which: int) -> np.random.Generator:
    return numpy_generator(SEED, Stream.TOY, 0, which)


def _number(codon: str) -> int:
    return sum("ACGT".index(letter) * 4**place for place, letter in enumerate(reversed(codon)))


def _uniform(uniforms: np.ndarray, bounds: tuple[int | np.ndarray, int | np.ndarray]) -> np.ndarray:
    """Integers, uniform over a half-open range."""
    low, high = bounds
    return low + (uniforms * (high - low)).astype(np.int64)


def _stationary_chain(bias: np.ndarray, gc: float, cpg: float) -> np.ndarray:
    """(5, 5, 4) transitions of the chain p(x) ~ product of trinucleotide weights, by its Perron vectors (Parry).

    The weights are equal on both strands, therefore so is the law of the chain.
    """
    composition = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    pair = np.ones((4, 4))
    pair[1, 2] = cpg
    weights = bias * composition[:, None] * pair[:, :, None] * pair
    right, left = np.ones((4, 4)), np.ones((4, 4))
    for _ in range(200):
        right, left = (weights * right).sum(axis=2), (weights * left[:, :, None]).sum(axis=0)
        right, left = right / right.sum(), left / left.sum()
    pairs = left * right
    chain = np.ones((5, 5, 4))
    chain[:4, :4] = weights * right
    chain[OUTSIDE, :4], chain[OUTSIDE, OUTSIDE] = pairs, pairs.sum(axis=1)
    chain /= chain.sum(axis=-1, keepdims=True)
    return chain


def _places(layout: Layout, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bases of the chosen pairs' elements in reading order: pair, step from the 5' end, and position of each."""
    pairs = np.flatnonzero(chosen)
    bp = layout.end[pairs] - layout.start[pairs]
    owner = np.repeat(pairs, bp)
    step = np.arange(bp.sum()) - np.repeat(np.cumsum(bp) - bp, bp)
    position = np.where(layout.reverse[owner], layout.end[owner] - 1 - step, layout.start[owner] + step)
    return owner, step, position


def _paint_gaps(layout: Layout, uniforms: np.ndarray, letters: np.ndarray, bits: np.ndarray) -> None:
    """Background: all gaps at once, from 5' to 3'."""
    chain = background()
    thresholds = np.cumsum(chain, axis=-1)[..., :3]
    gaps = np.arange(len(layout.start))
    older = newer = np.full(len(gaps), OUTSIDE)
    for step in range(GAP_BP[1]):
        still = layout.gap_start[gaps] + step < layout.start[gaps]
        gaps, older, newer = gaps[still], older[still], newer[still]
        position, context = layout.gap_start[gaps] + step, (layout.isochore[gaps], older, newer)
        letter = (uniforms[position, None] >= thresholds[context]).sum(axis=1)
        letters[position], bits[position] = letter, -np.log2(chain[*context, letter])
        older, newer = newer, letter


def _paint_genes(layout: Layout, uniforms: np.ndarray, letters: np.ndarray, bits: np.ndarray) -> None:
    """Codons, each drawn by the uniform of its first base in reading order."""
    owner, step, position = _places(layout, layout.element == GENE)
    usage = codon_usage()
    bp = (layout.end - layout.start)[owner[::3]]
    part = 1 - (step[::3] == 0) + (step[::3] == bp - 3)  # start, inside, stop
    codon = (uniforms[position[::3], None] >= np.cumsum(usage, axis=1)[part, :63]).sum(axis=1)
    letter = np.stack([codon // 16, codon // 4 % 4, codon % 4], axis=1).ravel()
    letters[position] = np.where(layout.reverse[owner], 3 - letter, letter)
    bits[position] = np.repeat(-np.log2(usage[part, codon]) / 3, 3)


def _paint_templates(layout: Layout, uniforms: np.ndarray, letters: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Repeats and microsatellites; returns where they are, (n_bases,) positions."""
    owner, step, position = _places(layout, layout.element >= FIRST_TEMPLATE)
    ends = np.cumsum([len(template) for template in templates()])
    last = ends[layout.element[owner] - FIRST_TEMPLATE]
    kept = np.concatenate(templates())[last - (layout.end - layout.start)[owner] + step]
    chance, uniform = layout.divergence[owner], uniforms[position]
    changed = uniform < chance
    other = (kept + 1 + np.minimum(3 * uniform / chance, 2).astype(np.uint8)) % 4
    letter = np.where(changed, other, kept)
    letters[position] = np.where(layout.reverse[owner], 3 - letter, letter)
    bits[position] = -np.log2(np.where(changed, chance / 3, 1 - chance))
    return position
