"""Places in files: what is read of them, on which strand, and never more than a window."""

import numpy as np
import pytest
from Bio.Seq import Seq

from dnadiff import dna
from dnadiff.data.fasta import Genome
from dnadiff.errors import InputError
from dnadiff.tasks.places import open_places

BASES = "".join(np.random.default_rng(0).choice(list("ACGT"), 50))
ROWS = [(0, 50, "+"), (0, 7, "-"), (43, 50, "+"), (20, 21, "-"), (10, 30, "+"), (24, 36, "-")]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.fa").write_text(f">one\n{BASES}\n>two\nACGT\n")
    (tmp_path / "a.bed").write_text("".join(f"one\t{start}\t{end}\tx\t0\t{strand}\n" for start, end, strand in ROWS))
    return str(tmp_path / "a.fa"), str(tmp_path / "a.bed")


@pytest.mark.parametrize("size", [1, 2, 11, 12, 13, 40, 500])
def test_a_window_is_a_place_with_its_flanks_on_its_strand(files, size):
    places = open_places(*files)
    for number, (start, end, strand) in enumerate(ROWS):
        tokens, first = places.window(number, size)
        text, place = dna.decode(tokens), BASES[start:end]
        if strand == "-":
            text = str(Seq(text).reverse_complement())
            first = len(text) - first - (end - start)
            assert dna.decode(places.tokens(number)) == str(Seq(place).reverse_complement())
        spare = max(0, size - (end - start))
        left, right = start - min(start, spare // 2), min(50, end + spare - spare // 2)
        assert text == BASES[left:right]
        assert first == start - left


def test_no_more_than_a_window_is_read(files, monkeypatch):
    lengths, plain = [], Genome.tokens
    monkeypatch.setattr(
        Genome,
        "tokens",
        lambda self, contig, start, end: lengths.append(end - start) or plain(self, contig, start, end),
    )
    places = open_places(*files)
    for number in range(1, len(ROWS)):
        places.window(number, 24)
    assert max(lengths) == 24


def test_places_have_names_lengths_and_a_fingerprint(files, tmp_path):
    regions, whole = open_places(*files), open_places(files[0], None)
    assert [regions.label(number) for number in (1, 4)] == ["one:0-7(-)", "one:10-30"]
    assert [whole.label(number) for number in range(len(whole))] == ["one", "two"]
    assert (regions.says(), whole.says(), whole.n_bases) == ("6 regions", "2 sequences", 54)
    assert regions.fingerprint[0] == whole.fingerprint[0]
    before = regions.fingerprint
    (tmp_path / "a.bed").write_text("one\t0\t9\n")
    assert open_places(*files).fingerprint != before
    (tmp_path / "a.csv").write_text("sequence\nACGT\nGATTACA\n")
    rows = open_places(str(tmp_path / "a.csv"), None)
    assert [dna.decode(rows.tokens(number)) for number in range(2)] == ["ACGT", "GATTACA"]
    assert dna.decode(rows.window(1, 3)[0]) == "GATTACA"
    assert rows.label(1) == "a.csv:3"


def test_an_empty_record_is_refused(tmp_path):
    (tmp_path / "a.fa").write_text(">one\nACGT\n>two\n")
    with pytest.raises(InputError, match="'two' has no bases; leave it out"):
        open_places(str(tmp_path / "a.fa"), None)
