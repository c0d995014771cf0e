"""Constraints as users write them, against what Biopython finds in sequences drawn through their lattices."""

import re

import numpy as np
import pytest
import torch
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from dnadiff.config import resolve
from dnadiff.diffusion.constraints.joint import Lattices
from dnadiff.errors import InputError
from dnadiff.inference.design import BASES, COMPLEMENT, IUPAC, Constraints, Site


def region(text, start=0, end=None):
    """A region of which every base may become any other."""
    end = len(text) if end is None else end
    free = np.zeros(len(text), dtype=bool)
    free[start:end] = True
    return Site("here", text, free, start, end, any_base=True)


def template(text):
    """A record whose codes other than bases are to be filled."""
    return Site.of_gaps("here", text)


def drawn(constraints, site, n=50, seed=0):
    """Texts that keep constraints, from even letters."""
    lattices = Lattices([constraints.lattice(site)] * n, 4)
    numbers = torch.rand(lattices.is_free.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights = torch.zeros(*lattices.is_free.shape, 4, dtype=torch.float64)
    letters = lattices.draw(weights, lattices.log_chances(weights), numbers).numpy()
    positions = np.flatnonzero(site.free)
    for row in letters:
        text = list(site.text)
        for at, letter in zip(positions, row, strict=True):
            text[at] = BASES[letter]
        yield "".join(text)


def pattern(motif):
    return re.compile("(?=" + "".join(f"[{IUPAC[code]}]" for code in motif) + ")")


def on_either_strand(motif, text):
    """(start, end) of every occurrence."""
    for match in pattern(motif).finditer(text):
        yield match.start(), match.start() + len(motif)
    for match in pattern(motif).finditer(str(Seq(text).reverse_complement())):
        yield len(text) - match.start() - len(motif), len(text) - match.start()


@settings(max_examples=25, deadline=None)
@given(
    st.text("ACGTN", min_size=8, max_size=20), st.text("ACGTN", min_size=8, max_size=20),
    st.lists(st.text("ACGTRYN", min_size=3, max_size=6).filter(lambda word: set(word) & set("ACGT")), max_size=3),
    st.integers(2, 4), st.integers(0, 10**6),
)  # fmt: skip
def test_forbidden_words_and_long_runs_never_touch_the_region(left, right, avoid, longest, seed):
    constraints = Constraints(avoid=avoid, max_homopolymer=longest)
    site = region(f"{left}{'N' * 15}{right}", len(left), len(left) + 15)
    try:
        texts = list(drawn(constraints, site, 10, seed))
    except InputError:
        return  # little is left by so short words
    for text in texts:
        assert text[: site.start] + text[site.end :] == left + right
        touching = [
            (motif, place) for motif in [*avoid, *(base * (longest + 1) for base in BASES)]
            for place in on_either_strand(motif, text) if place[0] < site.end and place[1] > site.start
        ]  # fmt: skip
        assert not touching


def test_motifs_lie_in_the_region_and_on_its_strand():
    constraints = Constraints(contain="TATAWR,GGC", avoid="CCGG")
    for text in drawn(constraints, region("TATAAA" + "N" * 12 + "GGC", 6, 18)):
        assert pattern("TATAWR").search(text[6:18])
        assert pattern("GGC").search(text[6:18])


def test_places_and_codes_are_kept_and_banned_bases_never_filled_in():
    constraints = Constraints(place="TATA@4,RY@0", ban="G")
    found = list(drawn(constraints, template("NnGGNnNNWSNNKACGT")))
    assert all(re.fullmatch("A[CT]GGTATA[AT]C[ACT][ACT]TACGT", text) for text in found)
    assert len(set(found)) > 10


@pytest.mark.parametrize("low", [0.0, 0.25, 0.4])
def test_gc_counts_all_bases_of_the_region(low):
    constraints = Constraints(gc=(low, low + 0.2))
    shares = [
        sum(map(text[2:12].count, "GC")) / 10 for text in drawn(constraints, region("GG" + "N" * 10 + "CC", 2, 12))
    ]
    assert all(low - 1e-9 <= share <= low + 0.2 + 1e-9 for share in shares)
    assert len(set(shares)) > 1


@pytest.mark.parametrize(("start", "phase"), [(3, 0), (4, 2), (5, 1), (4, 0), (0, 0), (0, 2), (0, 1)])
@pytest.mark.parametrize("end", [16, 17, 18, 24])
def test_codons_stay_synonymous_where_the_region_cuts_them_too(start, phase, end):
    text = "ATGTCTCTGCGTAGTGGATTATAA"
    frame = (start + phase) % 3
    whole = Seq(text[frame:][: (len(text) - frame) // 3 * 3])
    found = list(drawn(Constraints(codons=phase), region(text, start, end)))
    assert {str(Seq(new[frame:][: len(whole)]).translate()) for new in found} == {str(whole.translate())}
    assert len(set(found)) > 5


def test_another_genetic_code_is_another_set_of_synonyms():
    found = {code: set(drawn(Constraints(codons=0, genetic_code=code), region("TGA"))) for code in (1, 4)}
    assert found == {1: {"TAA", "TAG", "TGA"}, 4: {"TGG", "TGA"}}


@pytest.mark.parametrize(
    ("constraints", "site", "message"),
    [
        (Constraints(avoid="GAATTC"), template("AANGAATTCA"),
         r"here: avoid=GAATTC cannot be kept at position 8 \(0-based\), the last of AANGAATTC; loosen it"),
        (Constraints(avoid="GAATTC"), template("NGAATTCNN"), "avoid=GAATTC cannot be kept at position 6"),
        (Constraints(avoid="TTT", contain="AAA", max_homopolymer=9), template("NNNNNNNN"),
         "here: avoid=TTT and contain=AAA cannot be kept by any filling of its 8 bases; leave one of them out"),
        (Constraints(contain="TATAAA"), region("AANNNNAA", 2, 6), "contain=TATAAA cannot be kept by any filling"),
        (Constraints(gc=(0.5, 0.6)), region("NNN"), r"gc=\[0.5,0.6\] cannot be kept by any filling of its 3 bases"),
        (Constraints(max_homopolymer=3), template("AAAANN"), r"max_homopolymer=3 cannot be kept at position 3"),
        (Constraints(place="TATA@6"), region("AANNNNNNNNAA", 2, 10), "place=TATA@6 reaches beyond its 8 bases"),
        (Constraints(place="TATA@1"), template("NGNNN"), r"place=TATA@1 leaves nothing for position 1 .* 'G' is given"),
        (Constraints(ban="CT"), template("ANY"), "ban=CT leaves nothing for position 2 .* 'Y' is given"),
        (Constraints(codons=0), template("ATGNNT"), "codons=0: what NNT at position 3 .* encodes is not known"),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_what_cannot_be_kept_is_named_with_its_place(constraints, site, message):
    with pytest.raises(InputError, match=message):
        constraints.lattice(site)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("avoid=GAXTTC", "avoid: 'GAXTTC' holds 'X'; write bases or IUPAC codes"),
        ("contain=''", "contain: '' holds nothing; write bases"),
        ("avoid=NNNNNNN", "avoid: 'NNNNNNN' stands for over 4,096 words; use fewer"),
        ("place=TATA", "place: 'TATA': write MOTIF@OFFSET"),
        ("place=TATA@-1", "place: 'TATA@-1': write MOTIF@OFFSET"),
        ("max_homopolymer=0", "max_homopolymer: input should be greater than or equal to 1"),
        ("gc=[0.6,0.4]", r"^settings: gc=\[0.6, 0.4\]: give the least and the greatest share"),
        ("gc=[40,60]", r"gc=\[40.0, 60.0\]: give the least and the greatest share"),
        ("ban=X", "ban=X: name one to three of the bases"),
        ("ban=ACGT", "ban=ACGT: name one to three of the bases"),
        ("codons=3", "codons: input should be less than or equal to 2"),
        ("genetic_code=7", "genetic_code=7: NCBI has 1, 2"),
        ("avoids=GAATTC", "did you mean 'avoid'"),
    ],
)
def test_what_is_no_constraint_says_how_to_mend_it(word, message):
    with pytest.raises(InputError, match=message):
        resolve(Constraints, None, [word])


def test_codes_are_those_of_biopython():
    from Bio.Data.IUPACData import ambiguous_dna_values

    known = {code: "".join(sorted(bases)) for code, bases in ambiguous_dna_values.items() if code != "X"}
    assert {**known, "U": "T"} == IUPAC
    both = "".join(IUPAC) + "".join(IUPAC).lower()
    assert both.translate(COMPLEMENT)[::-1] == str(Seq(both.replace("U", "T").replace("u", "t")).reverse_complement())
