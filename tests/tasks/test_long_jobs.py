"""Verbs that work for long, killed again and again: nothing that was finished is done twice, and no byte differs."""

import os
import signal

import pytest

from dnadiff.config import resolve
from dnadiff.models.stack import Block
from dnadiff.tasks import embed, evaluate, likelihood, sample, score

MOST_REPEATED = 4  # runs of the network's only block between two times when what is done is kept


@pytest.fixture(scope="module")
def fasta(genome, tmp_path_factory):
    """Twelve sequences."""
    bases = "".join(line for line in genome.read_text().splitlines() if line[0] != ">")
    path = tmp_path_factory.mktemp("sequences") / "some.fa"
    path.write_text("".join(f">s{i}\n{bases[40 * i : 40 * i + 36]}\n" for i in range(12)))
    return path


@pytest.fixture(scope="module")
def vcf(genome, tmp_path_factory):
    """Twelve substitutions."""
    contig = genome.read_text().split(">")[1].splitlines()
    bases = "".join(contig[1:])
    header = "##fileformat=VCFv4.2\n##contig=<ID=chrA>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    bases = {at: bases[at - 1] for at in range(100, 1300, 100)}
    rows = (f"chrA\t{at}\t.\t{base}\t{'CGTA'['ACGT'.index(base)]}\t.\t.\t.\n" for at, base in bases.items())
    path = tmp_path_factory.mktemp("variants") / "some.vcf"
    path.write_text(header + "".join(rows))
    return path


@pytest.fixture
def verbs(run, genome, fasta, vcf):
    """Each as a function that writes a file."""
    of_evaluate = evaluate.settings_of(run, ["evaluate.batch_size=2"], {})
    of_score = resolve(score.ScoreSettings, None, ["window=40", "batch_size=2"])
    of_likelihood = resolve(likelihood.LikelihoodSettings, None, ["draws=2"])
    of_embed = resolve(embed.EmbedSettings, None, ["batch_size=2"])
    of_sample = sample.settings_of(run, ["n=8", "length=24", "batch_size=2", "sampler.steps=3"], {})
    return {
        "evaluate": lambda out: evaluate.run(of_evaluate, run, out),
        "score": lambda out: score.run(of_score, run, str(vcf), str(genome), out),
        "score --fasta": lambda out: likelihood.run(of_likelihood, run, str(fasta), None, out),
        "embed": lambda out: embed.run(of_embed, run, str(fasta), None, out),
        "sample": lambda out: sample.run(of_sample, run, out),
    }


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("verb", ["evaluate", "score", "score --fasta", "embed", "sample"])
def test_killed_again_and_again_it_repeats_little_and_loses_nothing(verb, verbs, tmp_path, monkeypatch):
    log, forward, kill_at = tmp_path / "log", Block.forward, []

    def counted(self, *args, **more):
        with log.open("ab") as file:
            file.write(b".")
        if log.stat().st_size in kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(self, *args, **more)

    def n_runs():
        n = log.stat().st_size
        log.unlink()
        return n

    monkeypatch.setattr(Block, "forward", counted)
    monkeypatch.setattr("dnadiff.inference.draws.SAVE_SECONDS", 0.0)
    monkeypatch.setattr(score, "BATCHES", 1)
    whole, killed = tmp_path / "whole.tsv", tmp_path / "killed.tsv"
    verbs[verb](str(whole))
    needed = n_runs()
    kill_at += [needed // 3, needed * 2 // 3]
    for _ in range(2):
        child = os.fork()
        if child == 0:
            verbs[verb](str(killed))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert not killed.exists()
    verbs[verb](str(killed))
    assert needed + 1 <= n_runs() <= needed + 2 * MOST_REPEATED
    assert killed.read_bytes() == whole.read_bytes()
