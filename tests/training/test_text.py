"""Text through the same trainer as DNA: rows of another vocabulary, padded or not, with any objective."""

from __future__ import annotations

import pytest
import torch

from dnadiff import checkpoint
from dnadiff.data.text.open import TextData, open_text
from dnadiff.data.text.rows import Padded, Wrapped
from dnadiff.diffusion.objectives import AR, MDLM
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import DiT
from dnadiff.run import RunFolder
from dnadiff.training.fit import fit
from dnadiff.training.metrics import read_metrics
from dnadiff.training.settings import OptimSettings, TrainSettings

pytest.importorskip("tokenizers", reason="the text extra is not installed")


@pytest.mark.parametrize(("objective", "causal"), [(MDLM(), False), (AR(), True)], ids=["mdlm", "ar"])
@pytest.mark.parametrize("rows", [Wrapped(), Padded()], ids=["wrapped", "padded"])
def test_text_trains_and_its_checkpoint_loads(tmp_path, monkeypatch, objective, causal, rows):
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(f"the {i}th cat sat on mat {i % 7}" for i in range(120)))
    data = open_text(TextData(path=str(corpus), length=16, vocab_size=300, valid_documents=40, rows=rows), seed=0)
    settings = ModelConfig(model=DiT(width=16, n_blocks=1, n_heads=2, causal=causal), objective=objective)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    train = TrainSettings(max_steps=2, batch_size=4, validate_every=1, log_every=1)
    model = DiffusionModel(settings, data.vocab)
    before = model.network.embedding.detach().clone()
    fit(
        model, data.train, data.valid, folder,
        optim=OptimSettings(), train=train, data_fingerprint=data.fingerprint, files=data.files,
    )  # fmt: skip
    steps = read_metrics(folder.metrics)
    assert [row["step"] for row in steps] == ["1", "2"]
    assert 0 < float(steps[-1]["valid_bits"]) < 20
    assert not torch.equal(model.network.embedding, before)
    assert torch.equal(checkpoint.load(folder.newest()).network.embedding, model.network.embedding)
