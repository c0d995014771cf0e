"""The human genome hg38 and the split of it that HyenaDNA, Caduceus and later work train and test on.

    python data_prep/hg38.py --out data/hg38
    dnadiff finetune dna/hg38 --ref data/hg38/hg38.fa.gz

The sequence, hg38.fa.gz:
    source    UCSC, the initial release of GRCh38 (GCA_000001405.15), never changed since
    licence   the Genome Reference Consortium's, in GenBank, on whose data NCBI places no restrictions
    size      983,659,424 bytes, gzip; lower case marks repeats
    checksum  md5 1c9dcaddfa41027f17cd8f7a82c7293b, the one that UCSC publishes beside it in md5sum.txt

The split, hg38.split.bed (contig, start, end, split; tab-separated, 0-based, half-open):
    source    Kelley, PLOS Computational Biology 2020 (Basenji, also used by Enformer), file sequences_human.bed
    licence   none is stated beside the file; the Basenji repository is Apache-2.0
    size      34,021 train, 2,213 valid and 1,937 test rows, of 2^17 bases or close to it
    checksum  none is published: the rows are checked and counted, and their checksum is recorded

Neither is part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from fetch import FetchError, fetch, fetch_text, replace_text, write_record
from program import finish

BASE_URL = "https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips"
SPLIT_URL = "https://storage.googleapis.com/basenji_barnyard2/sequences_human.bed"
LICENCE = "Genome Reference Consortium, in GenBank, on whose data NCBI places no restrictions"
MD5 = "1c9dcaddfa41027f17cd8f7a82c7293b"
SPLIT_ROWS = {"train": 34_021, "valid": 2_213, "test": 1_937}


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/hg38"), help="folder to write (default: data/hg38)")
    parser.add_argument("--base-url", default=BASE_URL, help="folder of hg38.fa.gz: UCSC's, or a mirror of it")
    parser.add_argument("--md5", default=MD5, help="of hg38.fa.gz; 'published' takes it from md5sum.txt at --base-url")
    parser.add_argument("--split-url", default=SPLIT_URL, help="address of the split's BED file")
    options = parser.parse_args(arguments)

    def work() -> None:
        write_split(options.split_url, options.out / "hg38.split.bed")
        write_sequence(options.base_url.rstrip("/"), options.out / "hg38.fa.gz", md5=options.md5)

    return finish(work, f"hg38.fa.gz and hg38.split.bed are in {options.out}")


def write_sequence(base_url: str, to: Path, *, md5: str = MD5) -> None:
    """Get hg38.fa.gz; `md5` is its hex digest, or 'published'."""
    expected = published_md5(base_url, to.name) if md5 == "published" else md5
    fetch(f"{base_url}/{to.name}", to, md5=expected, licence=LICENCE)


def published_md5(base_url: str, name: str) -> str:
    """The md5 that stands beside a file in its folder's md5sum.txt."""
    rows = (line.split() for line in fetch_text(f"{base_url}/md5sum.txt").splitlines())
    sums = {row[1].lstrip("*./"): row[0] for row in rows if len(row) == 2}
    if name not in sums:
        raise FetchError(f"{base_url}/md5sum.txt: does not list {name}; give its digest with --md5")
    return sums[name]


def write_split(url: str, to: Path) -> None:
    """Get the split's BED file, check every row, and write its first four columns."""
    rows = [_row(url, number, line) for number, line in enumerate(fetch_text(url).splitlines(), start=1)]
    counts = Counter(split for *_, split in rows)
    if counts != SPLIT_ROWS:
        raise FetchError(f"{url}: found {dict(counts)} rows, expected {SPLIT_ROWS}; it is another split")
    to.parent.mkdir(parents=True, exist_ok=True)
    replace_text(to, "".join("\t".join(map(str, row)) + "\n" for row in rows))
    lengths = [end - start for _, start, end, _ in rows]
    write_record(to, url=url, licence="none stated", rows=SPLIT_ROWS, row_bp=[min(lengths), max(lengths)])


def _row(url: str, number: int, line: str) -> tuple[str, int, int, str]:
    """(contig, start, end, split) of a line; start and end in bases, 0-based half-open."""
    fields = line.split("\t")
    if len(fields) >= 4 and fields[1].isdecimal() and fields[2].isdecimal() and fields[3] in SPLIT_ROWS:
        start, end = int(fields[1]), int(fields[2])
        if start < end:
            return fields[0], start, end, fields[3]
    raise FetchError(f"{url}: line {number} is {line[:80]!r}, not contig, start, end, {' or '.join(SPLIT_ROWS)}")


if __name__ == "__main__":
    sys.exit(main())
