"""Loggers beside metrics.csv: the same figures, one log however often a run is resumed, a line where one is missing."""

import json
import logging
import re
import sys

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import Logger

from dnadiff import cli
from dnadiff.errors import InputError, InterruptedRun
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.run import RunFolder
from dnadiff.training import loggers
from dnadiff.training.fit import fit
from dnadiff.training.metrics import read_metrics
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.vocab import DNA

STEPS = 6


class Rows:
    """Random letters; can interrupt the training at the n-th read."""

    length = 16
    labels = None

    def __init__(self, stop_at=None):
        self._tokens = np.random.default_rng(0).integers(7, 11, size=(8, self.length)).astype(np.uint8)
        self._stop_at, self._n_read = stop_at, 0

    def __len__(self):
        return len(self._tokens)

    def rows(self, indices, *, epoch):
        self._n_read += epoch is not None
        if self._n_read == self._stop_at:
            raise InterruptedRun("stopped")
        return self._tokens[indices]


def train(path, names, *, stop_at=None):
    """Six steps, checkpoints after the second, fourth and sixth."""
    torch.manual_seed(0)
    settings = TrainSettings(
        max_steps=STEPS, batch_size=2, log_every=1, validate_every=4, checkpoint_every=2, valid_windows=2, loggers=names
    )
    run = RunFolder(path)
    with run.locked():
        model = DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA)
        fit(model, Rows(stop_at), Rows(), run, optim=OptimSettings(), train=settings, data_fingerprint="data")
    return run


class Listener(Logger):
    """Remembers what it is told."""

    def __init__(self, start):
        super().__init__()
        self.start, self.told, self.settings = start, [], None

    name = version = None

    def log_metrics(self, metrics, step=None):
        self.told.append((step, metrics))

    def log_hyperparams(self, params, *args, **kwargs):
        self.settings = params


def test_loggers_are_told_what_metrics_csv_has(tmp_path, monkeypatch):
    opened = []

    def listen(run, start):
        opened.append(Listener(start))
        return opened[-1]

    monkeypatch.setitem(loggers._LOGGERS, "tensorboard", listen)
    with pytest.raises(InterruptedRun):
        train(tmp_path / "run", ["tensorboard"], stop_at=6)
    (tmp_path / "run" / "config.yaml").write_text("model: {width: 8}")
    run = train(tmp_path / "run", ["tensorboard"])
    assert [each.start for each in opened] == [0, 4]
    assert [each.settings for each in opened] == [{}, {"model": {"width": 8}}]
    known = {step: metrics for each in opened for step, metrics in each.told}
    rows = read_metrics(run.metrics)
    assert [step for step, _ in opened[1].told] == [5, 6]
    assert list(known) == [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    for row in rows:
        assert known[int(row["step"])] == {name: float(row[name]) for name in row if name != "step" and row[name]}


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path):
    run = train(tmp_path / "run", [])
    assert not {"tensorboard", "wandb", "lightning_logs"} & {path.name for path in run.path.iterdir()}


def test_a_logger_that_is_not_installed_is_a_line_with_its_extra_before_anything_is_written(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"train\.loggers: tensorboard is not installed; pip install 'dnadiff\["):
        loggers.require_loggers(["tensorboard"])
    out = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["dnadiff", "train", "train.loggers=[wandb]", "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert "wandb is not installed; pip install 'dnadiff[wandb]'" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_tensorboard_has_every_step_once_after_a_resume(tmp_path):
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(InterruptedRun):
        train(tmp_path / "run", ["tensorboard"], stop_at=6)
    run = train(tmp_path / "run", ["tensorboard"])
    assert (run.path / "tensorboard").is_dir()
    found = EventAccumulator(str(run.path / "tensorboard")).Reload()
    rows = read_metrics(run.metrics)
    for name in ("train_bits", "grad_norm", "lr"):
        told = [(event.step, event.value) for event in found.Scalars(name)]
        assert told == [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-5)) for row in rows]


def test_weights_and_biases_go_on_with_the_same_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the wandb extra is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    level = logging.getLogger("wandb").level
    with pytest.raises(InterruptedRun):
        train(tmp_path / "run", ["wandb"], stop_at=6)
    run = train(tmp_path / "run", ["wandb"])
    other = train(tmp_path / "other", ["wandb"])
    logging.getLogger("wandb").setLevel(level)
    ids = [json.loads(each.manifest.read_text())["wandb"] for each in (run, other)]
    assert ids[0] != ids[1]
    for each, own, n_sessions in ((run, ids[0], 2), (other, ids[1], 1)):
        sessions = [path.name for path in (each.path / "wandb").glob("offline-run-*")]
        assert len(sessions) >= 1
        assert all(re.fullmatch(rf"offline-run-\d+_\d+-{own}", name) for name in sessions)
        assert len(sessions) <= n_sessions
