"""The loss over a large vocabulary: the plain formula's values and gradients, in the memory of a chunk."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from watching import Largest

from dnadiff.batch import Batch
from dnadiff.diffusion import answers as module
from dnadiff.diffusion import heads
from dnadiff.diffusion.answers import Answers, answers_of
from dnadiff.diffusion.heads import costs_at
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.nats import letter_nats, nats_of, softmax_nats
from dnadiff.diffusion.noise import draw_noise
from dnadiff.diffusion.objectives import AR, D3PM, MD4, MDLM, MLM, SEDD, GenMD4, Plaid
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import DiT
from dnadiff.rng import Stream, numpy_generator
from dnadiff.vocab import Vocab

SIZE, WIDTH, N = 37, 6, 23
VOCAB = Vocab(
    tokens=tuple(map(str, range(SIZE))), size=SIZE, letters=tuple(i for i in range(SIZE) if i not in {0, 4, 30}),
    mask=4, pad=0, unknown=0,
)  # fmt: skip

OBJECTIVES = [
    {"objective": objective}
    for objective in (MDLM(), MDLM(T=5), MD4(), SEDD(), D3PM(), D3PM(zero_masking=True), AR(), MLM(chosen=0.5), Plaid())
] + [{"objective": GenMD4(), "schedule": Learned()}]


class Head(nn.Module):
    """A linear head alone."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, SIZE)

    def logits(self, features):
        return self.linear(features)


def in_parts(head, features, tokens):
    (nats,) = Answers((features,), head.logits, SIZE).map(lambda *part: (softmax_nats(*part, VOCAB),), tokens)
    return nats


@pytest.fixture
def case():
    torch.manual_seed(0)
    head = Head().double()
    features = torch.randn(N, WIDTH, dtype=torch.float64, requires_grad=True)
    tokens = VOCAB.letter_ids[torch.randint(VOCAB.n_letters, (N,))]
    return head, features, tokens, torch.randn(N, dtype=torch.float64)


def plain(head, features, tokens):
    return letter_nats(head.logits(features)[:, VOCAB.letter_ids].log_softmax(-1), tokens, VOCAB)


def outcome(nats, weights, head, features):
    return [nats.detach(), *torch.autograd.grad((nats * weights).sum(), [features, *head.parameters()])]


@pytest.mark.parametrize("rows", [1, 5, 22, 23, 100])
def test_values_and_gradients_are_those_of_the_plain_formula(case, monkeypatch, rows):
    head, features, tokens, weights = case
    monkeypatch.setattr(module, "CHUNK", rows * SIZE)
    found = outcome(in_parts(head, features, tokens), weights, head, features)
    expected = outcome(plain(head, features, tokens), weights, head, features)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        assert torch.equal(in_parts(head, features, tokens), found[0])


def test_the_gradient_is_that_of_finite_differences(case):
    head, features, tokens, _ = case
    assert torch.autograd.gradcheck(lambda given: in_parts(head, given, tokens), features)


def test_ids_that_are_no_letters_have_no_part(case):
    head, features, tokens, weights = case
    before = in_parts(head, features, tokens)
    with torch.no_grad():
        head.linear.bias[[0, 4, 30]] += 1e6
    after = in_parts(head, features, tokens)
    assert torch.equal(before, after)
    (after * weights).sum().backward()
    assert not head.linear.weight.grad[[0, 4, 30]].any()


def test_half_precision_is_summed_in_float32(case):
    head, features, tokens, weights = case
    half, exact = head.to(torch.bfloat16), features.detach().to(torch.bfloat16)
    nats = in_parts(half, exact, tokens)
    assert nats.dtype == torch.float32
    assert torch.allclose(nats, plain(lambda_head(half), exact, tokens), rtol=1e-5)
    (nats * weights.float()).sum().backward()
    assert half.linear.weight.grad.dtype == torch.bfloat16


def lambda_head(half):
    """The same logits, in float32 from there on."""
    head = Head()
    head.logits = lambda features: half.logits(features).float()
    return head


def test_no_tensor_is_larger_than_a_chunk(case, monkeypatch):
    head, features, tokens, weights = case
    rows = 7
    monkeypatch.setattr(module, "CHUNK", rows * SIZE)
    with Largest() as seen:
        (in_parts(head, features, tokens) * weights).sum().backward()
    assert seen.numel == rows * SIZE
    with Largest() as seen:
        (plain(head, features, tokens) * weights).sum().backward()
    assert seen.numel == N * SIZE


def test_no_logits_are_kept_for_the_backward_pass(case, monkeypatch):
    head, features, tokens, _ = case
    monkeypatch.setattr(module, "CHUNK", 7 * SIZE)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        in_parts(head, features, tokens)
    assert sum(kept) < 7 * SIZE


def test_parts_keep_their_order_along_any_dimension_and_whatever_is_made_of_them(monkeypatch):
    given, beside = torch.randn(3, 11, 2), torch.arange(33).view(3, 11)
    answers = Answers((given, 2 * given), lambda one, two: one + two, columns=6, dim=1).then(torch.neg)

    def reduce(said, numbers):
        return said.sum(-1), numbers + 1

    for rows in (1, 4, 11):
        monkeypatch.setattr(module, "CHUNK", 6 * rows)
        sums, numbers = answers.map(reduce, beside)
        assert torch.allclose(sums, -3 * given.sum(-1), atol=1e-6)
        assert torch.equal(numbers, beside + 1)


def test_a_denoiser_that_gives_all_at_once_is_as_good():
    said = torch.randn(5, 4)
    assert torch.equal(answers_of(lambda batch, wanted: said, None, None).all(), said)
    assert answers_of(lambda batch, wanted: said[:0], None, None).map(lambda part: (part.sum(-1),))[0].shape == (0,)


def model_of(objective=OBJECTIVES[0], **settings):
    torch.manual_seed(0)
    backbone = DiT(width=8, n_blocks=1, n_heads=2, dropout=0.0, **settings)
    model = DiffusionModel(ModelConfig(model=backbone, **objective), VOCAB).double()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda fields: fields["objective"].kind)
def test_every_objective_is_the_same_in_parts_and_where_only_wanted_positions_are_asked(objective, monkeypatch):
    kind = objective["objective"].kind
    model = model_of(objective, causal=kind == "ar")
    generator = torch.Generator().manual_seed(0)
    tokens = VOCAB.letter_ids[torch.randint(VOCAB.n_letters, (3, 10), generator=generator)]
    tokens[0, 7:] = VOCAB.pad
    batch = Batch(tokens, valid=tokens != VOCAB.pad)
    noise = draw_noise(numpy_generator(0, Stream.NOISE), 3, 10, n_uniforms=model.objective.n_uniforms)

    def outcome():
        torch.manual_seed(0)
        terms = model.loss(batch, noise)
        minimised = terms.nats if terms.surrogate is None else terms.surrogate
        gradients = torch.autograd.grad(minimised.sum(), list(model.parameters()), allow_unused=True)
        return [terms.nats, *(gradient for gradient in gradients if gradient is not None)]

    everywhere = outcome()
    for small, rows in ((heads.SMALL, 2), (0, 100), (0, 2)):
        monkeypatch.setattr(heads, "SMALL", small)
        monkeypatch.setattr(module, "CHUNK", rows * SIZE)
        for ours, theirs in zip(outcome(), everywhere, strict=True):
            assert (ours - theirs).abs().max() <= 1e-9 * theirs.abs().max()


@pytest.mark.parametrize("small", [0, heads.SMALL])
def test_what_is_not_wanted_has_no_part_even_if_it_is_no_number(small, monkeypatch):
    monkeypatch.setattr(heads, "SMALL", small)
    torch.manual_seed(0)
    wanted, bad = torch.tensor([[True, False, True]]), torch.tensor([[False, True, False]])
    features = torch.randn(1, 3, WIDTH).masked_fill(bad[..., None], torch.nan).requires_grad_()
    network = Head()
    network.embed, network.features = (lambda tokens: features), (lambda embedded, t, **_: embedded)
    tokens = torch.tensor([[VOCAB.letters[0], VOCAB.mask, VOCAB.letters[5]]])

    def cost(logits, true):
        return softmax_nats(logits, true, VOCAB), logits.exp().sum(-1)

    nats, sums = costs_at(network, Batch(tokens), wanted, None, tokens, cost, VOCAB)
    assert (nats[bad] == 0).all()
    (nats + sums).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert (features.grad[bad] == 0).all()
    assert features.grad[wanted].any()


def test_a_loss_agrees_with_what_the_denoiser_says(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2 * SIZE)
    model = model_of()
    tokens, wanted = VOCAB.letter_ids[torch.randint(VOCAB.n_letters, (3, 10))], torch.rand(3, 10) < 0.5
    denoiser = SubsDenoiser(model.network, VOCAB)
    nats = denoiser.nats(Batch(tokens), wanted, tokens)
    said = denoiser(Batch(tokens), wanted)
    assert torch.allclose(nats[wanted], letter_nats(said, tokens[wanted], VOCAB), rtol=1e-12)
    assert torch.allclose(nats[wanted], nats_of(denoiser.answers(Batch(tokens), wanted), tokens[wanted], VOCAB))
    assert (nats[~wanted] == 0).all()
