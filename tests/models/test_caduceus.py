"""Laws of the bidirectional networks, over every variant: strands, padding, packing."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dnadiff.errors import InputError
from dnadiff.models import Caduceus
from dnadiff.models.decay import decay_groups
from dnadiff.models.stack import SingleStrand
from dnadiff.vocab import DNA

LENGTH = 13
VARIANTS = [
    Caduceus(
        width=6,
        n_layers=n_layers,
        n_states=4,
        symmetry=symmetry,
        direction_weights=weights,
        combine=combine,
        block=block,
    )
    for n_layers, (symmetry, block), weights, combine in product(
        (2, 3), (("ps", "fused"), ("ps", "unfused"), ("ph", "fused")), ("tied", "untied"), ("add", "multiply")
    )
]
every_variant = pytest.mark.parametrize(
    "settings",
    VARIANTS,
    ids=lambda s: f"{s.symmetry}-{s.block}-{s.direction_weights}-{s.combine}-{s.n_layers}",
)


def build(settings: Caduceus) -> SingleStrand:
    """A network in float64 whose parameters are far from zero, one and each other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = settings.build(DNA).double()
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def some_tokens(batch: int = 2, length: int = LENGTH) -> Tensor:
    """Letters, N and masks."""
    choices = torch.tensor([DNA.mask, *DNA.letters, DNA.unknown])
    return choices[torch.randint(len(choices), (batch, length), generator=torch.Generator().manual_seed(1))]


def reverse_complement(tokens: Tensor) -> Tensor:
    return DNA.complement_ids[tokens.flip(1)]


@every_variant
def test_logits_of_the_opposite_strand_are_the_complement_read_backwards(settings):
    tokens, network = some_tokens(), build(settings)
    forward, backward = network(tokens), network(reverse_complement(tokens))
    mirrored = backward.flip(1)[..., DNA.complement_ids]
    if settings.symmetry == "ps":
        assert torch.allclose(forward, mirrored, rtol=1e-12, atol=1e-12)
    else:
        assert not torch.allclose(forward, mirrored, rtol=1e-2)


rows = st.lists(st.sampled_from([DNA.mask, *DNA.letters, DNA.unknown]), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def symmetric():
    return build(Caduceus(width=6, n_layers=2, n_states=4))


@given(row=rows)
def test_so_are_those_of_any_row(symmetric, row):
    tokens = torch.tensor([row])
    mirrored = symmetric(reverse_complement(tokens)).flip(1)[..., DNA.complement_ids]
    assert torch.allclose(symmetric(tokens), mirrored, rtol=1e-12, atol=1e-12)


@every_variant
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_row_equals_the_row_alone(settings, side):
    tokens, network = some_tokens(), build(settings)
    padding = torch.full((2, 5), DNA.pad)
    columns = [padding, tokens] if side == "left" else [tokens, padding]
    padded = torch.cat(columns, 1)
    logits = network(padded, valid=padded != DNA.pad)
    kept = logits[:, -LENGTH:] if side == "left" else logits[:, :LENGTH]
    assert torch.allclose(kept, network(tokens), rtol=1e-12, atol=1e-12)


@every_variant
def test_a_packed_row_equals_its_documents_alone(settings):
    tokens, network = some_tokens(), build(settings)
    lengths = [4, 1, LENGTH - 5]
    segments = torch.repeat_interleave(torch.tensor([3, 0, 3]), torch.tensor(lengths)).expand(2, -1)
    alone = [network(part) for part in tokens.split(lengths, dim=1)]
    assert torch.allclose(network(tokens, segments=segments), torch.cat(alone, 1), rtol=1e-12, atol=1e-12)


@every_variant
def test_both_directions_are_read(settings):
    """Changing the first or the last token changes the logits in the middle."""
    tokens, network = some_tokens(batch=1), build(settings)
    middle = LENGTH // 2
    for position in (0, LENGTH - 1):
        changed = tokens.clone()
        changed[0, position] = DNA.letters[0] if tokens[0, position] != DNA.letters[0] else DNA.letters[1]
        assert not torch.equal(network(changed)[:, middle], network(tokens)[:, middle])


def test_strands_pair_position_by_position():
    network = build(Caduceus(width=6, n_layers=3))
    tokens = some_tokens()
    given, opposite = network.strands(network.features(network.embed(tokens)))
    swapped, again = network.strands(network.features(network.embed(reverse_complement(tokens))))
    assert torch.allclose(given, again.flip(1))
    assert torch.allclose(opposite, swapped.flip(1))


@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_the_head_runs_on_selected_positions(symmetry):
    network = build(Caduceus(width=6, n_layers=1, symmetry=symmetry))
    tokens = some_tokens()
    features, hidden = network.features(network.embed(tokens)), tokens == DNA.mask
    assert torch.allclose(network.logits(features[hidden]), network(tokens)[hidden])


@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_embedding_is_linear_in_its_rows(symmetry):
    network = build(Caduceus(width=6, n_layers=1, symmetry=symmetry))
    before = network.embed(some_tokens())
    network.embedding.data *= 2
    assert torch.equal(network.embed(some_tokens()), 2 * before)


def test_fused_and_unfused_layers_are_different_functions():
    fused, unfused = (build(Caduceus(width=6, n_layers=2, block=block)) for block in ("fused", "unfused"))
    assert not torch.allclose(fused(some_tokens()), unfused(some_tokens()), rtol=0.1)


@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_the_published_small_model_has_470_thousand_parameters(symmetry):
    settings = Caduceus(width=118, n_layers=4, symmetry=symmetry)
    inner, rank = settings.n_inner, settings.rank
    direction = inner * (4 + 1) + inner * (rank + 2 * 16) + inner * (rank + 1) + inner * 16 + inner
    layer = 118 + 118 * 2 * inner + inner * 118 + 2 * direction
    assert (inner, rank) == (236, 8)
    assert sum(p.numel() for p in settings.build(DNA).parameters()) == 4 * layer + 118 + DNA.size * 118 == 470_702


def test_initial_logits_are_small_and_steps_lie_in_their_range():
    torch.manual_seed(0)
    network = Caduceus(width=32).build(DNA)
    states = [module for module in network.modules() if hasattr(module, "dt_bias")]
    steps = torch.cat([torch.nn.functional.softplus(state.dt_bias.detach()) for state in states])
    assert network(some_tokens()).abs().max() < 1
    assert 9.9e-4 < steps.min() < 2e-3
    assert 5e-2 < steps.max() < 0.101


def test_projections_back_to_the_stream_start_smaller_the_more_layers_there_are():
    torch.manual_seed(0)
    for n_layers in (1, 4, 9):
        settings = Caduceus(width=64, n_layers=n_layers)
        largest = max(block.mixer.out_proj.weight.abs().max().item() for block in settings.build(DNA).blocks)
        assert largest == pytest.approx((settings.n_inner * n_layers) ** -0.5, rel=0.01)


def test_decay_spares_vectors_and_state_matrices():
    network = Caduceus(width=6, n_layers=1).build(DNA)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decay, no_decay = decay_groups(network)
    assert sorted(map(id, decay + no_decay)) == sorted(names)
    spared = {names[id(parameter)].removeprefix("blocks.0.") for parameter in no_decay}
    state = {
        f"mixer.{way}.{name}" for way in ("leftward", "rightward") for name in ("A_log", "D", "conv_bias", "dt_bias")
    }
    assert spared == {"norm.weight", *state}


@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_autocast_trains_and_stays_near_float32(symmetry):
    torch.manual_seed(0)
    network = Caduceus(width=16, n_layers=2, symmetry=symmetry).build(DNA)
    exact = network(some_tokens())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(some_tokens())
    logits.float().square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    assert (logits.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_a_float32_stream_serves_small_weights():
    settings = Caduceus(width=16, n_layers=2, residual_in_fp32=True)
    torch.manual_seed(0)
    network = settings.build(DNA)
    exact = network(some_tokens())
    streams: list[torch.dtype] = []
    network.norm.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0].dtype))
    logits = network.to(torch.bfloat16)(some_tokens())
    assert streams == [torch.float32]
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_strand_symmetry_needs_a_complement():
    with pytest.raises(InputError, match="ps needs a vocabulary with complementary letters; choose ph"):
        Caduceus(width=4).build(replace(DNA, complement=None))
