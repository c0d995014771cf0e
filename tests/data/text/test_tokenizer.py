"""Tokenizers from files, of characters, and trained: their ids, their mask, and what is refused."""

from __future__ import annotations

import pickle
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnadiff.data.text.tokenizer import CHARACTERS, END, open_tokenizer, train_tokenizer
from dnadiff.errors import InputError

pytest.importorskip("tokenizers", reason="the text extra is not installed")
TEXTS = ["the cat sat on the mat", "the mat and the cat"] * 5


@pytest.fixture(scope="module")
def trained():
    return train_tokenizer(TEXTS, size=300)


def test_what_is_trained_reads_any_text_back(trained):
    texts = [*TEXTS, "Früh\n\tam 日", ""]
    assert [trained.decode(ids) for ids in trained.encode(texts)] == texts
    assert len(trained.encode(["the cat"])[0]) < len("the cat")
    assert trained.first == trained.last == trained.vocab.tokens.index(END)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_so_is_any_text(trained, text):
    assert trained.decode(trained.encode([text])[0]) == text


@given(st.text("abcdefghijklmnopqrstuvwxyz ", max_size=60))
def test_so_are_characters(text):
    tokenizer = open_tokenizer(CHARACTERS)
    assert tokenizer.decode(tokenizer.encode([text])[0]) == text


def test_the_same_texts_train_the_same_tokenizer(trained):
    assert train_tokenizer(iter(TEXTS), size=300).digest == trained.digest
    assert train_tokenizer(TEXTS[:1], size=300).digest != trained.digest


def test_every_token_is_a_letter_but_mask_and_padding(trained):
    vocab = trained.vocab
    assert set(range(vocab.size)) - set(vocab.letters) == {vocab.mask, vocab.pad}
    assert vocab.complement is None
    assert vocab.is_letter(torch.tensor(trained.encode(TEXTS)[0])).all()


def test_characters_are_those_of_text8():
    tokenizer = open_tokenizer(CHARACTERS)
    assert tokenizer.vocab.n_letters == 27
    assert tokenizer.encode(["ab z"]) == [[8, 9, 34, 33]]
    assert tokenizer.decode([8, 9, 34, 33]) == "ab z"
    assert not tokenizer.vocab.is_letter(torch.tensor(tokenizer.encode(["3"])[0])).any()


def test_a_mask_is_added_behind_the_last_id_and_pads(tmp_path):
    (tmp_path / "vocab.json").write_text(f'{{"a": 0, "b": 1, "ab": 2, "{END}": 3}}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    tokenizer = open_tokenizer(str(tmp_path))
    assert (tokenizer.vocab.size, tokenizer.vocab.mask, tokenizer.vocab.pad, tokenizer.last) == (5, 4, 4, 3)
    assert tokenizer.encode(["abba"]) == [[2, 1, 0]]
    assert tokenizer.decode([2, 4]) == "ab"


def test_word_pieces_have_their_own_mask(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"]))
    tokenizer = open_tokenizer(str(tmp_path / "vocab.txt"))
    assert (tokenizer.vocab.mask, tokenizer.vocab.pad, tokenizer.first, tokenizer.last) == (4, 0, 2, 3)
    assert tokenizer.encode(["Cats"]) == [[5, 6]]


def test_one_file_holds_all_of_a_tokenizer(tmp_path, trained):
    (tmp_path / "tokenizer.json").write_text(trained.definition)
    for source in (tmp_path, tmp_path / "tokenizer.json"):
        assert open_tokenizer(str(source)).digest == trained.digest
    assert pickle.loads(pickle.dumps(trained)).encode(TEXTS) == trained.encode(TEXTS)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({}, "has no token that begins or ends a text"),
        ({END: 0, "x": 1 << 22}, "with id 4,194,304, of 4,194,304 at most"),
    ],
)
def test_ids_that_no_tokenizer_has_are_refused_at_once(ids, message, tmp_path):
    library = pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    path.write_text(library.Tokenizer(library.models.WordLevel(ids, unk_token=END)).to_str())
    with pytest.raises(InputError, match=message):
        open_tokenizer(str(path))


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no tokenizer; it takes tokenizer\.json, or vocab\.json and merges"):
        open_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="is no tokenizer"):
        open_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("cat\n[UNK]\n[SEP]\n[PAD]\n[MASK]\n[CLS]\n".replace("[SEP]", "x"))
    with pytest.raises(InputError) as caught:
        open_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"'a b/c' is neither a file nor to be had from the hub"):
        open_tokenizer("a b/c")


def test_what_the_hub_gave_before_is_opened_without_it(tmp_path, trained, monkeypatch):
    (tmp_path / "tokenizer.json").write_text(trained.definition)
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda *of: asked.append(of) or str(tmp_path / "tokenizer.json")
    )
    assert open_tokenizer("somebody/tokens").digest == trained.digest
    assert asked == [("somebody/tokens", "tokenizer.json")]


def test_without_the_extra_its_name_is_said(monkeypatch, trained):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"text needs an extra: pip install 'dnadiff\[text\]'"):
        open_tokenizer("gpt2")
