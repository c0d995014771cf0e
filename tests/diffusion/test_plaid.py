"""Plaid: its bound, its gradients, both strands, what is not scored, its sampler."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from laws import g_test
from pydantic import ValidationError
from torch import Tensor, nn
from worlds import ExactNetwork, MarkovChain, UniformNetwork, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.estimators import Numbers
from dnadiff.diffusion.gaussian import RATE, LearnedGamma, prior_nats
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.diffusion.objectives.plaid import Plaid
from dnadiff.diffusion.samplers.ancestral import Ancestral
from dnadiff.diffusion.samplers.plaid import PlaidSampler
from dnadiff.diffusion.schedules import Cosine, LogLinear
from dnadiff.errors import InputError
from dnadiff.models import Caduceus, DiT, Mamba
from dnadiff.vocab import DNA, Vocab

BINARY = Vocab(tokens=("0", "[MASK]", "1", "[PAD]", "?"), size=5, letters=(0, 2), mask=1, pad=3, unknown=4)
TERNARY = Vocab(tokens=("a", "b", "c", "[MASK]", "[PAD]", "?"), size=6, letters=(0, 1, 2), mask=3, pad=4, unknown=5)


class NoisyExact(ExactNetwork):
    """The exact posterior of each letter given noisy embeddings of a small language, less its output prior."""

    time_conditioned = True  # Plaid tells such a network the variance of the noise

    def __init__(self, language: ExactNetwork, width: int) -> None:
        super().__init__(language.vocab, language.sequences, language.log_probs)
        self.width = width
        self.vectors: Tensor

    def embed(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, self.width, dtype=torch.float64)

    def features(self, embedded: Tensor, t: Tensor, **_: object) -> Tensor:
        """(batch, length, width) of z, scaled -> (batch, length, vocab)."""
        variance = t[:, None, None]
        z = embedded * ((1 - variance) / self.width + variance).sqrt()
        prior = z @ self.vectors.T * (1 - variance).sqrt() / variance  # (batch, length, n_letters)
        letters = self.vocab.letter_index[self.sequences]  # (n, length)
        is_letter = nn.functional.one_hot(letters, prior.shape[-1]).double()
        joint = self.log_probs + torch.einsum("blk,nlk->bn", prior, is_letter)
        fits = joint[:, :, None, None].where(is_letter.bool(), -math.inf)  # (batch, n, length, n_letters)
        logits = torch.full((*z.shape[:2], self.vocab.size), math.nan, dtype=torch.float64)
        logits[..., self.vocab.letter_ids] = fits.logsumexp(1) - prior
        return logits


def build(network, vocab, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = Plaid(**settings).build(network, vocab)
        objective.gamma = LearnedGamma(objective.settings.gamma_start, objective.settings.gamma_stop, n_units=8)
        return objective.double()


def exact(language: ExactNetwork, width: int, start: float, stop: float):
    """The objective of an exact denoiser, which is shown z itself."""
    network = NoisyExact(language, width)
    objective = build(network, language.vocab, embedding_width=width, gamma_start=start, gamma_stop=stop)
    network.vectors = objective.embedding().detach()
    objective.entrance.noisy.weight.data.copy_(torch.eye(width))
    return network, objective


def bounds(network, objective, sequences: Tensor, vocab: Vocab, n_times: int = 32, step: float = 0.4) -> Tensor:
    """(n,) the mean of `row_nats` of each sequence over all noise.

    By Gauss' rule over time and the trapezoidal rule over every number of the noise: the integrand is analytic and
    falls off like a normal density, so both converge faster than any power.
    """
    width, (n, length) = objective.settings.embedding_width, sequences.shape
    numbers = torch.cartesian_prod(*[torch.arange(-5, 5.1, step).double()] * (width * length)).reshape(
        -1, width, length
    )
    weights = torch.softmax(-0.5 * numbers.square().sum((1, 2)), 0)
    uniforms = torch.cat([torch.special.ndtr(numbers), torch.ones(len(numbers), 1, length)], 1)
    batch, uniforms = Batch(sequences.repeat_interleave(len(numbers), 0)), uniforms.repeat(n, 1, 1)
    total = torch.zeros(n, dtype=torch.float64)
    for node, share in zip(*np.polynomial.legendre.leggauss(n_times), strict=True):
        noise = Noise(torch.full((len(uniforms),), (1 + node) / 2, dtype=torch.float64), uniforms)
        nats = objective.row_nats(network, batch, noise, LogLinear(), vocab, Numbers())
        total += nats.reshape(n, -1) @ weights * (share / 2)
    return total


@pytest.mark.parametrize(("vocab", "length", "width"), [(BINARY, 2, 1), (TERNARY, 1, 2)], ids=["binary", "ternary"])
def test_the_bound_of_the_exact_denoiser_falls_to_the_entropy_as_the_ends_part(vocab, length, width):
    language = MarkovChain(length, vocab)
    near, far = (
        bounds(*exact(language, width, start, stop), language.sequences, vocab)
        for start, stop in [(-1.0, 2.0), (-6.0, 10.0)]
    )
    assert near @ language.log_probs.exp() > language.entropy() + 0.005
    assert torch.allclose(far, -language.log_probs, rtol=0, atol=2e-4)
    assert (far @ language.log_probs.exp()).item() == pytest.approx(language.entropy(), abs=3e-5)


def test_a_network_that_knows_nothing_pays_two_bits_for_every_letter():
    """It is the exact denoiser of uniform letters, since the output prior knows the noise."""
    network = UniformNetwork().double()
    objective = build(network, DNA, embedding_width=2, gamma_start=-7.0, gamma_stop=10.0)
    bits = bounds(network, objective, DNA.letter_ids[:, None], DNA) / math.log(2)
    assert torch.allclose(bits, torch.tensor(2.0).double(), rtol=0, atol=5e-4)


SMALL = {
    "ps": Caduceus(width=6, n_layers=2, n_states=2),
    "ph": Caduceus(width=6, n_layers=1, n_states=2, symmetry="ph"),
    "ps-time": Caduceus(width=6, n_layers=1, n_states=2, conditioning="time", conditioning_width=4),
    "dit-time": DiT(width=4, n_blocks=1, n_heads=1, conditioning="time", conditioning_width=4, dropout=0.0),
    "mamba": Mamba(width=6, n_layers=1, n_states=2),
}


def small(name, **settings):
    """A network and its objective in float64, far from their initial weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = SMALL[name].build(DNA).double()
        objective = build(network, DNA, **{"embedding_width": 3, **settings})
        for parameter in [*network.parameters(), *objective.entrance.parameters()]:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network, objective


def letters(rows, length):
    return DNA.letter_ids[torch.randint(4, (rows, length), generator=torch.Generator().manual_seed(1))]


def noise_for(objective, rows, length, seed=0):
    noise = draw_noise(np.random.default_rng(seed), rows, length, n_uniforms=objective.n_uniforms)
    return Noise(noise.times.double(), noise.uniforms.double())


def loss(network, objective, batch, noise):
    return objective.loss(network, batch, noise, LogLinear(), DNA)


def row_nats(network, objective, batch, noise):
    return objective.row_nats(network, batch, noise, LogLinear(), DNA, Numbers())


@pytest.mark.parametrize("self_conditioning", [0.0, 0.25])
def test_the_loss_and_the_evaluation_draw_the_same_bound(self_conditioning):
    """All times on a grid, one noise: rows that estimate a term in training weigh as much as all terms of every row."""
    network, objective = small("ps", self_conditioning=self_conditioning)
    objective.entrance.level.weight.data.zero_()  # its fast waves would need a finer grid
    n, length = 800, 3
    batch = Batch(letters(1, length).expand(n, -1))
    uniforms = torch.rand(1, objective.n_uniforms, length, generator=torch.Generator().manual_seed(0)).double()
    uniforms[:, -1, 0] = 0.0  # every row is given a first estimate in training, as in evaluation
    noise = Noise((torch.arange(n).double() + 0.5) / n, uniforms.expand(n, -1, -1))
    terms = loss(network, objective, batch, noise)
    drawn, evaluated = terms.nats.sum(1).mean(), row_nats(network, objective, batch, noise).mean()
    assert drawn.item() == pytest.approx(evaluated.item(), rel=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_agree_with_finite_differences(name):
    """Of everything but the course of gamma, in rows without a first estimate, both terms among them."""
    network, objective = small(name)
    batch, noise = Batch(letters(4, 5)), noise_for(objective, 4, 5)
    noise.times[0] = 0.05
    noise.uniforms[:, -1, 0] = 0.9
    terms = loss(network, objective, batch, noise)
    terms.surrogate.sum().backward()
    learned = {**dict(network.named_parameters()), **dict(objective.named_parameters())}
    unread = {"entrance.estimate.weight", "gamma.raw_slopes", "gamma.raw_offsets", "gamma.raw_weights"}
    step = 1e-6
    for name in learned.keys() - unread:
        flat, gradient = learned[name].data.view(-1), learned[name].grad.view(-1)
        index = int(gradient.abs().argmax())
        kept, values = flat[index].item(), []
        for sign in (1, -1):
            flat[index] = kept + sign * step
            values.append(loss(network, objective, batch, noise).nats.sum().item())
        flat[index] = kept
        rate = RATE if "raw_" in name else 1.0  # of quick numbers, which keep their gradient as it would be without
        expected = (values[0] - values[1]) / (2 * step * rate)
        assert gradient[index].item() == pytest.approx(expected, rel=1e-5, abs=1e-6), name


def test_the_course_of_gamma_follows_the_variance_of_the_mean_cost_per_letter():
    """Over a grid of times the surrogate's gradient is that of the mean square, whatever the rows' lengths."""
    network, objective = small("ph", self_conditioning=0.0, reconstruction_share=1e-9)
    objective.entrance.level.weight.data.zero_()  # its fast waves would need a finer grid
    n, real = 1000, torch.arange(4).expand(1000, -1) < 3
    tokens = letters(1, 4).expand(n, -1).where(real, DNA.pad)
    uniforms = torch.rand(1, objective.n_uniforms, 4, generator=torch.Generator().manual_seed(2)).double()
    batch = Batch(tokens, valid=real)
    noise = Noise((torch.arange(n).double() + 0.5) / n, uniforms.expand(n, -1, -1))
    loss(network, objective, batch, noise).surrogate.sum().backward()
    step = 1e-4
    for name in ("raw_slopes", "raw_offsets", "raw_weights"):
        parameter = objective.gamma.get_parameter(name)
        index = int(parameter.grad.abs().argmax())
        kept, squares = parameter.data[index].item(), []
        for sign in (1, -1):
            parameter.data[index] = kept + sign * step
            nats = loss(network, objective, batch, noise).nats.sum(1) / 3
            squares.append((nats - prior_nats(objective.gamma.stop, 3)).square().mean().item())
        parameter.data[index] = kept
        expected = (squares[0] - squares[1]) / (2 * step * RATE)
        assert parameter.grad[index].item() / (3 * n) == pytest.approx(expected, rel=1e-3), name


def test_rows_that_read_letters_off_do_not_steer_the_course():
    network, objective = small("ps")
    noise = noise_for(objective, 3, 6)
    noise.times[:] = torch.tensor([0.0, 0.06, 0.12])
    loss(network, objective, Batch(letters(3, 6)), noise).surrogate.sum().backward()
    assert objective.gamma.raw_start.grad != 0
    for name in ("raw_slopes", "raw_offsets", "raw_weights"):
        assert not objective.gamma.get_parameter(name).grad.any()


def test_rows_with_a_first_estimate_teach_the_network_alone():
    network, objective = small("ps")
    batch, noise = Batch(letters(3, 6)), noise_for(objective, 3, 6)
    noise.uniforms[:, -1, 0] = 0.0
    loss(network, objective, batch, noise).nats.sum().backward()
    untaught = {name for name, value in objective.named_parameters() if value.grad is None or not value.grad.any()}
    assert untaught == {"embedding.raw_rows", *(f"gamma.{name}" for name, _ in objective.gamma.named_parameters())}
    assert all(value.grad is not None for name, value in network.named_parameters() if name != "embedding")


def test_the_first_estimate_is_what_the_same_network_makes_of_the_same_noise():
    network, objective = small("ps")
    reader = objective.denoiser(network, LogLinear(), DNA)
    batch = Batch(torch.full((3, 4), DNA.mask))
    z = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    gamma, chosen = torch.tensor([-1.0, 0.0, 2.0]).double(), torch.tensor([True, False, True])
    estimate = replace(reader, embeddings=reader.embeddings.expand(3, -1, -1)).first_estimate(batch, z, gamma, chosen)
    expected = reader.expected(reader(batch, z, gamma, torch.zeros_like(z)))
    assert torch.allclose(estimate[chosen], expected[chosen], rtol=1e-12)
    assert (estimate[~chosen] == 0).all()
    assert not torch.allclose(reader(batch, z, gamma, estimate)[0], reader(batch, z, gamma, 0 * estimate)[0])


def mirrored(batch, noise):
    """The opposite strand with its noise: a vector of the opposite strand is the vector reversed."""
    flipped = torch.cat([noise.uniforms[:, :-1].flip(1, 2), noise.uniforms[:, -1:]], 1)
    return Batch(DNA.complement_ids[batch.tokens.flip(1)]), Noise(noise.times, flipped)


def test_both_strands_have_the_same_bound_under_mirrored_noise():
    for name, same in [("ps", True), ("ps-time", True), ("ph", False)]:
        network, objective = small(name)
        tokens = letters(5, 7)
        tokens[:, 2] = DNA.unknown
        batch, noise = Batch(tokens), noise_for(objective, 5, 7)
        opposite, mirror = mirrored(batch, noise)
        for given, other in [
            (row_nats(network, objective, batch, noise), row_nats(network, objective, opposite, mirror)),
            (loss(network, objective, batch, noise).nats, loss(network, objective, opposite, mirror).nats.flip(1)),
        ]:
            assert torch.allclose(given, other, rtol=1e-9) is same


def test_letters_are_unit_vectors_and_complements_are_reversed_ones():
    _, objective = small("ps", embedding_width=5)
    vectors = objective.embedding()
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(4).double())
    assert torch.equal(vectors[[3, 2, 1, 0]], vectors.flip(-1))
    assert (vectors[:2] @ vectors[:2].T - torch.eye(2)).abs().max() > 1e-3


def test_unknown_and_padded_positions_are_seen_without_noise_and_not_scored():
    network, objective = small("ps")
    tokens = letters(2, 6)
    tokens[:, 1], tokens[1, 4:] = DNA.unknown, DNA.pad
    batch, noise = Batch(tokens, valid=tokens != DNA.pad), noise_for(objective, 2, 6)
    terms = loss(network, objective, batch, noise)
    assert torch.equal(terms.valid, DNA.is_letter(tokens))
    assert torch.equal(terms.nats != 0, terms.valid)
    other = Noise(noise.times, noise.uniforms.clone())
    other.uniforms[:, :-1, 1] = 0.3
    assert torch.equal(loss(network, objective, batch, other).nats, terms.nats)
    seen = Batch(tokens.where(tokens != DNA.unknown, DNA.letters[0]), valid=batch.valid)
    assert not torch.allclose(loss(network, objective, seen, noise).nats[:, 0], terms.nats[:, 0])


def test_padding_does_not_change_a_row():
    network, objective = small("ps")
    tokens, noise = letters(3, 6), noise_for(objective, 3, 9)
    padded = torch.cat([tokens, torch.full((3, 3), DNA.pad)], 1)
    alone = Batch(tokens), Noise(noise.times, noise.uniforms[..., :6])
    beside = Batch(padded, valid=padded != DNA.pad), noise
    assert torch.allclose(row_nats(network, objective, *alone), row_nats(network, objective, *beside), rtol=1e-10)


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_of_unknown_bases_has_loss_zero_and_gradient_zero(name):
    network, objective = small(name)
    batch, noise = Batch(torch.full((4, 5), DNA.unknown)), noise_for(objective, 4, 5)
    terms = loss(network, objective, batch, noise)
    terms.surrogate.sum().backward()
    assert terms.nats.sum() == 0
    assert not terms.valid.any()
    gradients = [value.grad for value in [*network.parameters(), *objective.parameters()] if value.grad is not None]
    assert gradients
    assert all((gradient == 0).all() for gradient in gradients)
    assert (row_nats(network, objective, batch, noise) == 0).all()


def test_the_same_noise_gives_the_same_loss():
    network, objective = small("ps")
    batch = Batch(letters(4, 5))
    first, again, other = (loss(network, objective, batch, noise_for(objective, 4, 5, seed)).nats for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_autocast_changes_little():
    network, objective = small("ps", embedding_width=16)
    network, objective = network.float(), objective.float()
    batch, noise = Batch(letters(6, 20)), noise_for(objective, 6, 20)
    plain = row_nats(network, objective, batch, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = row_nats(network, objective, batch, noise)
        loss(network, objective, batch, noise).surrogate.sum().backward()
    assert torch.allclose(rough, plain, rtol=0.02)
    assert all(value.grad.isfinite().all() for value in objective.parameters())


def test_the_published_size_with_its_extra_parameters():
    """Two projections of the embeddings, one of 64 features of the noise level, three numbers for each curve."""
    network = Caduceus().build(DNA)
    objective = Plaid().build(network, DNA)
    extra = sum(parameter.numel() for parameter in objective.parameters())
    assert extra == 4 * 16 + 118 * (16 + 16 + 64) + 3 * 1024 + 2 == 14_466


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match=r"gamma_start \(7\.0\) must be below gamma_stop \(6\.0\)"):
        Plaid(gamma_start=7.0)
    assert Plaid().misfit(Caduceus(), LogLinear()) is None
    assert "leave schedule.* out" in Plaid().misfit(Caduceus(), Cosine())
    network, objective = small("ps")
    reader, state = objective.denoiser(network, LogLinear(), DNA), Batch(letters(1, 3))
    with pytest.raises(InputError, match=r"sampler plaid draws whole sequences .*; use a masked objective"):
        next(PlaidSampler().sample(reader, state, LogLinear(), DNA, uniforms=uniforms(1)))
    with pytest.raises(InputError, match=r"sampler.kind: ancestral draws from a PosteriorDenoiser"):
        Plaid().sampler(Ancestral())


def draw(network, objective, tokens, vocab, **settings):
    reader = objective.denoiser(network, LogLinear(), vocab)
    sampler = PlaidSampler(**settings)
    states = list(sampler.sample(reader, Batch(tokens), LogLinear(), vocab, uniforms=uniforms(len(tokens))))
    assert len(states) == sampler.n_steps(tokens.shape[1])
    return states[-1].tokens


def test_samples_of_the_exact_denoiser_have_the_law_of_the_language():
    """A G-test; the steps are many enough for their bias to drown in the noise of 4,000 samples."""
    language, n = MarkovChain(2, BINARY), 4000
    network, objective = exact(language, 1, -6.0, 8.0)
    drawn = draw(network, objective, torch.full((n, 2), BINARY.mask), BINARY, steps=100)
    assert g_test(language, drawn) > 1e-3


class Overheard:
    """A denoiser that keeps what it is given and what it makes of it."""

    def __init__(self, reader):
        self.width, self.gamma, self.expected = reader.width, reader.gamma, reader.expected
        self._reader, self.given, self.made = reader, [], []

    def __call__(self, batch, z, gamma, estimate):
        log_probs = self._reader(batch, z, gamma, estimate)
        self.given.append(estimate)
        self.made.append(self.expected(log_probs))
        return log_probs


def test_every_step_is_given_the_estimate_of_the_one_before():
    network, objective = small("ps")
    reader, state = Overheard(objective.denoiser(network, LogLinear(), DNA)), Batch(torch.full((2, 5), DNA.mask))
    list(PlaidSampler(steps=3).sample(reader, state, LogLinear(), DNA, uniforms=uniforms(len(state.tokens))))
    assert len(reader.given) == 4
    assert not reader.given[0].any()
    assert all(torch.allclose(given, made) for given, made in zip(reader.given[1:], reader.made, strict=False))


def test_every_mask_is_filled_unknown_bases_stay_and_a_low_temperature_sharpens():
    network, objective = small("ps")
    tokens = torch.full((20, 6), DNA.mask)
    tokens[:, 3] = DNA.unknown
    drawn = draw(network, objective, tokens, DNA, steps=3)
    assert (drawn[:, 3] == DNA.unknown).all()
    assert DNA.is_letter(drawn[:, [0, 1, 2, 4, 5]]).all()
    assert torch.equal(drawn, draw(network, objective, tokens, DNA, steps=3))
    assert not torch.equal(drawn, draw(network, objective, tokens, DNA, steps=3, temperature=0.1))
