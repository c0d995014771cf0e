"""No verb speaks to anybody: no telemetry, no look for a newer version, nothing fetched that was not named."""

import socket
import sys

import numpy as np
import pytest

from dnadiff import cli
from dnadiff.cli.app import app

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
watched: list[list[str]] = []
COMMANDS = {
    "finetune": "finetune --ref GENOME --out OUT SMALL train.max_steps=1",
    "train": "train --ref GENOME --dry-run SMALL",
    "evaluate": "evaluate RUN",
    "evaluate --fasta": "evaluate RUN --fasta FASTA draws=2",
    "sample": "sample RUN -n 2 --length 12",
    "infill": "infill RUN FASTA sampler.steps=2",
    "score": "score RUN --vcf VCF --ref GENOME",
    "embed": "embed RUN --fasta FASTA --out OUT.tsv",
    "mutate": "mutate RUN --ref GENOME --region chrA:101-104",
    "classify": "classify CSV --probe --folds 2 --out OUT baselines=[majority] model.width=8 model.n_layers=1",
    "windows": "windows --ref GENOME SMALL",
    "audit": "audit CSV CSV",
    "bench": "bench --print-config",  # times what the others run
    "doctor": "doctor",
    "presets": "presets",
}
ELSEWHERE = {
    "reproduce": "does what train and evaluate do",
    "report": "needs more samples than the small run has",
    "zeroshot": "needs corpora and a model of text",
    "judge": "needs a model of text, or one of the hub that is named",
}


@pytest.fixture(scope="module", autouse=True)
def _hook():
    """An audit hook, which cannot be removed; it looks only while something is watched."""

    def hook(event, arguments):
        if watched and event in NETWORK:
            watched[-1].append(f"{event}{arguments}")
            raise OSError("no network in this test")

    sys.addaudithook(hook)


@pytest.fixture
def files(run, genome, settings, tmp_path):
    """What the words of commands stand for."""
    generator = np.random.default_rng(0)
    rows = [f"{''.join(generator.choice(list('ACGT'), 40))},{number % 2}" for number in range(24)]
    reference = genome.read_text().split("\n")[1][10]
    texts = {
        "FASTA": ">a\nACGTNNACGT\n",
        "CSV": "\n".join(["sequence,label", *rows]) + "\n",
        "VCF": "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"chrA\t11\t.\t{reference}\t{'C' if reference == 'A' else 'A'}\t.\t.\t.\n",
    }
    paths = {name: tmp_path / f"x.{name.lower()}" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    return {"RUN": run, "GENOME": genome, "OUT": tmp_path / "out", **paths}


def test_the_watch_sees_what_would_leave():
    watched.append([])
    try:
        with pytest.raises(OSError, match="no network"):
            socket.create_connection(("127.0.0.1", 9))
        assert watched[-1]
    finally:
        watched.pop()


@pytest.mark.case(59)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_verb_asks_nothing_of_the_network(command, files, monkeypatch, small_words):
    words = [*command.replace("SMALL", " ".join(small_words)).split()]
    for name, path in files.items():
        words = [word.replace(name, str(path)) for word in words]
    monkeypatch.setattr(sys, "argv", ["dnadiff", *words])
    watched.append([])
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main()
    finally:
        asked = watched.pop()
    assert stop.value.code in (0, None)
    assert not asked


def test_every_verb_is_tried():
    verbs = {str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}
    assert verbs == {name.split()[0] for name in [*COMMANDS, *ELSEWHERE]}
