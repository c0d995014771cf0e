"""MDLM: the continuous-time bound of masked diffusion with SUBS parameterisation (Sahoo et al. 2024, eq. 10).

-log p(x) <= E_t [ -alpha'(t) / (1 - alpha(t)) * sum over hidden positions of -log p(x_i | visible) ].

Unusual: the head runs at hidden positions only, and the integral's weight multiplies nothing where nothing is hidden,
so a batch without a single scored position has loss zero and gradient zero.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.contracts import LossTerms
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.schedules import Schedule
from dnadiff.diffusion.subs import SubsDenoiser, letter_nats
from dnadiff.network import Network
from dnadiff.vocab import Vocab


class MDLM(Settings):
    """Masked diffusion, continuous time."""

    kind: Literal["mdlm"] = "mdlm"
    first_time: float = Field(1e-3, ge=0, lt=0.5)
    """Training times are drawn from [first_time, 1): bounds the weight 1/t of nearly clean rows."""

    def loss(self, network: Network, batch: Batch, noise: Noise, schedule: Schedule, vocab: Vocab) -> LossTerms:
        """Weighted nats per position; their mean over `valid` is the bound per letter."""
        scored = vocab.is_letter(batch.tokens) & batch.real  # (batch, length)
        times = self.first_time + (1.0 - self.first_time) * noise.times  # (batch,)
        alpha = schedule.alpha(times)
        hidden = scored & (noise.uniforms >= alpha[:, None])
        noisy = replace(batch, tokens=batch.tokens.masked_fill(hidden, vocab.mask))
        log_probs = self.denoiser(network, vocab)(noisy, hidden, times if network.time_conditioned else None)
        weight = (-schedule.dalpha(times) / (1.0 - alpha))[:, None].expand_as(hidden)  # (batch, length)
        nats = torch.zeros(hidden.shape, dtype=log_probs.dtype, device=log_probs.device)
        nats = nats.masked_scatter(hidden, letter_nats(log_probs, batch.tokens[hidden], vocab) * weight[hidden])
        return LossTerms(nats, scored, is_bound=True)

    def denoiser(self, network: Network, vocab: Vocab) -> SubsDenoiser:
        """The network as a posterior over letters, read exactly as training reads it."""
        return SubsDenoiser(network, vocab)
