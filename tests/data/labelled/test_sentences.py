"""Rows of sentences: between their tokens, never too long, the longest cut first; identical ones found."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from dnadiff.data.labelled.sentences import identical, sentence_rows
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.data.text.tokenizer import open_tokenizer

CHARACTERS = open_tokenizer("characters")


def texts(rows: InMemory) -> list[list[str]]:
    """Sentences of each row, every one of which follows the first token and ends with the last one."""
    found = []
    for number in range(len(rows.lengths)):
        row = rows.read(number, number + 1).tolist()
        assert (row[0], row[-1]) == (CHARACTERS.first, CHARACTERS.last)
        body = "".join("|" if i == CHARACTERS.last else CHARACTERS.decode([i]) for i in row[1:-1])
        found.append(body.split("|"))
    return found


def test_one_sentence_or_two_or_an_empty_one():
    rows = sentence_rows(CHARACTERS, [("abc",), ("ab", "cde"), ("", "x"), ("",)], None)
    assert texts(rows) == [["abc"], ["ab", "cde"], ["", "x"], [""]]
    assert rows.lengths.tolist() == [5, 8, 4, 2]


@given(st.lists(st.text("abc", max_size=12), min_size=1, max_size=2), st.integers(3, 20))
def test_a_row_that_is_too_long_loses_its_longest_sentence_first(sentences, length):
    (found,) = texts(sentence_rows(CHARACTERS, [tuple(sentences)], length))
    room = length - 1 - len(sentences)
    kept = [len(part) for part in found]
    assert sum(kept) == min(room, sum(map(len, sentences)))
    assert all(whole.startswith(part) for whole, part in zip(sentences, found, strict=True))
    cut = [n for n, whole in zip(kept, sentences, strict=True) if n < len(whole)]
    assert all(n >= max(kept) - 1 for n in cut)  # what lost something is as long as any other


def test_ids_that_need_more_than_a_byte_are_kept():
    class Large:
        first, last = 40_000, 40_001
        vocab = type("Vocab", (), {"size": 50_257})

        def encode(self, sentences):
            return [[300 * len(word) for word in sentence.split()] for sentence in sentences]

    rows = sentence_rows(Large(), [("a bb", "ccc")], None)
    assert rows.read(0, 1).tolist() == [40_000, 300, 600, 40_001, 900, 40_001]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_identical_rows_share_a_number(dtype):
    rows = [[1, 2], [2, 1], [1, 2], [1], [2], [1, 2, 1]]
    found = identical(InMemory.cut(np.concatenate(rows).astype(dtype), np.array([len(row) for row in rows])))
    assert found.tolist() == [0, 1, 0, 2, 3, 4]
