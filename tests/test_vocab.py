from dataclasses import replace

import pytest
import torch

from dnadiff.vocab import DNA


def test_the_letters_are_acgt() -> None:
    assert [DNA.tokens[id_] for id_ in DNA.letters] == list("ACGT")
    assert DNA.n_letters == 4
    assert DNA.letter_ids.tolist() == list(DNA.letters)


def test_letter_index_inverts_letter_ids_and_is_minus_one_elsewhere() -> None:
    assert DNA.letter_index[DNA.letter_ids].tolist() == [0, 1, 2, 3]
    others = sorted(set(range(DNA.size)) - set(DNA.letters))
    assert DNA.letter_index[others].eq(-1).all()


@pytest.mark.parametrize("change", [{"mask": 16}, {"letters": (-1, 8)}, {"pad": "4"}, {"complement": (16,) * 16}])
def test_ids_beyond_the_table_are_refused(change) -> None:
    with pytest.raises(ValueError, match="ids must be 0 or more, and below the 16 rows of the table"):
        replace(DNA, **change)


def test_special_tokens_are_no_letters() -> None:
    tokens = torch.tensor([[DNA.mask, DNA.pad, DNA.unknown], list(DNA.letters[:3])])
    assert DNA.is_letter(tokens).tolist() == [[False] * 3, [True] * 3]


def test_the_complement_is_an_involution_that_keeps_mask_pad_and_unknown() -> None:
    complement = DNA.complement_ids
    assert torch.equal(complement[complement], torch.arange(DNA.size))
    assert all(complement[id_] == id_ for id_ in (DNA.mask, DNA.pad, DNA.unknown))
    pairs = {DNA.tokens[id_] + DNA.tokens[complement[id_]] for id_ in DNA.letters}
    assert pairs == {"AT", "CG", "GC", "TA"}


def test_tables_of_a_device_are_those_of_the_host_and_made_once() -> None:
    fresh = replace(DNA)
    tables = fresh.on(torch.device("cpu"))
    assert fresh.on(torch.device("cpu")) is tables
    assert torch.equal(tables.letter_ids, DNA.letter_ids)
    assert torch.equal(tables.letter_index, DNA.letter_index)
    assert sorted([*tables.other_ids.tolist(), *DNA.letters]) == list(range(DNA.size))
    tokens = torch.arange(DNA.size).view(2, -1)
    assert torch.equal(fresh.complemented(tokens), DNA.complement_ids.view(2, -1))
    assert fresh.on(torch.device("meta")).complement_ids.is_meta


def test_a_vocabulary_without_strands_says_so() -> None:
    with pytest.raises(ValueError, match="no complementary strand"):
        replace(DNA, complement=None).complemented(torch.tensor([DNA.mask]))
    with pytest.raises(ValueError, match="no complementary strand"):
        _ = replace(DNA, complement=None).complement_ids


def test_the_digest_agrees_exactly_when_the_vocabularies_do() -> None:
    _ = DNA.letter_index  # cached tensors are no part of what a vocabulary is
    assert replace(DNA).digest() == DNA.digest()
    assert replace(DNA, mask=2).digest() != DNA.digest()
    assert replace(DNA, letters=(7, 8, 10, 9)).digest() != DNA.digest()


def test_cached_tables_do_not_follow_the_default_device():
    fresh = replace(DNA)
    with torch.device("meta"):
        tables = (fresh.letter_ids, fresh.letter_index, fresh.complement_ids)
    assert all(table.device.type == "cpu" for table in tables)
