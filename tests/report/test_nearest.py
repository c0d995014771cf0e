"""Copies are found on either strand, changed ones by how much is left, and new sequences are new."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.data.fasta import Genome
from dnadiff.dna import decode, encode, reverse_complement
from dnadiff.report.nearest import _stretches, n_related_groups, nearest

RNG = np.random.default_rng(0)
CONTIGS = {name: "".join(RNG.choice(list("ACGT"), 5000)) for name in ("chrA", "chrB")}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("nearest") / "g.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    return Genome.open(path)


def changed(text, share):
    tokens = encode(text)
    at = RNG.random(len(tokens)) < share
    tokens[at] = encode("".join(RNG.choice(list("ACGT"), at.sum())))
    return decode(tokens)


def test_what_is_copied_is_found_with_its_place(genome):
    copy = CONTIGS["chrB"][3210:3410]
    texts = [
        copy,
        decode(reverse_complement(encode(copy))),
        CONTIGS["chrA"][4800:],
        "".join(RNG.choice(list("ACGT"), 200)),
    ]
    found = nearest(np.stack([encode(text) for text in texts]), genome, [("chrA", 0, 5000), ("chrB", 100, 5000)])
    assert found.share.tolist() == [1, 1, 1, 0]
    assert found.is_copy.tolist() == [True, True, True, False]
    assert found.place[3] == ""
    for place, contig, start in zip(found.place, ["chrB", "chrB", "chrA"], [3210, 3210, 4800], strict=False):
        name, _, span = place.partition(":")
        first, last = map(int, span.split("-"))
        assert name == contig
        assert first <= start
        assert start + 200 <= last <= first + 8 * 200


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 400)), max_size=3))
def test_every_window_of_a_region_is_in_a_stretch_of_eight_windows_at_most(length, spans):
    regions = [("chrB", start, start + size) for start, size in spans]
    found = _stretches(SimpleNamespace(numbers={"chrB": 1}), regions, length)
    cut = list(zip(found.start.tolist(), found.end.tolist(), strict=True))
    assert all(0 < end - start <= 8 * length for start, end in cut)
    assert all(any(start <= a and b <= end for _, start, end in regions) for a, b in cut)
    for _, start, end in regions:
        for at in range(start, end - length + 1):
            assert any(a <= at and at + length <= b for a, b in cut)
    assert set(found.contig.tolist()) == ({1} if regions else set())


def test_what_lies_outside_the_regions_is_no_training_dna(genome):
    row = encode(CONTIGS["chrA"][100:300])[None]
    assert nearest(row, genome, [("chrA", 400, 5000), ("chrB", 0, 5000)]).share.tolist() == [0]
    assert nearest(row, genome, [("chrA", 50, 320)]).share.tolist() == [1]


def test_a_bar_is_full_when_all_is_read(genome):
    totals, done = [], []

    def bar(total):
        totals.append(total)
        return nullcontext(done.append)

    nearest(encode("ACGT" * 50)[None], genome, [("chrA", 0, 5000), ("chrB", 100, 350)], bar)
    assert sum(done) == sum(totals) > 5000


def test_a_changed_copy_keeps_a_part_of_its_minimizers(genome):
    rows = [changed(CONTIGS["chrA"][at : at + 400], 0.03) for at in range(0, 4400, 200)]
    found = nearest(np.stack([encode(text) for text in rows]), genome, [("chrA", 0, 5000)])
    assert 0.3 < found.share.mean() < 0.8
    assert not found.is_copy.any()


def test_related_rows_are_one_group():
    texts = ["".join(RNG.choice(list("ACGT"), 200)) for _ in range(4)]
    rows = [*texts, texts[0], decode(reverse_complement(encode(texts[1]))), changed(texts[2], 0.01)]
    assert n_related_groups(np.stack([encode(text) for text in rows])) == 4
