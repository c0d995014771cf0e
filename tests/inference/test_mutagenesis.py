"""Saturation mutagenesis: the scores of single substitutions, from one pass for each position."""

import numpy as np
import pytest
import torch

from dnadiff import dna
from dnadiff.inference import variants
from dnadiff.inference.mutagenesis import MutationMap, mutate
from dnadiff.inference.variants import Pair, llr
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.vocab import DNA

TOKENS = dna.encode("TTACGNACCAGATCCANGTATACCGTTACGA")


@pytest.fixture(scope="module", params=["ps", "ph"])
def model(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = Caduceus(symmetry=request.param, width=8, n_layers=1, n_states=2)
        model = DiffusionModel(ModelConfig(model=backbone), DNA).double()
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("window", [9, 10, 64])
def test_every_cell_is_the_ratio_of_its_substitution(model, window):
    found = mutate(model, TOKENS, (2, 29), window=window)
    flank = (window - 1) // 2
    pairs = {}
    for row, at in enumerate(range(2, 29)):
        there = TOKENS[at]
        expected = np.where(np.array(DNA.letters) == there, 0, np.nan)
        assert there == DNA.unknown or np.array_equal(found[row] == 0, expected == 0)
        assert np.isnan(found[row]).all() == (there == DNA.unknown)
        for column, letter in enumerate(DNA.letters):
            if there not in (letter, DNA.unknown):
                left, right = TOKENS[max(0, at - flank) : at], TOKENS[at + 1 :][:flank]
                pairs[row, column] = Pair(left, TOKENS[at : at + 1], np.array([letter], np.uint8), right)
    assert [found[cell] for cell in pairs] == pytest.approx(llr(model, list(pairs.values())), abs=1e-9)
    assert np.abs(found[~np.isnan(found)]).max() > 0.1


def test_a_position_goes_through_the_network_once_on_each_strand(model, monkeypatch):
    rows = []
    padded = variants.padded
    monkeypatch.setattr(variants, "padded", lambda some, vocab: rows.extend(some) or padded(some, vocab))
    mutate(model, TOKENS, (0, 31), window=15)
    strands = 1 if model.config.model.symmetry == "ps" else 2
    assert len(rows) == strands * sum(token != DNA.unknown for token in TOKENS)


def test_the_other_strand_has_the_map_turned_round(model):
    there = mutate(model, TOKENS, (3, 20), window=11)
    back = mutate(model, dna.reverse_complement(TOKENS), (31 - 20, 31 - 3), window=11)
    assert back[::-1, ::-1] == pytest.approx(there, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_batch_size_changes_nothing(model, batch_size):
    expected = mutate(model, TOKENS, (0, 31), window=9)
    assert mutate(model, TOKENS, (0, 31), window=9, batch_size=batch_size) == pytest.approx(
        expected, abs=1e-9, nan_ok=True
    )


def test_a_map_is_a_data_frame():
    pytest.importorskip("pandas")
    llr = np.arange(8.0).reshape(2, 4)
    frame = MutationMap("chr1", 10, "AC", llr).frame()
    assert frame.columns.tolist() == ["chrom", "pos", "ref", "A", "C", "G", "T"]
    assert frame["pos"].tolist() == [11, 12]
    assert np.array_equal(frame[list("ACGT")].to_numpy(), llr)
