"""Bases of intervals, whatever file lists them, against plain slices of strings."""

from pathlib import Path

import numpy as np
import pytest
from genomes import fasta_text, random_bases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import silent_if_wrong
from small_rows import patient

from dnadiff import dna
from dnadiff.config import decode
from dnadiff.data.bed import read_bed
from dnadiff.data.fasta import Genome
from dnadiff.data.genome import GenomeData, open_data
from dnadiff.data.labelled.open import Genomes, open_set
from dnadiff.data.leakage.sequences import InGenome

CONTIGS = {"chr1": random_bases(500), "chr2": random_bases(61, seed=1), "chrM": random_bases(1, seed=2)}
ENDS = [(name, start, end) for name, bases in CONTIGS.items()
        for start, end in {(0, 1), (len(bases) - 1, len(bases)), (0, len(bases))}]  # fmt: skip
Place = tuple[str, int, int, str]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    folder = tmp_path_factory.mktemp("genome")
    (folder / "genome.fa").write_text(fasta_text(CONTIGS))
    return Genome.open(folder / "genome.fa", cache=folder / "cache")


@st.composite
def places(draw: st.DrawFn) -> Place:
    name = draw(st.sampled_from(list(CONTIGS)))
    start = draw(st.integers(0, len(CONTIGS[name]) - 1))
    return name, start, draw(st.integers(start + 1, len(CONTIGS[name]))), draw(st.sampled_from("+-."))


def bases_of(place: Place) -> str:
    name, start, end, strand = place
    found = CONTIGS[name][start:end]
    return found[::-1].translate(str.maketrans("ACGT", "TGCA")) if strand == "-" else found


@pytest.mark.case(34, 38)
@settings(patient(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(places(), min_size=1, max_size=8))
@pytest.mark.parametrize("columns", [3, 6, 12])
def test_rows_of_a_bed_file(tmp_path: Path, genome: Genome, rows: list[Place], columns: int) -> None:
    rows += [(*place, ".") for place in ENDS]
    lines = [f"{name}\t{start}\t{end}\tn\t0\t{strand}\t{start}\t{end}\t0\t1\t{end - start}\t0".split("\t")[:columns]
             for name, start, end, strand in rows]  # fmt: skip
    (tmp_path / "x.bed").write_text("".join("\t".join(line) + "\n" for line in lines))
    found = InGenome(genome, read_bed(tmp_path / "x.bed", genome.contigs))
    expected = [bases_of(row if columns > 5 else (*row[:3], ".")) for row in rows]
    with silent_if_wrong():
        assert [dna.decode(found.read(i, i + 1)) for i in range(len(rows))] == expected
        assert dna.decode(found.read(0, len(rows))) == "".join(expected)


@pytest.mark.case(34, 38)
@settings(patient(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(1, 60), starts=st.lists(st.tuples(st.integers(0, 440), st.sampled_from("+-")), min_size=1))
def test_windows_of_a_bed_file(
    tmp_path: Path, genome: Genome, monkeypatch: pytest.MonkeyPatch, length: int, starts: list[tuple[int, str]]
) -> None:
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    rows = list(dict.fromkeys([("chr1", start, start + length, strand) for start, strand in starts]))
    text = "".join(f"{name}\t{start}\t{end}\ttrain\t0\t{strand}\n" for name, start, end, strand in rows)
    (tmp_path / "x.bed").write_text(text)
    settings = {"ref": str(genome.path), "windows": str(tmp_path / "x.bed"), "length": length}
    windows = open_data(decode(GenomeData, settings, where="test"), seed=0).train
    found = windows.rows(np.arange(len(windows)), epoch=None)
    with silent_if_wrong():
        assert [dna.decode(row) for row in found] == [bases_of(row) for row in rows]


@pytest.mark.case(34)
def test_places_of_labelled_lists(tmp_path: Path, genome: Genome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    for label, strand in (("a", "+"), ("b", "-")):
        rows = "".join(f"7,{name.removeprefix('chr')},{start},{end},{strand}\n" for name, start, end in ENDS)
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{label}.csv").write_text(f"id,region,start,end,strand\n{rows}")
    found = open_set(tmp_path / "set", Genomes(str(genome.path))).train
    expected = [bases_of((*place, strand)) for strand in "+-" for place in ENDS]
    with silent_if_wrong():
        assert [dna.decode(found.sequences.read(i, i + 1)) for i in range(len(found))] == expected
