"""One pass over a FASTA file: where its records lie, which symbols it holds, where its Ns are, what its sha256 is.

The index is built here and not by pyfaidx: every byte has to be seen once in any case, so that a run does not meet an
impossible symbol in its third hour, and a whole block of lines is checked by a few vectorised steps (some 200
million bases a second). A .fai file beside the FASTA is never believed, so that a stale or hostile one does no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.index import Index, Ints
from dnadiff.dna import ENCODE, INVALID, IUPAC
from dnadiff.errors import InputError

BLOCK_BYTES = 1 << 21
LONGEST_HEADER_BYTES = 1 << 16
SYMBOL_U, SYMBOL_CODE = "U read as T", "IUPAC codes read as N"
NEWLINES = "write newlines: `tr '\\r' '\\n' < in.fa > out.fa`"
REWRAP = "rewrap it to one line width, for instance `seqkit seq -w 60 in.fa > out.fa`"

_BASE, _U, _N, _CODE = 0, 1, 2, 3
_MAGIC = [
    (b"\xef\xbb\xbf", "a UTF-8 byte-order mark; save the file as plain ASCII without it"),
    (b"\xff\xfe", "UTF-16 text; save the file as plain ASCII"),
    (b"\xfe\xff", "UTF-16 text; save the file as plain ASCII"),
    (b"<", "HTML or XML, perhaps an error page; download the file again"),
    (b"@", "FASTQ; convert it to FASTA, for instance `seqkit fq2fa in.fq > out.fa`"),
    (b"PK", "a zip archive; unpack it first"),
    (b"BZh", "bzip2 data; unpack it first, or compress it with bgzip"),
    (b"\xfd7zXZ", "xz data; unpack it first, or compress it with bgzip"),
    (b"\x28\xb5\x2f\xfd", "zstd data; unpack it first, or compress it with bgzip"),
]


def _class_table() -> bytes:
    table = np.where(ENCODE == INVALID, INVALID, _BASE).astype(np.uint8)
    for letters, class_ in [("U", _U), ("N", _N), (IUPAC.replace("N", ""), _CODE)]:
        table[list(f"{letters}{letters.lower()}".encode())] = class_
    return table.tobytes()


_CLASSES = _class_table()


def scan(handle: BinaryIO, *, label: str) -> Index:
    """Index a FASTA file in one pass, in bounded memory.

    Args:
        handle: an uncompressed FASTA file, opened in binary mode, at its beginning.
        label: how messages call the file.

    Raises:
        InputError: the file is not FASTA, a record cannot be addressed by arithmetic (mixed line widths or ends, blank
            lines inside), a name is empty or used twice, or a symbol is neither a base nor an IUPAC code.
    """
    found = _Scan(label)
    digest = hashlib.sha256()
    for block in _blocks(handle, digest):
        if not found.file_bytes:
            _check_beginning(block, label)
        found.feed(block)
    if not found.file_bytes:
        raise InputError(f"{label}: the file is empty; a FASTA file begins with '>'")
    return found.index(digest.hexdigest())


def _blocks(handle: BinaryIO, digest: hashlib._Hash) -> Iterator[bytes]:
    """Pieces that part neither a header line nor a carriage return from its newline; the last one ends a line."""
    block = handle.read(BLOCK_BYTES)
    at_line_start = True
    while block:
        last_line = block.rfind(b"\n") + 1
        if block.startswith(b">", last_line) and (last_line or at_line_start):
            block += handle.readline(LONGEST_HEADER_BYTES)
        if block.endswith(b"\r"):
            block += handle.read(1)
        following = handle.read(BLOCK_BYTES)
        digest.update(block)
        at_line_start = block.endswith(b"\n")
        yield block if following or at_line_start else block + b"\n"
        block = following


def _check_beginning(block: bytes, label: str) -> None:
    if block.startswith(b">"):
        return
    for magic, meaning in _MAGIC:
        if block.startswith(magic):
            raise InputError(f"{label}: line 1: not FASTA but {meaning}")
    first = block.partition(b"\n")[0].split()
    if len(first) >= 3 and first[1].isdigit() and first[2].isdigit():
        raise InputError(f"{label}: line 1: not FASTA but rows of places, as in BED; these are given with --bed")
    beginning = block[:20].split(b"\n")[0].decode(errors="replace")
    raise InputError(f"{label}: line 1: begins with {beginning!r}, but a FASTA file begins with '>' and a name")


def _stray_return(block: bytes, ends: Ints) -> int:
    """The line, from 0 within the block, of the first carriage return without a newline."""
    data = np.frombuffer(block, np.uint8)
    stray = np.flatnonzero((data == ord("\r")) & (np.append(data[1:], 0) != ord("\n")))
    return int(np.searchsorted(ends, stray[0]))


def _unlike(name: str, previous: Ints, line: Ints, full: Ints) -> str:
    """Why a line does not fit its record; all rows of (bases, bytes of the line end)."""
    if not previous[0]:
        found = "goes on after a blank line"
    elif previous[1] != full[1] and previous[0] == full[0]:
        found = "mixes line ends (newline, and carriage return with newline)"
    else:
        odd = previous[0] if previous[0] != full[0] else line[0]
        found = f"has lines of {full[0]} and of {odd} bases"
    return f"{name!r} {found}; {REWRAP}"


class _Lines(NamedTuple):
    """The complete lines of a block, all (lines,); the first may have begun in an earlier block."""

    begins: Ints  # byte within the block, negative if it began earlier
    ends: Ints  # byte of its newline
    bases: Ints  # bytes without the line end
    end_bytes: Ints  # 1 for a newline, 2 for carriage return and newline
    header: NDArray[np.bool_]
    before: Ints  # bases of the file up to the end of this line


class _Scan:
    """What has been seen so far; all lines of a block are looked at together."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.file_bytes = 0  # before this block
        self.n_lines = 0  # complete lines before this block
        self.n_bases = 0  # in those lines
        self.open_bytes = 0  # of the line that this block continues
        self.last = (False, 0, 1)  # header, bases, end_bytes of the last complete line
        self.width = np.array([0, 1])  # bases and end_bytes of a full line in the open record
        self.names: list[str] = []
        self.header_lines: list[Ints] = []
        self.starts: list[Ints] = []
        self.offsets: list[Ints] = []
        self.widths: list[Ints] = []  # (n, 3): record, bases and end_bytes of its first line
        self.unknown: list[Ints] = []
        self.symbols = dict.fromkeys([SYMBOL_U, SYMBOL_CODE, "N", "lower case"], 0)

    def feed(self, block: bytes) -> None:
        """Take in the next block, as `_blocks` cuts them."""
        lines = self._lines(block)
        self._add_records(block, lines)
        self._add_symbols(block, lines)
        self._check_widths(lines)
        self.file_bytes += len(block)
        if not lines.ends.size:
            self.open_bytes += len(block)
            return
        self.open_bytes = len(block) - int(lines.ends[-1]) - 1
        self.n_lines += lines.ends.size
        self.n_bases = int(lines.before[-1])
        self.last = (bool(lines.header[-1]), int(lines.bases[-1]), int(lines.end_bytes[-1]))

    def index(self, sha256: str) -> Index:
        """What was found, when all blocks have been fed."""
        starts = np.concatenate([*self.starts, [self.n_bases]])
        if not self.n_bases:
            raise InputError(f"{self.label}: {len(self.names)} records, but not one base; is the file complete?")
        self._check_names()
        widths = np.concatenate(self.widths)
        full = np.tile([1, 1], (len(self.names), 1))  # records without lines are never read
        full[widths[:, 0]] = np.maximum(widths[:, 1:], 1)
        return Index(
            names=tuple(self.names),
            lengths=np.diff(starts),
            offsets=np.concatenate(self.offsets),
            line_bases=full[:, 0],
            line_bytes=full.sum(axis=1),
            unknown=np.concatenate([np.empty((0, 2), np.int64), *self.unknown]),
            symbols=self.symbols,
            sha256=sha256,
        )

    def _fail(self, line: int, problem: str) -> InputError:
        """An error at a line, counted from 0 within this block."""
        return InputError(f"{self.label}: line {self.n_lines + line + 1}: {problem}")

    def _lines(self, block: bytes) -> _Lines:
        data = np.frombuffer(block + b"\0", np.uint8)  # one byte more: a line may begin after the last newline
        ends = np.flatnonzero(data == ord("\n"))
        begins = np.concatenate([[-self.open_bytes], ends + 1])  # one more: the line that this block leaves open
        header = (begins >= 0) & (data[np.maximum(begins, 0)] == ord(">"))
        crlf = (data[ends - 1] == ord("\r")) & (ends > 0)
        if block.count(b"\r") != np.count_nonzero(crlf):
            raise self._fail(_stray_return(block, ends), f"a carriage return that ends no line; {NEWLINES}")
        endless = header & (np.append(ends, len(block)) - begins > LONGEST_HEADER_BYTES)
        if endless.any():
            raise self._fail(int(endless.argmax()), f"a header of more than {LONGEST_HEADER_BYTES:,} bytes; shorten it")
        bases = ends - begins[:-1] - crlf
        before = self.n_bases + np.cumsum(np.where(header[:-1], 0, bases))
        return _Lines(begins[:-1], ends, bases, crlf + 1, header[:-1], before)

    def _add_records(self, block: bytes, lines: _Lines) -> None:
        headers = np.flatnonzero(lines.header)
        texts = zip(lines.begins[headers].tolist(), lines.ends[headers].tolist(), strict=True)
        for line, (begin, end) in zip(headers.tolist(), texts, strict=True):
            words = block[begin + 1 : end].split(None, 1)
            if not words:
                raise self._fail(line, "a record without a name; write one after '>'")
            name = words[0].decode("utf-8", "backslashreplace")
            if not name.isprintable():
                raise self._fail(line, f"the name {name!r} holds control characters; rename the record")
            self.names.append(name)
        self.header_lines.append(self.n_lines + headers + 1)
        self.starts.append(lines.before[headers])
        self.offsets.append(self.file_bytes + lines.ends[headers] + 1)

    def _add_symbols(self, block: bytes, lines: _Lines) -> None:
        """Count the symbols outside headers and note where bases are unknown."""
        begins = [0, *(lines.ends[lines.header] + 1).tolist()]
        ends = [*lines.begins[lines.header].tolist(), len(block)]
        body = b"".join([block[begin:end] for begin, end in zip(begins, ends, strict=True)])
        classes = body.translate(_CLASSES, b"\r\n")
        if INVALID in classes:
            raise self._bad_symbol(body.translate(None, b"\r\n"), classes.index(INVALID), lines)
        kind = np.frombuffer(classes, np.uint8)
        unknown = np.zeros(len(kind) + 2, bool)  # known at both ends, so that runs begin and end
        unknown[1:-1] = kind >= _N
        self.symbols[SYMBOL_U] += int(np.count_nonzero(kind == _U))
        self.symbols[SYMBOL_CODE] += int(np.count_nonzero(kind == _CODE))
        self.symbols["N"] += int(np.count_nonzero(kind == _N))
        self.symbols["lower case"] += int(np.count_nonzero(np.frombuffer(body, np.uint8) >= ord("a")))
        if unknown.any():
            edges = np.flatnonzero(unknown[1:] != unknown[:-1])
            self.unknown.append(self.n_bases + self.open_bytes + edges.reshape(-1, 2))

    def _bad_symbol(self, bases: bytes, at: int, lines: _Lines) -> InputError:
        position = self.n_bases + self.open_bytes + at  # all records laid end to end
        starts = np.concatenate(self.starts)
        record = int(np.searchsorted(starts, position, side="right")) - 1
        line = int(np.searchsorted(lines.before, position, side="right"))
        return self._fail(
            line,
            f"{chr(bases[at])!r} at position {position - starts[record]} (0-based) of {self.names[record]!r} is not a "
            "base or an IUPAC code; remove gaps, spaces and other symbols, or replace them by N",
        )

    def _check_widths(self, lines: _Lines) -> None:
        """Within a record all lines but the last must be alike, or its bases have no address."""
        shape = np.stack([lines.bases, lines.end_bytes], axis=1)  # (lines, 2)
        previous = np.concatenate([[self.last[1:]], shape])[:-1]
        first = np.concatenate([[self.last[0]], lines.header])[:-1] & ~lines.header  # first line of a record
        record = np.cumsum(lines.header)  # within this block; 0 is the record that it continues
        full = np.zeros((1 + int(np.count_nonzero(lines.header)), 2), np.int64)
        full[0] = self.width
        n_before = len(self.names) - len(full)  # number of the record that this block continues
        full[record[first]] = shape[first]
        wrong = (previous != full[record]).any(axis=1) | (lines.bases > full[record, 0])
        wrong &= (lines.bases > 0) & ~first & ~lines.header
        if wrong.any():
            at = int(wrong.argmax())
            name = self.names[n_before + int(record[at])]
            raise self._fail(at, _unlike(name, previous[at], shape[at], full[record[at]]))
        self.widths.append(np.column_stack([n_before + record[first], shape[first]]))
        self.width = full[-1]

    def _check_names(self) -> None:
        if len(set(self.names)) == len(self.names):
            return
        seen: dict[str, int] = {}
        for name, line in zip(self.names, np.concatenate(self.header_lines).tolist(), strict=True):
            if name in seen:
                raise InputError(
                    f"{self.label}: line {line}: the name {name!r} is taken by line {seen[name]}; make names unique"
                )
            seen[name] = line
