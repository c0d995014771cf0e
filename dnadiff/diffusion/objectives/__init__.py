"""Objectives: what is minimised, and how the head is read. `Objective` lists all there are."""

from dnadiff.diffusion.objectives.mdlm import MDLM

__all__ = ["MDLM", "Objective"]

Objective = MDLM
