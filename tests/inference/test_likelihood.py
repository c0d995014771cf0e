import itertools
import math

import numpy as np
import pytest
import torch

from dnadiff import dna
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.objectives import AR, MLM, GenMD4
from dnadiff.errors import InputError
from dnadiff.inference.api import Model
from dnadiff.inference.estimate import Meaning
from dnadiff.inference.likelihood import base_log_probs, log_prob
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, DiT, Mamba
from dnadiff.vocab import DNA

SIZES = {"width": 8, "n_layers": 1, "n_states": 2}


def model_of(backbone, **others):
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=backbone, **others), DNA)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return Model(model)


@pytest.fixture(scope="module")
def masked():
    return model_of(Caduceus(**SIZES))


@pytest.fixture(scope="module")
def autoregressive():
    return model_of(Mamba(**SIZES), objective=AR())


@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_exact_likelihoods_of_all_sequences_sum_to_one(name, request):
    words = ["".join(word) for word in itertools.product("ACGT", repeat=3)]
    found = request.getfixturevalue(name).log_prob(words, "exact")
    assert math.fsum(math.exp(one.nats) for one in found) == pytest.approx(1.0, rel=1e-5)
    assert {one.meaning for one in found} == {Meaning.EXACT}
    assert {one.standard_error for one in found} == {0.0}


def test_bounds_are_below_the_likelihood_and_agree(masked):
    (exact,), (bound,), (chain,) = (
        masked.log_prob("GATTAC", method, draws=n) for method, n in [("exact", 1), ("bound", 4000), ("chain_rule", 700)]
    )
    assert bound.meaning is chain.meaning is Meaning.BOUND
    assert exact.n_scored == bound.n_scored == 6
    assert bound.nats == pytest.approx(chain.nats, abs=5 * math.hypot(bound.standard_error, chain.standard_error))
    assert chain.nats < exact.nats - 3 * chain.standard_error


def test_a_region_given_its_flanks(masked):
    """By enumeration: p(region | flanks) sums to one over the letters of the region; N and flanks are given."""
    words = ["".join(word) for word in itertools.product("ACGT", repeat=2)]
    found = [masked.log_prob(f"GA{word}NC", "exact", region=(2, 5))[0] for word in words]
    assert math.fsum(math.exp(one.nats) for one in found) == pytest.approx(1.0, rel=1e-5)
    assert {one.n_scored for one in found} == {2}
    (bound,) = masked.log_prob(f"GA{words[6]}NC", region=(2, 5), draws=2000)
    assert bound.nats < found[6].nats + 5 * bound.standard_error
    assert bound.nats == pytest.approx(found[6].nats, abs=0.2)
    (all_of_it,) = masked.log_prob("GATT", "exact", region=(0, 4))
    assert all_of_it == masked.log_prob("GATT", "exact")[0]


def test_pseudo_likelihood_is_labelled_and_is_what_a_language_model_without_likelihood_has(masked):
    mlm = model_of(Caduceus(**SIZES), objective=MLM())
    (found,), (same,) = (model.log_prob("GATTACA", "pseudo") for model in (mlm, masked))
    assert found == same
    assert found.meaning is Meaning.PSEUDO
    with pytest.raises(InputError, match="MLM has no likelihood, nor a bound; choose method='pseudo'"):
        mlm.log_prob("GATTACA")
    with pytest.raises(InputError, match="no likelihood, nor a bound"):
        mlm.bits_per_base("GATTACA")


def test_an_autoregressive_model_is_exact_at_any_length(autoregressive):
    (found,) = autoregressive.log_prob("GATTACA" * 9)
    assert (found.meaning, found.standard_error, found.n_scored) == (Meaning.EXACT, 0.0, 63)
    assert -found.nats / 63 == pytest.approx(autoregressive.bits_per_base("GATTACA" * 9).nats.value, rel=1e-6)
    for method, region in [("chain_rule", None), ("pseudo", None), ("bound", (2, 5)), ("exact", (2, 5))]:
        with pytest.raises(InputError, match="AR gives a NextToken, which knows no hidden letters given all others"):
            autoregressive.log_prob("GATTACA", method, region=region)


def test_the_size_of_a_batch_changes_nothing_and_the_seed_the_draws(masked):
    for method in ("bound", "exact", "chain_rule", "pseudo"):
        one, many = (masked.log_prob("GATTA", method, draws=6, batch_size=size)[0].nats for size in (1, 100))
        assert one == pytest.approx(many, rel=1e-5)
    assert masked.log_prob("GATTA", draws=6) == masked.log_prob("GATTA", draws=6)
    assert masked.log_prob("GATTA", draws=6) != masked.log_prob("GATTA", draws=6, seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": "ACGT" * 4, "method": "exact"}, r"16 positions need 2\*\*16 masks, .*choose a shorter region"),
        ({"sequences": "ACGT", "method": "magic"}, "method='magic': choose one of bound, exact, chain_rule, pseudo"),
        ({"sequences": "ACGT", "region": (2, 9)}, r"region 2-9: is not inside the sequence \(0-4\)"),
        ({"sequences": "ACGT", "region": (2, 2)}, "region 2-2: is not inside"),
        ({"sequences": "ANNT", "region": (1, 3)}, "no base to score between 1 and 3"),
        ({"sequences": "ACGT", "draws": 0}, "draws=0"),
        ({"sequences": ["ACGT", "NN"]}, "sequence 1: no base to score between 0 and 2"),
        ({"sequences": ["ACGT", ""]}, "sequence 1: no base to score: the sequence is empty; leave it out"),
        ({"sequences": ["ACGT", "AC"], "region": (1, 3)}, "sequence 1: region 1-3: is not inside"),
        ({"sequences": ["ACGT", "ACGT" * 4], "method": "exact"}, "sequence 1: method='exact': 16 positions"),
        ({"sequences": 5}, "sequences hold 5; pass strings over A C G T N"),
        ({"sequences": None}, "sequences hold None; pass strings over A C G T N"),
    ],
)
def test_mistakes_say_how_to_mend_them(masked, arguments, message):
    with pytest.raises(InputError, match=message):
        masked.log_prob(**arguments)


def test_networks_that_are_told_the_time_have_no_exact_sum_over_masks():
    model = model_of(DiT(width=16, n_blocks=1, n_heads=2, conditioning="time"))
    with pytest.raises(InputError, match=r"told the time, which a sum over masks leaves out; choose method='bound'"):
        model.log_prob("ACGT", "exact")
    (bound,), (chain,) = (model.log_prob("ACGT", method, draws=800) for method in ("bound", "chain_rule"))
    assert bound.nats == pytest.approx(chain.nats, abs=5 * math.hypot(bound.standard_error, chain.standard_error))


def test_letters_that_are_revealed_at_rates_of_their_own_have_no_uniform_order():
    model = model_of(Caduceus(**SIZES), objective=GenMD4(), schedule=Learned())
    for method, region in [("exact", None), ("chain_rule", None), ("bound", (1, 3))]:
        with pytest.raises(InputError, match=r"GenMD4 reveals each letter at a rate of its own.* use method='bound'"):
            model.log_prob("GATTACA", method, region=region)
    assert model.log_prob("GATTACA")[0].meaning is Meaning.BOUND


def test_one_draw_has_no_known_error(masked):
    found = log_prob(masked.network, dna.encode("ACGT"), draws=1)
    assert np.isnan(found.standard_error)


def test_what_each_base_has_sums_to_the_whole(masked):
    row = dna.encode("GATNTACA")
    pseudo, bases = base_log_probs(masked.network, row, "pseudo")
    assert np.isnan(bases).nonzero()[0].tolist() == [3]
    assert np.nansum(bases) == pytest.approx(log_prob(masked.network, row, "pseudo").nats) == pytest.approx(pseudo.nats)
    found, bases = base_log_probs(masked.network, row, draws=400, region=(1, 6))
    other = log_prob(masked.network, row, draws=400, region=(1, 6))
    assert np.isfinite(bases).nonzero()[0].tolist() == [1, 2, 4, 5]
    assert np.nansum(bases) == pytest.approx(found.nats) == pytest.approx(other.nats)
    assert found.standard_error == pytest.approx(other.standard_error)
    with pytest.raises(InputError, match="method='exact': has no parts for each base; choose bound or pseudo"):
        base_log_probs(masked.network, row, "exact")
