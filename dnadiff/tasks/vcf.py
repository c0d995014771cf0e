"""Substitutions as VCF 4.3: one line per base, each filling a haploid sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dnadiff.inference.design import IUPAC

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")


class Substitution(NamedTuple):
    """A base that some fillings change.

    Attributes:
        contig: its name.
        position: 0-based.
        old: what was there, in capitals; may be an IUPAC code.
        new: the base in each filling.
    """

    contig: str
    position: int
    old: str
    new: tuple[str, ...]


def vcf_text(contigs: Mapping[str, int], rows: Sequence[Substitution], n: int, about: str) -> str:
    """The file's text, in the order of the contigs.

    Args:
        contigs: length of each by name.
        n: how many fillings there are.
        about: where they come from.
    """
    order = {name: number for number, name in enumerate(contigs)}
    lines = [
        "##fileformat=VCFv4.3",
        f"##source=dnadiff infill {about}",
        *(f"##contig=<ID={name},length={length}>" for name, length in contigs.items()),
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Base of this filling">',
        "\t".join([*COLUMNS, *(f"filling_{number}" for number in range(1, n + 1))]),
    ]
    for row in sorted(rows, key=lambda row: (order[row.contig], row.position)):
        old = row.old if row.old == "N" else IUPAC[row.old][0]  # as the format asks: the first base of a code
        alternatives = sorted(set(row.new) - {old})
        if alternatives:
            alleles = [old, *alternatives]
            fields = [row.contig, str(row.position + 1), ".", old, ",".join(alternatives), ".", ".", ".", "GT"]
            lines.append("\t".join([*fields, *(str(alleles.index(base)) for base in row.new)]))
    return "\n".join(lines) + "\n"
