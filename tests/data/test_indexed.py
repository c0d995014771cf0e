"""The kept index is right or is made again: stale, damaged, racing and unwritable cases."""

import ctypes
import gzip
import logging
import multiprocessing
import os
import re
import shutil
import signal
import struct
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from children import in_child, peak_growth
from genomes import fasta_text, open_fasta, random_bases
from oracle import silent_if_wrong

from dnadiff import dna
from dnadiff.data import indexed
from dnadiff.data.fasta import Genome
from dnadiff.data.index import Index
from dnadiff.data.scan import scan
from dnadiff.errors import InputError, ResourceError

Pack = Callable[[bytes], bytes]
BASES = random_bases(5000)
TEXT = fasta_text({"a": BASES, "b": BASES[:100]})
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def bgzip(data: bytes, *, block: int = 2000) -> bytes:
    """What the bgzip program writes: gzip members that carry their size, and an empty one at the end."""
    members = []
    for start in range(0, len(data), block):
        part = data[start : start + block]
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(part) + packer.flush()
        head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        members.append(head + body + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(members) + BGZIP_END


def assert_reads(genome: Genome, bases: str, contig: str = "a") -> None:
    assert dna.decode(genome.tokens(contig, 0, len(bases))) == bases


@pytest.fixture
def n_scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were scanned since the test began; files are trusted however young they are."""
    monkeypatch.setattr(indexed, "SETTLED_NS", -1)
    seen: list[str] = []

    def counted(handle: BinaryIO, *, label: str) -> Index:
        seen.append(label)
        return scan(handle, label=label)

    monkeypatch.setattr(indexed, "scan", counted)
    return seen


def test_an_unchanged_file_is_scanned_once(tmp_path: Path, n_scans: list[str]) -> None:
    first = open_fasta(tmp_path, TEXT)
    again = Genome.open(first.path, cache=tmp_path / "cache")
    assert len(n_scans) == 1
    assert_reads(again, BASES)
    assert again.fingerprint() == first.fingerprint()
    assert again.contigs == first.contigs


@pytest.mark.case(24)
def test_a_young_file_is_not_trusted(tmp_path: Path) -> None:
    open_fasta(tmp_path, ">a\nAAAA\n")
    assert_reads(open_fasta(tmp_path, ">a\nCCCC\n"), "CCCC")


@pytest.mark.case(24)
@pytest.mark.parametrize("pack", [bytes, partial(gzip.compress, compresslevel=0)], ids=["plain", "gzip"])
@pytest.mark.parametrize("age_s", [-5000, 0, 5000])
def test_an_edit_is_noticed_whatever_its_time_of_writing(
    tmp_path: Path, n_scans: list[str], age_s: int, pack: Pack
) -> None:
    """The same size, an older, equal or newer mtime, as after `cp -p` or `rsync -a`."""
    path = open_fasta(tmp_path, pack(TEXT.encode())).path
    before, size = path.stat().st_mtime_ns, path.stat().st_size
    other = BASES[::-1]
    path.write_bytes(pack(fasta_text({"a": other, "b": BASES[:100]}).encode()))
    assert path.stat().st_size == size
    os.utime(path, ns=(before, before + age_s * 10**9))
    with silent_if_wrong():
        assert_reads(Genome.open(path, cache=tmp_path / "cache"), other)
    assert len(n_scans) == 2


RIGHT_FAI = f"a\t5000\t3\t60\t61\nb\t100\t{TEXT.index('>b') + 3}\t60\t61\n"
FOREIGN_FAI = {
    "right": RIGHT_FAI,
    "stale": RIGHT_FAI.replace("5000", "4999"),
    "of another order": "".join(reversed(RIGHT_FAI.splitlines(keepends=True))),
    "of fewer contigs": RIGHT_FAI.splitlines()[0] + "\n",
    "of more contigs": f"{RIGHT_FAI}c\t10\t5200\t60\t61\n",
    "of a terabase": "a\t1000000000000\t3\t60\t61\n",
    "with a negative offset": RIGHT_FAI.replace("\t3\t", "\t-3\t"),
    "with an offset past the end": RIGHT_FAI.replace("\t3\t", "\t999999\t"),
    "overlapping": "a\t5000\t3\t60\t61\nb\t100\t5\t60\t61\n",
    "a cut row": RIGHT_FAI[:8],
    "garbage": "\0\x01rubbish",
    "empty": "",
}


@pytest.mark.case(24, 25)
@pytest.mark.parametrize("kind", FOREIGN_FAI)
def test_a_foreign_index_is_not_used_but_a_stale_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    fai = tmp_path / "genome.fa.fai"
    fai.write_text(FOREIGN_FAI[kind])
    for age_s in (-5000, 5000):
        os.utime(fai, (time.time() + age_s,) * 2)
        caplog.clear()
        with silent_if_wrong():
            assert_reads(open_fasta(tmp_path, TEXT), BASES)
        assert ("stale or damaged" in caplog.text) == (kind != "right")
        assert fai.read_text() == FOREIGN_FAI[kind]


@pytest.mark.case(25)
@pytest.mark.parametrize("line_ends", [(0, 60), (61, 60), (0, 0)])
def test_what_a_foreign_index_says_of_lines_is_not_believed(tmp_path: Path, line_ends: tuple[int, int]) -> None:
    (tmp_path / "genome.fa.fai").write_text("a\t5000\t3\t{}\t{}\n".format(*line_ends))
    with silent_if_wrong():
        assert_reads(open_fasta(tmp_path, TEXT), BASES)


@pytest.mark.case(25)
@pytest.mark.parametrize("content", [b"a\n" * 10**7, b"a" * 10**8])
def test_a_foreign_index_of_any_size_takes_no_room(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "genome.fa.fai").write_bytes(content)
    assert peak_growth(lambda: assert_reads(open_fasta(tmp_path, TEXT), BASES)) < 50 << 20


@pytest.mark.case(25)
def test_a_foreign_index_that_is_no_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "genome.fa.fai")  # whoever reads it waits for ever
    (tmp_path / "other.fa.fai").mkdir()
    for name in ("genome.fa", "other.fa"):
        assert_reads(open_fasta(tmp_path, TEXT, name=name), BASES)


@pytest.mark.case(25)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_index_is_made_again(
    tmp_path: Path, n_scans: list[str], caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = open_fasta(tmp_path, TEXT).path
    (kept,) = (tmp_path / "cache").rglob("*.index")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 4
    kept.write_bytes({"flip": content, "truncate": content[:500], "empty": bytearray()}[damage])
    assert_reads(Genome.open(path, cache=tmp_path / "cache"), BASES)
    assert "is damaged; the file is scanned again" in caplog.text
    assert len(n_scans) == 2


@pytest.mark.case(29)
@pytest.mark.parametrize("pack", [gzip.compress, bgzip], ids=["gzip", "bgzip"])
def test_a_compressed_file_is_unpacked_once(tmp_path: Path, n_scans: list[str], pack: Pack) -> None:
    genome = open_fasta(tmp_path, pack(TEXT.encode()), name="genome.fa")  # told by content, not by name
    again = Genome.open(genome.path, cache=tmp_path / "cache")
    assert_reads(again, BASES)
    assert len(n_scans) == 1
    assert again.fingerprint() == open_fasta(tmp_path, TEXT, name="plain.fa").fingerprint()


def test_a_new_version_replaces_what_was_unpacked(tmp_path: Path, n_scans: list[str]) -> None:
    open_fasta(tmp_path, gzip.compress(TEXT.encode()))
    other = BASES[::-1]
    assert_reads(open_fasta(tmp_path, gzip.compress(fasta_text({"a": other}).encode())), other)
    assert len(list((tmp_path / "cache").rglob("*.fa"))) == 1


@pytest.mark.case(29)
@pytest.mark.parametrize("pack", [gzip.compress, bgzip], ids=["gzip", "bgzip"])
def test_a_truncated_or_flipped_compressed_file_is_refused(tmp_path: Path, pack: Pack) -> None:
    whole = pack(TEXT.encode())
    cuts = [whole[:n] for n in np.linspace(20, len(whole) - 1, 20).astype(int)]
    checksum = len(whole) - 8 - (len(BGZIP_END) if pack is bgzip else 0)  # of the last block
    for place in (len(whole) // 2, checksum, checksum + 4):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        cuts.append(bytes(flipped))
    for damaged in cuts:
        with pytest.raises(InputError, match=r"damaged or incomplete .* download or copy it again"):
            open_fasta(tmp_path, damaged)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix in {".fa", ".index"}]


@pytest.mark.case(29)
def test_bgzip_cut_between_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bgzip's end-of-file mark is missing"):
        open_fasta(tmp_path, bgzip(TEXT.encode()).removesuffix(BGZIP_END))


@pytest.mark.case(29)
@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 4096])
def test_a_foreign_index_of_blocks_is_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "genome.fa.gz.gzi").write_bytes(content)
    (tmp_path / "genome.fa.gz.fai").write_text("a\t1\t0\t0\t0\n")
    with silent_if_wrong():
        assert_reads(open_fasta(tmp_path, bgzip(TEXT.encode()), name="genome.fa.gz"), BASES)


@pytest.mark.case(29)
@pytest.mark.parametrize(("width", "megabases"), [(60, 100), (None, 1000)])
def test_a_bomb_of_unknown_bases_is_read_in_little_memory(
    tmp_path: Path, trials: Callable[[int], int], width: int | None, megabases: int
) -> None:
    n_bases = trials(megabases) * 10**6
    packer, path = zlib.compressobj(wbits=31), tmp_path / "genome.fa.gz"
    block = b"N" * 10**6 if width is None else (b"N" * 60 + b"\n") * 10**4
    with path.open("wb") as file:
        file.write(packer.compress(b">bomb\n"))
        file.writelines(packer.compress(block) for _ in range(n_bases // block.count(b"N")))
        file.write(packer.flush())
    assert path.stat().st_size < n_bases / 200

    def read() -> None:
        genome = Genome.open(path, cache=tmp_path / "cache")
        (length,) = genome.contigs.values()
        with silent_if_wrong():
            assert dna.decode(genome.tokens("bomb", length - 5, length)) == "NNNNN"

    assert peak_growth(read) < 200 << 20


def test_messages_about_a_compressed_file_name_it_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}/genome.fa.gz: line 2: '-'")):
        open_fasta(tmp_path, gzip.compress(b">a\nAC-T\n"), name="genome.fa.gz")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix in {".fa", ".index"}]


def test_no_room_to_unpack_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(
        ResourceError, match=r"unpacked it needs at least [\d,]+ bytes in .*, where 10 are free; free some"
    ):
        open_fasta(tmp_path, gzip.compress(TEXT.encode()))


def test_an_index_that_cannot_be_kept_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise ResourceError("the disk is full")

    monkeypatch.setattr(indexed, "_save", full)
    assert_reads(open_fasta(tmp_path, TEXT), BASES)
    assert "the disk is full; the index of" in caplog.text


def test_a_file_that_grows_while_it_is_scanned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def slow(handle: BinaryIO, *, label: str) -> Index:
        found = scan(handle, label=label)
        with Path(label).open("a") as growing:
            growing.write("ACGT\n")
        return found

    monkeypatch.setattr(indexed, "scan", slow)
    with pytest.raises(InputError, match="the file changed while it was read; wait until it is complete"):
        open_fasta(tmp_path, TEXT)


MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, CLONE_NEWNS = 1, 32, 4096, 16384, 1 << 18, 0x20000


def seal(folder: Path) -> bool:
    """Mount a folder read-only for this process alone; False where that is not allowed."""
    libc, name = ctypes.CDLL(None), os.fsencode(folder)
    return (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
        and libc.mount(name, name, None, MS_BIND, None) == 0
        and libc.mount(name, name, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None) == 0
    )


@pytest.mark.case(26)
@pytest.mark.parametrize("is_cache_sealed", [False, True])
def test_a_genome_in_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_cache_sealed: bool
) -> None:
    folder, home = tmp_path / "sealed", tmp_path / ("sealed" if is_cache_sealed else "home")
    folder.mkdir()
    (folder / "genome.fa").write_text(TEXT)
    monkeypatch.delenv("DNADIFF_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def read() -> str | None:
        if not seal(folder):
            return None
        with pytest.raises(OSError, match="Read-only"):
            (folder / "x").touch()
        genome = Genome.open(folder / "genome.fa")
        with silent_if_wrong():
            assert_reads(genome, BASES)
        return caplog.text

    said = in_child(read)
    if said is None:
        pytest.skip("mounting is not allowed here")
    assert ("which may not outlive this machine's next start" in said) == is_cache_sealed
    assert [path.name for path in folder.iterdir()] == ["genome.fa"]
    assert len(list(tmp_path.rglob("*.index"))) == 1


def test_nothing_is_written_beside_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "read only"
    folder.mkdir()
    path = folder / "génome -x.fa"
    path.write_text(TEXT)
    assert_reads(Genome.open(path, cache=tmp_path / "cache"), BASES)
    assert list(folder.iterdir()) == [path]


def open_and_check(path: Path, cache: Path, queue: "multiprocessing.Queue[bool]") -> None:
    genome = Genome.open(path, cache=cache)
    queue.put(dna.decode(genome.tokens("b", 0, 100)) == BASES[:100])


@pytest.mark.case(27)
def test_processes_that_race_to_build_all_read_right(tmp_path: Path, trials: Callable[[int], int]) -> None:
    context = multiprocessing.get_context("fork")
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    for trial in range(trials(15)):
        queue = context.Queue()
        cache = tmp_path / f"cache{trial}"
        racers = [context.Process(target=open_and_check, args=(path, cache, queue)) for _ in range(6)]
        for racer in racers:
            racer.start()
        assert [queue.get(timeout=30) for _ in racers] == [True] * 6
        for racer in racers:
            racer.join()


@pytest.mark.case(27)
def test_a_builder_that_is_killed_leaves_nothing_that_is_believed(tmp_path: Path, trials: Callable[[int], int]) -> None:
    bases = random_bases(300_000)
    path, cache = tmp_path / "genome.fa.gz", tmp_path / "cache"
    path.write_bytes(gzip.compress(fasta_text({"a": bases}).encode(), compresslevel=1))
    began = time.monotonic()
    Genome.open(path, cache=tmp_path / "other")
    takes_s = time.monotonic() - began
    n_interrupted = 0
    for moment in np.linspace(0, 1.1 * takes_s, trials(12)):
        shutil.rmtree(cache, ignore_errors=True)
        child = os.fork()
        if child == 0:
            try:
                Genome.open(path, cache=cache)
            finally:
                os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        n_interrupted += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        with silent_if_wrong():
            assert_reads(Genome.open(path, cache=cache), bases)
        assert not list(cache.rglob(".unfinished*"))
    assert n_interrupted


def test_what_a_killed_builder_left_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    genome = open_fasta(tmp_path, gzip.compress(TEXT.encode()))
    (kept,) = (tmp_path / "cache").rglob("*.fa")
    assert f"compressed; kept as {kept} ({len(TEXT):,} bytes)" in caplog.text
    orphan = kept.with_name(f".unfinished-123-{kept.name}")
    orphan.write_text("half")
    Genome.open(genome.path, cache=tmp_path / "cache")
    assert not orphan.exists()
