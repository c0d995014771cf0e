"""Scored variants as files: the VCF that was read with more in its INFO column, or a table."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from Bio import bgzf

from dnadiff.data.vcf import Record
from dnadiff.files import unfinished
from dnadiff.shown import cell

log = logging.getLogger("dnadiff")
PREFIX = "DNADIFF_"
SKIP = f"{PREFIX}SKIP"
PLACE = ("chrom", "pos", "id", "ref", "alt")  # columns of a table, before those of the scores
INDEXES = (".tbi", ".csi")
Scored = tuple[Record, list[Sequence[float] | str]]  # for each alternative its scores, or why it has none


class Column(NamedTuple):
    """A score: its name in tables, in capitals in INFO, and what it is."""

    name: str
    says: str

    @property
    def key(self) -> str:
        """In INFO."""
        return PREFIX + self.name.upper()


def write(path: Path, header: Sequence[str], scored: Iterable[Scored], columns: Sequence[Column], about: str) -> None:
    """Write a file whose format its name tells, all or nothing.

    Names that end in .vcf are VCF, all else is a table; with .gz or .bgz behind it, by blocks as bgzip does, with an
    index beside it where pysam is installed and rows are sorted.

    Args:
        header: of the VCF that was read.
        about: where scores come from.

    Raises:
        ResourceError: it cannot be written.
    """
    is_packed, name = path.suffix in {".gz", ".bgz"}, path.name.removesuffix(".gz").removesuffix(".bgz")
    is_vcf = name.endswith(".vcf")
    lines = vcf_lines(header, scored, columns, about) if is_vcf else table_lines(scored, columns)
    with unfinished(path) as temporary, _opened(temporary, is_packed) as file:
        for line in lines:
            file.write(f"{line}\n".encode())
    for suffix in INDEXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)  # of what was here before
    if is_packed and is_vcf:
        _index(path)


def vcf_lines(header: Sequence[str], scored: Iterable[Scored], columns: Sequence[Column], about: str) -> Iterator[str]:
    """The VCF, its rows as they were but for INFO, which has a value for each alternative, `.` where there is none."""
    declared = [
        *(f'##INFO=<ID={column.key},Number=A,Type=Float,Description="{column.says}">' for column in columns),
        f'##INFO=<ID={SKIP},Number=A,Type=String,Description="Why an alternative is not scored">',
        f"##dnadiff_score={about}",
    ]
    ours = (f"##INFO=<ID={PREFIX}", "##dnadiff_score=")
    yield from (line for line in header[:-1] if not line.startswith(ours))
    yield from declared
    yield header[-1]
    for record, found in scored:
        entries = [entry for entry in record.columns[7].split(";") if entry != "." and not entry.startswith(PREFIX)]
        for number, column in enumerate(columns):
            values = ["." if isinstance(each, str) else _number(each[number], ".") for each in found]
            entries.append(f"{column.key}={','.join(values)}")
        if any(isinstance(each, str) for each in found):
            entries.append(f"{SKIP}={','.join(each if isinstance(each, str) else '.' for each in found)}")
        yield "\t".join([*record.columns[:7], ";".join(entries), *record.columns[8:]])


def table_lines(scored: Iterable[Scored], columns: Sequence[Column]) -> Iterator[str]:
    """Columns by tabs, a row for each alternative; POS is 1-based, as in the VCF."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="")

    def line(cells: Sequence[str]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells)
        return buffer.getvalue()

    yield line([*PLACE, *(column.name for column in columns), "not_scored"])
    for record, found in scored:
        chrom, pos, name, ref, alternatives = map(cell, record.columns[:5])
        for alt, each in zip(alternatives.split(","), found, strict=True):
            reason = each if isinstance(each, str) else ""
            values = [""] * len(columns) if isinstance(each, str) else [_number(value, "") for value in each]
            yield line([chrom, pos, name, ref, cell(alt), *values, reason])


def _number(value: float, missing: str) -> str:
    return missing if math.isnan(value) else f"{value:.6g}"


@contextmanager
def _opened(path: Path, is_packed: bool) -> Iterator[Any]:
    file = bgzf.BgzfWriter(str(path), "wb") if is_packed else path.open("wb")  # type: ignore[no-untyped-call]
    try:
        yield file
    finally:
        file.close()


def _index(path: Path) -> None:
    """A tabix index, if that can be."""
    try:
        pysam = import_module("pysam")
    except ImportError:
        log.info("%s: pip install pysam for an index beside it, or call tabix -p vcf", path)
        return
    index = path.with_name(f"{path.name}.tbi")
    try:
        with unfinished(index) as temporary:
            _build_index(pysam, path, temporary)
    except ValueError:
        log.warning("%s: no index; its rows are not sorted by contig and place", path)


def _build_index(pysam: Any, path: Path, to: Path) -> None:
    """Write the index; htslib's complaints about rows out of order are a ValueError, and said once."""
    verbosity = pysam.set_verbosity(0)
    try:
        pysam.tabix_index(str(path), preset="vcf", force=True, index=str(to))
    except OSError as error:
        raise ValueError(f"{path}: cannot be indexed ({error})") from None
    finally:
        pysam.set_verbosity(verbosity)
