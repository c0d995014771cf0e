"""What a resumed run reads is data: hostile files are refused in a line, and nothing in them is run."""

import json

import pytest
import torch
from hostile import pickles

from dnadiff import checkpoint
from dnadiff.errors import InputError
from dnadiff.files import sha256
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.training.checkpoint_io import FolderCheckpointIO
from dnadiff.vocab import DNA


@pytest.fixture
def written(tmp_path):
    """The checkpoint folder of a run whose training state is these bytes, under the right checksum."""
    model = DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA)
    folder = tmp_path / "step-00000001"
    state = {checkpoint.WEIGHTS: model.state_dict()}
    checkpoint.write(folder, model.config, DNA, state, about={"step": 1}, training={"a": torch.ones(2), "b": [1, "c"]})

    def write(content=None):
        if content is not None:
            (folder / checkpoint.TRAINING).write_bytes(content)
            path = folder / checkpoint.MANIFEST
            manifest = json.loads(path.read_text())
            manifest["sha256"][checkpoint.TRAINING] = sha256(folder / checkpoint.TRAINING)
            path.write_text(json.dumps(checkpoint.signed(manifest)))
        return FolderCheckpointIO(model.config, DNA, dict).load_checkpoint(folder)

    return write


def test_primitives_and_tensors_come_back(written):
    loaded = written()
    assert loaded["b"] == [1, "c"]
    assert torch.equal(loaded["a"], torch.ones(2))
    assert all(name.startswith("model.") for name in loaded["state_dict"])


@pytest.mark.case(50)
def test_a_hostile_state_is_never_run(written, tmp_path):
    for content in [*pickles(tmp_path / "ran").values(), b"", b"PK\x03\x04"]:
        with pytest.raises(InputError, match=r"training\.pt: is damaged, or cannot be read without running code"):
            written(content)
        assert not (tmp_path / "ran").exists()
