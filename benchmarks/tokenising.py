"""Tokenising a corpus into a token file, against the batch rate of the bare tokenizer library in the same run.

    python benchmarks/tokenising.py CORPUS [--tokenizer FOLDER] [--megabytes 32]

Documents are the lines of CORPUS, repeated up to the size that is asked for. `bare` is `encode_batch_fast` on the same
batches of texts, held in memory, with nothing done to what comes out; `ours` reads the file, tokenises it and writes
the memory-mapped token file with its manifest. They take turns; both use all cores that the process may use.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from contest import take_turns
from rich.console import Console
from rich.table import Table

from dnadiff.data.text.corpus import documents
from dnadiff.data.text.token_file import batches, write_token_file
from dnadiff.data.text.tokenizer import TextTokenizer, open_tokenizer, train_tokenizer

TURNS = 5


def repeated(source: Path, into: Path, megabytes: float) -> None:
    """A corpus of a size, from a smaller one."""
    text = source.read_bytes().rstrip(b"\n") + b"\n"
    into.write_bytes(text * max(1, round(megabytes * 1e6 / len(text))))


def bare(tokenizer: TextTokenizer, texts: list[list[str]]) -> None:
    """The library's own work."""
    for batch in texts:
        tokenizer.library.encode_batch_fast(batch, add_special_tokens=False)


def ours(tokenizer: TextTokenizer, corpus: Path, folder: Path) -> int:
    """All of it; returns the number of tokens."""
    texts = documents([corpus], unit="line", field="text")
    file = write_token_file(folder, texts, tokenizer, separated=True, about={})
    return int(file.manifest["tokens"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a plain text file")
    parser.add_argument("--tokenizer", help="folder or file of one; default: byte pairs trained on the corpus")
    parser.add_argument("--megabytes", type=float, default=32, help="of text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        repeated(args.corpus, corpus, args.megabytes)
        once = documents([args.corpus], unit="line", field="text")
        tokenizer = open_tokenizer(args.tokenizer) if args.tokenizer else train_tokenizer(once, size=8192)
        texts = list(batches(documents([corpus], unit="line", field="text")))
        folders = (Path(folder) / str(turn) for turn in count())
        ways: dict[str, Callable[[], object]] = {
            "bare": lambda: bare(tokenizer, texts),
            "ours": lambda: ours(tokenizer, corpus, next(folders)),
        }
        n_tokens = ours(tokenizer, corpus, next(folders))  # warms up
        seconds = take_turns(ways, TURNS)
        size = corpus.stat().st_size / 1e6
    table = Table("", "s", "MB/s", "tokens/s", "of bare", title=f"{size:.0f} MB, {tokenizer.vocab.size:,} tokens")
    for name, each in seconds.items():
        share = seconds["bare"] / each
        table.add_row(name, f"{each:.2f}", f"{size / each:.1f}", f"{n_tokens / each:,.0f}", f"{share:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
