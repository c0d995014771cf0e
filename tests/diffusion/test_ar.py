"""Next-token prediction: exact on an enumerated language, blind to what it predicts, and drawn from exactly."""

import itertools
import math

import pytest
import torch
from laws import g_test
from worlds import ExactNetwork, UniformNetwork, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import Likelihood
from dnadiff.diffusion.estimators import Numbers
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives import AR
from dnadiff.diffusion.objectives.ar import shift_right
from dnadiff.diffusion.samplers import Autoregressive
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.diffusion.strands import nats_of_both_strands, opposite_strand
from dnadiff.errors import InputError
from dnadiff.models import Mamba
from dnadiff.models.dit import DiT
from dnadiff.vocab import DNA

BACKBONES = [
    Mamba(width=6, n_layers=2, n_states=3),
    DiT(width=8, n_blocks=2, n_heads=2, conditioning="none", causal=True, dropout=0.0),
]
every_backbone = pytest.mark.parametrize("backbone", BACKBONES, ids=lambda settings: settings.kind)


class Language(ExactNetwork):
    """All sequences of a length with probabilities at random; features are exact logs of what comes next."""

    def __init__(self, length: int) -> None:
        letters = torch.tensor(list(itertools.product(DNA.letters, repeat=length)))
        weights = torch.randn(len(letters), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        super().__init__(DNA, letters, weights.log_softmax(0))

    def features(self, embedded, t=None, **_):
        """(batch, n, 1) tokens behind a start token -> (batch, n, vocab) for the positions 1 to n."""
        tokens = embedded[..., 0].long()
        assert (tokens[:, 0] == DNA.mask).all()
        return torch.stack([self.next_letter(tokens[:, 1 : i + 1]) for i in range(tokens.shape[1])], 1)

    def next_letter(self, prefix):
        """log p(letter | prefix), (batch, vocab)."""
        n = prefix.shape[1]
        joint = (prefix[:, None] == self.sequences[:, :n]).all(-1).double() * self.log_probs.exp()
        following = torch.nn.functional.one_hot(self.sequences[:, n], DNA.size).double()
        return (joint @ following / joint.sum(1, keepdim=True)).log()

    def step(self, embedded, cache=None):
        written = embedded if cache is None else torch.cat([cache, embedded], 1)
        return self.features(written)[:, -1:], written


def build(backbone):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = backbone.build(DNA).double().eval()
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def letters(rows, length):
    return DNA.letter_ids[torch.randint(4, (rows, length), generator=torch.Generator().manual_seed(1))]


def nothing(batch):
    rows, length = batch.tokens.shape
    return Noise(torch.zeros(rows), torch.zeros(rows, 0, length))


def loss(network, batch):
    return AR().loss(network, batch, nothing(batch), LogLinear(), DNA)


def row_nats(network, tokens):
    batch = Batch(tokens)
    return AR().row_nats(network, batch, nothing(batch), LogLinear(), DNA, Numbers())


def draws(network, tokens, sampler=None, seed=0):
    sampler = sampler or Autoregressive()
    denoiser, noise = AR().denoiser(network, LogLinear(), DNA), uniforms(len(tokens), seed)
    states = list(sampler.sample(denoiser, Batch(tokens), LogLinear(), DNA, uniforms=noise))
    assert len(states) == sampler.n_steps(tokens.shape[1])
    return states[-1].tokens


def test_exact_conditionals_give_minus_log_p_of_every_sequence():
    language = Language(3)
    nats = row_nats(language, language.sequences)
    assert torch.allclose(nats, -language.log_probs, rtol=1e-12)
    assert (language.log_probs.exp() * nats).sum().item() == pytest.approx(language.entropy(), rel=1e-12)
    assert AR.likelihood is Likelihood.EXACT


def test_a_uniform_network_gives_two_bits_at_every_position():
    terms = loss(UniformNetwork(), Batch(letters(3, 9)))
    assert torch.allclose(terms.nats, torch.tensor(2 * math.log(2)))


@every_backbone
def test_probabilities_of_all_sequences_sum_to_one(backbone):
    sequences = Language(4).sequences
    assert (-row_nats(build(backbone), sequences)).exp().sum().item() == pytest.approx(1.0, rel=1e-10)


@every_backbone
def test_a_letter_is_predicted_without_itself_and_those_after_it_but_with_all_before(backbone):
    network, tokens = build(backbone), letters(2, 8)
    denoiser = AR().denoiser(network, LogLinear(), DNA)
    wanted = torch.ones_like(tokens, dtype=torch.bool)
    before = denoiser(Batch(tokens), wanted).view(2, 8, 4)
    for at in range(8):
        changed = tokens.clone()
        changed[:, at] = DNA.unknown
        after = denoiser(Batch(changed), wanted).view(2, 8, 4)
        assert torch.equal(after[:, : at + 1], before[:, : at + 1])
        assert all(not torch.allclose(after[:, i], before[:, i], rtol=1e-9) for i in range(at + 1, 8))


@every_backbone
def test_the_gradient_agrees_with_finite_differences(backbone):
    network, batch = build(backbone), Batch(letters(2, 6))
    loss(network, batch).nats.sum().backward()
    step = 1e-6
    for parameter in network.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        index = int(grad.abs().argmax())
        kept, values = flat[index].item(), []
        for sign in (1, -1):
            flat[index] = kept + sign * step
            values.append(loss(network, batch).nats.sum().item())
        flat[index] = kept
        assert grad[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


@every_backbone
def test_unknown_bases_are_seen_and_not_scored(backbone):
    network, tokens = build(backbone), letters(2, 6)
    tokens[:, 2] = DNA.unknown
    terms = loss(network, Batch(tokens))
    assert torch.equal(terms.valid, DNA.is_letter(tokens))
    assert (terms.nats[:, 2] == 0).all()
    other = tokens.clone()
    other[:, 2] = DNA.letters[0]
    assert not torch.allclose(loss(network, Batch(other)).nats[:, 3:], terms.nats[:, 3:])


@every_backbone
def test_a_batch_of_unknown_bases_has_loss_zero_and_gradient_zero(backbone):
    network = build(backbone)
    terms = loss(network, Batch(torch.full((2, 5), DNA.unknown)))
    terms.nats.sum().backward()
    assert not terms.valid.any()
    assert terms.nats.sum() == 0
    assert all((p.grad == 0).all() for p in network.parameters() if p.grad is not None)


@every_backbone
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_row_costs_what_the_row_alone_costs(backbone, side):
    network, tokens = build(backbone), letters(2, 6)
    padding = torch.full((2, 3), DNA.pad)
    padded = torch.cat([padding, tokens] if side == "left" else [tokens, padding], 1)
    terms = loss(network, Batch(padded, valid=padded != DNA.pad))
    columns = slice(3, None) if side == "left" else slice(6)
    assert torch.allclose(terms.nats[:, columns], loss(network, Batch(tokens)).nats, rtol=1e-9)


@every_backbone
def test_packed_documents_cost_what_they_cost_alone(backbone):
    network, tokens = build(backbone), letters(2, 6)
    segments = torch.tensor([0, 0, 1, 1, 1, 2]).expand(2, -1)
    alone = [loss(network, Batch(part)).nats for part in tokens.split([2, 3, 1], dim=1)]
    assert torch.allclose(loss(network, Batch(tokens, segments=segments)).nats, torch.cat(alone, 1), rtol=1e-9)


def test_every_document_has_a_start_token_of_its_own():
    tokens = torch.tensor([[7, 8, 9, 10, 7, 4]])
    batch = Batch(tokens, valid=tokens != DNA.pad, segments=torch.tensor([[5, 5, 3, 3, 3, 3]]))
    assert shift_right(batch, DNA).tokens.tolist() == [[DNA.mask, 7, DNA.mask, 9, 10, 7]]


@every_backbone
def test_both_strands_together_are_a_likelihood_that_is_the_same_for_both(backbone):
    network, sequences = build(backbone), Language(4).sequences
    given, opposite = row_nats(network, sequences), row_nats(network, opposite_strand(Batch(sequences), DNA).tokens)
    both = nats_of_both_strands(given, opposite)
    assert (-both).exp().sum().item() == pytest.approx(1.0, rel=1e-10)
    assert torch.equal(nats_of_both_strands(opposite, given), both)
    assert torch.allclose((-both).exp(), ((-given).exp() + (-opposite).exp()) / 2, rtol=1e-12)
    assert (-(given + opposite) / 2).exp().sum() < 0.999  # the mean of the logs is no likelihood


def test_the_opposite_strand_carries_padding_and_documents_along():
    batch = Batch(
        torch.tensor([[7, 8, DNA.unknown, DNA.pad]]),
        valid=torch.tensor([[True, True, True, False]]),
        segments=torch.tensor([[0, 0, 1, 2]]),
    )
    opposite = opposite_strand(batch, DNA)
    assert opposite.tokens.tolist() == [[DNA.pad, DNA.unknown, 9, 10]]
    assert opposite.valid.tolist() == [[False, True, True, True]]
    assert opposite.segments.tolist() == [[2, 1, 0, 0]]


def test_draws_follow_the_law():
    language = Language(3)
    assert g_test(language, draws(language, torch.full((20_000, 3), DNA.mask))) > 1e-3
    warmer = Autoregressive(temperature=1.2)
    assert g_test(language, draws(language, torch.full((20_000, 3), DNA.mask), warmer)) < 1e-9


def test_what_is_given_stays_and_is_gone_on_from():
    language = Language(3)
    first = language.sequences[37, :2]
    drawn = draws(language, torch.cat([first, torch.tensor([DNA.mask])]).expand(20_000, 3))
    assert (drawn[:, :2] == first).all()
    expected = language.next_letter(first[None]).exp()[0, DNA.letter_ids]
    shares = torch.bincount(DNA.letter_index[drawn[:, 2]], minlength=4) / len(drawn)
    assert torch.allclose(shares.double(), expected, atol=0.015)


@every_backbone
def test_a_step_gives_what_the_whole_row_gives(backbone):
    network, tokens = build(backbone), letters(3, 7)
    denoiser = AR().denoiser(network, LogLinear(), DNA)
    whole = denoiser(Batch(tokens), torch.ones_like(tokens, dtype=torch.bool)).view(3, 7, 4)
    last, cache = torch.full((3,), DNA.mask), None
    for position in range(7):
        log_probs, cache = denoiser.step(last, cache)
        assert torch.allclose(log_probs, whole[:, position], rtol=1e-10)
        last = tokens[:, position]


@pytest.mark.parametrize("batch", [
    Batch(torch.tensor([[7, DNA.mask, 8]])),
    Batch(torch.tensor([[7, DNA.mask]]), valid=torch.tensor([[False, True]])),
    Batch(torch.tensor([[7, DNA.mask]]), segments=torch.tensor([[0, 1]])),
])  # fmt: skip
def test_a_gap_cannot_be_filled(batch):
    denoiser = AR().denoiser(Language(3), LogLinear(), DNA)
    with pytest.raises(InputError, match="cannot fill a gap; give rows that begin with what is known"):
        next(Autoregressive().sample(denoiser, batch, LogLinear(), DNA, uniforms=uniforms(1)))
