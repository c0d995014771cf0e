"""The sections of a report that count letters and words. Each measure is one of every set, at equal numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from dnadiff.data.motifs import Motif
from dnadiff.report import letters, panels
from dnadiff.report.card import REAL, SAMPLES, Figure, Picture, Section, Sets, Table, alt_text
from dnadiff.report.kmers import gc_content, kmer_counts
from dnadiff.report.measured import Ints
from dnadiff.report.motif_counts import count_matches
from dnadiff.report.statistics import asymmetry, distance_to, mean_of, measure, wasserstein_to

Floats = NDArray[np.float64]
Tokens = NDArray[np.uint8]
LARGEST_K, SCATTERED_K = 6, 4
MOST_SHOWN = 12  # motifs on the page


class Feature(NamedTuple):
    """A measure of single sequences.

    Attributes:
        values: (n,) by set.
        figures: its mean, and its distance to the reference.
    """

    values: dict[str, Floats]
    figures: list[Figure]

    def picture(self, name: str, draw: Callable[..., Axes]) -> Picture:
        """Of all values; `draw` takes axes and these."""
        return Picture(name, alt_text(self.figures[0].measure, self.figures[:1]), lambda axes: draw(axes, self.values))


def kmers(sets: Sets) -> Section:
    """Spectra of k-mers, k = 1 to 6."""
    figures, of_strands, table = [], [], []
    for k in range(1, LARGEST_K + 1):
        counts = {name: kmer_counts(rows, k) for name, rows in sets.groups.items()}
        reference = kmer_counts(sets.reference, k).sum(0)
        to_reference = {name: distance_to(reference, each) for name, each in counts.items()}
        to_itself = {name: asymmetry(each) for name, each in counts.items()}
        figures.append(measure(f"{k}-mers", "Jensen-Shannon distance to the reference", to_reference, sets.n))
        of_strands.append(
            measure(f"{k}-mers, strands", "Jensen-Shannon distance of the two strands", to_itself, sets.n)
        )
        totals = [reference, *(each.sum(0) for each in counts.values())]
        table += [(_word(code, k), *column) for code, column in enumerate(np.stack(totals, 1).tolist())]
    columns = ("kmer", "reference", *sets.groups)
    return Section(
        "k-mers",
        "How far the frequencies of all k-mers are from those of the reference, as the square root of the "
        "Jensen-Shannon divergence with logarithms to base 2: 0 for equal frequencies, 1 if no k-mer is in both. Two "
        "sets of real windows differ too, the more so the longer the word: other real windows are the floor. By "
        "Chargaff's second rule a genome has each k-mer about as often as its reverse complement; the distance of the "
        "strands says how far a set is from that.",
        figures + of_strands,
        [
            _by_k("kmers", figures, "Jensen-Shannon distance to the reference"),
            _spectrum(sets),
            _by_k("strands", of_strands, "Jensen-Shannon distance of the two strands"),
        ],
        [Table("kmers", columns, table)],
    )


def composition(sets: Sets) -> Section:
    """GC and CpG."""
    gc = _feature("GC content", "share of G and C", sets, gc_content)
    cpg = _feature("CpG observed/expected", "ratio", sets, letters.cpg_ratio)
    return Section(
        "Composition",
        "GC content, and CpG dinucleotides over what C and G alone would make of them, of each sequence. The mean says "
        "whether the level is right, the distance (Wasserstein's, in the unit of the measure) whether sequences are as "
        "different from each other as real ones are.",
        [*gc.figures, *cpg.figures],
        [
            gc.picture("gc", partial(panels.histogram, x="GC content of a sequence")),
            cpg.picture("cpg", partial(panels.histogram, x="CpG observed/expected of a sequence")),
        ],
    )


def repeats(sets: Sets) -> Section:
    """Homopolymers and low complexity."""
    runs = _feature("longest homopolymer", "bases", sets, letters.longest_homopolymer)
    plain = _feature("low complexity", "share of 64-base windows with DUST score > 2", sets, letters.low_complexity)
    kilobases = sets.n * sets.length / 1000
    rates = {name: letters.homopolymer_counts(rows)[1:] / kilobases for name, rows in sets.groups.items()}
    figures = [*runs.figures, *plain.figures]
    return Section(
        "Homopolymers and low complexity",
        "Runs of one base, and stretches of few different triplets: windows of 64 bases, every 32, whose DUST score is "
        "above 2 (Morgulis et al. 2006). Samplers at low temperatures make too many of both.",
        figures,
        [
            Picture(
                "homopolymers", alt_text("Runs of one base per 1,000 bases, by length", figures[:1]),
                lambda axes: panels.rates(axes, rates, x="run of one base (bases)", y="runs per 1,000 bases"),
            ),
            plain.picture("low_complexity", partial(panels.survival, x="share of windows of low complexity")),
        ],
    )  # fmt: skip


def frames(sets: Sets) -> Section:
    """Open reading frames."""
    found = _feature("longest open frame", "codons", sets, letters.longest_frame)
    return Section(
        "Open reading frames",
        "The longest stretch between stop codons of each sequence, in any of six frames; the sequence's ends count as "
        "stops, since windows cut genes. Genes make frames that are longer than dinucleotides alone would.",
        found.figures,
        [found.picture("frames", partial(panels.survival, x="longest open reading frame (codons)"))],
    )


def motifs(sets: Sets, found: Sequence[Motif], *, source: str, p_value: float) -> Section:
    """How often motifs match."""
    counts = {name: count_matches(rows, found, p_value) for name, rows in sets.groups.items()}
    reference = count_matches(sets.reference, found, p_value).sum(0)
    kilobases = sets.n * sets.length / 1000
    rates = {name: mean_of(each.sum(1) * 1000 / sets.length) for name, each in counts.items()}
    shares = {name: distance_to(reference, each) for name, each in counts.items()}
    figures = [
        measure("motif matches", "per 1,000 bases", rates, sets.n),
        measure("motif matches, shares", "Jensen-Shannon distance to the reference", shares, sets.n),
    ]
    totals = {name: each.sum(0) for name, each in counts.items()}
    n_short = sum(motif.threshold(p_value) is None for motif in found)
    short = f" {n_short} of them are too short for it, and match nothing." if n_short else ""
    return Section(
        "Motifs",
        f"Matches of {len(found):,} motifs ({source}) on either strand, at a p-value of {p_value:g} for a random word "
        f"with the reference's GC content.{short} How many there are, and how far the motifs' shares of them are from "
        "those in the reference. In the table those come first whose number differs most from the reference's, by "
        "z = (samples - reference) / sqrt(samples + reference). Of many motifs some are beyond 2 or -2 by chance, and "
        "matches of one motif are not independent: read the real windows beside.",
        figures,
        [Picture(
            "motifs", alt_text("Matches per 1,000 bases of each motif, against the reference", figures),
            lambda axes: panels.scatter(
                axes, reference / kilobases, {name: totals[name] / kilobases for name in (SAMPLES, REAL)},
                x="matches per 1,000 bases, reference", y="matches per 1,000 bases",
            ),
        )],
        [_motif_table(found, reference, totals)],
    )  # fmt: skip


def _feature(name: str, unit: str, sets: Sets, of: Callable[[Tokens], Floats]) -> Feature:
    values = {group: of(rows) for group, rows in sets.groups.items()}
    reference = of(sets.reference)
    means = {group: mean_of(each) for group, each in values.items()}
    distances = {group: wasserstein_to(reference, each) for group, each in values.items()}
    return Feature(
        values,
        [
            measure(f"{name}, mean", unit, means, sets.n),
            measure(f"{name}, distance", f"Wasserstein distance to the reference, {unit}", distances, sets.n),
        ],
    )


def _by_k(name: str, figures: Sequence[Figure], y: str) -> Picture:
    """Figures of rising k."""
    points = {
        group: {k: figure.by_group[group] for k, figure in enumerate(figures, 1)} for group in figures[0].by_group
    }
    return Picture(
        name, alt_text(f"{y}, k = 1 to {len(figures)}", figures), partial(panels.lines, points=points, x="k", y=y)
    )


def _spectrum(sets: Sets) -> Picture:
    """Samples and other real windows against the reference, k-mer by k-mer."""
    chosen = {"reference": sets.reference, **{name: sets.groups[name] for name in (SAMPLES, REAL)}}
    totals = {name: kmer_counts(rows, SCATTERED_K).sum(0) for name, rows in chosen.items()}
    shares = {name: total / max(total.sum(), 1) for name, total in totals.items()}
    reference = shares.pop("reference")
    alt = f"Frequency of each {SCATTERED_K}-mer in samples and in other real windows, against the reference."
    return Picture(
        "spectrum", alt,
        lambda axes: panels.scatter(
            axes, reference, shares, x=f"frequency of a {SCATTERED_K}-mer in the reference",
            y=f"frequency of the {SCATTERED_K}-mer",
        ),
    )  # fmt: skip


def _motif_table(found: Sequence[Motif], reference: Ints, totals: Mapping[str, Ints]) -> Table:
    ours = totals[SAMPLES]
    z = (ours - reference) / np.sqrt(np.maximum(ours + reference, 1))
    order = np.argsort(-np.abs(z), kind="stable").tolist()
    columns = ("motif", "reference", *totals, "z")
    rows = [
        (found[i].name, int(reference[i]), *(int(total[i]) for total in totals.values()), round(float(z[i]), 2))
        for i in order
    ]
    return Table("motifs", columns, rows, MOST_SHOWN)


def _word(code: int, k: int) -> str:
    return "".join("ACGT"[code // 4**place % 4] for place in reversed(range(k)))
