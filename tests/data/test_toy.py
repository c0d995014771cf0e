"""The toy genome: its files, its bounds, and what counting makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser

from dnadiff.data import toy
from dnadiff.data.markov import fit
from dnadiff.data.toy import NAMES, TEST, VALID, toy_bounds, toy_chromosome, toy_figures, write_toy_genome
from dnadiff.dna import ENCODE
from dnadiff.errors import InputError, ResourceError
from dnadiff.files import sha256

TRAIN = tuple(name for name in NAMES if name not in VALID + TEST)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_genome(tmp_path_factory.mktemp("cache"))


def pieces(names: tuple[str, ...]) -> Iterator[np.ndarray]:
    return (ENCODE[np.frombuffer(b"ACGTN", dtype=np.uint8)[toy_chromosome(name).letters]] for name in names)


def test_the_file_holds_the_chromosomes_as_drawn(fasta: Path) -> None:
    with fasta.open() as file:
        records = dict(SimpleFastaParser(file))  # type: ignore[no-untyped-call]
    assert tuple(records) == NAMES
    for name, text in records.items():
        drawn = toy_chromosome(name)
        ascii_codes = np.frombuffer(text.encode(), dtype=np.uint8)
        assert np.array_equal(ENCODE[ascii_codes], next(pieces((name,))))
        assert np.array_equal(ascii_codes >= ord("a"), drawn.masked)


def test_all_lines_but_the_last_of_a_chromosome_have_60_columns(fasta: Path) -> None:
    for record in fasta.read_text().split(">")[1:]:
        lines = record.splitlines()[1:]
        assert {len(line) for line in lines[:-1]} == {60}
        assert 0 < len(lines[-1]) <= 60


def test_the_figures_lie_beside_the_genome(fasta: Path) -> None:
    written = json.loads(fasta.with_suffix(".json").read_text())
    assert written == {name: toy_figures(name)._asdict() for name in NAMES}
    assert toy_figures("toy3").length_bp == len(toy_chromosome("toy3").letters)


def test_a_genome_that_is_there_is_kept_and_a_damaged_one_is_written_again(fasta: Path) -> None:
    written = fasta.stat().st_mtime_ns
    assert write_toy_genome(fasta.parent) == fasta
    assert fasta.stat().st_mtime_ns == written
    fasta.write_bytes(fasta.read_bytes()[:-100])
    assert sha256(write_toy_genome(fasta.parent)) == toy.FASTA_SHA256
    assert {path.name for path in fasta.parent.iterdir()} == {fasta.name, fasta.with_suffix(".json").name}


def test_other_bases_than_those_of_the_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "FASTA_SHA256", "0" * 64)
    with pytest.raises(ResourceError, match=r"draws other bases than version 1 has.*give a genome with data.ref="):
        write_toy_genome(tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_two_chromosomes_share_a_draw() -> None:
    layouts = {name: toy_chromosome(name).layout for name in NAMES}
    for one, other in combinations(layouts.values(), 2):
        n_pairs = min(len(one.start), len(other.start))
        same_gap = (
            np.diff([layout.start[:n_pairs] - layout.gap_start[:n_pairs] for layout in (one, other)], axis=0) == 0
        )
        assert same_gap.mean() < 0.02
        assert (one.element[:n_pairs] == other.element[:n_pairs]).mean() < 0.3


def test_bounds_lie_below_every_markov_chain_that_was_counted_elsewhere() -> None:
    lower, upper = toy_bounds(TEST)
    model = fit(pieces(TRAIN), max_order=6).tune(pieces(VALID))
    bits = [score.bits_per_base for score in model.bits_by_order(pieces(TEST))]
    assert 1.7 < lower < upper < lower + 0.03
    assert min(bits) > upper + 0.1
    assert bits == sorted(bits, reverse=True)
    assert bits[0] > 1.98
    assert bits[4] < 1.92


def test_bounds_of_several_chromosomes_lie_between_their_own_and_agree_within_their_error() -> None:
    each = [toy_bounds([name]) for name in NAMES]
    together = toy_bounds(NAMES)
    assert min(bound.lower for bound in each) < together.lower < max(bound.lower for bound in each)
    for name, bound in zip(NAMES, each, strict=True):
        figures = toy_figures(name)
        assert abs(bound.lower - together.lower) < 3 * figures.standard_error_bits / figures.n_bases


@pytest.mark.parametrize(("names", "message"), [([], "need a chromosome"), (["toy9"], "'toy9' is not a chromosome")])
def test_bounds_of_unknown_chromosomes_are_an_error(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"{message}.*toy1, toy2"):
        toy_bounds(names)
