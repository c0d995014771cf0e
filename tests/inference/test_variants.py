"""Scores of variants: laws that hold for any network, weights random."""

import copy
import itertools

import numpy as np
import pytest
import torch

from dnadiff import dna
from dnadiff.data.fasta import Genome
from dnadiff.data.vcf import Variant
from dnadiff.diffusion import likelihood as over_orders
from dnadiff.diffusion.objectives import AR
from dnadiff.errors import InputError
from dnadiff.inference import variants
from dnadiff.inference.measures import posterior
from dnadiff.inference.variants import Pair, bound, distance, llr, pairs_of
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, Mamba
from dnadiff.vocab import DNA

SIZES = {"width": 8, "n_layers": 1, "n_states": 2}
ALLELES = [("A", "C"), ("ACG", "TTA"), ("", "GAT"), ("TTGC", ""), ("CC", "A")]


def model_of(backbone, **others):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DiffusionModel(ModelConfig(model=backbone, **others), DNA).double()
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def symmetric():
    return model_of(Caduceus(**SIZES))


@pytest.fixture(scope="module")
def plain():
    return model_of(Caduceus(symmetry="ph", **SIZES))


def pair_of(ref, alt, left="TTACGNACCA", right="GATCCANGTATA", place=(0, 10)):
    return Pair(*map(dna.encode, (left, ref, alt, right)), place)


def swapped(pair):
    return pair._replace(ref=pair.alt, alt=pair.ref)


PAIRS = [pair_of(*alleles, place=(0, number)) for number, alleles in enumerate(ALLELES)]


def scores(model, pairs, **settings):
    """Every score of each pair."""
    mean, error = bound(model, pairs, draws=8, context=settings.get("context"), **settings.get("how", {}))
    how = {"context": settings.get("context", 0), **settings.get("how", {})}
    return {"llr": llr(model, pairs, **how), "bound": mean, "error": error, "distance": distance(model, pairs, **how)}


@pytest.mark.case(40)
@pytest.mark.parametrize("name", ["symmetric", "plain"])
@pytest.mark.parametrize("context", [0, 3, None])
def test_exchanged_alleles_change_the_sign_of_ratios_and_no_distance(name, context, request):
    model = request.getfixturevalue(name)
    there, back = (scores(model, pairs, context=context) for pairs in (PAIRS, [swapped(pair) for pair in PAIRS]))
    for score, sign in (("llr", -1), ("bound", -1), ("error", 1), ("distance", 1)):
        assert there[score] == pytest.approx(sign * back[score], abs=1e-9)
        assert score == "error" or np.abs(there[score]).min() > 1e-6


@pytest.mark.case(40)
def test_in_single_precision_both_hold_to_a_hundred_thousandth(symmetric):
    model = copy.deepcopy(symmetric).float()
    found, back, other = (
        scores(model, pairs) for pairs in (PAIRS, list(map(swapped, PAIRS)), [pair.opposite() for pair in PAIRS])
    )
    for score in ("llr", "bound"):
        assert found[score] == pytest.approx(-back[score], abs=1e-5)
    assert found["llr"] == pytest.approx(other["llr"], abs=1e-5)


@pytest.mark.case(40)
@pytest.mark.parametrize("name", ["symmetric", "plain"])
def test_a_window_read_from_the_other_strand_scores_the_same(name, request):
    model = request.getfixturevalue(name)
    opposite = [pair.opposite() for pair in PAIRS]
    assert llr(model, opposite) == pytest.approx(llr(model, PAIRS), abs=1e-9)
    assert distance(model, opposite) == pytest.approx(distance(model, PAIRS), abs=1e-9)
    given = {"strands": "given"}
    mean = (llr(model, opposite, **given) + llr(model, PAIRS, **given)) / 2
    assert llr(model, PAIRS) == pytest.approx(mean, abs=1e-9)
    if name == "plain":
        assert np.abs(llr(model, opposite, **given) - llr(model, PAIRS, **given)).min() > 1e-3
    else:
        assert llr(model, PAIRS, **given) == pytest.approx(llr(model, PAIRS), abs=1e-9)


def test_the_bound_of_mirrored_masks_is_the_same_on_the_other_strand(symmetric):
    hidden = [one for pair in PAIRS for one in variants._hide_some(pair, None, 4, 0, 0)]
    denoiser = posterior(symmetric)
    both = [
        variants._answer(
            symmetric, denoiser, iter([one._replace(number=i) for i, one in enumerate(way)]), len(way), "given", 7
        )
        for way in (hidden, [one.opposite() for one in hidden])
    ]
    assert both[0] == pytest.approx(both[1], abs=1e-9)


def hidden_in(one):
    return np.flatnonzero(one.masked == DNA.mask)


def test_both_alleles_have_the_same_flanks_hidden():
    for pair in PAIRS:
        drawn = list(variants._hide_some(pair, None, 16, 3, 0))
        for number in range(16):
            ref, alt = ([one for one in drawn if one.number == number and (one.weight > 0) == sign] for sign in (0, 1))
            flanks = [
                {place - (0 if place < 10 else len(one.masked)) for place in hidden_in(one).tolist()}
                - set(range(10, 10 + len(allele))) - set(range(-12 - len(allele), -12))
                for allele, found in ((pair.ref, ref), (pair.alt, alt)) for one in found
            ]  # fmt: skip
            assert len(flanks) < 2 or flanks[0] == flanks[1]


@pytest.mark.parametrize(("ref", "alt"), [("A", "C"), ("", "GT"), ("CTG", "")])
def test_the_bound_is_that_of_the_alleles_by_themselves(ref, alt, plain):
    """Against the mean over all subsets of each size, by enumeration."""
    pair = pair_of(ref, alt, left="TA", right="C")
    mean, error = bound(plain, [pair], draws=2000, strands="given", batch_size=4096)
    exact = _enumerated(plain, pair.row(pair.alt)) - _enumerated(plain, pair.row(pair.ref))
    assert mean[0] == pytest.approx(exact, abs=4 * error[0])
    assert error[0] < 0.2


def _enumerated(model, row):
    tokens, n = torch.from_numpy(row.astype(np.int64)), len(row)
    total = 0.0
    for size in range(1, n + 1):
        subsets = list(itertools.combinations(range(n), size))
        hidden = torch.zeros(len(subsets), n, dtype=torch.bool)
        for mask, subset in zip(hidden, subsets, strict=True):
            mask[list(subset)] = True
        nats = over_orders._nats(posterior(model), tokens, torch.arange(n), hidden, hidden, DNA)
        total -= float(nats.sum()) / len(subsets) / size
    return total


def test_a_ratio_is_that_of_two_letters_at_one_masked_position(symmetric):
    pair = pair_of("A", "G")
    row = pair.row(pair.ref)
    nats = [
        float(over_orders.pseudo(posterior(symmetric), torch.from_numpy(tokens), torch.tensor([10]), DNA)[0])
        for tokens in (row.astype(np.int64), np.where(np.arange(len(row)) == 10, pair.alt[0], row).astype(np.int64))
    ]
    assert llr(symmetric, [pair])[0] == pytest.approx(nats[1] - nats[0], abs=1e-9)


def test_one_pass_serves_all_alternatives_of_a_site(symmetric, monkeypatch):
    rows = []
    padded = variants.padded
    monkeypatch.setattr(variants, "padded", lambda some, vocab: rows.extend(some) or padded(some, vocab))
    together = llr(symmetric, [pair_of("A", alt) for alt in "CGT"])
    assert len(rows) == 1
    assert together == pytest.approx([llr(symmetric, [pair_of("A", alt)])[0] for alt in "CGT"], abs=1e-12)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_what_shares_a_batch_changes_nothing(plain, batch_size):
    pairs = [*PAIRS, pair_of("T", "A", left="ACC", right="G")]
    expected = scores(plain, pairs)
    assert {len(pair.row(pair.ref)) for pair in pairs} != {23}
    for name, found in scores(plain, pairs, how={"batch_size": batch_size}).items():
        assert found == pytest.approx(expected[name], abs=1e-9)


def test_networks_that_are_told_the_time_are_told_how_much_is_hidden():
    model = model_of(Caduceus(conditioning="time", **SIZES))
    assert np.isfinite([*llr(model, PAIRS), *bound(model, PAIRS, draws=3)[0]]).all()
    (one,) = [one for one in variants._hide_all(PAIRS[0], 0, 0) if one.weight > 0]
    assert one.share == pytest.approx(1 / 21)


def test_a_model_that_knows_no_hidden_letters_is_refused():
    model = model_of(Mamba(**SIZES), objective=AR())
    with pytest.raises(InputError, match="AR gives a NextToken, which knows no hidden letters"):
        llr(model, PAIRS)


def test_windows_are_those_of_the_genome_whatever_is_read_with_them(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 60))
    (tmp_path / "a.fa").write_text(f">one\n{text}\n>two\n{text[:30]}\n")
    genome = Genome.open(tmp_path / "a.fa")
    letters = {size: dna.encode("ACGT"[:size]).tobytes() for size in range(5)}
    some = [
        Variant(contig, start, dna.encode(text[start : start + n_ref]).tobytes(), letters[n_alt])
        for contig, start, n_ref, n_alt in [
            (0, 0, 1, 1), (1, 29, 1, 1), (0, 30, 1, 1), (0, 30, 1, 1), (1, 3, 0, 4), (0, 31, 3, 0), (0, 40, 1, 1)
        ]
    ]  # fmt: skip
    for variant, pair in zip(some, pairs_of(genome, some, 20), strict=True):
        end, flank = variant.start + len(variant.ref), (20 - max(len(variant.ref), len(variant.alt))) // 2
        whole = text if variant.contig == 0 else text[:30]
        assert dna.decode(pair.left) == whole[max(0, variant.start - flank) : variant.start]
        assert dna.decode(pair.right) == whole[end : end + flank]
        assert (pair.ref.tobytes(), pair.alt.tobytes()) == (variant.ref, variant.alt)
        assert pair.place == (variant.contig, variant.start)
    assert pairs_of(genome, [], 20) == []
