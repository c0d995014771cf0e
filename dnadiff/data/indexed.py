"""Indexes of FASTA files, kept in the cache folder.

A kept index is trusted as long as the file is the same: size, inode, time of writing, and time of the last change of
any kind (ctime), which `cp -p`, `rsync -a` and `touch` cannot set back. Anything else means a new scan. The kept file
carries its own sha256, so a damaged one is never believed.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnadiff.cache import locked, writable_folder
from dnadiff.data.index import Index
from dnadiff.data.inputs import is_gzip, unpack
from dnadiff.data.scan import LONGEST_HEADER_BYTES, scan
from dnadiff.errors import InputError, ResourceError
from dnadiff.files import unfinished

log = logging.getLogger(__name__)
FORMAT = "dnadiff genome index 1"
SETTLED_NS = 10**9  # a file changed less than this before its scan may change again within one tick of its clock
LONGEST_FAI_LINE = LONGEST_HEADER_BYTES + 100
_ARRAYS = ("lengths", "offsets", "line_bases", "line_bytes", "unknown")


class Identity(NamedTuple):
    """What changes whenever a file does."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Identity:
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def indexed(source: Path, cache: Path) -> tuple[Path, Identity, Index]:
    """The plain file (unpacked into the cache if `source` is compressed), what it was when scanned, and its index.

    Raises:
        InputError: not a FASTA file that can be read without guessing.
        ResourceError: the cache cannot be written, or has no room for the unpacked file.
    """
    folder = writable_folder(cache / "genomes")
    stem = folder / hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:24]
    with locked(stem):
        return _load(stem, source) or _build(stem, source)


def warn_of_stale_fai(source: Path, index: Index) -> None:
    """Tell of a .fai beside the FASTA that does not describe it: it is not used here, but misleads other programs."""
    fai = source.with_name(source.name + ".fai")
    if is_gzip(source) or not fai.is_file():
        return
    columns = zip(index.names, index.lengths.tolist(), index.offsets.tolist(), strict=True)
    expected = (tuple(str(value).encode() for value in row) for row in columns)
    try:
        with fai.open("rb") as handle:  # a line at a time, of bounded length: it may be anything
            rows = (tuple(line.split(b"\t")[:3]) for line in iter(lambda: handle.readline(LONGEST_FAI_LINE), b""))
            is_right = all(row == one for row, one in zip_longest(rows, expected))
    except OSError:
        return
    if not is_right:
        log.warning("%s: stale or damaged, it does not describe %s; not used here, but delete it", fai, source.name)


def _build(stem: Path, source: Path) -> tuple[Path, Identity, Index]:
    started, before, plain = time.time_ns(), Identity.of(source), source
    if is_gzip(source):
        plain = stem.with_suffix(".fa")
        with unfinished(plain) as temporary:
            unpack(source, temporary)
            index = _scan(temporary, label=str(source))
        log.info("%s: compressed; kept as %s (%s bytes)", source, plain, f"{plain.stat().st_size:,}")
    else:
        index = _scan(source, label=str(source))
    if Identity.of(source) != before:
        raise InputError(f"{source}: the file changed while it was read; wait until it is complete and start again")
    identity = Identity.of(plain)
    log.info("%s: %d contigs, %s bases", source, len(index.names), f"{index.starts[-1]:,}")
    try:
        _save(stem, index, source=before, plain=identity, scanned_ns=started)
    except ResourceError as error:
        log.warning("%s; the index of %s is kept in memory only", error, source)
    return plain, identity, index


def _scan(path: Path, *, label: str) -> Index:
    with path.open("rb") as handle:
        return scan(handle, label=label)


def _save(stem: Path, index: Index, **known: Any) -> None:
    facts = {"format": FORMAT, "names": index.names, "symbols": index.symbols, "sha256": index.sha256, **known}
    packed = io.BytesIO()
    np.savez(packed, facts=np.array(json.dumps(facts)), **{name: getattr(index, name) for name in _ARRAYS})
    content = packed.getvalue()
    with unfinished(stem.with_suffix(".index")) as temporary:
        temporary.write_bytes(hashlib.sha256(content).digest() + content)


def _load(stem: Path, source: Path) -> tuple[Path, Identity, Index] | None:
    """What was kept for `source`, or None if there is nothing, or nothing that can be trusted."""
    kept = stem.with_suffix(".index")
    if not kept.is_file():
        return None
    digest, content = (data := kept.read_bytes())[:32], data[32:]
    if hashlib.sha256(content).digest() != digest:
        log.warning("%s: the kept index of %s is damaged; the file is scanned again", kept, source)
        return None
    with np.load(io.BytesIO(content)) as arrays:
        facts = json.loads(str(arrays["facts"]))
        if facts["format"] != FORMAT:
            return None
        index = Index(
            names=tuple(facts["names"]),
            symbols=facts["symbols"],
            sha256=facts["sha256"],
            **{name: arrays[name] for name in _ARRAYS},
        )
    plain, identity = stem.with_suffix(".fa") if is_gzip(source) else source, Identity(*facts["plain"])
    is_same = Identity.of(source) == Identity(*facts["source"]) and plain.is_file() and Identity.of(plain) == identity
    is_settled = facts["scanned_ns"] - facts["source"][3] > SETTLED_NS
    return (plain, identity, index) if is_same and is_settled else None
