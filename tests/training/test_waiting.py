"""A training step asks nothing of the device that the host would have to wait for."""

import pytest
import torch
from lightning.pytorch import Callback
from watching import Sent, Waits

from dnadiff.batch import Batch
from dnadiff.diffusion import heads
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.noise import draw_noise
from dnadiff.diffusion.objectives import AR, D3PM, MD4, MDLM, MLM, SEDD, GenMD4, Plaid
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, DiT, Mamba
from dnadiff.rng import Stream, numpy_generator
from dnadiff.training.lit import LitDiffusion
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.steps import StepDataset, StepLoader
from dnadiff.training.trainer import make_trainer, moving_average, quiet
from dnadiff.vocab import DNA

OBJECTIVES = [MDLM(), MDLM(importance=True), MDLM(T=5), MD4(), GenMD4(), D3PM(), SEDD(), AR(), MLM(), Plaid()]
COUNTED = {"ar": 1, "mdlm": 1, "md4": 1, "sedd": 1, "mlm": 1, "d3pm": 2, "genmd4": 2}  # sets of positions
by_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)


class RandomRows:
    """A split of random bases."""

    length, labels = 12, None

    def __len__(self):
        return 20

    def rows(self, indices, *, epoch):
        return numpy_generator(0, Stream.TOY, int(indices[0])).choice(DNA.letters, (len(indices), self.length))


class Watch(Callback):
    """Counts during every step but the first, in which tables are made and states begin."""

    def __init__(self, average):
        self.average, self.found = average, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx:
            self._waits = Waits(known=self.average._average_model.n_averaged).__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx:
            self._waits.__exit__(None, None, None)
            self.found.append(self._waits.names)


def model_of(objective, backbone):
    schedule = {"schedule": Learned()} if isinstance(objective, GenMD4) else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiffusionModel(ModelConfig(model=backbone, objective=objective, **schedule), DNA)


def waits(objective, n_steps=3):
    """What each of some steps waits for, with micro-batches and an average of the weights."""
    backbone = (Mamba if isinstance(objective, AR) else Caduceus)(width=8, n_layers=1, n_states=2)
    model = model_of(objective, backbone)
    optim, train = OptimSettings(ema=0.99), TrainSettings(max_steps=n_steps, batch_size=4, micro_batch=3)
    average = moving_average(optim)
    watch = Watch(average)
    steps = StepDataset(RandomRows(), seed=0, batch_size=4, n_uniforms=model.objective.n_uniforms)
    with quiet():
        trainer = make_trainer(train, [average, watch], enable_checkpointing=False)
        trainer.fit(LitDiffusion(model, optim, train), StepLoader(steps, start=0, stop=n_steps, workers=0))
    assert len(watch.found) == n_steps - 1
    return watch.found


@by_objective
def test_a_step_waits_for_nothing_but_which_rows_of_plaid_are_given_an_estimate(objective):
    assert waits(objective) == [["nonzero"] * 2 if isinstance(objective, Plaid) else []] * 2


@pytest.mark.parametrize("objective", OBJECTIVES[:-1], ids=lambda objective: objective.kind)
def test_with_many_letters_positions_are_counted_once_for_each_of_two_micro_batches(objective, monkeypatch):
    monkeypatch.setattr(heads, "SMALL", 0)
    assert waits(objective) == [["nonzero"] * (2 * COUNTED[objective.kind])] * 2


def test_it_would_be_seen():
    with Sent() as sent:
        torch.arange(4).to("meta")
    assert sent.names == ["_to_copy"]
    with Waits() as seen:
        values = torch.arange(4)
        assert values[values > 1].sum() > 3
        _ = values.nonzero()
        float(values[0])
    assert seen.names == ["index", "_local_scalar_dense", "nonzero", "_local_scalar_dense"]


@pytest.mark.parametrize("objective", OBJECTIVES[:-1], ids=lambda objective: objective.kind)
def test_losses_and_gradients_need_no_numbers_and_send_none(objective):
    """On a device that has none; rows are padded and packed."""
    told = objective.kind not in ("ar", "mlm")
    backbone = DiT(
        width=8, n_blocks=1, n_heads=2, causal=objective.kind == "ar", conditioning="time" if told else "none",
        conditioning_width=4,
    )  # fmt: skip
    model = model_of(objective, backbone).to("meta")
    tokens = torch.full((3, 12), DNA.letters[0])
    batch = Batch(tokens, valid=tokens > 0, segments=tokens).to("meta")
    noise = draw_noise(numpy_generator(0, Stream.NOISE), 3, 12, n_uniforms=model.objective.n_uniforms).to("meta")
    model.loss(batch, noise)  # which brings the vocabulary's tables there
    with Sent() as seen:
        terms = model.loss(batch, noise)
        (terms.nats if terms.surrogate is None else terms.surrogate).sum().backward()
    assert seen.names == []
    assert all(parameter.grad is not None for parameter in model.network.parameters())
