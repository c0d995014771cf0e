"""A corpus as one memory-mapped file of tokens, written once.

A folder with tokens.bin (documents one behind the other, uint16 or uint32), ends.bin (where each document ends, int64)
and manifest.json. While it is being written, progress.json says up to where both files are whole, so that a killed
writer's successor cuts off what is beyond and goes on; what comes out does not depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnadiff.cache import locked
from dnadiff.data.text.tokenizer import TextTokenizer
from dnadiff.files import flush, sha256, write_text

TOKENS, ENDS, MANIFEST, PROGRESS = "tokens.bin", "ends.bin", "manifest.json", "progress.json"
BATCH_CHARACTERS = 4 << 20  # tokenised at once, on all cores; how often progress is noted
Ends = NDArray[np.int64]


@dataclass(frozen=True)
class TokenFile:
    """Documents `first` up to `last` of a corpus; pickled as a place on the disk, for workers.

    Attributes:
        manifest: what the whole was made from.
    """

    folder: Path
    manifest: dict[str, Any]
    first: int
    last: int

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """(n_tokens,) uint16 or uint32, memory-mapped."""
        start, stop = self._bounds[[0, -1]]
        if start == stop:  # an empty file cannot be mapped
            return np.empty(0, self.manifest["dtype"])
        mapped: NDArray[Any] = np.memmap(self.folder / TOKENS, self.manifest["dtype"], "r")[start:stop]
        return mapped

    @cached_property
    def ends(self) -> Ends:
        """(n_documents,) int64: where each document ends among `tokens`, its separator included."""
        ends: Ends = self._bounds[1:] - self._bounds[0]
        return ends

    @cached_property
    def _bounds(self) -> Ends:
        """(n_documents + 1,) int64 places in the whole file."""
        bounds: Ends = np.append(0, np.fromfile(self.folder / ENDS, np.int64))
        return bounds[self.first : self.last + 1]

    def part(self, first: int, last: int) -> TokenFile:
        """Documents `first` up to `last` of these."""
        return TokenFile(self.folder, self.manifest, self.first + first, self.first + last)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def open_token_file(folder: Path) -> TokenFile | None:
    """What was written completely; None where nothing was."""
    if not (folder / MANIFEST).is_file():
        return None
    manifest = json.loads((folder / MANIFEST).read_text())
    return TokenFile(folder, manifest, 0, manifest["documents"])


def write_token_file(
    folder: Path, texts: Iterable[str], tokenizer: TextTokenizer, *, separated: bool, about: Mapping[str, Any]
) -> TokenFile:
    """Tokenise documents into a folder, going on where an earlier writer of the same was killed.

    Args:
        texts: the documents; the same at every call for this folder.
        separated: whether each ends with the tokenizer's last token.
        about: facts for the manifest.

    Raises:
        ResourceError: the folder cannot be written, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / MANIFEST):
        if (done := open_token_file(folder)) is not None:
            return done
        dtype = np.dtype(np.uint16 if tokenizer.vocab.size <= 1 << 16 else np.uint32)
        progress = _progress(folder)
        remaining = islice(texts, progress["documents"], None)
        with (folder / TOKENS).open("ab") as token_file, (folder / ENDS).open("ab") as end_file:
            token_file.truncate(progress["tokens"] * dtype.itemsize)
            end_file.truncate(progress["documents"] * np.dtype(np.int64).itemsize)
            for batch in batches(remaining):
                rows = tokenizer.encode(batch)
                if separated:
                    for row in rows:
                        row.append(tokenizer.last)
                lengths = np.fromiter(map(len, rows), np.int64, len(rows))
                token_file.write(np.fromiter(chain.from_iterable(rows), dtype, int(lengths.sum())).tobytes())
                end_file.write((progress["tokens"] + lengths.cumsum()).tobytes())
                token_file.flush()
                end_file.flush()
                for name in (TOKENS, ENDS):  # before it is noted as done: what a power cut takes would be read as zeros
                    flush(folder / name)
                progress = {
                    "documents": progress["documents"] + len(rows), "tokens": progress["tokens"] + int(lengths.sum()),
                }  # fmt: skip
                write_text(folder / PROGRESS, json.dumps(progress))
        manifest = {
            **about, **progress, "dtype": dtype.name, "separated": separated, "tokenizer": tokenizer.digest,
            "sha256": {name: sha256(folder / name) for name in (TOKENS, ENDS)},
        }  # fmt: skip
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2))
        (folder / PROGRESS).unlink(missing_ok=True)
    written = open_token_file(folder)
    assert written is not None
    return written


def _progress(folder: Path) -> dict[str, int]:
    path = folder / PROGRESS
    noted: dict[str, int] = json.loads(path.read_text()) if path.is_file() else {"documents": 0, "tokens": 0}
    return noted


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Documents as they are tokenised together."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
