"""Gaussian diffusion z = alpha x + sigma noise (variational diffusion models, Kingma et al. 2021, section 3).

Everything is a function of gamma = log(sigma^2 / alpha^2), with alpha^2 + sigma^2 = 1; gamma rises with time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 10.0  # how much faster some numbers learn than the network
LEAST, MOST = 2.0**-25, 1.0 - 2.0**-24  # of a uniform: what float32 draws can tell from 0 and 1


def alpha(gamma: Tensor) -> Tensor:
    """What is left of the signal."""
    return torch.sigmoid(-gamma).sqrt()


def sigma(gamma: Tensor) -> Tensor:
    """Standard deviation of the noise."""
    return torch.sigmoid(gamma).sqrt()


def gaussians(uniforms: Tensor) -> Tensor:
    """Standard normal numbers by the inverse of their distribution; uniforms in [0, 1), float32 or better."""
    numbers: Tensor = torch.special.ndtri(uniforms.clamp(LEAST, MOST))
    return numbers


def prior_nats(gamma: Tensor, width: int) -> Tensor:
    """KL of N(alpha x, sigma^2) from N(0, 1) for a unit vector x of `width` numbers (VDM, eq. 11, first term)."""
    return 0.5 * ((1 - width) * torch.sigmoid(-gamma) + width * F.softplus(-gamma))


def reverse_step(z: Tensor, x: Tensor, gamma_from: Tensor, gamma_to: Tensor, noise: Tensor) -> Tensor:
    """A draw of z at less noise, given z and the clean x (VDM, app. A.4, eq. 33)."""
    away = -torch.expm1(gamma_to - gamma_from)  # share of the way from z towards x
    kept = (1 - away) * alpha(gamma_to) / alpha(gamma_from)
    return kept * z + away * alpha(gamma_to) * x + away.sqrt() * sigma(gamma_to) * noise


def quick(raw: Tensor) -> Tensor:
    """RATE times a parameter: Adam moves whatever is stored by about its learning rate, hence this RATE times as far.

    The gradient is passed on unchanged, so that these numbers take no larger part in a norm that is clipped.
    """
    return raw + (RATE - 1) * raw.detach()


class Course(NamedTuple):
    """A monotone function from [0, 1] onto [0, 1] and its derivatives; all (batch,) float64."""

    share: Tensor
    speed: Tensor
    bend: Tensor


class LearnedGamma(nn.Module):
    """gamma(t), monotone, with learned ends and a learned course between them (Gulrajani & Hashimoto 2023).

    The bound depends on the ends, which follow its gradient. On average it does not depend on the course, which follows
    `variance_surrogate` instead. The course is a sum of `n_units` rising tanh curves, as in the authors' code, which
    gives all of this and the embeddings a learning rate of their own, 1e-2: hence `quick`.
    """

    def __init__(self, start: float, stop: float, n_units: int = 1024) -> None:
        super().__init__()
        self.raw_start = nn.Parameter(torch.tensor(start / RATE))
        self.raw_stop = nn.Parameter(torch.tensor(stop / RATE))
        self.raw_slopes = nn.Parameter(torch.randn(n_units) / RATE)
        self.raw_offsets = nn.Parameter(torch.randn(n_units) / RATE)
        self.raw_weights = nn.Parameter(torch.randn(n_units) / RATE)

    @property
    def start(self) -> Tensor:
        """gamma at t = 0, () float64."""
        return quick(self.raw_start.double())

    @property
    def stop(self) -> Tensor:
        """gamma at t = 1, () float64."""
        return quick(self.raw_stop.double())

    def course(self, t: Tensor) -> Course:
        """How far gamma is on its way at times t (batch,)."""
        slopes, weights = F.softplus(quick(self.raw_slopes.double())), F.softplus(quick(self.raw_weights.double()))
        times = torch.cat([t.double(), torch.arange(2, dtype=torch.float64, device=t.device)])  # and both ends
        curves = torch.tanh(slopes * (times[:, None] - 0.5) + quick(self.raw_offsets.double()))  # (batch + 2, n_units)
        heights = curves @ weights
        low, high = heights[-2:]
        rising = (1 - curves[:-2].square()) * slopes
        speed = rising @ weights
        bend = -2 * (rising * curves[:-2] * slopes) @ weights
        return Course((heights[:-2] - low) / (high - low), speed / (high - low), bend / (high - low))

    def at(self, share: Tensor) -> Tensor:
        """gamma after a share of the way, float64."""
        return self.start + (self.stop - self.start) * share

    def forward(self, t: Tensor) -> Tensor:
        """gamma at times t (batch,), float64."""
        return self.at(self.course(t).share)


def variance_surrogate(course: Course, nats: Tensor) -> Tensor:
    """What to differentiate in the course's parameters so as to minimise E_t[nats^2], and with it the variance.

    With nats = gamma' h(gamma) the gradient is the integral of (gamma'^2 h^2) (d / dt)(change of gamma / gamma'), by
    parts, as the ends are fixed: no derivative of h, hence none of the network, is needed.

    Args:
        nats: (batch,) draws of the integrand of the bound at the course's times, without gradient.

    Returns:
        (batch,); only its gradient has a meaning, and only on average over t.
    """
    speed, bend = course.speed.detach(), course.bend.detach()
    return nats.square() * (course.speed / speed - bend * course.share / speed.square())
