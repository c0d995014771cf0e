"""A run that is killed anywhere and started again ends as if it had not been, digit for digit."""

import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import PLAIN, Recipe, ended, forked, goes_on, n_steps, train_and_be_killed, wait_until

from dnadiff import checkpoint
from dnadiff.data.genome import GenomeData, open_data
from dnadiff.files import TEMPORARY
from dnadiff.model import ModelConfig
from dnadiff.models import DiT
from dnadiff.run import RunFolder
from dnadiff.training.settings import OptimSettings


@pytest.fixture(scope="module")
def with_everything(tmp_path_factory):
    """Workers, shuffled windows of a genome on random strands and shifted, dropout, an average, micro-batches."""
    letters = np.random.default_rng(0).choice(list("ACGT"), 3000)
    fasta = tmp_path_factory.mktemp("genome") / "g.fa"
    fasta.write_text(">a\n" + "".join(letters) + "\n")
    blocks = {"kind": "blocks", "valid": 0.2, "test": 0.2, "block_bp": 100}
    data = open_data(GenomeData(ref=str(fasta), length=24, jitter=4, split=blocks), seed=0)
    model = DiT(width=16, n_blocks=2, n_heads=2, conditioning="time", conditioning_width=8, dropout=0.2)
    recipe = Recipe(data.train, data.valid, ModelConfig(model=model), OptimSettings(ema=0.9), PLAIN.train)
    return recipe.changed(workers=2, micro_batch=2)


def never_killed(recipe, whole, path):
    """That a run in a folder ends like one that nothing happened to; leaves nothing."""
    goes_on(recipe, path, whole)
    assert not list(path.rglob(f"{TEMPORARY}*"))
    shutil.rmtree(path)


@pytest.mark.case(1)
def test_a_run_that_is_killed_at_any_step_goes_on(tmp_path, whole, trials):
    for trial in range(trials(20)):
        train_and_be_killed(PLAIN, tmp_path / "run", random.Random(trial))
        never_killed(PLAIN, whole, tmp_path / "run")


@pytest.mark.case(1)
def test_a_run_that_is_killed_again_and_again_goes_on(tmp_path, whole):
    for trial in range(3):
        train_and_be_killed(PLAIN, tmp_path / "run", random.Random(trial))
    never_killed(PLAIN, whole, tmp_path / "run")


@pytest.mark.case(14)
def test_a_run_goes_on_with_other_workers(tmp_path, whole):
    train_and_be_killed(PLAIN, tmp_path / "run", random.Random(0))
    never_killed(PLAIN.changed(workers=2), whole, tmp_path / "run")


@pytest.mark.case(2)
def test_a_run_with_everything_that_draws_goes_on(tmp_path, with_everything, trials):
    whole = with_everything.run(tmp_path / "whole")
    for trial in range(trials(20)):
        train_and_be_killed(with_everything, tmp_path / "run", random.Random(trial))
        never_killed(with_everything, whole, tmp_path / "run")


@pytest.mark.case(3)
def test_a_run_that_is_killed_while_it_writes_a_checkpoint_goes_on(tmp_path, whole, trials):
    assert killed_writing(tmp_path / "run", whole, trials(20))


@pytest.mark.case(4)
def test_where_temporary_files_are_on_another_disk_it_goes_on(tmp_path, whole, trials, monkeypatch):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as elsewhere:
        monkeypatch.setenv("TMPDIR", elsewhere)
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert tempfile.gettempdir() == elsewhere
        assert killed_writing(tmp_path / "run", whole, trials(20))


def killed_writing(path, whole, n_trials):
    """How many of some runs were killed in the middle of a checkpoint; all of them go on."""
    return sum(write_and_be_killed(path, whole, random.Random(trial)) for trial in range(n_trials))


def write_and_be_killed(path, whole, chance):
    """Kill a run some time after a checkpoint was begun; whether it was not finished."""
    first = chance.randrange(PLAIN.train.max_steps - 3)
    process = forked(lambda: PLAIN.run(path))

    def writes():
        return n_steps(path) >= first and any((path / "checkpoints").glob(f"{TEMPORARY}*"))

    wait_until(writes, process=process)
    time.sleep(chance.uniform(0, 0.01))
    os.kill(process, signal.SIGKILL)
    ended(process)
    is_unfinished = any((path / "checkpoints").glob(f"{TEMPORARY}*"))
    run = RunFolder(path)
    for step in run.steps():  # what has a name is whole
        checkpoint.verify(run.checkpoint(step))
    assert run.steps() or first <= 3
    never_killed(PLAIN, whole, path)
    return is_unfinished
