"""The genome reader against Biopython and naive slicing."""

import io
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from children import peak_growth
from genomes import fasta_text, open_fasta, random_bases, read_in_pieces, send_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import silent_if_wrong
from small_rows import patient

from dnadiff import dna
from dnadiff.data.fasta import Genome
from dnadiff.errors import InputError

N_WINDOWS = 6000
LENGTH = 97


def assert_equals_biopython(genome: Genome, content: str) -> None:
    records = list(SeqIO.parse(io.StringIO(content, newline=None), "fasta"))  # type: ignore[no-untyped-call]
    assert genome.contigs == {record.id: len(record) for record in records}
    for record in records:
        if len(record):
            whole = genome.tokens(record.id, 0, len(record))
            with silent_if_wrong():
                assert np.array_equal(whole, dna.encode(str(record.seq)))


@pytest.mark.case(20, 22)
@pytest.mark.parametrize(
    "content",
    [
        ">a\nACGT\n",
        "> a b\nACGT\n>b-1:2-3\nAC\n",
        ">a\r\nACGT\r\nAC\r\n>b\r\nGGGG\r\n",
        ">a\nACGT\nAC",
        ">a\r\nACGT\r",
        ">a\nACGT\n\n\n>b\nAC\n\n\n",
        ">a\r\nACGT\r\n\r\n>b\r\nAC\r\n\r\n",
        ">a\tsome words\nACGT\n>b more words > and so\nAC\n",
        ">a\nacgtNnACGT\nryKMacguNN\nAC\n",
        ">empty\n>a\nACGT\n>empty2\n>b\nA\n>empty3\n",
        ">chr1:1-2|x.1\nACGT\n>名前\nAC\n>" + "n" * 5000 + "\nA\n",
        ">a\nACGTAC\n>b\nACG\nACG\nA\n",
        ">one_line\n" + "ACGTN" * 3000,
    ],
)
def test_reads_what_biopython_reads(tmp_path: Path, content: str) -> None:
    assert_equals_biopython(open_fasta(tmp_path, content), content)


@pytest.mark.case(20)
@settings(patient(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(st.text("ACGTUNRacgtun", max_size=200), min_size=1, max_size=6).filter(any),
    width=st.integers(1, 70),
    eol=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
    block=st.integers(1, 64),
)
def test_any_width_line_end_and_case(
    tmp_path: Path, records: list[str], width: int, eol: str, ends: bool, block: int
) -> None:
    content = fasta_text({f"c{i}": bases for i, bases in enumerate(records)}, width=width, eol=eol)
    content = content if ends else content.removesuffix(eol)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dnadiff.data.scan.BLOCK_BYTES", block)  # headers, lines and line ends are parted everywhere
        genome = open_fasta(tmp_path, content)
    assert_equals_biopython(genome, content)
    for number, bases in enumerate(records):
        for start in range(0, len(bases), 7):
            length = min(20, len(bases) - start)
            is_unknown = dna.encode(bases[start : start + length]) == 11
            where = np.array([number]), np.array([start])
            assert genome.share_unknown(*where, length)[0] == pytest.approx(is_unknown.mean())


@pytest.mark.case(34)
def test_first_and_last_base_and_one_base(tmp_path: Path) -> None:
    bases = random_bases(1000)
    genome = open_fasta(tmp_path, fasta_text({"other": "ACGTA", "c": bases, "last": "TT"}))
    for start, end in [(0, 1), (999, 1000), (59, 60), (60, 61), (0, 1000), (59, 121), (120, 180)]:
        assert dna.decode(genome.tokens("c", start, end)) == bases[start:end]


def test_rows_of_a_batch_can_be_written_to(tmp_path: Path) -> None:
    genome = open_fasta(tmp_path, ">a\nACGT\n")
    rows = genome.read(np.array([0, 0]), np.array([0, 1]), 3)
    rows[0] = 3
    assert dna.decode(genome.tokens("a", 0, 4)) == "ACGT"


@pytest.mark.case(31)
@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (4, 2), (0, 7), (6, 8), (10**12, 10**12 + 1)])
def test_windows_outside_a_contig_are_refused(tmp_path: Path, start: int, end: int) -> None:
    genome = open_fasta(tmp_path, ">a\nACGTAC\n>b\nACGTACGT\n")
    with pytest.raises(InputError, match=rf"a:{start}-{end} is not inside a \(0-6\); .* never reaches past"):
        genome.tokens("a", start, end)


def test_an_unknown_contig_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no contig 'ch1' \(did you mean 'chr1'\?\)"):
        open_fasta(tmp_path, ">chr1\nACGT\n").tokens("ch1", 0, 1)


@pytest.mark.case(22)
def test_very_many_contigs(tmp_path: Path, trials: Callable[[int], int]) -> None:
    n_contigs = trials(10) * 100_000
    (tmp_path / "genome.fa").write_text("".join(f">c{i}\nACGT\nA\n" for i in range(n_contigs)))

    def read() -> None:
        genome = Genome.open(tmp_path / "genome.fa", cache=tmp_path / "cache")
        assert len(genome.contigs) == n_contigs
        with silent_if_wrong():
            assert dna.decode(genome.tokens(f"c{n_contigs - 1}", 2, 5)) == "GTA"

    assert peak_growth(read) < 500 * n_contigs + (50 << 20)


@pytest.mark.case(30)
def test_a_line_of_250_megabases(tmp_path: Path, trials: Callable[[int], int]) -> None:
    part, n_parts = random_bases(10**6), trials(250)
    with (tmp_path / "genome.fa").open("w") as file:
        file.write(">c\n")
        file.writelines(part for _ in range(n_parts))

    def read() -> None:
        genome = Genome.open(tmp_path / "genome.fa", cache=tmp_path / "cache")
        for start in (0, n_parts * 10**6 - 100, (n_parts - 1) * 10**6 - 50):
            seconds = []
            for _ in range(5):  # of which a busy machine leaves one alone
                began = time.perf_counter()
                found = genome.tokens("c", start, start + 100)
                seconds.append(time.perf_counter() - began)
            assert min(seconds) < 0.005
            with silent_if_wrong():
                assert dna.decode(found) == (part + part)[start % 10**6 :][:100]

    assert peak_growth(read) < 50 << 20


@pytest.mark.case(30)
def test_offsets_beyond_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "sparse.fa"
    genome = open_fasta(tmp_path, ">a\nACGT\n>b\nTTGCA\n")
    gap = 5 * 2**30
    with path.open("wb") as handle:
        handle.seek(gap)
        handle.write(b"\nTTGCA\n")
    object.__setattr__(genome.index, "offsets", np.array([0, gap + 1]))
    far = Genome(path, path, genome._identity.of(path), genome.index)
    assert dna.decode(far.tokens("b", 1, 5)) == "TGCA"


@pytest.mark.case(32)
@pytest.mark.parametrize("change", ["truncated", "replaced", "removed"])
def test_a_file_that_changes_while_in_use_is_noticed(tmp_path: Path, change: str) -> None:
    genome = open_fasta(tmp_path, fasta_text({"a": random_bases(10_000)}))
    genome.tokens("a", 0, 10)
    if change == "truncated":
        os.truncate(genome.path, 100)
    elif change == "replaced":
        (tmp_path / "new").write_bytes(genome.path.read_bytes())
        (tmp_path / "new").replace(genome.path)
    else:
        genome.path.unlink()
    with pytest.raises(InputError, match="changed, replaced or removed while it was in use; start again"):
        genome.tokens("a", 5000, 5010)


@pytest.mark.case(32)
@pytest.mark.parametrize("is_mapped", [True, False])
def test_an_edit_that_hides_its_time_is_noticed_and_a_change_of_rights_is_none(tmp_path: Path, is_mapped: bool) -> None:
    bases = random_bases(10_000)
    genome = open_fasta(tmp_path, fasta_text({"a": bases}))
    if is_mapped:
        genome.tokens("a", 0, 10)
    before = genome.path.stat()
    genome.path.chmod(0o600)
    assert dna.decode(genome.tokens("a", 5000, 5010)) == bases[5000:5010]
    with genome.path.open("r+") as file:
        file.write(fasta_text({"a": bases[::-1]}))
    os.utime(genome.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="changed, replaced or removed while it was in use; start again"):
        genome.tokens("a", 5000, 5010)


@pytest.mark.case(23)
def test_warnings_count_symbols_that_were_read_as_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    genome = open_fasta(tmp_path, ">a\nACGUuNNryA\n")
    assert genome.warnings == {"U read as T": 2, "IUPAC codes read as N": 2}
    assert "IUPAC codes read as N: 2" in caplog.text
    assert genome.index.symbols == {"U read as T": 2, "IUPAC codes read as N": 2, "N": 2, "lower case": 3}


@pytest.fixture
def busy(tmp_path: Path) -> tuple[Genome, np.ndarray, np.ndarray]:
    """A genome in use, starts of windows, and the rows they must give."""
    bases = random_bases(50_000, letters="ACGTN")
    genome = open_fasta(tmp_path, fasta_text({"a": bases}, width=61))
    starts = np.random.default_rng(1).integers(0, len(bases) - LENGTH, N_WINDOWS)
    tokens = dna.encode(bases)
    genome.tokens("a", 0, 1)
    return genome, starts, np.stack([tokens[start : start + LENGTH] for start in starts])


@pytest.mark.case(28)
@pytest.mark.parametrize("context", [multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")])
def test_processes_read_the_same(
    busy: tuple[Genome, np.ndarray, np.ndarray], context: ForkContext | SpawnContext
) -> None:
    genome, starts, expected = busy
    queue = context.Queue()
    workers = [context.Process(target=send_rows, args=(genome, starts, LENGTH, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    with silent_if_wrong():
        assert np.array_equal(read_in_pieces(genome, starts, LENGTH), expected)
        assert [queue.get(timeout=60) == expected.tobytes() for _ in workers] == [True, True]
    for worker in workers:
        worker.join()


@pytest.mark.case(28)
def test_threads_read_the_same(busy: tuple[Genome, np.ndarray, np.ndarray]) -> None:
    genome, starts, expected = busy
    fresh = pickle.loads(pickle.dumps(genome))  # not yet mapped: the threads race to do it
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(read_in_pieces(fresh, starts, LENGTH))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with silent_if_wrong():
        assert [np.array_equal(rows, expected) for rows in found] == [True] * 4


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = open_fasta(tmp_path, ">a\nACGT\n", name="one.fa")
    assert open_fasta(tmp_path, ">a\nACGT\n", name="two.fa").fingerprint() == one.fingerprint()
    assert open_fasta(tmp_path, ">a\nACGA\n", name="two.fa").fingerprint() != one.fingerprint()


def test_text_is_what_stands_in_the_file(tmp_path):
    bases = "acgtuNnRyACGTUswkmbdhv" * 7
    lines = "\r\n".join(bases[i : i + 10] for i in range(0, len(bases), 10))
    genome = open_fasta(tmp_path, f">a\r\n{lines}\r\n")
    for start, end in [(0, len(bases)), (9, 11), (10, 20), (len(bases) - 1, len(bases))]:
        assert genome.text("a", start, end) == bases[start:end]
    with pytest.raises(InputError, match="never reaches past its contig"):
        genome.text("a", 5, len(bases) + 1)
    with pytest.raises(InputError, match="no contig 'b'"):
        genome.text("b", 0, 1)
