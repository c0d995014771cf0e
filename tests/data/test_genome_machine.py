"""The genome reader against a string, whatever is done in whatever order: read, fork, send to a worker, open, edit."""

import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from children import in_child
from genomes import fasta_text
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, precondition, rule
from oracle import silent_if_wrong
from small_rows import patient

from dnadiff import dna
from dnadiff.data.fasta import Genome
from dnadiff.errors import InputError

records = st.lists(st.text("ACGTNacgtu", max_size=150), min_size=1, max_size=4).filter(any)
tenths = st.integers(-1, 11)
places = st.tuples(st.integers(0, 8), tenths, tenths)  # of a contig, or none; the ends in tenths of its length


class Reading(RuleBasedStateMachine):
    """Readers of one file, which may be replaced under them."""

    readers: Bundle[tuple[Genome, int]] = Bundle("readers")  # each with the version of the file that it opened

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="dnadiff-test-")
        self.path = Path(self.folder.name) / "genome.fa"
        self.version, self.bases, self.n_reads = 0, [""], 0

    def teardown(self) -> None:
        self.folder.cleanup()

    def open(self) -> tuple[Genome, int]:
        return Genome.open(self.path, cache=Path(self.folder.name) / "cache"), self.version

    @initialize(target=readers, bases=records, width=st.integers(1, 40))
    def begin(self, bases: list[str], width: int) -> tuple[Genome, int]:
        self.write(bases, width, 0)
        return self.open()

    @precondition(lambda self: self.n_reads > 3 * self.version)
    @rule(bases=records, width=st.integers(1, 40), age_s=st.sampled_from([-9000, 0, 9000]))
    def write(self, bases: list[str], width: int, age_s: int) -> None:
        """Another genome under the same name, as new, as old or younger than the one before."""
        self.bases, self.version = bases, self.version + 1
        before = self.path.stat().st_mtime if self.path.exists() else 10**9
        self.path.with_suffix(".new").write_text(
            fasta_text({f"c{i}": each for i, each in enumerate(bases)}, width=width)
        )
        os.replace(self.path.with_suffix(".new"), self.path)
        os.utime(self.path, (before + age_s,) * 2)

    @rule(target=readers)
    def open_again(self) -> tuple[Genome, int]:
        return self.open()

    @rule(target=readers, reader=consumes(readers))
    def send(self, reader: tuple[Genome, int]) -> tuple[Genome, int]:
        """As a worker that is spawned gets it."""
        return multiple(reader, pickle.loads(pickle.dumps(reader)))

    @rule(reader=readers, place=places)
    def read(self, reader: tuple[Genome, int], place: tuple[int, int, int]) -> None:
        self.check(reader, place, _tokens)

    @rule(reader=readers, place=places)
    def read_text(self, reader: tuple[Genome, int], place: tuple[int, int, int]) -> None:
        self.check(reader, place, Genome.text)

    @rule(reader=readers, place=places)
    def read_in_a_fork(self, reader: tuple[Genome, int], place: tuple[int, int, int]) -> None:
        in_child(lambda: self.check(reader, place, _tokens))

    def check(self, reader: tuple[Genome, int], place: tuple[int, int, int], how) -> None:
        (genome, version), number = reader, place[0] if place[0] > 7 else place[0] % len(self.bases)
        known = self.bases[number] if number < len(self.bases) else ""
        start, end = sorted(tenth * max(len(known), 10) // 10 for tenth in place[1:])
        self.n_reads += 1
        if version != self.version or not 0 <= start < end <= len(known):
            with pytest.raises(InputError):
                how(genome, f"c{number}", start, end)
            return
        expected = known[start:end] if how is Genome.text else dna.decode(dna.encode(known[start:end]))
        with silent_if_wrong():
            assert how(genome, f"c{number}", start, end) == expected
            if how is _tokens and end - start > 3:
                starts = np.arange(start, end - 3)
                rows = genome.read(np.full(len(starts), number), starts, 3)
                assert [dna.decode(row) for row in rows] == [expected[i : i + 3] for i in range(len(starts))]


def _tokens(genome: Genome, contig: str, start: int, end: int) -> str:
    return dna.decode(genome.tokens(contig, start, end))


Reading.TestCase.settings = settings(patient(20), stateful_step_count=20)
TestReading = pytest.mark.case(28, 31, 32)(Reading.TestCase)
