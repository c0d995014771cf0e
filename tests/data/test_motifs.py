"""Motifs: files of every kind give the same, chances are those of enumeration, strands mirror each other."""

import itertools
import re

import numpy as np
import pytest
from Bio import motifs as biopython
from Bio.Seq import Seq

from dnadiff import dna
from dnadiff.data.motifs import STEPS, matches, read_motifs
from dnadiff.errors import InputError

COUNTS = {"A": [4, 19, 0, 0, 9], "C": [16, 0, 20, 0, 2], "G": [0, 1, 0, 20, 2], "T": [0, 0, 0, 0, 7]}
ROWS = [[COUNTS[letter][at] for letter in "ACGT"] for at in range(5)]
SMALL = {
    "jaspar": ">MA1 Arnt\n" + "".join(f"{each} [ {' '.join(map(str, row))} ]\n" for each, row in COUNTS.items()),
    "rows": ">MA1 Arnt\n" + "".join("\t".join(map(str, row)) + "\n" for row in COUNTS.values()),
    "columns": "# of a database\n>MA1 Arnt\n" + "".join("\t".join(map(str, row)) + "\n" for row in ROWS),
    "meme": "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n"
    "A 0.25 C 0.25 G 0.25 T 0.25\n\nMOTIF MA1 Arnt\nletter-probability matrix: alength= 4 w= 5 nsites= 20 E= 0\n"
    + "".join(" ".join(f"{count / 20:.6f}" for count in row) + "\n" for row in ROWS),
}


@pytest.fixture
def path(tmp_path):
    def written(text):
        (tmp_path / "some.motifs").write_text(text)
        return tmp_path / "some.motifs"

    return written


def words(length):
    return ["".join(letters) for letters in itertools.product("ACGT", repeat=length)]


@pytest.mark.parametrize("kind", SMALL)
def test_every_format_gives_the_same_motif(path, kind):
    (one,) = read_motifs(path(SMALL["jaspar"]))
    (other,) = read_motifs(path(SMALL[kind]))
    assert other.name == "MA1 Arnt"
    assert np.array_equal(one.scores, other.scores)


def test_what_the_format_leaves_to_choice_may_be_missing(path):
    bare = (
        re.sub(r"strands.*?(?=MOTIF)| alength.*?E= 0", "", SMALL["meme"], flags=re.DOTALL)
        + "\nURL http://a.b\n1 2 3 4\n"
    )
    (one,), (other,) = (read_motifs(path(text)) for text in (SMALL["meme"], bare))
    assert np.array_equal(one.scores, other.scores)


def test_four_rows_of_a_motif_of_four_bases_are_rows(path):
    text = ">a\n1 2 3 4\n5 6 7 8\n9 9 9 9\n1 1 1 1\n"
    (found,) = read_motifs(path(text))
    counts = np.array([[1, 5, 9, 1], [2, 6, 9, 1], [3, 7, 9, 1], [4, 8, 9, 1]]) + 0.25
    assert found.scores == pytest.approx(STEPS * np.log2(counts / counts.sum(1, keepdims=True) * 4), abs=0.51)


@pytest.mark.parametrize("gc", [0.5, 0.3])
def test_a_chance_is_the_share_of_random_words_that_score_as_much(path, gc):
    (motif,) = read_motifs(path(SMALL["meme"]), gc=gc)
    share = {"A": (1 - gc) / 2, "T": (1 - gc) / 2, "C": gc / 2, "G": gc / 2}
    scores, chances = [], []
    for word in words(motif.length):
        scores.append(sum(int(motif.scores[at, "ACGT".index(base)]) for at, base in enumerate(word)))
        chances.append(np.prod([share[base] for base in word]))
    scores, chances = np.array(scores), np.array(chances)
    for score in np.unique(scores):
        assert motif.chances[score - motif.lowest] == pytest.approx(chances[scores >= score].sum(), rel=1e-9)
    for p_value in (0.001, 0.01, 0.1):
        least = motif.threshold(p_value)
        assert motif.chance(p_value) == pytest.approx(chances[scores >= least].sum())
        assert motif.chance(p_value) <= p_value
        assert chances[scores >= scores[scores < least].max()].sum() > p_value


def test_every_word_has_a_chance_of_one_or_less(path):
    for gc in np.arange(0.05, 1, 0.05):
        (motif,) = read_motifs(path(SMALL["jaspar"]), gc=gc)
        assert motif.threshold(1.0) == motif.lowest


def test_matches_are_those_that_biopython_finds(path):
    (motif,) = read_motifs(path(SMALL["jaspar"]))
    with path(SMALL["jaspar"]).open() as file:
        (theirs,) = biopython.parse(file, "jaspar")
    pssm = theirs.counts.normalize(pseudocounts=0.25).log_odds()
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 400)) + "CACGA" + "TCGTG"
    p_value = 0.05
    least = motif.threshold(p_value) / STEPS
    expected = {
        (at if at >= 0 else at + len(text), 1 if at >= 0 else -1): score
        for at, score in pssm.search(text, threshold=least - 0.05)
    }
    found = {(each.start, each.strand): each.bits for each in matches(dna.encode(text), motif, p_value)}
    assert len(found) > 10
    for place, bits in found.items():
        assert bits == pytest.approx(expected[place], abs=0.03)
    assert all(place in found for place, score in expected.items() if score > least + 0.05)


def test_the_other_strand_has_the_mirrored_matches(path):
    (motif,) = read_motifs(path(SMALL["jaspar"]))
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 300))
    there = {(each.start, each.strand, each.bits, each.p_value) for each in matches(dna.encode(text), motif, 0.01)}
    opposite = dna.encode(str(Seq(text).reverse_complement()))
    back = {(300 - each.end, -each.strand, each.bits, each.p_value) for each in matches(opposite, motif, 0.01)}
    assert there == back
    assert {strand for _, strand, _, _ in there} == {1, -1}


def test_no_match_covers_an_unknown_base_or_an_end(path):
    (motif,) = read_motifs(path(SMALL["jaspar"]))
    consensus = "CACGA"
    assert [each.start for each in matches(dna.encode(f"N{consensus}N"), motif, 0.001)] == [1]
    assert not list(matches(dna.encode("CACNA"), motif, 1.0))
    assert not list(matches(dna.encode("CACG"), motif, 1.0))


def test_a_short_motif_never_is_as_unlikely(path):
    (motif,) = read_motifs(path(SMALL["jaspar"]))
    assert motif.threshold(1e-5) is None
    assert motif.chance(1e-5) == 0
    assert not list(matches(dna.encode("CACGA"), motif, 1e-5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no motif; what is read is a JASPAR file"),
        (">a b\n", "holds no motif"),
        ("GATTACA\n", "cannot be read"),
        ("MEME version 4\n\nALPHABET= ACGT\n", "holds no motif"),
        ("MEME version 4\n\nALPHABET= ACDEFGHIKLMNPQRSTVWY\nMOTIF a\n", "its alphabet is not ACGT"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n0 x 0 1\n", "cannot be read"),
        ("MEME version 4\nMOTIF a\nURL none\n", "motif a: each position must have counts"),
        (">a b\nA [1 2 3]\nC [1 2]\nG [1 2 3]\nT [1 2 3]\n", "cannot be read"),
        (">a\n0 1\n0 1\n0 1\n0 1\n", "motif a: each position must have counts of A C G T"),
        (">a\n1 -1\n0 1\n0 1\n0 1\n", "motif a: each position must have counts"),
        (SMALL["meme"].replace("nsites= 20", "nsites= 0"), "motif MA1 Arnt: each position must have counts"),
    ],
)
def test_what_is_no_motif_is_refused(path, text, message):
    with pytest.raises(InputError, match=message):
        read_motifs(path(text))
