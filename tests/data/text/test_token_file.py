"""The token file: documents come back, and no killed writer changes what is written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dnadiff.data.text import token_file
from dnadiff.data.text.token_file import ENDS, MANIFEST, PROGRESS, TOKENS, open_token_file, write_token_file
from dnadiff.data.text.tokenizer import train_tokenizer

pytest.importorskip("tokenizers", reason="the text extra is not installed")
TEXTS = [f"document {i} has {i * i} in it" * (1 + i % 3) for i in range(40)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, size=280)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(token_file, "BATCH_CHARACTERS", 150)


def write(folder, tokenizer, texts=TEXTS, *, separated=True):
    return write_token_file(folder, texts, tokenizer, separated=separated, about={"path": "x"})


@pytest.mark.parametrize("separated", [True, False])
def test_documents_come_back(tmp_path, tokenizer, separated):
    file = write(tmp_path / "f", tokenizer, separated=separated)
    found = np.split(file.tokens, file.ends)[:-1]
    expected = [ids + [tokenizer.last] * separated for ids in tokenizer.encode(TEXTS)]
    assert [row.tolist() for row in found] == expected
    assert file.tokens.dtype == np.uint16
    part = file.part(3, 7)
    assert [row.tolist() for row in np.split(part.tokens, part.ends)[:-1]] == expected[3:7]


@pytest.mark.parametrize("killed_at", [0, 1, 17, 39])
@pytest.mark.parametrize("torn", [b"", b"torn by the kill"])
def test_a_killed_writer_changes_nothing(tmp_path, tokenizer, killed_at, torn):
    whole, again = tmp_path / "whole", tmp_path / "again"
    write(whole, tokenizer)

    def killed():
        yield from TEXTS[:killed_at]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(again, tokenizer, killed())
    assert open_token_file(again) is None
    for name in (TOKENS, ENDS):
        with (again / name).open("ab") as handle:
            handle.write(torn)
    assert (again / PROGRESS).is_file() == (killed_at > 10)
    write(again, tokenizer)
    for name in (TOKENS, ENDS, MANIFEST):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    assert not (again / PROGRESS).exists()


def test_what_is_noted_as_done_is_on_the_disk(tmp_path, tokenizer, monkeypatch):
    flushed, noted = {}, []
    write_text = token_file.write_text

    def note(path, text):
        told = json.loads(text)
        noted.append((told["tokens"], told["documents"]) == (flushed[TOKENS] // 2, flushed[ENDS] // 8))
        write_text(path, text)

    monkeypatch.setattr(token_file, "flush", lambda path: flushed.update({path.name: path.stat().st_size}))
    monkeypatch.setattr(token_file, "write_text", note)
    write(tmp_path / "f", tokenizer)
    assert len(noted) > 2
    assert all(noted)


def test_batches_and_threads_change_nothing(tmp_path, tokenizer, monkeypatch):
    first = write(tmp_path / "a", tokenizer)
    monkeypatch.setattr(token_file, "BATCH_CHARACTERS", 1 << 20)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    assert write(tmp_path / "b", tokenizer).manifest == first.manifest


def test_what_is_written_is_not_written_again(tmp_path, tokenizer):
    first = write(tmp_path / "f", tokenizer)
    assert write(tmp_path / "f", tokenizer, iter(())).manifest == first.manifest
    assert first.manifest["documents"] == len(TEXTS)
    assert json.loads((tmp_path / "f" / MANIFEST).read_text())["path"] == "x"


def test_ids_beyond_two_bytes_are_kept(tmp_path, tokenizer):
    large = type(tokenizer)(tokenizer.definition, _widened(tokenizer.vocab), tokenizer.first, tokenizer.last)
    file = write(tmp_path / "f", large)
    assert file.tokens.dtype == np.uint32


def _widened(vocab):
    return type(vocab)(vocab.tokens, 70_000, vocab.letters, vocab.mask, vocab.pad, vocab.unknown)
