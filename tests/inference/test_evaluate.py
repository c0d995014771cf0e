import copy
import dataclasses
import math
import os
import signal
from typing import get_args

import numpy as np
import pytest
import torch
from worlds import MarkovChain, UniformNetwork

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import Likelihood
from dnadiff.diffusion.estimators import Bernoulli, Numbers, Pairs
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives import AR, GenMD4, Objective
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.diffusion.strands import opposite_strand
from dnadiff.errors import InputError
from dnadiff.files import TEMPORARY
from dnadiff.inference import draws as kept
from dnadiff.inference.draws import Draws, DrawsFile, Shard
from dnadiff.inference.estimate import Meaning
from dnadiff.inference.evaluate import combine, evaluate, fill
from dnadiff.inference.measures import both_strands, in_steps, likelihood, posterior, training_loss
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, Mamba
from dnadiff.vocab import DNA

N_ROWS, LENGTH = 22, 9


def model_of(backbone, **others):
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=backbone, **others), DNA)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def model():
    """A network that tells strands apart."""
    return model_of(Mamba(width=8, n_layers=1, n_states=2))


def with_network(network, **others):
    model = DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2), **others), DNA)
    del model.network
    object.__setattr__(model, "network", network)  # which need not be a module
    model.register_module("known", network if isinstance(network, torch.nn.Module) else None)
    return model


def letters(n_rows=N_ROWS, length=LENGTH, seed=0):
    return np.random.default_rng(seed).integers(7, 11, (n_rows, length)).astype(np.uint8)


def figure(model, measure, tokens, **how):
    return evaluate(model, measure, lambda rows: tokens[rows], len(tokens), **{"sweeps": 2, **how})


def noise(n_rows, length=LENGTH, n_uniforms=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return Noise(torch.rand(n_rows, generator=generator), torch.rand(n_rows, n_uniforms, length, generator=generator))


def test_the_size_of_a_batch_does_not_change_a_figure_beyond_rounding(model):
    one, many = (figure(model, likelihood(model), letters(), batch_size=size) for size in (1, 7))
    assert one.nats.value == pytest.approx(many.nats.value, rel=1e-6)


def test_estimators_agree_within_their_errors(model):
    tokens = letters(400)
    figures = [figure(model, likelihood(model, chosen), tokens) for chosen in (Numbers(), Pairs(), Bernoulli())]
    sds = [(one.nats.high - one.nats.low) / 4 for one in figures]
    for one, sd in zip(figures[1:], sds[1:], strict=True):
        assert one.nats.value == pytest.approx(figures[0].nats.value, abs=5 * math.hypot(sd, sds[0]))


def test_a_uniform_model_has_two_bits_by_the_strict_protocol_and_less_by_the_papers():
    model = with_network(UniformNetwork(), schedule=LogLinear(eps=0.2))
    tokens = letters(2000)
    strict = figure(model, likelihood(model), tokens, batch_size=100)
    paper = figure(model, training_loss(model), tokens, batch_size=100, sweeps=5)
    assert strict.bits_per_base.value == pytest.approx(2.0, abs=1e-6)
    assert strict.meaning is Meaning.BOUND
    truncated = 2 * (1 - 0.2) * (1 - model.config.objective.first_time)
    assert paper.bits_per_base.value == pytest.approx(truncated, abs=3 * (paper.nats.high - paper.nats.low))
    assert paper.bits_per_base.high < 1.9
    assert paper.meaning is Meaning.LOSS


def test_the_published_perplexity_averages_exponentials_of_batches(model):
    tokens = letters()
    measure = training_loss(model)
    found = Draws.empty(2, N_ROWS, 4)
    fill(found, model, measure, lambda rows: tokens[rows], seed=0)
    result = combine(found, measure, seed=0)
    batches = [np.exp(found.nats[:, i : i + 4].sum(1) / tokens[i : i + 4].size) for i in range(0, N_ROWS, 4)]
    assert result.perplexity.value == pytest.approx(np.mean(batches))
    assert result.perplexity.value > math.exp(result.nats.value)
    assert result.batch_size == 4


def test_parts_have_figures_of_their_own_which_add_up(model):
    tokens = letters()
    tokens[5:7] = DNA.unknown
    found, measure = Draws.empty(3, N_ROWS, 4), likelihood(model)
    fill(found, model, measure, lambda rows: tokens[rows], seed=0)
    parts = {"first": np.arange(5), "unknown": np.arange(5, 7), "last": np.arange(7, N_ROWS)}
    result = combine(found, measure, seed=0, parts=parts)
    assert [*result.parts] == ["first", "last"]
    total = sum(part.nats.value * part.n_scored for part in result.parts.values())
    assert total == pytest.approx(result.nats.value * result.n_scored)
    assert result.parts["first"].n_windows == 5
    assert combine(found, measure, seed=0, parts={"all": np.arange(N_ROWS)}).parts == {}
    assert combine(found, measure, seed=0, parts={str(i): np.array([i]) for i in range(40)}).parts == {}


def test_an_exact_objective_is_drawn_once_and_has_no_monte_carlo_error(model):
    measure = likelihood(model)._replace(meaning=Meaning.EXACT)
    result = figure(model, measure, letters(), sweeps=5)
    assert (result.n_sweeps, result.monte_carlo) == (1, 0.0)
    assert result.nats.high - result.nats.value == pytest.approx(result.windows)


def test_both_strands_are_told_alike(model):
    tokens = torch.from_numpy(letters(6).astype(np.int64))
    opposite = DNA.complement_ids[tokens.flip(1)]
    given = noise(6)
    mirrored = Noise(given.times, given.uniforms.flip(-1))
    for meaning in (Meaning.BOUND, Meaning.EXACT):
        alone = likelihood(model)._replace(meaning=meaning)
        both = both_strands(alone, model)
        assert not torch.allclose(alone.draw(Batch(tokens), given), alone.draw(Batch(opposite), mirrored))
        forward, backward = both.draw(Batch(tokens), given), both.draw(Batch(opposite), mirrored)
        assert torch.allclose(forward, backward, rtol=1e-6)


def test_both_strands_of_an_exact_likelihood_average_probabilities(model):
    tokens, given = torch.from_numpy(letters(3).astype(np.int64)), noise(3)
    alone = likelihood(model)._replace(meaning=Meaning.EXACT)
    parts = [
        alone.draw(Batch(tokens), given),
        alone.draw(Batch(DNA.complement_ids[tokens.flip(1)]), Noise(given.times, given.uniforms.flip(-1))),
    ]
    expected = -(sum((-part).exp() for part in parts) / 2).log()
    assert torch.allclose(both_strands(alone, model).draw(Batch(tokens), given), expected)


def test_an_equivariant_network_gains_nothing_from_both_strands():
    model = model_of(Caduceus(width=8, n_layers=1, n_states=2, symmetry="ps"))
    tokens = letters()
    tokens[3, 6:] = DNA.pad
    given, both = (figure(model, m, tokens) for m in (likelihood(model), both_strands(likelihood(model), model)))
    assert both.nats.value == pytest.approx(given.nats.value, rel=1e-6)


def test_pseudo_likelihood_is_drawn_one_letter_at_a_time_and_averages_all(monkeypatch):
    chain = MarkovChain(4)
    model = with_network(chain)
    monkeypatch.setattr(type(model.objective), "likelihood", Likelihood.NONE)
    measure = likelihood(model)
    assert measure.meaning is Meaning.PSEUDO
    tokens = torch.stack([chain.sequences[77], torch.full((4,), DNA.unknown)])
    draws = [measure.draw(Batch(tokens), Noise(torch.full((2,), t), torch.zeros(2, 0, 4))) for t in (0, 0.3, 0.5, 0.9)]
    others = [(chain.sequences == tokens[0])[:, [j for j in range(4) if j != i]].all(1) for i in range(4)]
    expected = [4 * (chain.log_probs[other].logsumexp(0) - chain.log_probs[77]).item() for other in others]
    assert [draw[0].item() for draw in draws] == pytest.approx(expected)
    assert [draw[1].item() for draw in draws] == [0.0] * 4
    with pytest.raises(InputError, match="protocol=paper: the loss of MDLM is no likelihood; leave it at strict"):
        training_loss(model)


def test_in_discrete_time_the_mean_bound_falls_from_independent_letters_towards_the_entropy():
    chain, draws = MarkovChain(3), 200
    model = with_network(chain)
    tokens, p = chain.sequences.repeat_interleave(draws, 0), chain.log_probs.exp().repeat_interleave(draws) / draws
    times = ((torch.arange(draws) + 0.5) / draws).repeat(64)
    many = Noise(times, noise(len(tokens), 3).uniforms)
    bounds = {T: (likelihood(in_steps(model, T)).draw(Batch(tokens), many) * p).sum().item() for T in (1, 3)}
    letters = torch.nn.functional.one_hot(chain.sequences, DNA.size).double()
    marginals = torch.einsum("n,nlv->lv", chain.log_probs.exp(), letters)
    assert bounds[1] == pytest.approx(-marginals.xlogy(marginals).sum().item(), rel=1e-9)
    assert bounds[1] > bounds[3] > chain.entropy()
    assert model.objective.T is None


def test_an_autoregressive_model_is_measured_exactly_and_knows_nothing_of_steps_or_hidden_letters(model):
    objective = AR()
    exact = DiffusionModel(ModelConfig(model=model.config.model, objective=objective), DNA)
    exact.load_state_dict(model.state_dict())
    tokens = letters()
    result = figure(exact, likelihood(exact), tokens, sweeps=5)
    assert (result.meaning, result.n_sweeps, result.monte_carlo) == (Meaning.EXACT, 1, 0.0)
    assert training_loss(exact).meaning is Meaning.EXACT
    with pytest.raises(InputError, match=r"evaluate.T: AR has no bound in discrete time; leave T out"):
        in_steps(exact, 10)
    with pytest.raises(InputError, match=r"evaluate.estimator: AR here has no masks that one would draw; leave it out"):
        likelihood(exact, Pairs())
    with pytest.raises(InputError, match="AR gives a NextToken, which knows no hidden letters given all others"):
        posterior(exact)


@pytest.mark.parametrize("objective", get_args(get_args(Objective)[0]), ids=lambda objective: objective.__name__)
def test_every_objective_is_measured_and_on_both_strands_alike(objective):
    schedule = {"schedule": Learned()} if objective is GenMD4 else {}
    model = model_of(Mamba(width=8, n_layers=1, n_states=2), objective=objective(), **schedule)
    tokens = torch.from_numpy(letters(5).astype(np.int64))
    tokens[1, 4], tokens[2, 6:], tokens[3] = DNA.unknown, DNA.pad, DNA.unknown
    batch, measure = Batch(tokens, valid=tokens != DNA.pad), likelihood(model)
    given = noise(5, n_uniforms=measure.n_uniforms)
    mirrored = Noise(given.times, given.uniforms.flip(-1))
    nats = measure.draw(batch, given)
    assert (nats.dtype, nats.shape, nats[3].item()) == (torch.float64, (5,), 0.0)
    assert nats.isfinite().all()
    both = both_strands(measure, model)
    forward, backward = both.draw(batch, given), both.draw(opposite_strand(batch, DNA), mirrored)
    assert torch.allclose(forward, backward, rtol=1e-5)


def test_one_strand_is_enough_for_an_equivariant_network():
    equivariant = model_of(Caduceus(width=8, n_layers=1, n_states=2))
    measure = likelihood(equivariant)
    assert both_strands(measure, equivariant) is measure


def test_letters_without_an_opposite_strand_are_refused(model):
    text = copy.copy(model)
    text.vocab = dataclasses.replace(DNA, complement=None)
    with pytest.raises(InputError, match="strands=both: these letters have no opposite strand; leave it at given"):
        both_strands(likelihood(text), text)


def test_shards_give_what_one_process_gives_bit_for_bit(model):
    tokens, measure = letters(), likelihood(model)
    whole = Draws.empty(3, N_ROWS, 4)
    fill(whole, model, measure, lambda rows: tokens[rows], seed=5)
    merged = Draws.empty(3, N_ROWS, 4)
    for number in (3, 1, 2):
        part = Draws.empty(3, N_ROWS, 4)
        fill(part, model, measure, lambda rows: tokens[rows], seed=5, shard=Shard(number, 3))
        assert not (part.done & merged.done).any()
        assert part.n_done(Shard(number, 3)) == part.n_rows(Shard(number, 3)) > 0
        merged.merge(part)
    assert merged.done.all()
    assert (merged.nats == whole.nats).all()
    assert combine(merged, measure, seed=5) == combine(whole, measure, seed=5)


def test_killed_at_any_batch_it_goes_on_without_losing_or_repeating_rows(model, tmp_path, monkeypatch):
    tokens, measure = letters(), likelihood(model)
    uninterrupted = Draws.empty(2, N_ROWS, 4)
    fill(uninterrupted, model, measure, lambda rows: tokens[rows], seed=0)
    monkeypatch.setattr(kept, "SAVE_SECONDS", 0.0)
    torch.set_num_threads(1)
    drawn = []

    def go_on(last):
        """Draw in a process of its own that is killed after `last` batches."""
        child = os.fork()
        if child == 0:
            draws, n_left = Draws.empty(2, N_ROWS, 4), last

            def progress(_):
                nonlocal n_left
                save()
                n_left -= 1
                if n_left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            with DrawsFile(tmp_path / "draws.npz", {"seed": 0}).keeping(draws) as save:
                fill(draws, model, measure, lambda rows: tokens[rows], seed=0, progress=progress)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    for last in (1, 4, 2):
        assert go_on(last) == -signal.SIGKILL
        found = Draws.empty(2, N_ROWS, 4)
        DrawsFile(tmp_path / "draws.npz", {"seed": 0}).load(found)
        drawn.append(int(found.done.sum()))
    assert drawn == [1, 5, 7]
    (tmp_path / f"{TEMPORARY}7-draws.npz").write_bytes(b"cut short")
    assert go_on(100) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["draws.npz"]
    resumed = Draws.empty(2, N_ROWS, 4)
    DrawsFile(tmp_path / "draws.npz", {"seed": 0}).load(resumed)
    assert resumed.done.all()
    assert resumed.nats.tobytes() == uninterrupted.nats.tobytes()
    assert resumed.n_scored.tobytes() == uninterrupted.n_scored.tobytes()


def test_draws_of_another_evaluation_or_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "draws.npz"
    with DrawsFile(path, {"evaluate": {"sweeps": 2}}).keeping(Draws.empty(2, 8, 4)):
        pass
    with pytest.raises(InputError, match=r"another evaluation \(evaluate.sweeps was 2, is 3\); choose another --out"):
        DrawsFile(path, {"evaluate": {"sweeps": 3}}).load(Draws.empty(3, 8, 4))
    for size in (0, 50, 400, path.stat().st_size - 3):
        (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:size])
        with pytest.raises(InputError, match=r"cut.npz: cannot be read .* remove it"):
            DrawsFile(tmp_path / "cut.npz", {}).load(Draws.empty(2, 8, 4))


@pytest.mark.parametrize("text", ["", "2", "a/b", "0/4", "5/4", "-1/4", "1/4/5", "²/4"])
def test_shards_are_written_as_number_and_count(text):
    with pytest.raises(InputError, match="--shard"):
        Shard.parse(text)
    assert Shard.parse("2/8") == Shard(2, 8)
