"""A corpus as training data: settings in, sets of rows out; tokenised once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from dnadiff.cache import cache_folder
from dnadiff.config import Settings
from dnadiff.data.inputs import absolute
from dnadiff.data.text.corpus import Documents, corpus_files, documents
from dnadiff.data.text.demo import write_demo
from dnadiff.data.text.detokenizers import Detokenizer, detokenizer
from dnadiff.data.text.rows import Crop, RowsKind, TextRows, Wrapped
from dnadiff.data.text.token_file import open_token_file, write_token_file
from dnadiff.data.text.tokenizer import KEPT, TextTokenizer, open_tokenizer, train_tokenizer
from dnadiff.errors import InputError
from dnadiff.files import sha256, write_text
from dnadiff.vocab import Vocab

log = logging.getLogger(__name__)
Texts = Callable[[], Iterator[str]]


class TextData(Settings):
    """Rows of tokens of a corpus."""

    letter: ClassVar[str] = "token"

    kind: Literal["text"] = "text"
    path: str | None = None
    """File or folder: plain text, .jsonl or .parquet, the first two also with gzip; null: a small made-up corpus."""
    documents: Documents = "line"
    """What a document of a plain text file is."""
    field: str = "text"
    """That holds the text in .jsonl and .parquet."""
    detokenizer: Detokenizer = "none"
    """Undoes the spacing of a benchmark that is tokenised already."""
    tokenizer: str | None = None
    """Folder or file of a tokenizer, name on the Hugging Face hub, or `characters`; null: trained on the corpus."""
    vocab_size: int = Field(4096, ge=300)
    """Tokens of a tokenizer that is trained."""
    length: int = Field(1024, ge=3)
    """Tokens in a row."""
    rows: RowsKind = Wrapped()
    """How documents become rows."""
    valid_documents: int | None = Field(100_000, ge=1)
    """The last so many documents are for validation, and are what a model is tested on; null: all of them."""

    def with_absolute_paths(self) -> Self:
        """The same files under names that hold in any folder; a tokenizer that is no file is a name."""
        is_file = self.tokenizer is not None and Path(self.tokenizer).expanduser().exists()
        tokenizer = absolute(self.tokenizer) if is_file else self.tokenizer
        return self.model_copy(update={"path": absolute(self.path), "tokenizer": tokenizer})

    @property
    def name(self) -> None:
        """What a run on these data is called: after its preset."""
        return None


class TextCount(NamedTuple):
    """One line of the table of counts."""

    split: str
    documents: int
    rows: int
    tokens: int


@dataclass(frozen=True)
class TextSplits:
    """Sets of rows that share no document; the papers' text tables report validation, so that test is valid.

    Attributes:
        fingerprint: sha256 over the tokens and the settings that make rows of them.
    """

    train: TextRows
    valid: TextRows
    tokenizer: TextTokenizer
    fingerprint: str
    left_out: ClassVar[str] = ""
    letter: ClassVar[str] = TextData.letter
    labels: ClassVar[tuple[str, ...]] = ()
    knobs: ClassVar[str] = "data.valid_documents or data.length"

    @property
    def source(self) -> Path:
        """Where the data come from."""
        return Path(self.train.file.manifest["path"])

    @property
    def files(self) -> dict[str, str]:
        """What a model needs beside its vocabulary, to read and write such data: text by file name."""
        return {KEPT: self.tokenizer.definition}

    def sets(self) -> dict[str, TextRows]:
        """The sets by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def counts(self) -> list[TextCount]:
        """A row for each split."""
        sets = {"train": self.train, "valid": self.valid}
        return [TextCount(name, len(r.file.ends), len(r), len(r.file.tokens)) for name, r in sets.items()]

    @property
    def test(self) -> TextRows:
        """The validation set."""
        return self.valid

    @property
    def vocab(self) -> Vocab:
        """The tokens."""
        return self.tokenizer.vocab

    def describe(self) -> dict[str, str]:
        """What was opened, for a log or a manifest."""
        made_from = self.train.file.manifest
        return {
            "corpus": str(made_from["path"]), "tokenizer": f"{self.vocab.size:,} tokens, {self.tokenizer.digest}",
            "documents": f"{made_from['documents']:,}", "tokens": f"{made_from['tokens']:,}",
            "train rows": f"{len(self.train):,}", "valid rows": f"{len(self.valid):,}",
            "fingerprint": self.fingerprint,
        }  # fmt: skip


def open_text(settings: TextData, *, seed: int) -> TextSplits:
    """Open a corpus, tokenising it where that was not yet done.

    Args:
        settings: what to read.
        seed: of crops in training.

    Raises:
        InputError: a file, tokenizer or setting that cannot be used, or a split without a single row.
        ResourceError: the cache folder cannot be written, or its disk is full.
    """
    path = _corpus(settings)
    files = corpus_files(path)
    plain = detokenizer(settings.detokenizer)

    def texts() -> Iterator[str]:
        return map(plain, documents(files, unit=settings.documents, field=settings.field))

    seen = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    source: list[object] = [seen, settings.documents, settings.field, settings.detokenizer]
    folder = cache_folder() / "text"
    asked = settings.tokenizer
    tokenizer = _trained(settings, texts, folder, source) if asked is None else open_tokenizer(asked)
    separated = isinstance(settings.rows, Wrapped) and settings.rows.separators
    target = folder / _key(*source, tokenizer.digest, separated)
    file = open_token_file(target)
    if file is None:
        log.info("tokenising %s into %s", path, target)
        sources = {file.name: sha256(file) for file in files}
        about = {"path": str(path), "sources": sources, "detokenizer": settings.detokenizer}
        file = write_token_file(target, texts(), tokenizer, separated=separated, about=about)
    n_train = len(file.ends) - _held_out(settings, len(file.ends))
    measured = Wrapped(separators=False, bounds=False) if isinstance(settings.rows, Crop) else settings.rows
    train = TextRows(file.part(0, n_train), tokenizer, settings.rows, settings.length, seed)
    valid = TextRows(file.part(n_train, len(file.ends)), tokenizer, measured, settings.length, seed)
    for name, rows in (("training", train), ("validation", valid)):
        if not len(rows) and (rows is valid or settings.valid_documents is not None):
            raise InputError(
                f"{path}: the {len(rows.file.tokens):,} tokens for {name} are fewer than one row needs; "
                f"lower data.length ({settings.length}) or give more text"
            )
    made = [file.manifest["sha256"], tokenizer.digest, settings.rows.model_dump(), settings.length, n_train]
    return TextSplits(train, valid, tokenizer, _key(*made))


def _trained(settings: TextData, texts: Texts, folder: Path, source: list[object]) -> TextTokenizer:
    """Of the training documents alone; kept, since training takes as long as tokenising."""
    if settings.valid_documents is None:
        raise InputError("data.tokenizer: no document is left to train one on (data.valid_documents=null); name one")
    kept = folder / f"tokenizer-{_key(*source, settings.vocab_size, settings.valid_documents)}" / "tokenizer.json"
    if not kept.is_file():
        n_documents = sum(1 for _ in texts())
        n_train = n_documents - _held_out(settings, n_documents)
        log.info("training a tokenizer on %s", _corpus(settings))
        write_text(kept, train_tokenizer(islice(texts(), n_train), size=settings.vocab_size).definition)
    return open_tokenizer(str(kept))


def _corpus(settings: TextData) -> Path:
    return write_demo(cache_folder() / "text") if settings.path is None else Path(settings.path).expanduser()


def _held_out(settings: TextData, n_documents: int) -> int:
    """How many documents are for validation."""
    if settings.valid_documents is None:
        return n_documents
    if 2 * settings.valid_documents > n_documents:
        raise InputError(
            f"{_corpus(settings)}: data.valid_documents ({settings.valid_documents:,}) is more than half of its "
            f"{n_documents:,} documents; lower it, or see data.documents for what a document is"
        )
    return settings.valid_documents


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
