"""What every reader of files must do with any bytes at all: read them right, or refuse them with an InputError.

Each function of `PARSERS` takes the content of a file and a folder of its own, and raises where neither is so.
"""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from dnadiff import checkpoint, config, dna
from dnadiff.data.bed import read_bed
from dnadiff.data.fasta import Genome
from dnadiff.data.labelled.open import open_set
from dnadiff.data.leakage.files import Table, read_rows
from dnadiff.data.vcf import Variant, VcfFile
from dnadiff.errors import InputError
from dnadiff.tasks.settings import TrainConfig

CONTIGS = {"chr1": "GGACACACATTTTNACGTRCCAGT" * 5, "chr2": "AAAATG", "chrM": "C"}
FASTA = "".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items())


def written(content: bytes, folder: Path, name: str) -> Path:
    """The content as a file."""
    path = folder / name
    path.write_bytes(content)
    return path


def genome(folder: Path) -> Genome:
    """The one that intervals and variants are on."""
    path = folder / "known.fa"
    if not path.is_file():
        path.write_text(FASTA)
    return Genome.open(path, cache=folder / "cache")


opened_once = cache(genome)


def fasta(content: bytes, folder: Path) -> None:
    found = Genome.open(written(content, folder, "x.fa"), cache=folder / "cache")
    records = [record.split(b"\n") for record in (b"\n" + content).split(b"\n>")[1:]]
    bases = {lines[0].split()[0]: b"".join(line.removesuffix(b"\r") for line in lines[1:]) for lines in records}
    assert list(found.contigs) == [name.decode("utf-8", "backslashreplace") for name in bases]
    for name, expected in zip(found.contigs, bases.values(), strict=True):
        assert found.contigs[name] == len(expected)
        if expected:
            assert np.array_equal(found.tokens(name, 0, len(expected)), dna.encode(expected))
            assert found.text(name, len(expected) - 1, len(expected)) == chr(expected[-1])


def fai(content: bytes, folder: Path) -> None:
    written(content, folder, "known.fa.fai")
    found = genome(folder)
    assert all(found.text(name, 0, len(bases)) == bases for name, bases in CONTIGS.items())


def bed(content: bytes, folder: Path) -> None:
    lengths = {name: len(bases) for name, bases in CONTIGS.items()}
    found = read_bed(written(content, folder, "x.bed"), lengths)
    lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    for line, contig, start, end in zip(found.line, found.contig, found.start, found.end, strict=True):
        assert 0 <= start < end <= list(lengths.values())[contig]
        words = re.split(r"[\s,]+", lines[line - 1].strip())
        assert words[0] == list(lengths)[contig]
        assert [int(word) for word in words[1:3]] == [start, end]


def vcf(content: bytes, folder: Path) -> None:
    known = opened_once(folder)
    for record in VcfFile(written(content, folder, "x.vcf"), known).records():
        for variant in record.variants:
            if isinstance(variant, Variant):
                assert variant.ref != variant.alt
                name = known.index.names[variant.contig]
                end = variant.start + len(variant.ref)
                assert 0 <= variant.start <= end <= len(CONTIGS[name])
                assert dna.encode(CONTIGS[name][variant.start : end]).tobytes() == variant.ref


def table(content: bytes, folder: Path) -> None:
    found = read_rows(written(content, folder, "x.csv"), None)
    if isinstance(found, Table):
        assert (found.sequences.lengths > 0).all()
        assert found.sequences.tokens.max() < dna.INVALID


def labelled(content: bytes, folder: Path) -> None:
    found = open_set(written(content, folder, "x.csv"))
    assert len(found.classes) > 1
    assert (found.train.lengths > 0).all()
    assert set(found.train.label.tolist()) == set(range(len(found.classes)))


def settings(content: bytes, folder: Path) -> None:
    found = config.resolve(TrainConfig, str(written(content, folder, "x.yaml")))
    again = written(config.to_yaml(found).encode(), folder, "again.yaml")
    assert config.read(TrainConfig, again) == found


def manifest(content: bytes, folder: Path) -> None:
    for name in ("config.yaml", "vocab.json", "weights.safetensors"):
        written(name.encode(), folder, name)
    written(content, folder, "manifest.json")
    for name, digest in checkpoint.verify(folder)["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


PARSERS: dict[str, Callable[[bytes, Path], None]] = {
    each.__name__: each for each in (fasta, fai, bed, vcf, table, labelled, settings, manifest)
}


def holds(name: str, content: bytes, folder: Path) -> bool:
    """Whether a content was read; False where it was refused. Anything else is raised."""
    return done(lambda: PARSERS[name](content, folder))


def done(work: Callable[[], object]) -> bool:
    """Whether work was done; False where it was refused in one line."""
    try:
        work()
    except InputError as error:
        if "\n" in str(error):
            raise AssertionError("more than a line") from error
        return False
    return True
