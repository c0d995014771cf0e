"""Samplers: how a sequence is drawn from a denoiser. `Sampler` lists all there are."""

from dnadiff.diffusion.samplers.ancestral import Ancestral

Sampler = Ancestral
