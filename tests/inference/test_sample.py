"""A seed means the same sequences, whatever they are drawn beside."""

import numpy as np
import pytest

from dnadiff.diffusion.objectives import AR, MDLM, SEDD, Plaid
from dnadiff.diffusion.samplers import (
    Analytic,
    Ancestral,
    Auto,
    EntropyBounded,
    FirstHitting,
    Ordered,
    PathPlanning,
    ReMDM,
)
from dnadiff.dna import decode
from dnadiff.errors import InputError
from dnadiff.inference.sample import Wanted, banned_letters, sample
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, Mamba
from dnadiff.vocab import DNA, Vocab


def small(objective):
    causal = isinstance(objective, AR)
    backbone = (Mamba if causal else Caduceus)(width=8, n_layers=1, n_states=2)
    return DiffusionModel(ModelConfig(model=backbone, objective=objective), DNA).double().eval()


every_sampler = pytest.mark.parametrize(("objective", "sampler"), [
    *((objective, Auto(steps=5)) for objective in (MDLM(), SEDD(), AR(), Plaid())),
    (SEDD(), Ancestral(steps=5)), (SEDD(), Analytic(steps=5, grid="cosine")), (MDLM(), FirstHitting()),
    (MDLM(), EntropyBounded(bound=4.0)), (MDLM(), Ordered(steps=5, order="drawn")), (MDLM(), PathPlanning(steps=5)),
    (MDLM(), ReMDM(steps=5, remask="conf", eta=1.0, top_p=0.9)),
], ids=lambda settings: settings.kind)  # fmt: skip


@every_sampler
def test_neither_the_batch_size_nor_the_number_of_sequences_enters_what_is_drawn(objective, sampler):
    model = small(objective)
    drawn = sample(model, 7, 12, sampler, seed=3)
    for batch_size in (1, 3):
        assert np.array_equal(sample(model, 7, 12, sampler, seed=3, batch_size=batch_size), drawn)
    assert np.array_equal(sample(model, 4, 12, sampler, seed=3), drawn[:4])
    assert len(np.unique(drawn, axis=0)) == 7
    assert not np.array_equal(sample(model, 7, 12, sampler, seed=4), drawn)


@every_sampler
def test_a_banned_letter_is_never_drawn(objective, sampler):
    model = small(objective)
    free = sample(model, 6, 12, sampler, seed=3)
    assert "T" in "".join(map(decode, free.astype(np.uint8)))
    for ban, left in ((["T"], "ACG"), (["t", "CG"], "A")):
        drawn = sample(model, 6, 12, sampler, seed=3, ban=ban)
        assert set("".join(map(decode, drawn.astype(np.uint8)))) <= set(left)
    if isinstance(objective, Plaid):  # which draws whole sequences
        return
    around = Wanted(context=6).around
    drawn = sample(model, 6, 12, sampler, seed=3, ban=["TG"], around=around)
    assert set("".join(map(decode, drawn.astype(np.uint8)))) <= set("AC")


def test_letters_are_banned_by_their_names():
    assert banned_letters(DNA, ["T", "c"]).tolist() == [False, True, False, True]
    assert Wanted(ban="CG").ban == ("CG",)
    characters = Vocab(("a", "b", "[MASK]", "c"), 4, (0, 1, 3), mask=2, pad=2, unknown=2)
    assert banned_letters(characters, ["ac"]).tolist() == [True, False, True]
    words = Vocab(("the", "a", "[MASK]", "t"), 4, (0, 1, 3), mask=2, pad=2, unknown=2)
    assert banned_letters(words, ["the"]).tolist() == [True, False, False]
    for vocab, ban, message in (
        (words, ["at"], "ban 'at': is no letter of this model"),
        (words, ["thee"], r"ban 'thee': is no letter of this model \(did you mean 'the'\?\); name some of its own"),
        (DNA, ["N"], "ban 'N': is no letter of this model"),
        (DNA, ["ACG", "T"], "ban ACG,T: leaves no letter to draw; name fewer"),
    ):
        with pytest.raises(InputError, match=message):
            banned_letters(vocab, ban)
