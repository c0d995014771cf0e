"""Small genomes for tests."""

from multiprocessing import Queue
from pathlib import Path

import numpy as np

from dnadiff.data.fasta import Genome


def random_bases(n_bases: int, *, seed: int = 0, letters: str = "ACGT") -> str:
    chosen = np.random.default_rng(seed).integers(0, len(letters), n_bases)
    return "".join(letters[i] for i in chosen)


def fasta_text(records: dict[str, str], *, width: int = 60, eol: str = "\n") -> str:
    wrapped = {name: [bases[i : i + width] for i in range(0, len(bases), width)] for name, bases in records.items()}
    return "".join(eol.join([f">{name}", *parts]) + eol for name, parts in wrapped.items())


def open_fasta(folder: Path, content: str | bytes, *, name: str = "genome.fa") -> Genome:
    """A genome with its cache inside `folder`."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Genome.open(path, cache=folder / "cache")


def read_in_pieces(genome: Genome, starts: np.ndarray, length: int) -> np.ndarray:
    """Windows of the first contig, read in many small batches."""
    parts = np.array_split(starts, 200)
    return np.concatenate([genome.read(np.zeros(len(part), np.int64), part, length) for part in parts])


def send_rows(genome: Genome, starts: np.ndarray, length: int, queue: "Queue[bytes]") -> None:
    """What a worker process does: read windows and send them back."""
    queue.put(read_in_pieces(genome, starts, length).tobytes())
