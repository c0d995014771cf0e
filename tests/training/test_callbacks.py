import os
import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from dnadiff.checkpoint import read_tensors
from dnadiff.diffusion.noise import Stratified
from dnadiff.errors import DivergedError, InputError
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.run import RunFolder
from dnadiff.training.fit import fit
from dnadiff.training.metrics import read_metrics
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.steps import StepDataset, StepLoader, validation_batches
from dnadiff.vocab import DNA

STRANGE = 2  # the step that reads a row on which the loss is no number


class Rows:
    length = 16
    labels = None

    def __init__(self, n=10):
        self._tokens = np.random.default_rng(0).integers(7, 11, size=(n, self.length)).astype(np.uint8)

    def __len__(self):
        return len(self._tokens)

    def rows(self, indices, *, epoch):
        return self._tokens[indices] if epoch is None else self._tokens[indices, ::-1]

    def place(self, index):
        return f"row {index}"


class WithStrange(Rows):
    """One row has a letter that the others have not."""

    def __init__(self):
        super().__init__()
        self._tokens[StepDataset(Rows(), seed=0, batch_size=2)[STRANGE].indices[0], 3] = DNA.unknown


@pytest.fixture
def diverging(monkeypatch):
    """At that letter the loss is no number."""
    loss = DiffusionModel.loss

    def diverging_loss(model, batch, noise):
        terms = loss(model, batch, noise)
        is_strange = (batch.tokens == DNA.unknown).any()
        return terms._replace(nats=terms.nats * torch.where(is_strange, torch.nan, 1.0))

    monkeypatch.setattr(DiffusionModel, "loss", diverging_loss)


def train(path, *, lr=1e-3, poison=False, rows=None, **changes):
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA)
    if poison:
        with torch.no_grad():
            model.network.embedding[8] = float("nan")
    settings = TrainSettings(
        **{"max_steps": 6, "batch_size": 2, "log_every": 1, "validate_every": 1, "valid_windows": 4, **changes}
    )
    run = RunFolder(path)
    fit(model, rows or Rows(), Rows(), run, optim=OptimSettings(lr=lr), train=settings, data_fingerprint="data")
    return run


def test_a_run_that_no_longer_improves_stops(tmp_path):
    run = train(tmp_path, lr=1e-12, patience=2, max_steps=50)
    rows = read_metrics(run.metrics)
    assert len(rows) == 3
    assert run.steps()[-1] == 3
    again = train(tmp_path, lr=1e-12, patience=2, max_steps=50)
    assert read_metrics(again.metrics) == rows


@pytest.mark.case(11)
@pytest.mark.parametrize("log_every", [1, 10])
def test_a_loss_that_is_no_number_names_step_rate_and_windows_and_saves_nothing(tmp_path, log_every):
    with pytest.raises(DivergedError, match=r"step 1: the loss is nan .* learning rate .*, windows \[\d+, \d+\]"):
        train(tmp_path, poison=True, log_every=log_every, checkpoint_every=2, validate_every=6)
    assert RunFolder(tmp_path).steps() == []


@pytest.mark.case(11)
@pytest.mark.usefixtures("diverging")
def test_a_step_that_diverges_leaves_its_batch_in_a_file_and_the_checkpoint_before_it(tmp_path):
    said = rf"step {STRANGE + 1}: the loss is nan .* learning rate .*, windows \[(.*)\]; the batch is in (\S+);"
    with pytest.raises(DivergedError, match=said) as told:
        train(tmp_path, rows=WithStrange(), checkpoint_every=1)
    windows, name = re.search(said, str(told.value)).groups()
    read = StepDataset(WithStrange(), seed=0, batch_size=2)[STRANGE]
    assert RunFolder(tmp_path).newest() == RunFolder(tmp_path).checkpoint(STRANGE)
    with np.load(tmp_path / name) as kept:
        assert kept["windows"].tolist() == read.indices.tolist() == [int(each) for each in windows.split(",")]
        assert kept["tokens"].tolist() == read.batch.tokens.tolist()
        assert torch.equal(torch.from_numpy(kept["uniforms"]), read.noise.uniforms)
        assert torch.equal(torch.from_numpy(kept["times"]), read.noise.times)


@pytest.mark.case(11)
@pytest.mark.usefixtures("diverging")
def test_a_step_that_diverges_can_be_left_out(tmp_path, caplog):
    run = train(tmp_path, rows=WithStrange(), on_nan="skip", checkpoint_every=1, keep=6, max_steps=5)
    losses = [float(row["train_bits"]) for row in read_metrics(run.metrics)]
    assert [step for step, loss in enumerate(losses) if np.isnan(loss)] == [STRANGE]
    assert sum(message.endswith("left out") for message in caplog.messages) == 1
    weights = [read_tensors(run.checkpoint(step) / "weights.safetensors") for step in range(1, 6)]
    same = [all(torch.equal(after[name], before[name]) for name in before) for before, after in pairwise(weights)]
    assert [step for step, is_same in enumerate(same, 1) if is_same] == [STRANGE]
    assert all(tensor.isfinite().all() for tensor in weights[-1].values())


def test_bfloat16_trains_with_losses_near_those_of_float32(tmp_path):
    bits = {}
    for precision in ("fp32", "bf16"):
        run = train(tmp_path / precision, precision=precision)
        bits[precision] = [float(row["train_bits"]) for row in read_metrics(run.metrics)]
    assert bits["bf16"] == pytest.approx(bits["fp32"], rel=0.02)
    assert bits["bf16"] != bits["fp32"]


def test_training_draws_its_times_as_the_settings_say(tmp_path):
    kinds = ("low_discrepancy", "stratified", "independent")
    runs = {kind: train(tmp_path / kind, times={"kind": kind}, max_steps=1) for kind in kinds}
    losses = {kind: read_metrics(run.metrics)[0]["train_bits"] for kind, run in runs.items()}
    assert len(set(losses.values())) == 3
    steps = StepDataset(Rows(), seed=0, batch_size=4, times=Stratified())
    assert (steps[3].noise.times * 4).long().tolist() == [0, 1, 2, 3]


def test_recomputing_changes_no_figure_of_a_run(tmp_path):
    runs = [train(tmp_path / str(recompute), recompute=recompute) for recompute in (False, True)]
    rows = [[row["train_bits"] for row in read_metrics(run.metrics)] for run in runs]
    assert rows[0] == rows[1]


def test_validation_uses_the_same_windows_and_masks_every_time():
    first, second = (validation_batches(Rows(), seed=3, n_windows=5, batch_size=2) for _ in range(2))
    assert [len(batch.tokens) for batch, _ in first] == [2, 2, 1]
    for (a, noise_a), (b, noise_b) in zip(first, second, strict=True):
        assert torch.equal(a.tokens, b.tokens)
        assert torch.equal(noise_a.times, noise_b.times)
        assert torch.equal(noise_a.uniforms, noise_b.uniforms)


def test_every_window_is_read_once_an_epoch_in_another_order():
    steps = StepDataset(Rows(10), seed=0, batch_size=4)
    order = torch.cat([steps[step].indices for step in range(5)])
    assert sorted(order[:10].tolist()) == sorted(order[10:].tolist()) == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()


@pytest.mark.case(14)
def test_ranks_take_their_rows_of_the_same_batch_and_noise():
    whole = StepDataset(Rows(), seed=0, batch_size=4)[7]
    parts = [StepDataset(Rows(), seed=0, batch_size=4, rank=rank, world_size=2)[7] for rank in range(2)]
    assert torch.equal(torch.cat([part.batch.tokens for part in parts]), whole.batch.tokens)
    assert torch.equal(torch.cat([part.noise.uniforms for part in parts]), whole.noise.uniforms)
    assert torch.equal(torch.cat([part.noise.times for part in parts]), whole.noise.times)


@pytest.mark.case(14)
def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(InputError, match=r"train\.batch_size \(5\) cannot be shared by 2 devices"):
        StepDataset(Rows(), seed=0, batch_size=5, rank=0, world_size=2)


@pytest.mark.case(14)
@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_not_change_what_is_read(workers):
    steps = StepDataset(Rows(), seed=1, batch_size=3)
    read = list(StepLoader(steps, start=2, stop=8, workers=workers))
    assert [batch.step for batch in read] == list(range(2, 8))
    for batch in read:
        assert torch.equal(batch.batch.tokens, steps[batch.step].batch.tokens)
        assert torch.equal(batch.noise.uniforms, steps[batch.step].noise.uniforms)


def test_more_workers_than_cores_are_taken_without_a_warning():
    StepLoader(StepDataset(Rows(), seed=1, batch_size=3), start=0, stop=1, workers=(os.cpu_count() or 1) + 1)
