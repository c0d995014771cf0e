"""Verbs that several processes do together write what one would."""

import json
import logging
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from together import codes, start, together
from torch.distributed import run as torchrun
from torch.distributed.launcher.api import elastic_launch

from dnadiff import cli, config
from dnadiff.training.metrics import read_metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
DOCS = Path(__file__).parents[2] / "docs" / "several-gpus.md"


def command(*words):
    """A verb in this process, which goes on after it."""
    sys.argv = ["dnadiff", *map(str, words)]
    try:
        cli.main()
    except SystemExit as stop:
        if stop.code:
            raise


@pytest.fixture(scope="module")
def vcf(genome, tmp_path_factory):
    """Nine substitutions on chrA."""
    bases = "".join(genome.read_text().split(">")[1].splitlines()[1:])
    path = tmp_path_factory.mktemp("vcf") / "some.vcf"
    rows = [f"chrA\t{at}\t.\t{bases[at - 1]}\t{'CGTA'['ACGT'.index(bases[at - 1])]}\t.\t.\t." for at in range(500, 509)]
    path.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(rows) + "\n")
    return path


def commands(run, genome, vcf, out):
    return [
        ["evaluate", run, "evaluate.batch_size=2", "--out", out / "figures.json"],
        ["sample", run, "-n", "7", "batch_size=2", "--out", out / "samples.fa"],
        ["score", run, "--vcf", vcf, "--ref", genome, "window=40", "batch_size=1", "--out", out / "scored.vcf"],
    ]


def test_evaluate_sample_and_score_write_the_same_bytes(run, genome, vcf, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()

    def work(rank):
        for words in commands(run, genome, vcf, two):
            command(*words)
        command("evaluate", run, "evaluate.batch_size=2", "--out", "-")  # nothing is kept in files

    together(work, folder=tmp_path)
    for words in commands(run, genome, vcf, one):
        command(*words)
    for name in ("figures.json", "samples.fa", "scored.vcf"):
        assert (two / name).read_bytes() == (one / name).read_bytes(), name
    assert (tmp_path / "1.txt").read_text() == ""
    assert (one / "figures.json").read_text() in (tmp_path / "0.txt").read_text()


def test_a_run_of_two_is_the_run_of_one(run, settings, tmp_path):
    (tmp_path / "small.yaml").write_text(config.to_yaml(settings))
    words = ["train", tmp_path / "small.yaml", "--out", tmp_path / "run"]
    together(lambda rank: command(*words), folder=tmp_path)
    figures, theirs = (json.loads((path / "results.json").read_text()) for path in (tmp_path / "run", run))
    assert figures["bits_per_base"] == pytest.approx(theirs["bits_per_base"], rel=1e-4)
    assert figures["markov"] == theirs["markov"]
    losses = [
        [float(row["train_bits"]) for row in read_metrics(path / "metrics.csv")] for path in (tmp_path / "run", run)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["processes"] == 2
    assert (tmp_path / "1.txt").read_text() == ""


@pytest.mark.parametrize(("group", "name"), [("train", "seed"), ("data", "ref")])
def test_processes_that_were_told_or_read_something_else_are_refused(group, name, settings, genome, tmp_path):
    other = tmp_path / "other.fa"
    other.write_text(genome.read_text().replace("ACGT", "ACGA", 1))
    changed = getattr(settings, group).model_copy(update={name: {"seed": 7, "ref": str(other)}[name]})
    for rank, each in enumerate([settings, settings.model_copy(update={group: changed})]):
        (tmp_path / f"{rank}.yaml").write_text(config.to_yaml(each))

    def work(rank):
        command("train", tmp_path / f"{rank}.yaml", "--out", tmp_path / "run")

    assert codes(start(work, folder=tmp_path))[0] == [2, 2]
    what = {"seed": r"train\.seed was 0, is 7", "ref": "fingerprint of the data was .*, is .*"}[name]
    for rank in range(2):
        said = (tmp_path / f"{rank}.txt").read_text()
        assert re.search(f"torchrun: with process 1 {what}; start all with one command, on the same files", said)
    assert not (tmp_path / "run").exists()


def test_what_one_process_alone_can_do_is_refused_by_each(run, genome, tmp_path):
    started = start(lambda rank: command("embed", run, "--fasta", genome, "--out", "x.npz"), folder=tmp_path)
    assert codes(started)[0] == [2, 2]
    message = "dnadiff embed: is the work of one process, and torchrun started 2; run it without torchrun\n"
    assert (tmp_path / "0.txt").read_text() == f"dnadiff: {message}"
    assert (tmp_path / "1.txt").read_text() == f"dnadiff (rank 1): {message}"


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch, capsys):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(SystemExit, match="2"):
        command("train")
    assert "srun: started 4 processes that do not know of each other; start one on each" in capsys.readouterr().err
    command("presets")  # as what is given shards, it may be


def _launched(words, said):
    """What torchrun starts; its processes are forked, so that nothing is imported again."""
    log = Path(said) / f"{os.environ['RANK']}.txt"
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    logging.getLogger().handlers.clear()
    torch.cuda.is_available = lambda: False
    command(*words)


def test_the_command_of_the_page_trains(settings, tmp_path, monkeypatch):
    line = next(line for line in DOCS.read_text().splitlines() if line.strip().startswith("torchrun --standalone"))
    (tmp_path / "small.yaml").write_text(config.to_yaml(settings))

    def forked(config, entrypoint):
        config.start_method, config.logs_specs = "fork", type(config.logs_specs)(log_dir=str(tmp_path / "logs"))

        def launch(*words):
            verb = words[words.index("dnadiff") + 1]
            small = [verb, str(tmp_path / "small.yaml"), "sample.n=0", "--out", str(tmp_path / "run")]
            return elastic_launch(config, _launched)(small, str(tmp_path))

        return launch

    monkeypatch.setattr(torchrun, "elastic_launch", forked)
    torchrun.run(torchrun.parse_args(shlex.split(line.strip().split("   ")[0])[1:]))
    assert len(read_metrics(tmp_path / "run" / "metrics.csv")) == settings.train.max_steps
    assert "results in" in (tmp_path / "0.txt").read_text()
    assert (tmp_path / "1.txt").read_text() == ""


def test_the_sbatch_file_starts_one_torchrun_on_each_machine():
    path = DOCS.with_name("hg38.sbatch")
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text().replace("\\\n", "")
    arguments = torchrun.parse_args(shlex.split(text[text.rindex("torchrun") :])[1:])
    assert "#SBATCH --ntasks-per-node=1\n" in text
    assert '--cpus-per-task="$SLURM_CPUS_PER_TASK"' in text[text.rindex("srun") :]  # srun itself does not take it over
    assert f"#SBATCH --gpus-per-node={arguments.nproc_per_node}\n" in text
    assert (arguments.module, arguments.training_script) == (True, "dnadiff")
    assert arguments.training_script_args[:2] == ["train", "dna/hg38"]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_gpus_take_the_steps_of_one(strategy, settings, tmp_path):
    (tmp_path / "small.yaml").write_text(config.to_yaml(settings))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for launched, name in ([], "one"), (launcher, "two"):
        words = ["train", tmp_path / "small.yaml", f"train.strategy={strategy}", "--out", tmp_path / name]
        subprocess.run([sys.executable, *launched, "-m", "dnadiff", *words], check=True, timeout=600)
    rows = [read_metrics(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    np.testing.assert_allclose(*([float(row["train_bits"]) for row in each] for each in rows), rtol=1e-3)
