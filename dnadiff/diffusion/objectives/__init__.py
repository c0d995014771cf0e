"""Objectives: what is minimised, and how the head is read. `Objective` lists all there are."""

from dnadiff.diffusion.objectives.mdlm import MDLM

Objective = MDLM
