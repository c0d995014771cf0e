"""The sampler that suits an objective has all of the settings that it can use."""

import pytest

from dnadiff.diffusion.objectives import AR, MDLM, SEDD, Plaid
from dnadiff.diffusion.samplers import Analytic, Ancestral, Auto, Autoregressive
from dnadiff.diffusion.samplers.plaid import PlaidSampler

SHARP = {"temperature": 0.9, "top_k": 2, "top_p": 0.8}
GRID = {"steps": 7, "grid": "cosine"}


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (MDLM(), Ancestral(**SHARP, **GRID)),
        (SEDD(), Analytic(**SHARP, **GRID)),
        (AR(), Autoregressive(**SHARP)),
        (Plaid(), PlaidSampler(**SHARP, steps=7)),
    ],
    ids=lambda settings: settings.kind,
)
def test_auto_is_the_plain_sampler_with_the_settings_it_has(objective, expected):
    assert objective.sampler(Auto(**SHARP, **GRID)) == expected
    assert objective.sampler(Auto()) == type(expected)()
