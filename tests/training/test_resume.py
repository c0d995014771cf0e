"""A run that is killed anywhere and started again equals the run that was not, digit for digit."""

import os
import signal
import threading

import numpy as np
import pytest
import torch

from dnadiff import checkpoint
from dnadiff.errors import InputError, InterruptedRun
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.run import RunFolder
from dnadiff.training.fit import fit
from dnadiff.training.metrics import read_metrics
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.vocab import DNA

STEPS = 12
MODEL = ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2))


class RandomRows:
    """Random letters; augmentation depends on the epoch; can kill the training process at the n-th read."""

    length = 24
    labels = None

    def __init__(self, kill_at=None):
        self._tokens = np.random.default_rng(0).integers(7, 11, size=(20, self.length)).astype(np.uint8)
        self._kill_at, self._reads, self._main = kill_at, 0, os.getpid()

    def __len__(self):
        return len(self._tokens)

    def place(self, index):
        return f"row {index}"

    def rows(self, indices, *, epoch):
        self._reads += epoch is not None
        if self._reads == self._kill_at:
            os.kill(self._main, signal.SIGKILL)
        rows = self._tokens[indices]
        return rows if epoch is None else np.roll(rows, epoch, axis=1)


def train(path, *, workers=0, kill_at=None, rows=None, fingerprint="data", **changes):
    torch.manual_seed(0)
    fixed = {"max_steps": STEPS, "batch_size": 4, "log_every": 1, "validate_every": 5, "checkpoint_every": 3}
    settings = TrainSettings(**fixed, workers=workers, valid_windows=4, **{"micro_batch": 2, **changes})
    run = RunFolder(path)
    with run.locked():
        model = DiffusionModel(MODEL, DNA)
        fit(
            model, rows or RandomRows(kill_at), RandomRows(), run,
            optim=OptimSettings(ema=0.9), train=settings, data_fingerprint=fingerprint,
        )  # fmt: skip
    return run


def train_and_be_killed(path, **how):
    """In a forked process, so that nothing has to be imported again."""
    child = os.fork()
    if child == 0:
        train(path, **how)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "whole")


def losses(run):
    return [(row["step"], row["train_bits"], row["valid_bits"], row["grad_norm"]) for row in read_metrics(run.metrics)]


def hashes(run):
    manifest = checkpoint.verify(run.checkpoint(STEPS))
    return {name: digest for name, digest in manifest["sha256"].items() if name.endswith(".safetensors")}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.case(1)
@pytest.mark.parametrize(("workers", "kill_at"), [(0, 2), (0, 5), (0, 8), (2, 4), (2, 5)])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, reference, workers, kill_at):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train_and_be_killed(tmp_path / "run", workers=workers, kill_at=kill_at)
        assert len(read_metrics(tmp_path / "run" / "metrics.csv")) < STEPS
        run = train(tmp_path / "run", workers=workers)
    finally:
        torch.set_num_threads(threads)
    assert losses(run) == losses(reference)
    assert hashes(run) == hashes(reference)


def test_every_step_is_logged_and_validation_is_where_it_was_asked_for(reference):
    rows = losses(reference)
    assert [int(step) for step, *_ in rows] == list(range(1, STEPS + 1))
    assert [int(step) for step, _, valid, _ in rows if valid] == [5, 10, STEPS]


def test_the_newest_and_the_best_checkpoints_are_kept(reference):
    valid = {int(step): float(valid) for step, _, valid, _ in losses(reference) if valid}
    best = min(valid, key=valid.get)
    assert set(reference.steps()) == {best, 10, STEPS}
    assert reference.best() == reference.checkpoint(best)


def test_a_finished_run_is_left_alone(reference):
    before = hashes(reference)
    assert hashes(train(reference.path)) == before


def test_the_moving_average_is_what_is_used_and_the_raw_weights_are_kept(reference):
    folder = reference.checkpoint(STEPS)
    average = checkpoint.read_tensors(folder / "weights.safetensors")
    raw = checkpoint.read_tensors(folder / "raw_weights.safetensors")
    assert average.keys() == raw.keys()
    assert any(not torch.equal(average[name], raw[name]) for name in raw)
    loaded = checkpoint.load(folder).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in average.items())


@pytest.mark.case(14)
def test_micro_batches_do_not_change_the_steps(tmp_path, reference):
    run = train(tmp_path / "run", micro_batch=None)
    ours = [float(row[1]) for row in losses(run)]
    assert ours == pytest.approx([float(row[1]) for row in losses(reference)], rel=1e-4)


@pytest.mark.case(9)
def test_an_interrupt_finishes_the_step_saves_and_says_how_to_go_on(tmp_path, reference):
    class Interrupting(RandomRows):
        def rows(self, indices, *, epoch):
            if self._reads == 4 and threading.current_thread() is threading.main_thread():
                os.kill(os.getpid(), signal.SIGINT)
            return super().rows(indices, epoch=epoch)

    with pytest.raises(InterruptedRun, match=r"interrupted at step [45]; the same command goes on"):
        train(tmp_path / "run", rows=Interrupting())
    assert losses(train(tmp_path / "run")) == losses(reference)


@pytest.mark.case(8)
def test_a_checkpoint_damaged_on_disk_is_passed_over(tmp_path, reference, caplog):
    run = train(tmp_path / "run")
    for step in run.steps()[1:]:
        weights = run.checkpoint(step) / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-7])
    again = train(tmp_path / "run")
    assert "damaged or missing" in caplog.text
    assert hashes(again) == hashes(reference)


@pytest.mark.case(15)
def test_other_data_are_refused(tmp_path):
    train(tmp_path / "run")
    with pytest.raises(InputError, match="was trained on other data than are given now"):
        train(tmp_path / "run", fingerprint="other")
