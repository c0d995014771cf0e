"""Text to tokens and back: a tokenizer from files, from the hub, trained here, or of single characters.

A mask is added behind the last id where the tokenizer has none, as published text models have it; a tokenizer without
padding pads with the mask. Every other token is a letter of the data, special ones too, since documents are separated
by them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dnadiff.errors import InputError
from dnadiff.vocab import Vocab

CHARACTERS = "characters"
TEXT8 = "abcdefghijklmnopqrstuvwxyz "
SPECIAL = ("[CLS]", "[SEP]", "[BOS]", "[EOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]")  # before text8's characters
KEPT = "tokenizer.json"  # beside a model's weights
END = "<|endoftext|>"
MOST_TOKENS = 1 << 22  # the largest known have a million
FILES = "tokenizer.json, or vocab.json and merges.txt, or vocab.txt"
FIRST = ("<s>", "[BOS]", "[CLS]", "<cls>", END)  # whichever comes first is meant
LAST = ("</s>", "[EOS]", "[SEP]", "<eos>", END)
MASK, PAD = ("<mask>", "[MASK]"), ("<pad>", "[PAD]")


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer of the tokenizers library, with what training needs to know of its ids.

    Attributes:
        definition: tokenizer.json as text, all that the tokenizer is.
        first, last: ids that begin a row, and that end a document and a row.
    """

    definition: str
    vocab: Vocab
    first: int
    last: int

    @property
    def digest(self) -> str:
        """sha256 of everything that decides which tokens a text has."""
        return hashlib.sha256(f"{self.vocab.digest()} {self.first} {self.last} {self.definition}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without special ones; on all cores, whatever their number the same."""
        encoded = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of some ids; those that the tokenizer itself does not have, such as an added mask, are left out."""
        known = self.library.get_vocab_size()
        text: str = self.library.decode([i for i in ids if i < known], skip_special_tokens=False)
        return text

    def documents(self, ids: Iterable[int]) -> list[str]:
        """Text of a row, cut where documents begin and end; without padding and masks."""
        found: list[list[int]] = [[]]
        for i in ids:
            if i in (self.first, self.last):
                found.append([])
            elif i not in (self.vocab.pad, self.vocab.mask):
                found[-1].append(i)
        return [self.decode(document) for document in found if document]

    def text(self, ids: Iterable[int]) -> str:
        """Text of a row, a line end where one document follows another."""
        return "\n".join(self.documents(ids))

    @cached_property
    def library(self) -> Any:
        """The library's own object."""
        return _library().Tokenizer.from_str(self.definition)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "library"}


def open_tokenizer(source: str) -> TextTokenizer:
    """A tokenizer that exists.

    Args:
        source: `characters` (a to z and space, as text8 has them), a folder or file of a tokenizer, or a name on the
            Hugging Face hub.

    Raises:
        InputError: there is none, or it has no tokens that begin and end a text.
    """
    path = Path(source).expanduser()
    if source == CHARACTERS:
        tokenizer = _characters()
    elif path.exists():
        tokenizer = _from_files(path)
    else:
        tokenizer = _from_hub(source)
    return _described(tokenizer, source)


def kept_tokenizer(folder: Path) -> TextTokenizer | None:
    """The tokenizer of the model in a checkpoint folder; None where it is no model of text."""
    path = folder / KEPT
    return open_tokenizer(str(path)) if path.is_file() else None


def train_tokenizer(texts: Iterable[str], *, size: int) -> TextTokenizer:
    """Byte pairs of these texts, from single bytes up to `size` tokens; the same texts give the same tokenizer."""
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END, PAD[1], MASK[1]], show_progress=False,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return _described(tokenizer, "the trained tokenizer")


def _library() -> Any:
    try:
        import tokenizers  # only here: an extra
    except ImportError:
        raise InputError("text needs an extra: pip install 'dnadiff[text]'") from None
    return tokenizers


def _from_files(path: Path) -> Any:
    folder = path if path.is_dir() else path.parent
    library = _library()
    try:
        if path.suffix == ".json" and path.is_file() and path.name != "vocab.json":
            return library.Tokenizer.from_file(str(path))
        if (folder / "tokenizer.json").is_file():
            return library.Tokenizer.from_file(str(folder / "tokenizer.json"))
        if (folder / "merges.txt").is_file():
            pairs = library.ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
            return library.Tokenizer.from_str(pairs.to_str())
        if (folder / "vocab.txt").is_file():
            return _from_list(folder / "vocab.txt")
    except Exception as error:  # the library raises nothing more special
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is no tokenizer ({reason}); it takes {FILES}") from None
    raise InputError(f"{path}: holds no tokenizer; it takes {FILES}")


def _from_list(path: Path) -> Any:
    """Tokens one a line: BERT's pieces of words, lower-cased unless the settings beside it say otherwise, or ESM's."""
    library, beside = _library(), path.with_name("tokenizer_config.json")
    told = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    if told.get("tokenizer_class") == "EsmTokenizer":
        return _residues(path.read_text(encoding="utf-8").split())
    pieces = library.BertWordPieceTokenizer(str(path), lowercase=told.get("do_lower_case", True))
    return library.Tokenizer.from_str(pieces.to_str())


def _residues(tokens: Sequence[str]) -> Any:
    """Single letters, and where there are longer tokens, all words of that length over some letters: read first."""
    library, words = _library(), [token for token in tokens if not token.startswith("<")]
    size = max(map(len, words))
    longest = [word for word in words if len(word) == size]
    letters = sorted(set("".join(longest)))
    if {*map(len, words)} - {1, size} or (size > 1 and len(longest) != len(letters) ** size):
        raise ValueError("its tokens are neither letters nor all words of one length")
    word = f"[{re.escape(''.join(letters))}]{{{size}}}|" if size > 1 else ""
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = library.Tokenizer(library.models.WordLevel(ids, unk_token="<unk>"))
    split = library.pre_tokenizers.Split(library.Regex(rf"{word}[\s\S]"), "isolated")
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([library.pre_tokenizers.WhitespaceSplit(), split])
    tokenizer.decoder = library.decoders.Fuse()
    return tokenizer


def _from_hub(name: str) -> Any:
    """What was fetched before is taken as it is, so that it opens offline without waiting for the hub."""
    library = _library()
    try:
        from huggingface_hub import try_to_load_from_cache  # tokenizers brings it

        kept = try_to_load_from_cache(name, "tokenizer.json")
        return library.Tokenizer.from_file(kept) if isinstance(kept, str) else library.Tokenizer.from_pretrained(name)
    except InputError:
        raise
    except Exception as error:  # of the network, of the hub, or of the library
        raise InputError(
            f"data.tokenizer: {name!r} is neither a file nor to be had from the hub ({type(error).__name__}); "
            f"name a folder with {FILES}"
        ) from None


def _characters() -> Any:
    """The letters of text8 under the ids that the authors of MDLM give them; the eight special ones come before."""
    library = _library()
    ids = {token: i for i, token in enumerate([*SPECIAL, *TEXT8])}
    tokenizer = library.Tokenizer(library.models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.normalizer = library.normalizers.Lowercase()
    tokenizer.pre_tokenizer = library.pre_tokenizers.Split(library.Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = library.decoders.Fuse()
    return tokenizer


def _described(tokenizer: Any, source: str) -> TextTokenizer:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = tokenizer.get_vocab(with_added_tokens=True)
    n_ids = max(ids.values(), default=-1) + 1
    if n_ids > MOST_TOKENS:
        raise InputError(f"{source}: has a token with id {n_ids - 1:,}, of {MOST_TOKENS:,} at most; name another")
    names = [f"[unused id {i}]" for i in range(n_ids)]
    for token, i in ids.items():
        names[i] = token
    mask = _first_of(MASK, ids)
    if mask is None:
        mask = len(names)
        names.append(MASK[1])
    pad, first, last = (_first_of(meanings, ids) for meanings in (PAD, FIRST, LAST))
    if first is None or last is None:
        raise InputError(
            f"{source}: has no token that begins or ends a text (one of {', '.join({*FIRST, *LAST})}); add one to it"
        )
    pad = mask if pad is None else pad
    unwritten = SPECIAL if names == [*SPECIAL, *TEXT8] else (names[mask], names[pad])
    letters = [i for i, name in enumerate(names) if name not in unwritten]
    vocab = Vocab(tuple(names), len(names), tuple(letters), mask=mask, pad=pad, unknown=pad)
    definition = json.dumps(json.loads(tokenizer.to_str()), sort_keys=True)
    return TextTokenizer(definition, vocab, first, last)


def _first_of(names: Sequence[str], ids: dict[str, int]) -> int | None:
    return next((ids[name] for name in names if name in ids), None)
