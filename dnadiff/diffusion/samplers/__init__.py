"""Samplers: how a sequence is drawn from a denoiser. `Sampler` lists all there are."""

from dnadiff.diffusion.samplers.ancestral import Ancestral

__all__ = ["Ancestral", "Sampler"]

Sampler = Ancestral
