"""What is given never changes, and a filling does not depend on what it is drawn beside."""

import re

import numpy as np
import pytest
from Bio.Seq import Seq

import dnadiff
from dnadiff import dna
from dnadiff.diffusion.objectives import AR, MDLM, SEDD, GenMD4
from dnadiff.diffusion.samplers import Ancestral, Auto, FirstHitting, Ordered, PathPlanning, ReMDM
from dnadiff.errors import InputError
from dnadiff.inference import infill as module
from dnadiff.inference.design import Constraints, Site
from dnadiff.inference.infill import PAD_TO, Gapped, infill
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, Mamba
from dnadiff.vocab import DNA

RULES = Constraints(avoid="GAATTC,TGC,ACRT", max_homopolymer=2, gc=(0.3, 0.6))


def small(objective):
    causal = isinstance(objective, AR)
    backbone = (Mamba if causal else Caduceus)(width=8, n_layers=1, n_states=2)
    config = ModelConfig(model=backbone, objective=objective, **({"schedule": {"kind": "learned"}}
                         if isinstance(objective, GenMD4) else {}))  # fmt: skip
    return DiffusionModel(config, DNA).double().eval()


def gapped(length, seed, constraints=None):
    """A random sequence with some gaps."""
    generator = np.random.default_rng(seed)
    text = "".join(generator.choice(list("ACGT"), length))
    if constraints:
        text = ("ACTG" * length)[:length]  # keeps the rules
    free = generator.random(length) < 0.4
    tokens = np.where(free, np.uint8(DNA.mask), dna.encode(text))
    site = Site(
        "here", "".join("N" if gap else base for base, gap in zip(text, free, strict=True)), free, 0, length, False
    )
    return Gapped(tokens, constraints and (lambda: constraints.lattice(site)))


@pytest.mark.case(60)
@pytest.mark.parametrize(("objective", "sampler", "constraints"), [
    (MDLM(), Auto(steps=4), None), (SEDD(), Auto(steps=4), None), (MDLM(), PathPlanning(steps=4), None),
    (MDLM(), Auto(steps=4), RULES), (GenMD4(), Auto(steps=4), RULES), (SEDD(), Ancestral(steps=4, top_p=0.6), RULES),
    (MDLM(), FirstHitting(), RULES), (MDLM(), ReMDM(steps=6, eta=0.8), RULES),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_fillings_keep_what_is_given_and_depend_on_no_neighbour(objective, sampler, constraints):
    model = small(objective)
    rows = [gapped(length, seed, constraints) for seed, length in enumerate((20, PAD_TO + 5, 33, 9))]
    found = infill(model, rows, sampler, n=2, seed=2)
    for row, fillings in zip(rows, found, strict=True):
        assert fillings.shape == (2, len(row.tokens))
        given = row.tokens != DNA.mask
        assert (fillings[:, given] == row.tokens[given]).all()
        assert np.isin(fillings, DNA.letters).all()
    assert len({fillings.tobytes() for fillings in found[1]}) == 2
    alone = infill(model, rows, sampler, n=2, seed=2, batch_size=1)
    assert all(np.array_equal(*pair) for pair in zip(found, alone, strict=True))
    fewer = infill(model, rows, sampler, n=1, seed=2, batch_size=3)
    assert all(np.array_equal(one, several[:1]) for one, several in zip(fewer, found, strict=True))
    assert not np.array_equal(infill(model, rows[:2], sampler, seed=3)[1][0], found[1][0])


def test_rules_hold_of_every_filling():
    rows = [gapped(length, seed, RULES) for seed, length in enumerate((40, 70, 41))]
    for row, fillings in zip(rows, infill(small(MDLM()), rows, Auto(steps=4), n=20), strict=True):
        for text in map(dna.decode, fillings):
            both = text + "N" + str(Seq(text).reverse_complement())
            assert not any(word in both for word in ("GAATTC", "TGC", "ACAT", "ACGT", "AAA", "CCC"))
            assert 0.3 <= sum(map(text.count, "GC")) / len(row.tokens) <= 0.6


def test_large_lattices_are_drawn_from_in_smaller_batches_with_the_same_result(monkeypatch):
    model, rows = small(MDLM()), [gapped(length, seed, RULES) for seed, length in enumerate((14, 30))]
    found, sizes = infill(model, rows, Auto(steps=2), n=3), []
    monkeypatch.setattr(module, "MOST_TOGETHER", 2 * rows[1].lattice().n_states)
    again = infill(model, rows, Auto(steps=2), n=3, progress=sizes.append)
    assert sizes == [2, 2, 2]
    assert all(np.array_equal(*pair) for pair in zip(found, again, strict=True))


@pytest.mark.parametrize("sampler", [Auto(steps=3), FirstHitting()], ids=repr)
def test_one_of_several_candidates_is_kept_and_none_depends_on_a_neighbour(sampler):
    model, rows = small(MDLM()), [gapped(length, seed, RULES) for seed, length in enumerate((14, 30))]
    found = infill(model, rows, sampler, n=2, candidates=3)
    every = infill(model, rows, sampler, n=6)
    for kept, trials in zip(found, every, strict=True):
        assert all((kept[copy] == trials[3 * copy : 3 * copy + 3]).all(1).any() for copy in (0, 1))
    again = infill(model, rows, sampler, n=2, candidates=3, batch_size=2)
    assert all(np.array_equal(*pair) for pair in zip(found, again, strict=True))
    with pytest.raises(InputError, match="candidates: remdm hides letters again"):
        infill(model, rows, ReMDM(steps=3), candidates=2)


def test_what_ranks_letters_cannot_keep_constraints():
    with pytest.raises(InputError, match="ordered cannot keep constraints; choose ancestral"):
        infill(small(MDLM()), [gapped(30, 0, RULES)], Ordered(steps=4))


def test_an_autoregressive_model_cannot_fill_gaps():
    with pytest.raises(InputError, match="goes on from the start of a sequence and cannot fill a gap"):
        infill(small(AR()), [gapped(30, 0)], Auto())


def test_a_notebook_fills_strings():
    model = dnadiff.Model(small(MDLM()))
    found = model.infill(["ACNNnnRU", "acgt"], n=3, sampler=Auto(steps=2), ban="T", max_homopolymer=2)
    assert all(re.fullmatch("AC[ACG]{2}[acg]{2}[AG]U", text) for text in found[0])
    assert found[1] == ["acgt"] * 3
    assert model.infill("NNNN", sampler=Auto(steps=2)) == model.infill("NNNN", sampler=Auto(steps=2), batch_size=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.infill("ACXN"), "sequence 0: 'X' at position 2"),
        (
            lambda model: model.infill(["A", "NN"], contain="ACG"),
            "sequence 0: contain=ACG cannot be kept by any filling",
        ),
        (lambda model: model.infill("NN", avoids="ACG"), "constraints: avoids: .*did you mean 'avoid'"),
        (lambda model: model.infill("NN", n=0), "n=0, .*: give 1, 1, 1 and 0 or more"),
    ],
)
def test_a_notebook_says_what_is_wrong(call, message):
    with pytest.raises(InputError, match=message):
        call(dnadiff.Model(small(MDLM())))


@pytest.mark.case(60)
def test_nothing_to_fill_and_no_filling_are_fine():
    model, row = small(MDLM()), gapped(12, 0)
    whole = Gapped(np.where(row.tokens == DNA.mask, np.uint8(DNA.letters[0]), row.tokens))
    assert np.array_equal(infill(model, [whole], Auto(steps=2))[0][0], whole.tokens)
    assert infill(model, [row], Auto(steps=2), n=0)[0].shape == (0, 12)
    assert infill(model, [], Auto(steps=2)) == []
