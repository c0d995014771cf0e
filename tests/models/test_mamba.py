"""Laws of the causal network."""

from __future__ import annotations

import pytest
import torch

from dnadiff.models import Mamba
from dnadiff.vocab import DNA

LENGTH = 11


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Mamba(width=6, n_layers=2, n_states=4).build(DNA).double()
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


@pytest.fixture
def tokens():
    letters = torch.tensor(DNA.letters)
    return letters[torch.randint(4, (2, LENGTH), generator=torch.Generator().manual_seed(1))]


def test_logits_depend_on_tokens_up_to_their_position_only(network, tokens):
    changed = tokens.clone()
    changed[:, 6] = DNA.unknown
    before, after = network(tokens), network(changed)
    assert torch.allclose(before[:, :6], after[:, :6], rtol=1e-13, atol=1e-13)
    assert all(not torch.allclose(before[:, at], after[:, at]) for at in range(6, LENGTH))


@pytest.mark.parametrize("columns", [slice(3, None), slice(None, LENGTH)])
def test_a_padded_row_equals_the_row_alone(network, tokens, columns):
    padded = torch.full((2, LENGTH + 3), DNA.pad)
    padded[:, columns] = tokens
    logits = network(padded, valid=padded != DNA.pad)
    assert torch.allclose(logits[:, columns], network(tokens), rtol=1e-12, atol=1e-12)


def test_a_packed_row_equals_its_documents_alone(network, tokens):
    lengths = [4, 1, LENGTH - 5]
    segments = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths)).expand(2, -1)
    alone = torch.cat([network(part) for part in tokens.split(lengths, dim=1)], 1)
    assert torch.allclose(network(tokens, segments=segments), alone, rtol=1e-12, atol=1e-12)


def test_the_published_baseline_has_468_thousand_parameters():
    assert sum(p.numel() for p in Mamba(width=128, n_layers=4).build(DNA).parameters()) == 468_608


def test_the_same_seed_builds_the_same_network():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(Mamba(width=4, n_layers=1).build(DNA).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_network_that_is_told_the_time_takes_no_steps(tokens):
    network = Mamba(width=8, n_layers=1, n_states=2, conditioning="time").build(DNA)
    with pytest.raises(AssertionError, match="told the time does not read step by step"):
        network.step(network.embed(tokens[:, :1]))
