import numpy as np
import pytest
import torch
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.dna import IUPAC, decode, encode, reverse_complement
from dnadiff.errors import InputError
from dnadiff.vocab import DNA

bases = st.text("ACGTN", max_size=200)


@given(bases)
def test_decoding_undoes_encoding_in_either_case(sequence: str) -> None:
    assert decode(encode(sequence)) == sequence
    assert decode(torch.from_numpy(encode(sequence.lower()))) == sequence
    assert np.array_equal(encode(sequence.encode()), encode(sequence))


@given(bases)
def test_reverse_complement_is_an_involution_and_agrees_with_biopython(sequence: str) -> None:
    tokens = encode(sequence)
    opposite = reverse_complement(tokens)
    assert opposite.dtype == np.uint8
    assert np.array_equal(reverse_complement(opposite), tokens)
    assert decode(opposite) == str(Seq(sequence).reverse_complement())


def test_reverse_complement_turns_rows_and_keeps_masks() -> None:
    rows = np.stack([encode("AACG"), np.array([DNA.mask, 7, 8, 9], np.uint8)])
    assert [decode(row) for row in reverse_complement(rows)] == ["CGTT", "CGT?"]


def test_iupac_codes_are_seen_but_not_scored_and_u_reads_as_t() -> None:
    tokens = torch.from_numpy(encode(IUPAC + IUPAC.lower()).astype(np.int64))
    assert tokens.eq(DNA.unknown).all()
    assert not DNA.is_letter(tokens).any()
    assert decode(encode("AUgu")) == "ATGT"


@pytest.mark.parametrize(
    ("sequence", "found"),
    [("ACG-T", "'-'"), ("ACGé", "'é'"), (b"ACG*", "'*'"), ("ACG ", "' '"), ("ACG\n", r"'\n'"), ("ACG?", "'?'")],
)
def test_anything_else_is_refused_with_its_place(sequence: str | bytes, found: str) -> None:
    with pytest.raises(InputError, match="remove gaps and other symbols, or replace them by N") as caught:
        encode(sequence, where="chr1")
    assert str(caught.value).startswith(f"chr1: {found} at position 3 (0-based) is not one of")


def test_special_tokens_print_as_question_marks() -> None:
    assert decode(np.arange(DNA.size)) == "???????ACGTN????"
