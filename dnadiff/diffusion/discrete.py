"""Discrete time: masked diffusion as a chain of T steps (Austin et al. 2021; Sahoo et al. 2024, section 3).

Step i of T goes back from time t = i / T to s = (i - 1) / T, and the bound on -log p is the sum over steps of a KL
divergence between q(x_s | x_t, x_0) and the model. Nothing is truncated: the chain begins with every letter and ends
with none, whatever the schedule leaves over, so that masks alone are its prior, the bound at T is a bound, and it falls
towards the continuous one as T grows.

Unusual: the first step has a limit where the authors' code divides zero by zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dnadiff.diffusion.contracts import NoiseSchedule


class Step(NamedTuple):
    """One step of the chain.

    Attributes:
        alpha_s, alpha_t: (n,) float64 chance to be visible before and after it, 1 before the first, 0 after the last.
    """

    alpha_s: Tensor
    alpha_t: Tensor

    @property
    def reveal(self) -> Tensor:
        """(n,) chance that a position hidden at t is revealed on the way back to s; 1 in the first step."""
        return (self.alpha_s - self.alpha_t) / (1.0 - self.alpha_t)


def step_at(times: Tensor, n_steps: int, schedule: NoiseSchedule) -> Step:
    """The steps that times (batch,) in [0, 1] fall into, each as likely as the others."""
    before = (times.double() * n_steps).floor().clamp(max=n_steps - 1)  # a time may be rounded to 1
    alpha_s, alpha_t = schedule.alpha(before / n_steps), schedule.alpha((before + 1.0) / n_steps)
    return Step(alpha_s.masked_fill(before == 0, 1.0), alpha_t.masked_fill(before == n_steps - 1, 0.0))


def step_nats(letter_nats: Tensor, mask_prob: Tensor, step: Step) -> Tensor:
    """KL divergence of one step at hidden positions, with x_0 predicted over the letters and the mask.

    The model's p(x_s | x_t) is in proportion to the sum over x_0 of q(x_s, x_t | x_0) p(x_0 | x_t) (Austin et al. 2021,
    eq. 4). To x_0 = mask belongs x_s = mask, so what the head gives to the mask delays revealing. It is
    `step.reveal * letter_nats` where that is zero.

    Args:
        letter_nats: -log p(x_0 = true letter | x_t).
        mask_prob: p(x_0 = mask | x_t), in the same shape.
        step: of each position, in a shape that goes with theirs.

    Returns:
        float64, in that shape.
    """
    delay_t, delay_s = (
        torch.log1p(alpha * mask_prob / (1.0 - alpha).clamp(min=torch.finfo(torch.float64).tiny))
        for alpha in (step.alpha_t, step.alpha_s)
    )  # log of what the mask adds to each normaliser; endless before the first step, where nothing can stay hidden
    return step.reveal * letter_nats + delay_t - (1.0 - step.reveal) * delay_s
