"""Documents of a corpus: plain text, JSON lines or parquet, one file or a folder of them, in the order of their names.

Empty documents are left out, so that they add no separators.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from dnadiff.data.inputs import find_file, lines
from dnadiff.errors import InputError

SUFFIXES = (".txt", ".jsonl", ".parquet")
Documents = Literal["line", "ended_line", "paragraph", "file"]  # ended: its line end is part of it


def corpus_files(path: str | Path) -> list[Path]:
    """The files of a corpus, sorted by name; gzip files of text and JSON lines count.

    Raises:
        InputError: there are none.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return [find_file(folder)]
    found = sorted(file for file in folder.rglob("*") if file.is_file() and _suffix(file) in SUFFIXES)
    if not found:
        raise InputError(f"{folder}: holds no {', '.join(SUFFIXES)} file; name a folder that does, or a file")
    return found


def documents(files: list[Path], *, unit: Documents, field: str) -> Iterator[str]:
    """Every document that is not empty, in order.

    Args:
        unit: what a document of a plain text file is.
        field: that holds the text in JSON lines and parquet.

    Raises:
        InputError: a file is damaged, not UTF-8, or has no such field.
    """
    for file in files:
        match _suffix(file):
            case ".jsonl":
                found = _json_lines(file, field)
            case ".parquet":
                found = _parquet(file, field)
            case _:
                found = _plain(file, unit)
        yield from (text for text in found if text.strip())


def _suffix(file: Path) -> str:
    return file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix


def _plain(file: Path, unit: Documents) -> Iterator[str]:
    if unit in ("line", "ended_line"):
        end = "" if unit == "line" else "\n"
        yield from (line + end for line in lines(file))
        return
    gathered: list[str] = []
    for line in lines(file):
        if unit == "paragraph" and not line.strip():
            yield "\n".join(gathered)
            gathered = []
        else:
            gathered.append(line)
    yield "\n".join(gathered)


def _json_lines(file: Path, field: str) -> Iterator[str]:
    for number, line in enumerate(lines(file), 1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)[field]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise InputError(f"{file}: line {number}: is no JSON object with text in {field!r}; set data.field")
        yield text


def _parquet(file: Path, field: str) -> Iterator[str]:
    try:
        from pyarrow import ArrowException, parquet  # only here: an extra, and slow to import
    except ImportError:
        raise InputError(f"{file}: parquet needs an extra; pip install 'dnadiff[text]'") from None
    try:
        opened = parquet.ParquetFile(file)
        if field not in opened.schema_arrow.names:
            raise InputError(f"{file}: has no column {field!r}, but {opened.schema_arrow.names}; set data.field")
        for batch in opened.iter_batches(columns=[field]):
            for text in batch.column(0).to_pylist():
                if not isinstance(text, str | None):
                    raise InputError(
                        f"{file}: column {field!r} holds {str(text)[:20]!r}, which is no text; set data.field"
                    )
                yield text or ""
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: is no parquet file that can be read ({type(error).__name__}); get it anew") from None
