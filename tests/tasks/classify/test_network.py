"""How a network becomes a classifier: where it starts, and the course of its rate."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from published_models import golden, write_folder

from dnadiff import checkpoint
from dnadiff.data.labelled.examples import Examples, Layout
from dnadiff.data.labelled.folds import Fold
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.diffusion.objectives import Plaid
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Mamba
from dnadiff.run import find_checkpoint
from dnadiff.tasks.classify import network
from dnadiff.tasks.classify.run import default_out
from dnadiff.tasks.classify.settings import resolve
from dnadiff.training.classify import Best
from dnadiff.vocab import DNA

SMALL = Mamba(width=8, n_layers=1, n_states=2)


def saved(folder, *, vocab=DNA, **more) -> DiffusionModel:
    model = DiffusionModel(ModelConfig(model=SMALL, **more), vocab)
    checkpoint.save(folder, model)
    return model


def test_a_model_brings_its_architecture_its_weights_and_its_name(tmp_path):
    trained = saved(tmp_path / "hg38")
    settings = resolve("classify/strict", [], {"init": str(tmp_path / "hg38")})
    assert (settings.model, settings.backbone) == (SMALL, "mamba")
    assert default_out(settings).name == "classify-strict-finetune-hg38"
    state = network.build(settings, ("a", "b"), None, seed=0).network.state_dict()
    assert state.keys() == trained.network.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in trained.network.state_dict().items())


def test_published_weights_keep_the_name_that_they_were_given(tmp_path):
    found = golden("caduceus_ph_add_tie_fused")
    folder = write_folder(tmp_path / "published", found.about["config"], found.weights)
    settings = resolve("classify/strict", [], {"init": str(folder)})
    assert (settings.init, default_out(settings).name) == (str(folder), "classify-strict-finetune-published")
    weights = checkpoint.read_tensors(find_checkpoint(folder) / checkpoint.WEIGHTS)
    state = network.build(settings, ("a", "b"), None, seed=0).network.state_dict()
    assert all(torch.equal(tensor, weights[f"network.{name}"]) for name, tensor in state.items())


@pytest.mark.case(57)
def test_a_model_that_reads_no_letters_or_others_is_refused(tmp_path):
    saved(tmp_path / "plaid", objective=Plaid(embedding_width=4))
    with pytest.raises(InputError, match="plaid: its network reads noisy embeddings, not letters; start from another"):
        resolve("classify/strict", [], {"init": str(tmp_path / "plaid")})
    saved(tmp_path / "rna", vocab=replace(DNA, tokens=tuple("U" if name == "T" else name for name in DNA.tokens)))
    settings = resolve("classify/strict", [], {"init": str(tmp_path / "rna")})
    with pytest.raises(InputError, match="rna: has another vocabulary than DNA's; start from a model of DNA"):
        network.build(settings, ("a", "b"), None, seed=0)


@pytest.mark.parametrize(
    ("sizes", "n_learnt_at_most"),
    [
        ((90, 10, 50), 90),
        ((9, 1, 50), 90),
        ((100, 20, 30), 100),
    ],  # a re-split, a tenth of its rows, a part to choose by
)
def test_the_papers_rate_falls_as_if_all_rows_were_learnt_from(sizes, n_learnt_at_most, monkeypatch):
    def record(model, steps, score, *, optim, train, rate_steps=None):
        courses.append((train.max_steps, rate_steps))
        return Best(1, 1.0)

    courses = []
    monkeypatch.setattr(network, "fit_classes", record)
    rows = np.arange(150)
    examples = Examples(InMemory.of([np.array([7, 8], np.uint8)] * 150), rows % 2, rows.astype(str))
    ends = np.cumsum(sizes)
    fold = Fold(rows[: ends[0]], rows[ends[0] : ends[1]], rows[-sizes[2] :])
    for preset in ("paper", "strict"):
        settings = resolve(f"classify/{preset}", ["train.batch_size=1", "train.epochs=10"], {})
        model = network.build(settings, ("a", "b"), 2, seed=0)
        network.fit(model, examples, fold, Layout(2), settings, settings.optim, seed=0, both_strands=False)
    n_steps = 10 * sizes[0]
    assert courses == [(n_steps, round(n_steps * 150 / n_learnt_at_most)), (n_steps, None)]
