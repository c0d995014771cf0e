"""Laws of the diffusion transformer, over every variant: padding, packing, direction, time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.config import decode, resolve
from dnadiff.diffusion.noise import draw_noise
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import DiT
from dnadiff.models.decay import decay_groups
from dnadiff.models.dit import DiffusionTransformer, Seen
from dnadiff.vocab import DNA

LENGTH = 13
SMALL = DiT(width=12, n_blocks=2, n_heads=3, conditioning_width=4)
VARIANTS = [
    SMALL.model_copy(update={"conditioning": conditioning, "causal": causal, "tie_embeddings": tie})
    for conditioning, tie in (("none", False), ("constant", True), ("time", False))
    for causal in (False, True)
]
every_variant = pytest.mark.parametrize(
    "settings", VARIANTS, ids=lambda s: f"{s.conditioning}-{'causal' if s.causal else 'open'}"
)


def build(settings: DiT) -> DiffusionTransformer:
    """A network in float64, without dropout, whose parameters are far from zero, one and each other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = settings.build(DNA).double().eval()
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def some_tokens(batch: int = 2) -> Tensor:
    """Letters, N and masks."""
    choices = torch.tensor([DNA.mask, *DNA.letters, DNA.unknown])
    return choices[torch.randint(len(choices), (batch, LENGTH), generator=torch.Generator().manual_seed(1))]


def some_times(batch: int = 2) -> Tensor:
    return torch.linspace(0.2, 0.9, batch, dtype=torch.float64)


@every_variant
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_row_equals_the_row_alone(settings, side):
    tokens, network = some_tokens(), build(settings)
    padding = torch.full((2, 5), DNA.pad)
    padded = torch.cat([padding, tokens] if side == "left" else [tokens, padding], 1)
    logits = network(padded, some_times(), valid=padded != DNA.pad)
    kept = logits[:, -LENGTH:] if side == "left" else logits[:, :LENGTH]
    assert torch.allclose(kept, network(tokens, some_times()), rtol=1e-10, atol=1e-10)


@every_variant
def test_a_packed_row_equals_its_documents_alone(settings):
    tokens, network = some_tokens(), build(settings)
    lengths = [4, 1, LENGTH - 5]
    segments = torch.repeat_interleave(torch.tensor([3, 0, 3]), torch.tensor(lengths)).expand(2, -1)
    alone = torch.cat([network(part, some_times()) for part in tokens.split(lengths, dim=1)], 1)
    assert torch.allclose(network(tokens, some_times(), segments=segments), alone, rtol=1e-10, atol=1e-10)


@every_variant
def test_a_position_sees_all_others_or_those_before_it(settings):
    tokens, network = some_tokens(), build(settings)
    changed = tokens.clone()
    changed[:, 6] = torch.where(tokens[:, 6] == DNA.letters[0], DNA.letters[1], DNA.letters[0])
    before, after = network(tokens, some_times()), network(changed, some_times())
    same = [torch.allclose(before[:, i], after[:, i], rtol=1e-12, atol=1e-12) for i in range(LENGTH)]
    assert same == [settings.causal and i < 6 for i in range(LENGTH)]


@pytest.mark.parametrize("conditioning", ["none", "constant"])
def test_steps_give_what_a_pass_over_the_row_gives(conditioning):
    network = build(SMALL.model_copy(update={"conditioning": conditioning, "causal": True}))
    embedded, cache, features = network.embed(some_tokens()), None, []
    for position in range(LENGTH):
        found, cache = network.step(embedded[:, position : position + 1], cache)
        features.append(found)
    assert torch.allclose(torch.cat(features, 1), network.features(embedded), rtol=1e-10, atol=1e-10)


def test_what_was_seen_is_moved_only_when_there_is_twice_as_much():
    seen, places, parts = Seen(), set(), torch.randn(2, 50, 1, 3)
    for stop in range(1, 51):
        keys, values = seen.add(parts[:, stop - 1 : stop], -parts[:, stop - 1 : stop])
        assert torch.equal(keys, parts[:, :stop])
        assert torch.equal(values, -parts[:, :stop])
        places.add(keys.data_ptr())
    assert len(places) <= 6


def test_a_network_that_looks_ahead_takes_no_steps():
    network = build(SMALL)
    with pytest.raises(AssertionError, match="only a causal network"):
        network.step(network.embed(some_tokens()[:, :1]))


@every_variant
def test_order_matters(settings):
    """Without positions, exchanging two letters would exchange their logits and change no others."""
    tokens, network = some_tokens(), build(settings)
    tokens[:, 3], tokens[:, 5] = DNA.letters[0], DNA.letters[1]
    exchanged = tokens.clone()
    exchanged[:, [3, 5]] = tokens[:, [5, 3]]
    assert not torch.allclose(network(tokens, some_times())[:, 8], network(exchanged, some_times())[:, 8], rtol=1e-3)


@every_variant
def test_each_row_has_its_own_time_where_time_counts(settings):
    tokens, network = some_tokens(), build(settings)
    times = some_times()
    both = network(tokens, times)
    alone = torch.cat([network(tokens[row : row + 1], times[row : row + 1]) for row in range(2)])
    other = network(tokens, times.flip(0))
    assert network.time_conditioned == (settings.conditioning == "time")
    assert torch.allclose(both, alone, rtol=1e-10, atol=1e-10)
    assert torch.allclose(both, other, rtol=1e-3) != network.time_conditioned


def test_a_constant_condition_is_time_zero():
    constant, timed = (build(SMALL.model_copy(update={"conditioning": kind})) for kind in ("constant", "time"))
    timed.load_state_dict(constant.state_dict())
    zero = torch.zeros(2, dtype=torch.float64)
    assert torch.allclose(constant(some_tokens()), timed(some_tokens(), zero), rtol=1e-12)


def test_a_network_conditioned_on_time_needs_it():
    with pytest.raises(AssertionError, match="needs t"):
        build(SMALL.model_copy(update={"conditioning": "time"}))(some_tokens())


@every_variant
def test_the_head_runs_on_selected_positions(settings):
    network, tokens = build(settings), some_tokens()
    features, hidden = network.features(network.embed(tokens), some_times()), tokens == DNA.mask
    assert torch.allclose(network.logits(features[hidden]), network(tokens, some_times())[hidden])


def test_embedding_is_linear_in_its_rows():
    network = build(SMALL)
    before = network.embed(some_tokens())
    network.embedding.data *= 2
    assert torch.equal(network.embed(some_tokens()), 2 * before)


@pytest.mark.parametrize("conditioning", ["constant", "time"])
def test_blocks_begin_as_the_identity_and_letters_alike(conditioning):
    torch.manual_seed(0)
    network = SMALL.model_copy(update={"conditioning": conditioning}).build(DNA)
    embedded = network.embed(some_tokens())
    features = network.features(embedded, some_times())
    assert torch.equal(features, torch.nn.functional.layer_norm(embedded, embedded.shape[-1:]))
    assert not network(some_tokens(), some_times()).any()
    assert embedded.abs().max().item() == pytest.approx(12**-0.5, rel=0.1)


def test_dropout_acts_in_training_alone_and_on_all_that_layers_add():
    network = build(SMALL.model_copy(update={"dropout": 0.5}))
    assert torch.equal(network(some_tokens()), network(some_tokens()))
    network.train()
    assert not torch.allclose(network(some_tokens()), network(some_tokens()), rtol=1e-3)
    for block in network.blocks:
        block.dropout.p = 1.0
    dropped = network(some_tokens())
    network.blocks = torch.nn.ModuleList()
    assert torch.equal(dropped, network(some_tokens()))


@pytest.mark.parametrize(
    ("preset", "width", "n_blocks", "millions"),
    [("dit-tiny", 512, 8, 28.5), ("dit-small", 768, 12, 92.4), ("dit-medium", 1024, 24, 321.5)],
)
def test_published_sizes_have_the_published_number_of_parameters(preset, width, n_blocks, millions):
    settings = resolve(ModelConfig, f"model/{preset}").model
    with torch.device("meta"):
        network = settings.build(DNA)
    block = 12 * width**2 + (4 + 1) * width + 2 * width  # projections, biases, norms
    adaptive = (6 * n_blocks + 2) * width * (128 + 1) + (256 + 1) * 128 + (128 + 1) * 128
    core = n_blocks * block + width + adaptive
    assert round(core / 1e6, 1) == millions
    assert sum(p.numel() for p in network.parameters()) == core + DNA.size * (2 * width + 1)
    assert settings == decode(DiT, {"width": width, "n_blocks": n_blocks, "n_heads": width // 64}, where="")


def test_decay_spares_norms_and_biases():
    network = SMALL.build(DNA)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decay, no_decay = decay_groups(network)
    assert sorted(map(id, decay + no_decay)) == sorted(names)
    spared = {names[id(parameter)] for parameter in no_decay}
    assert spared == {name for name in names.values() if "norm" in name or name.endswith("bias")}


@every_variant
def test_autocast_trains_and_stays_near_float32(settings):
    network = build(settings.model_copy(update={"width": 48})).float()
    times = some_times().float()
    exact = network(some_tokens(), times)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(some_tokens(), times)
    logits.float().square().sum().backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
    assert (logits.float() - exact).abs().max() < 0.05 * exact.abs().max()


@every_variant
def test_weights_may_be_bfloat16(settings):
    network = build(settings.model_copy(update={"width": 48})).float()
    exact = network(some_tokens(), some_times().float())
    logits = network.to(torch.bfloat16)(some_tokens(), some_times().float())
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - exact).abs().max() < 0.1 * exact.abs().max()


@every_variant
def test_it_compiles_as_one_graph(settings):
    network = build(settings)
    torch.compiler.reset()  # other variants count against the number of recompilations
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    padded = torch.arange(LENGTH) < torch.tensor([[9], [LENGTH]])
    for valid in (None, padded):
        exact = network(some_tokens(), some_times(), valid=valid)
        assert torch.allclose(compiled(some_tokens(), some_times(), valid=valid), exact)


@every_variant
def test_training_reaches_every_parameter_and_lowers_the_loss(settings):
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=settings.model_copy(update={"dropout": 0.0})), DNA)
    batch = Batch(torch.tensor([[7, 8, 9, 10] * 4] * 8))
    noise = draw_noise(np.random.default_rng(0), 8, 16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    start = {name: parameter.clone() for name, parameter in model.named_parameters()}
    losses = []
    for _ in range(5):
        losses.append(model.loss(batch, noise).nats.sum())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert all(later < earlier for earlier, later in pairwise(losses))
    unmoved = {name for name, parameter in model.named_parameters() if torch.equal(parameter, start[name])}
    assert not unmoved


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match=r"width \(510\) must be a multiple of 2 n_heads \(16\); change one of them"):
        decode(DiT, {"width": 510}, where="model")
