"""Networks that are told the time, or a class: the laws that must survive it."""

from __future__ import annotations

import pytest
import torch

from dnadiff.models import Caduceus, DiT, Mamba
from dnadiff.vocab import DNA

SIZES = {"width": 6, "n_states": 4, "conditioning_width": 5}
PS = [
    Caduceus(symmetry="ps", block=block, n_layers=n_layers, conditioning="time", **SIZES)
    for block in ("fused", "unfused")
    for n_layers in (2, 3)
]
ALL = [
    *PS,
    Caduceus(symmetry="ph", direction_weights="untied", n_layers=2, conditioning="time", **SIZES),
    Mamba(n_layers=2, conditioning="time", **SIZES),
]
NAMES = [*(f"ps-{settings.block}-{settings.n_layers}" for settings in PS), "ph", "mamba"]
every_network = pytest.mark.parametrize("settings", ALL, ids=NAMES)
every_symmetric_network = pytest.mark.parametrize("settings", PS, ids=NAMES[: len(PS)])
LABELS = {"labels": ("a", "b", "c"), "conditioning_width": 5}
TOLD = [
    *(Caduceus(symmetry="ps", width=6, n_states=4, n_layers=n, conditioning=kind, **LABELS)
      for n, kind in ((2, "none"), (3, "time"))),
    Caduceus(symmetry="ph", width=6, n_states=4, n_layers=2, **LABELS),
    *(DiT(width=12, n_blocks=2, n_heads=3, conditioning=kind, **LABELS) for kind in ("none", "constant", "time")),
]  # fmt: skip
every_told_network = pytest.mark.parametrize("settings", TOLD, ids=lambda s: f"{s.kind}-{s.conditioning}")
TIMES = torch.tensor([0.3, 0.9], dtype=torch.float64)


def build(settings):
    """In float64, every parameter moved away from where it starts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = settings.build(DNA).double()
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def some_tokens(rows=2, length=9):
    choices = torch.tensor([DNA.mask, *DNA.letters, DNA.unknown])
    return choices[torch.randint(len(choices), (rows, length), generator=torch.Generator().manual_seed(1))]


@every_network
def test_an_untrained_time_path_changes_nothing(settings):
    networks = []
    for conditioning in ("none", "time"):
        torch.manual_seed(0)
        networks.append(settings.model_copy(update={"conditioning": conditioning}).build(DNA))
    assert torch.equal(networks[0](some_tokens()), networks[1](some_tokens(), TIMES))


@every_network
def test_a_row_is_told_its_own_time(settings):
    network, tokens = build(settings), some_tokens(1).expand(2, -1)
    logits = network(tokens, TIMES)
    assert not torch.allclose(logits[0], logits[1], rtol=1e-3)
    assert torch.allclose(logits[1:], network(tokens[1:], TIMES[1:]), rtol=1e-12)
    assert torch.allclose(logits.flip(0), network(tokens, TIMES.flip(0)), rtol=1e-12)


@every_network
def test_without_time_a_network_is_told_no_noise(settings):
    told, constant = build(settings), build(settings.model_copy(update={"conditioning": "constant"}))
    constant.load_state_dict(told.state_dict())
    assert not constant.time_conditioned
    assert torch.allclose(constant(some_tokens()), told(some_tokens(), torch.zeros(2)), rtol=1e-12)


@every_symmetric_network
def test_strands_without_time_are_told_the_same(settings):
    network, tokens = build(settings.model_copy(update={"conditioning": "constant"})), some_tokens()
    opposite = network(DNA.complement_ids[tokens.flip(1)])
    assert torch.allclose(network(tokens), opposite.flip(1)[..., DNA.complement_ids], rtol=1e-12, atol=1e-12)


def test_a_causal_network_without_time_reads_step_by_step():
    network, tokens = build(Mamba(n_layers=2, conditioning="constant", **SIZES)), some_tokens()
    embedded, cache, steps = network.embed(tokens), None, []
    for position in range(tokens.shape[1]):
        features, cache = network.step(embedded[:, position : position + 1], cache)
        steps.append(features)
    assert torch.allclose(torch.cat(steps, 1), network.features(embedded), rtol=1e-9)


def test_dropout_is_of_what_a_layer_adds_and_of_training_alone():
    settings = Caduceus(symmetry="ph", n_layers=2, dropout=0.999999, **SIZES)
    network, tokens = build(settings), some_tokens()
    embedded = network.embed(tokens)
    assert torch.allclose(network.train().features(embedded), network.norm(embedded))
    without = build(settings.model_copy(update={"dropout": 0.0}))
    assert torch.equal(network.eval().features(embedded), without.features(embedded))


@every_symmetric_network
def test_the_opposite_strand_at_the_same_time_is_the_complement_read_backwards(settings):
    network, tokens = build(settings), some_tokens()
    opposite = network(DNA.complement_ids[tokens.flip(1)], TIMES)
    assert torch.allclose(network(tokens, TIMES), opposite.flip(1)[..., DNA.complement_ids], rtol=1e-12, atol=1e-12)


@every_network
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_row_equals_the_row_alone(settings, side):
    network, tokens = build(settings), some_tokens()
    padding = torch.full((2, 4), DNA.pad)
    padded = torch.cat([padding, tokens] if side == "left" else [tokens, padding], 1)
    logits = network(padded, TIMES, valid=padded != DNA.pad)
    kept = logits[:, 4:] if side == "left" else logits[:, :-4]
    assert torch.allclose(kept, network(tokens, TIMES), rtol=1e-12, atol=1e-12)


def test_off_by_default_and_then_without_a_parameter_more():
    for settings in (Caduceus(width=6), Mamba(width=6)):
        network = settings.build(DNA)
        assert not network.time_conditioned
        assert not [name for name, _ in network.named_parameters() if "noise" in name or "modulation" in name]


def logits(network, tokens, label=None):
    """In evaluation mode, at some time where the network is told one."""
    t = TIMES[:1].expand(len(tokens)) if network.time_conditioned else None
    with torch.no_grad():
        return network.eval().logits(network.features(network.embed(tokens), t, label=label))


@every_told_network
def test_an_untrained_label_path_changes_nothing(settings):
    networks = []
    for labels in ((), settings.labels):
        torch.manual_seed(0)
        networks.append(settings.model_copy(update={"labels": labels}).build(DNA))
    for label in (None, torch.tensor([0, 2])):
        assert torch.equal(logits(networks[0], some_tokens()), logits(networks[1], some_tokens(), label))


@every_told_network
def test_a_row_is_told_its_own_class_or_none(settings):
    network, tokens = build(settings), some_tokens(1).expand(4, -1)
    told, untold = logits(network, tokens, torch.tensor([0, 1, 2, 0])), logits(network, tokens)
    assert torch.allclose(told[0], told[3], rtol=1e-12)
    different = [told[0], told[1], told[2], untold[0]]
    assert all(not torch.allclose(a, b, rtol=1e-3) for i, a in enumerate(different) for b in different[:i])
    assert torch.allclose(told[1:2], logits(network, tokens[:1], torch.tensor([1])), rtol=1e-12)


@pytest.mark.parametrize("settings", TOLD[:2], ids=lambda s: s.conditioning)
def test_the_opposite_strand_of_the_same_class_is_the_complement_read_backwards(settings):
    network, tokens, label = build(settings), some_tokens(), torch.tensor([2, 0])
    opposite = logits(network, DNA.complement_ids[tokens.flip(1)], label)
    assert torch.allclose(logits(network, tokens, label), opposite.flip(1)[..., DNA.complement_ids], rtol=1e-12)


@every_told_network
def test_in_training_the_class_of_some_rows_is_withheld_and_in_use_of_none(settings):
    network = build(settings.model_copy(update={"label_dropout": 0.25}))
    label, n = torch.ones(8000, dtype=torch.int64), 8000
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        told = network.labels.train()(label, n)
    withheld = (told == network.labels(None, 1)).all(1)
    assert withheld.double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (told[~withheld] == network.labels.eval()(label[:1], 1)).all()
    assert (network.labels(label, n) == network.labels(label[:1], 1)).all()


def test_names_of_classes_differ():
    with pytest.raises(ValueError, match="labels: a more than once; name each class once"):
        Caduceus(labels=("a", "b", "a"))
