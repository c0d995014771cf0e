"""The toy's source: its figures against independent counting, its symmetry, its latents."""

from __future__ import annotations

import numpy as np
import pytest

from dnadiff.data import toy_source as source
from dnadiff.data.toy_source import Chromosome, Layout, draw_chromosome, draw_layout
from dnadiff.rng import Stream, numpy_generator


def draw(place: int, n_isochores: int = 4) -> Chromosome:
    return draw_chromosome(numpy_generator(7, Stream.TOY, place), n_isochores)


@pytest.fixture(scope="module")
def chromosome() -> Chromosome:
    return draw(0, n_isochores=40)


def in_gaps(layout: Layout, isochore: int) -> np.ndarray:
    """(length,) bool: background of one class, but for the first two bases of each gap."""
    inside = np.zeros(layout.end[-1], dtype=bool)
    for start, end in zip(layout.gap_start, layout.start, strict=True):
        inside[start + 2 : end] = True
    inside &= np.repeat(layout.isochore == isochore, layout.end - layout.gap_start)
    return inside


def in_elements(layout: Layout, elements: list[int]) -> np.ndarray:
    chosen = np.isin(layout.element, elements)
    inside = np.zeros(layout.end[-1], dtype=bool)
    for start, end in zip(layout.start[chosen], layout.end[chosen], strict=True):
        inside[start:end] = True
    return inside


def reading(chromosome: Chromosome, pair: np.signedinteger | int) -> np.ndarray:
    """Letters of an element in its own direction."""
    layout = chromosome.layout
    letters = chromosome.letters[layout.start[pair] : layout.end[pair]]
    return 3 - letters[::-1] if layout.reverse[pair] else letters


def naive_bits(chromosome: Chromosome, pair: int) -> float:
    """-log2 p of a gap and its element given the latents, base by base from the definition."""
    layout, chain = chromosome.layout, source.background()[chromosome.layout.isochore[pair]]
    gap = [source.OUTSIDE] * 2 + chromosome.letters[layout.gap_start[pair] : layout.start[pair]].tolist()
    p = [chain[older, newer, letter] for older, newer, letter in zip(gap, gap[1:], gap[2:], strict=False)]
    letters, element = reading(chromosome, pair), layout.element[pair]
    if element == source.GENE:
        codons = [16 * a + 4 * b + c for a, b, c in letters.reshape(-1, 3).tolist()]
        start, inside, stop = source.codon_usage()
        p += [start[codons[0]], *(inside[codon] for codon in codons[1:-1]), stop[codons[-1]]]
    elif element >= source.FIRST_TEMPLATE:
        original = source.templates()[element - source.FIRST_TEMPLATE][-len(letters) :]
        chance = layout.divergence[pair]
        p += [1 - chance if same else chance / 3 for same in letters == original]
    return float(-np.log2(p).sum())


def test_bits_of_the_bases_are_those_of_the_definition() -> None:
    chromosome = draw(1, n_isochores=1)
    layout = chromosome.layout
    for pair, (start, end) in enumerate(zip(layout.gap_start, layout.end, strict=True)):
        assert chromosome.bits[start:end].sum() == pytest.approx(naive_bits(chromosome, pair))


@pytest.mark.parametrize("isochore", range(len(source.ISOCHORES)))
def test_background_bits_agree_with_counting(chromosome: Chromosome, isochore: int) -> None:
    place = np.flatnonzero(in_gaps(chromosome.layout, isochore))
    triples = np.stack([chromosome.letters[place - 2], chromosome.letters[place - 1], chromosome.letters[place]])
    counts = np.bincount(np.ravel_multi_index(triples, (4, 4, 4)), minlength=64).reshape(16, 4)
    counted = -(counts * np.log2(counts / counts.sum(axis=1, keepdims=True))).sum() / counts.sum()
    assert chromosome.bits[place].mean() == pytest.approx(counted, abs=0.003)


def test_composition_and_cpg_of_each_isochore_are_those_of_its_chain(chromosome: Chromosome) -> None:
    ratios = []
    for isochore, chain in enumerate(source.background()):
        first = chain[source.OUTSIDE, source.OUTSIDE]
        pairs = first[:, None] * chain[source.OUTSIDE, :4]
        place = np.flatnonzero(in_gaps(chromosome.layout, isochore))
        letters, before = chromosome.letters[place], chromosome.letters[place - 1]
        assert np.bincount(letters, minlength=4) / len(place) == pytest.approx(first, abs=0.01)
        ratios.append(np.mean((before == 1) & (letters == 2)) / (np.mean(letters == 1) * np.mean(letters == 2)))
        assert ratios[-1] == pytest.approx(pairs[1, 2] / (first[1] * first[2]), rel=0.1)
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.3


def test_the_background_has_the_same_law_on_both_strands() -> None:
    for chain in source.background():
        pairs = chain[source.OUTSIDE, source.OUTSIDE, :, None] * chain[source.OUTSIDE, :4]
        triples = pairs[:, :, None] * chain[:4, :4]
        assert triples.sum(axis=0) == pytest.approx(pairs)  # stationary
        assert triples == pytest.approx(triples.transpose()[::-1, ::-1, ::-1])


def test_genes_are_read_in_frame_without_an_inner_stop(chromosome: Chromosome) -> None:
    stops = {"TAA", "TAG", "TGA"}
    for pair in np.flatnonzero(chromosome.layout.element == source.GENE):
        text = "".join("ACGT"[letter] for letter in reading(chromosome, pair))
        codons = [text[start : start + 3] for start in range(0, len(text), 3)]
        assert codons[0] == "ATG"
        assert codons[-1] in stops
        assert not stops & set(codons[:-1])


def test_codons_are_used_as_the_table_says(chromosome: Chromosome) -> None:
    genes = np.flatnonzero(chromosome.layout.element == source.GENE)
    codons = np.concatenate([reading(chromosome, gene)[3:-3].reshape(-1, 3) for gene in genes]) @ [16, 4, 1]
    assert np.bincount(codons, minlength=64) / len(codons) == pytest.approx(source.codon_usage()[1], abs=0.003)


def test_copies_differ_from_their_template_by_their_divergence(chromosome: Chromosome) -> None:
    layout = chromosome.layout
    for chance in np.unique(layout.divergence[~np.isnan(layout.divergence)]):
        copies = np.flatnonzero(layout.divergence == chance)
        differs = np.concatenate(
            [
                reading(chromosome, copy)
                != source.templates()[layout.element[copy] - source.FIRST_TEMPLATE][
                    layout.start[copy] - layout.end[copy] :
                ]
                for copy in copies
            ]
        )
        assert differs.mean() == pytest.approx(chance, abs=4 * np.sqrt(chance / differs.size))


def test_shares_of_elements_and_strands_are_those_of_the_definition(chromosome: Chromosome) -> None:
    n_pairs = len(chromosome.layout.element)
    shares = np.bincount(chromosome.layout.element, minlength=len(source.ELEMENTS)) / n_pairs
    assert shares == pytest.approx([element.share for element in source.ELEMENTS], abs=4 * np.sqrt(0.2 / n_pairs))
    assert chromosome.layout.reverse.mean() == pytest.approx(0.5, abs=2 / np.sqrt(n_pairs))
    assert sum(element.share for element in source.ELEMENTS) == pytest.approx(1)


def test_masked_are_the_templates_and_n_are_the_unknown_runs(chromosome: Chromosome) -> None:
    templates = list(range(source.FIRST_TEMPLATE, len(source.ELEMENTS)))
    assert np.array_equal(chromosome.masked, in_elements(chromosome.layout, templates))
    assert np.array_equal(chromosome.letters == source.N, in_elements(chromosome.layout, [source.UNKNOWN]))
    assert not chromosome.bits[chromosome.letters == source.N].any()


def test_latents_cost_the_entropy_of_their_choices() -> None:
    """The mean over many layouts of -log2 p(latents), against the entropies of the choices added up."""
    n = 300
    layouts = [draw_layout(numpy_generator(8, Stream.TOY, place), 1) for place in range(n)]
    n_pairs = sum(len(layout.element) for layout in layouts)
    per_pair = np.log2(source.GAP_BP[1] - source.GAP_BP[0])
    for number, (share, (low, high), divergences) in enumerate(source.ELEMENTS):
        per_pair += share * (np.log2(high - low) - np.log2(share) + np.log2(len(divergences) or 1))
        per_pair += share * (number != source.UNKNOWN)
    expected = n * np.log2(len(source.ISOCHORES) * (source.PAIRS[1] - source.PAIRS[0])) + n_pairs * per_pair
    assert sum(layout.bits for layout in layouts) == pytest.approx(expected, rel=0.005)


def test_the_draw_is_a_function_of_the_generator_alone() -> None:
    once, again, other = draw(3), draw(3), draw(4)
    assert np.array_equal(once.letters, again.letters)
    assert np.array_equal(once.bits, again.bits)
    assert len(once.letters) != len(other.letters)
