"""22 Mb of human and yeast for a small model of both, cut from whole genomes; chr20, chrI and chrXVI to test it.

    python data_prep/human_yeast.py --hg19 hg19.fa.gz --hg38 hg38.fa.gz --saccer3 sacCer3.fa.gz --out human_yeast.fa.gz
    dnadiff finetune dna/human-yeast --ref human_yeast.fa.gz

Each slice is a contig of its own, named by assembly, contig, start and end (0-based, half-open). The genomes are UCSC's
(hg19.fa.gz, hg38.fa.gz and sacCer3.fa.gz under https://hgdownload.soe.ucsc.edu/goldenPath/ASSEMBLY/bigZips), plain or
gzip; lower case, which marks repeats, becomes upper case. The sha256 of what was cut is compared with the one below.

hg19 chr1:0-1,000,000 and chr22:16,000,000-18,000,000 are left out: public variant tables lie there, so that scores of
them are of sequence that was not trained on.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fetch import FetchError
from program import finish

LINE = 60  # bases
SHA256 = "2143f9ca42c24d3e68528fb904c7f0fa6ee5e6cc21d352c4c002d6446b797d94"
YEAST = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI")
SLICES: dict[str, list[tuple[str, int, int | None]]] = {
    "hg19": [
        ("chr2", 10_000, 1_000_000),
        ("chr3", 60_000, 1_000_000),
        ("chr4", 10_000, 1_000_000),
        ("chr17", 0, 1_000_000),
        ("chr20", 1_000_000, 2_000_000),
        ("chr20", 9_995_000, 11_095_000),
        ("chr22", 18_000_000, 22_000_000),
    ],
    "hg38": [
        ("chr2", 1_000_000, 2_333_275),
        ("chr9", 10_000, 1_000_000),
        ("chr21", 24_985_580, 26_000_306),
        ("chr21", 43_758_154, 43_800_613),
        ("chr21", 43_801_183, 43_894_067),
        ("chr22", 32_000_000, 32_300_000),
    ],
    "saccer3": [(f"chr{number}", 0, None) for number in YEAST],
}


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where a genome is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for assembly in SLICES:
        parser.add_argument(f"--{assembly}", type=Path, required=True, help="FASTA file, plain or gzip")
    parser.add_argument("--out", type=Path, default=Path("human_yeast.fa.gz"), help="file to write")
    options = parser.parse_args(arguments)
    return finish(lambda: write(vars(options), options.out), f"written into {options.out}")


def write(genomes: dict[str, Path], to: Path) -> None:
    """Cut the slices of all assemblies, and compare them with what they should be."""
    rows = [row for assembly in SLICES for row in slices(assembly, genomes[assembly])]
    found = hashlib.sha256("".join(f"{name}\t{bases}\n" for name, bases in rows).encode()).hexdigest()
    if found != SHA256:
        raise FetchError(f"{to}: the slices have sha256 {found}, not {SHA256}; are the genomes UCSC's?")
    part = to.with_name(f"{to.name}.part")
    with part.open("wb") as handle, gzip.GzipFile("", "wb", fileobj=handle, mtime=0) as out:
        for name, bases in rows:
            lines = "\n".join(bases[at : at + LINE] for at in range(0, len(bases), LINE))
            out.write(f">{name}\n{lines}\n".encode())
    os.replace(part, to)


def slices(assembly: str, path: Path) -> list[tuple[str, str]]:
    """(name, bases) of an assembly's slices, in the order above."""
    wanted = SLICES[assembly]
    whole = dict(contigs(path, {contig for contig, *_ in wanted}))
    found = []
    for contig, start, end in wanted:
        bases = whole.get(contig, "")[start:end]
        if len(bases) < (1 if end is None else end - start):
            raise FetchError(f"{path}: has no {contig}:{start:,}-{end or 'end'}; give {assembly} as UCSC has it")
        found.append((f"{assembly}_{contig}_{start}_{start + len(bases)}", bases))
    return found


def contigs(path: Path, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """(name, bases in upper case) of those contigs of a FASTA file."""
    name, lines = "", list[str]()
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as handle:
        for line in handle:
            if line.startswith(">"):
                if lines:
                    yield name, "".join(lines).upper()
                name, lines = line[1:].split()[0], []
            elif name in wanted:
                lines.append(line.strip())
    if lines:
        yield name, "".join(lines).upper()


if __name__ == "__main__":
    sys.exit(main())
