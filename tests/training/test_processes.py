"""Several processes train as one does, resume each other's runs, and end when one of them is killed."""

import os
import shutil
import signal

import numpy as np
import pytest
import torch
from together import codes, start, together
from torch.distributed.fsdp import FSDPModule

from dnadiff import checkpoint
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.objectives import AR, D3PM, MLM, SEDD, GenMD4, Plaid
from dnadiff.errors import InterruptedRun
from dnadiff.explain import explain
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, DiT, Mamba
from dnadiff.run import RunFolder
from dnadiff.training.fit import fit
from dnadiff.training.lit import LitDiffusion
from dnadiff.training.metrics import read_metrics
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.sharded import shard
from dnadiff.training.steps import StepDataset
from dnadiff.vocab import DNA
from dnadiff.world import ALONE, STEP_PATIENCE, gathered, joined

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
STEPS = 6
SMALL = ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2))
DIT = DiT(width=16, n_blocks=2, n_heads=2, conditioning="time", conditioning_width=8, dropout=0.0)
OTHERS = [
    ModelConfig(model=SMALL.model, objective=GenMD4(), schedule=Learned()),
    ModelConfig(model=SMALL.model, objective=Plaid()),
    ModelConfig(model=Mamba(width=8, n_layers=1, n_states=2), objective=AR()),
    *(ModelConfig(model=DIT, objective=objective) for objective in (D3PM(), SEDD())),
    ModelConfig(model=DIT.model_copy(update={"conditioning": "none"}), objective=MLM()),
]


class RandomRows:
    """Random letters; can kill its process at the n-th read of training rows."""

    length = 24
    labels = None

    def __init__(self, kill_at=None):
        self._tokens = np.random.default_rng(0).integers(7, 11, size=(20, self.length)).astype(np.uint8)
        self._kill_at, self._reads = kill_at, 0

    def __len__(self):
        return len(self._tokens)

    def rows(self, indices, *, epoch):
        self._reads += epoch is not None
        if self._reads == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._tokens[indices] if epoch is None else np.roll(self._tokens[indices], epoch, axis=1)


def train(path, here=ALONE, *, config=SMALL, rows=None, **changes):
    torch.manual_seed(0)
    fixed = {"max_steps": STEPS, "batch_size": 4, "log_every": 1, "validate_every": 3, "checkpoint_every": 2}
    settings = TrainSettings(**{**fixed, "valid_windows": 6, "micro_batch": 1, **changes})
    fit(
        DiffusionModel(config, DNA), rows or RandomRows(), RandomRows(), RunFolder(path),
        optim=OptimSettings(ema=0.9), train=settings, data_fingerprint="data", here=here,
    )  # fmt: skip


def in_two(path, *, kill=None, **how):
    """Trains in two processes; the one with number `kill` kills itself at the fourth step."""

    def work(rank):
        with joined(STEP_PATIENCE) as here:
            train(path, here, rows=RandomRows(kill_at=4 if rank == kill else None), **how)

    return work


def losses(path):
    """(steps, 4) of step, loss, validation and norm of the gradient."""
    rows = read_metrics(path / "metrics.csv")
    return np.array([[float(row[name] or "nan") for name in names(row)] for row in rows])


def names(row):
    return [name for name in row if name == "step" or name.startswith(("train_", "valid_")) or name == "grad_norm"]


def weights(path):
    return checkpoint.read_tensors(RunFolder(path).checkpoint(STEPS) / "weights.safetensors")


def agree(one, other, *, rtol=2e-5):
    np.testing.assert_allclose(losses(one), losses(other), rtol=rtol)
    ours, theirs = weights(one), weights(other)
    assert all(torch.allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-5) for name in ours)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process."""
    path = tmp_path_factory.mktemp("alone")
    train(path)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same run, of two processes."""
    path = tmp_path_factory.mktemp("pair")
    together(in_two(path / "run"), folder=path)
    return path / "run"


@pytest.mark.case(14)
def test_two_processes_take_the_steps_of_one(alone, pair):
    agree(alone, pair)
    assert RunFolder(alone).steps() == RunFolder(pair).steps()


def test_neither_micro_batches_nor_recomputing_change_a_gradient(tmp_path, alone):
    train(tmp_path, micro_batch=None, recompute=True)
    agree(tmp_path, alone)


def test_whatever_is_minimised(tmp_path):
    """Every parameter has a gradient in every process, which they wait for; nothing is drawn by process."""
    together(lambda rank: in_all(tmp_path / "pair"), folder=tmp_path / "said")
    for config in OTHERS:
        kind = config.objective.kind
        train(tmp_path / "alone" / kind, config=config, max_steps=2)
        ours, theirs = losses(tmp_path / "alone" / kind), losses(tmp_path / "pair" / kind)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, err_msg=kind)


def in_all(path):
    with joined(STEP_PATIENCE) as here:
        for config in OTHERS:
            train(path / config.objective.kind, here, config=config, max_steps=2)


def rewound(path, to, step):
    """A copy of a run as it was after a step."""
    shutil.copytree(path, to)
    for later in RunFolder(to).steps():
        if later > step:
            shutil.rmtree(RunFolder(to).checkpoint(later))
    return to


def test_processes_that_share_out_the_model_take_the_same_steps(tmp_path, alone):
    """And their checkpoints are like any other."""
    together(in_two(tmp_path / "shared", strategy="fsdp", keep=9), folder=tmp_path / "said")
    agree(tmp_path / "shared", alone)
    went_on = rewound(tmp_path / "shared", tmp_path / "one", step=3)
    train(went_on)
    agree(went_on, alone)
    went_on = rewound(alone, tmp_path / "two", step=4)
    together(in_two(went_on, strategy="fsdp", recompute=True), folder=tmp_path / "said")
    agree(went_on, alone)


def test_blocks_are_what_is_shared_out(tmp_path):
    """Of every tensor each process holds a half, and between steps nothing else."""

    def work(rank):
        with joined(STEP_PATIENCE):
            model = DiffusionModel(SMALL, DNA)
            n_all = model.n_parameters()
            shard(LitDiffusion(model, OptimSettings(), TrainSettings()))
            assert [isinstance(module, FSDPModule) for module in (*model.network.blocks, model, model.network)] == [
                *[True] * len(model.network.blocks), True, False,
            ]  # fmt: skip
            batch, noise = StepDataset(RandomRows(), seed=0, batch_size=2)[0].rows(0, 2)
            model.loss(batch, noise).nats.sum().backward()
            held = [parameter.to_local().numel() for parameter in model.parameters()]
            assert sum(sum(each) for each in gathered(held)) == n_all
            assert n_all / 3 < sum(held) < n_all * 2 / 3
            assert held == [parameter.grad.to_local().numel() for parameter in model.parameters()]

    together(work, folder=tmp_path)


@pytest.mark.case(17)
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path, alone, pair, killed):
    tmp_path.joinpath("said").mkdir()

    def work(rank):
        try:
            in_two(tmp_path / "run", kill=killed)(rank)
        except Exception as error:
            raise SystemExit(explain(error)) from None

    found, seconds = codes(start(work, folder=tmp_path / "said"))
    assert found[killed] == -signal.SIGKILL
    assert found[1 - killed] == 3
    assert seconds < 60
    assert "another process of the run has ended" in (tmp_path / "said" / f"{1 - killed}.txt").read_text()
    assert len(losses(tmp_path / "run")) < STEPS
    if killed:
        together(in_two(tmp_path / "run"), folder=tmp_path / "said")
        np.testing.assert_array_equal(losses(tmp_path / "run"), losses(pair))
    else:
        train(tmp_path / "run")
        agree(tmp_path / "run", alone)


@pytest.mark.case(14)
def test_two_processes_go_on_with_the_run_of_one(tmp_path, alone):
    run = rewound(alone, tmp_path / "run", step=4)
    together(in_two(run), folder=tmp_path / "said")
    agree(run, alone)


@pytest.mark.case(10)
def test_one_that_is_told_to_stop_stops_all_with_a_checkpoint(tmp_path, pair):
    class Told(RandomRows):
        def rows(self, indices, *, epoch):
            if epoch is not None and self._reads == 2:
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGTERM)  # by the terminal and by torchrun
            return super().rows(indices, epoch=epoch)

    def work(rank):
        try:
            with joined(STEP_PATIENCE) as here:
                train(tmp_path / "run", here, rows=Told() if rank else RandomRows())
        except InterruptedRun as error:
            raise SystemExit(error.exit_code) from None

    tmp_path.joinpath("said").mkdir()
    assert codes(start(work, folder=tmp_path / "said"))[0] == [130, 130]
    together(in_two(tmp_path / "run"), folder=tmp_path / "said")
    np.testing.assert_array_equal(losses(tmp_path / "run"), losses(pair))
