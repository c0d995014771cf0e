"""Parity with numbers computed with MDLM's published code, and where that code is at fault, by how much."""

import math

import pytest
import torch
from golden_mdlm import GOLDEN, HIDDEN, SCALARS, SCHEDULES, SIX, Given

from dnadiff.batch import Batch
from dnadiff.diffusion.discrete import Step, step_nats
from dnadiff.diffusion.nats import letter_nats
from dnadiff.diffusion.noise import Noise, Stratified
from dnadiff.diffusion.objectives import D3PM, MDLM
from dnadiff.diffusion.schedules import LogLinear

NETWORK = Given(GOLDEN["in.logits"])
X0, XT, T = GOLDEN["in.x0"], GOLDEN["in.xt"], GOLDEN["in.t"]
UNTRUNCATED = LogLinear(eps=0.0)
PUBLISHED_LIMIT = 1 - 1e-4  # the published discrete loss takes later times for this one


def close(ours, golden, **tolerance):
    torch.testing.assert_close(ours, golden, **{"rtol": 1e-5, "atol": 1e-5, "check_dtype": False, **tolerance})


def nats(objective, times=T, hidden=HIDDEN, schedule=UNTRUNCATED, batch=None):
    """Per-token losses where given positions are hidden."""
    noise = Noise(times, hidden.float()[:, None])
    return objective.loss(NETWORK, batch or Batch(X0), noise, schedule, SIX).nats


def d3pm_log_probs(objective):
    """(3, 9, 6) what its head gives each letter: the reconstruction of rows that hold that letter alone."""
    columns = [
        -nats(objective, hidden=torch.zeros_like(HIDDEN), batch=Batch(torch.full_like(X0, letter)))
        for letter in SIX.letters
    ]
    return torch.stack(columns, -1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_total_noise_and_its_rate(name):
    schedule, t = SCHEDULES[name], GOLDEN["in.t_grid"]
    alpha = schedule.alpha(t)
    close(-alpha.log(), GOLDEN[f"out.noise.{name}.sigma"])
    close(-schedule.dalpha(t) / alpha, GOLDEN[f"out.noise.{name}.dsigma"])
    close(1 - schedule.alpha(T[:, None]), GOLDEN[f"out.move_chance.{name}"])


def test_subs_log_outputs():
    ours = MDLM().denoiser(NETWORK, UNTRUNCATED, SIX)(Batch(XT), HIDDEN)
    close(ours, GOLDEN["out.subs"][HIDDEN][:, :6])
    assert (GOLDEN["out.subs"][HIDDEN][:, 6] < -1e5).all()


def test_d3pm_log_outputs():
    ours = d3pm_log_probs(D3PM())
    close(ours, GOLDEN["out.d3pm"][..., :6])
    close(1 - ours.exp().sum(-1), GOLDEN["out.d3pm"][..., 6].exp())
    close(d3pm_log_probs(D3PM(zero_masking=True)), GOLDEN["out.d3pm_subs_masking"][..., :6])


@pytest.mark.parametrize("name", SCHEDULES)
def test_continuous_loss(name):
    close(nats(MDLM(first_time=0.0), schedule=SCHEDULES[name]), GOLDEN[f"out.loss.subs_ct.{name}"])


def test_padding_is_left_out_of_the_loss():
    attention = GOLDEN["in.attention_mask"].bool()
    ours = nats(MDLM(first_time=0.0), schedule=SCHEDULES["loglinear"], batch=Batch(X0, valid=attention))
    close(ours, GOLDEN["out.masked_nlls"])
    mean = ours.double().sum().item() / attention.sum().item()
    assert mean == pytest.approx(SCALARS["masked_token_nll"], rel=1e-6)
    assert math.exp(mean) == pytest.approx(SCALARS["metrics"]["val/ppl"], rel=1e-5)


@pytest.mark.parametrize("name", ["loglinear", "linear"])
def test_importance_sampling_but_for_the_published_weight(name):
    """The published weight is -f_0, whatever alpha(1); that of times between first_time and 1 is f_1 - f_0."""
    f_0, f_1 = (math.log(-math.expm1(-SCALARS[f"noise.{name}.sigma_{end}"])) for end in ("min", "max"))
    schedule, first_time = SCHEDULES[name], GOLDEN[f"out.noise.{name}.importance_t"][0].item()
    objective = MDLM(importance=True, first_time=first_time)

    def hidden_at(times):
        return 1 - objective.level(times, schedule).alpha

    close(hidden_at(GOLDEN["in.t_grid"]), 1 - schedule.alpha(GOLDEN[f"out.noise.{name}.importance_t"]), atol=1e-7)
    close(hidden_at(T[:, None]), GOLDEN[f"out.move_chance.change_of_variables.{name}"], atol=1e-7)
    for published in ("importance", "change_of_variables"):
        ours = nats(objective, schedule=schedule)
        close(ours * -f_0 / (f_1 - f_0), GOLDEN[f"out.loss.{published}.{name}"])
        assert not torch.allclose(ours, GOLDEN[f"out.loss.{published}.{name}"], rtol=1e-5)


def test_discrete_loss():
    """The first row's time is 1, which the published code takes for 0.9999."""
    objectives = {"subs": MDLM(T=1000), "d3pm": D3PM(), "d3pm_subs_masking": D3PM(zero_masking=True)}
    for name, objective in objectives.items():
        ours = nats(objective, times=GOLDEN["in.t_d3pm"])
        close(ours[1:], GOLDEN[f"out.loss.T1000.{name}"][1:], atol=3e-5)  # 1,000 times a float32 rounding
        assert not torch.allclose(ours[0], GOLDEN[f"out.loss.T1000.{name}"][0], rtol=1e-5)
    reconstruction = nats(D3PM(), hidden=torch.zeros_like(HIDDEN))
    close(reconstruction, GOLDEN["out.loss.T1000.d3pm_reconstruction_part"])


@pytest.mark.parametrize("name", ["subs", "d3pm", "d3pm_subs_masking"])
def test_discrete_loss_at_the_published_last_time(name):
    log_probs = GOLDEN[f"out.{name}"][0, HIDDEN[0]]
    n = len(log_probs)
    before, after = (torch.full((n,), 1 - t, dtype=torch.float64) for t in (PUBLISHED_LIMIT - 1e-3, PUBLISHED_LIMIT))
    ours = 1000 * step_nats(letter_nats(log_probs, X0[0, HIDDEN[0]], SIX), log_probs[:, 6].exp(), Step(before, after))
    if name != "subs":
        ours -= GOLDEN[f"out.{name}"][0, HIDDEN[0]].gather(-1, X0[0, HIDDEN[0], None])[:, 0]
    close(ours, GOLDEN[f"out.loss.T1000.{name}"][0, HIDDEN[0]], atol=1e-4)  # 1,000 times a float32 rounding


def test_times():
    """Ours are in [0, 1) before an objective maps them; under alpha = 1 - t they are the hidden fraction."""

    class Drawn:
        def random(self, n):
            return GOLDEN["in.t_uniforms"].numpy()[:n]

    independent = GOLDEN["in.t_uniforms"]
    stratified = torch.from_numpy(Stratified().draw(Drawn(), len(independent))).float()
    for name, times in (("independent", independent), ("antithetic", stratified)):
        close(1 - MDLM().level(times, UNTRUNCATED).alpha, GOLDEN[f"out.sample_t.{name}"])
    for name in ("loglinear", "linear"):
        first_time = GOLDEN[f"out.noise.{name}.importance_t"][0].item()
        ours = MDLM(importance=True, first_time=first_time).level(GOLDEN["out.sample_t.antithetic"], SCHEDULES[name])
        golden = SCHEDULES[name].alpha(GOLDEN[f"out.sample_t.antithetic_importance_{name}"])
        close(1 - ours.alpha, 1 - golden, atol=2e-7)


def test_noising():
    noise = Noise(GOLDEN["in.q_move_chance"][:, 0], 1 - GOLDEN["in.q_uniforms"][:, None])
    hidden = MDLM(first_time=0.0).loss(NETWORK, Batch(X0), noise, UNTRUNCATED, SIX).nats > 0
    assert torch.equal(X0.masked_fill(hidden, SIX.mask), GOLDEN["out.q_xt"])


def reveal_and_letters(schedule):
    """Chances of the letters and of staying hidden, one step back, at hidden positions: (n, 6) and (n, 1)."""
    row = HIDDEN.nonzero()[:, 0]
    step = Step(schedule.alpha(T - SCALARS["dt"])[row, None], schedule.alpha(T)[row, None])
    return step.reveal * MDLM().denoiser(NETWORK, schedule, SIX)(Batch(XT), HIDDEN).exp(), 1 - step.reveal


@pytest.mark.parametrize(
    ("name", "schedule"),
    [(f"ddpm.q_xs.subs.{name}", SCHEDULES[name]) for name in ("loglinear", "cosine", "geometric")]
    + [("ddpm_cache.q_xs.subs", UNTRUNCATED)],  # the published cached sampler leaves eps out, the plain one does not
)
def test_reverse_steps(name, schedule):
    published = GOLDEN[f"out.{name}"][HIDDEN]
    letters, stay = reveal_and_letters(schedule)
    normaliser = published.sum(-1, keepdim=True)
    close(letters, published[:, :6] / normaliser)
    close(stay, published[:, 6:] / normaliser)


def test_the_last_step_reveals_everything():
    letters = MDLM().denoiser(NETWORK, UNTRUNCATED, SIX)(Batch(XT), HIDDEN).exp()
    close(letters, GOLDEN["out.denoiser.probs.subs"][HIDDEN][:, :6])
    assert (GOLDEN["out.denoiser.probs.subs"][HIDDEN][:, 6] == 0).all()


@pytest.mark.parametrize("name", ["loglinear", "cosine", "geometric"])
def test_reverse_steps_of_d3pm_but_for_the_published_chance_to_stay(name):
    """Letters weigh (alpha_s - alpha_t) p; to stay, 1 - alpha_s there, though the loss adds alpha_s p(mask) to it."""
    schedule, dt = SCHEDULES[name], SCALARS["dt"]
    published = GOLDEN[f"out.ddpm.q_xs.d3pm.{name}"]
    weight = (schedule.alpha(T - dt) - schedule.alpha(T))[:, None, None]
    close((weight * d3pm_log_probs(D3PM()).exp())[HIDDEN], published[HIDDEN][:, :6])
    close((1 - schedule.alpha(T - dt))[:, None].expand(-1, 9)[HIDDEN], published[HIDDEN][:, 6])
