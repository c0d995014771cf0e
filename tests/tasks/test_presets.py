import pytest
import torch
from omegaconf import OmegaConf

from dnadiff import config
from dnadiff.config import all_presets, decode, resolve
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.tasks.classify.settings import ClassifyConfig
from dnadiff.tasks.settings import TrainConfig
from dnadiff.vocab import DNA, Vocab


def schema(preset):
    """What the verb of a preset decodes it as."""
    return ClassifyConfig if preset.startswith("classify/") else TrainConfig


@pytest.mark.parametrize("preset", all_presets())
def test_every_shipped_preset_decodes_and_reads_back_equal(preset):
    settings = resolve(schema(preset), preset)
    again = decode(schema(preset), OmegaConf.to_container(OmegaConf.create(config.to_yaml(settings))), where=preset)
    assert again == settings


TEXT = {  # by preset: how many tokens, the mask among them, and between which sizes the model is
    "text/demo": (512, 0.05e6, 0.15e6), "text/lm1b": (30522, 139e6, 141e6), "text/owt": (50258, 169e6, 171e6),
    "text/text8": (35, 90e6, 95e6), "text/small": (2000, 1.6e6, 1.9e6),
}  # fmt: skip


@pytest.mark.parametrize("preset", all_presets())
def test_every_shipped_preset_builds_its_model(preset):
    settings = resolve(schema(preset), preset)
    size, low, high = TEXT.get(preset, (DNA.size, 50_000, 600_000))
    vocab = DNA if size == DNA.size else Vocab(("",) * size, size, tuple(range(size - 1)), size - 1, size - 1, 0)
    with torch.device("meta"):
        model = DiffusionModel(ModelConfig(model=settings.model), vocab)
    assert low < model.n_parameters() < high


def test_the_published_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = DiffusionModel(resolve(TrainConfig, "dna/hg38"), DNA)
    assert model.n_parameters() == pytest.approx(470_000, rel=0.01)
