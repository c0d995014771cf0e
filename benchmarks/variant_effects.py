r"""How well scores of a model tell two classes of variants apart, beside two baselines that know no network.

    python benchmarks/variant_effects.py RUN --ref hg19.fa --vcf clinvar.vcf.gz \
        --positive CLNSIG=pathogenic,likely_pathogenic --negative CLNSIG=benign,likely_benign
    python benchmarks/variant_effects.py RUN --ref hg19.fa --vcf 1000g.vcf.gz \
        --positive 'AF<0.001' --negative 'AF>=0.05'

Classes are told by a field of INFO, by words or by a number. What is in neither class is left out, and so is all that
is no substitution of one base. AUROC is the chance that a positive variant is found more damaging than a negative one:
`llr` and `bound` mean damage where the alternative is less likely, `distance` where it is large. Beside it stand

- transitions: at a CpG the least damaging, then other transitions, then transversions: how easily each arises by
  mutation, and nothing of what it does;
- Markov: log p with the reference less that with the alternative under a chain counted on the run's training data, of
  the order that is best on its validation data; the mean of both strands.

Intervals are of 95 %, from a bootstrap over blocks of the genome, since neighbours are alike; differences are of the
same draws. Variants whose reference sequence, 30 bases on either side, is in the run's training data are counted:
figures of those are not of held-out DNA.
"""

from __future__ import annotations

import argparse
import json
import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnadiff import config
from dnadiff.config import resolve
from dnadiff.data.fasta import Genome
from dnadiff.data.genome import GenomeSplits, open_data
from dnadiff.data.markov import MAX_ORDER, MarkovModel, kmer_codes
from dnadiff.data.vcf import Record, Variant
from dnadiff.dna import decode, reverse_complement
from dnadiff.errors import InputError
from dnadiff.files import write_text
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.scores import roc
from dnadiff.run import config_of
from dnadiff.tasks import score
from dnadiff.tasks.baselines import markov_chain
from dnadiff.tasks.settings import TrainConfig
from dnadiff.vocab import DNA

COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
SEEN_BP = 30  # on either side of a variant
TRANSITIONS = {"AG", "GA", "CT", "TC"}
N_DRAWS = 1000
CHUNK = 1 << 22  # bases of training data looked at together


class Condition(NamedTuple):
    """`CLNSIG=benign,likely_benign`, or `AF>=0.05`."""

    field: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        found = re.fullmatch(r"([A-Za-z_][\w.]*)(<=|>=|=|<|>)(.+)", text)
        if not found:
            raise InputError(f"{text}: write FIELD=WORD,WORD or FIELD<=NUMBER (<, >, >=), with a field of INFO")
        return cls(*found.groups())

    def holds(self, info: dict[str, str], alternative: int, n_alternatives: int) -> bool:
        """Of one alternative of a row; fields with a value for each have theirs."""
        value = info.get(self.field)
        if value is None:
            return False
        each = value.split(",")
        own = each[alternative] if len(each) == n_alternatives else value
        if self.sign == "=":
            return own.lower() in self.value.lower().split(",")
        try:
            return bool(COMPARISONS[self.sign](float(own), float(self.value)))
        except ValueError:
            return False


class Labelled(NamedTuple):
    """Variants of either class; `is_positive` is (n,)."""

    variants: list[Variant]
    is_positive: np.ndarray
    left_out: Counter[str]


def labelled(records: Iterator[Record], positive: Condition, negative: Condition) -> Labelled:
    """Substitutions of one base that are in one of the classes, in the order of the file."""
    variants, classes, left_out = [], [], Counter()
    for record in records:
        info = dict(entry.partition("=")[::2] for entry in record.columns[7].split(";"))
        for number, each in enumerate(record.variants):
            holds = [condition.holds(info, number, len(record.variants)) for condition in (positive, negative)]
            if sum(holds) != 1:
                left_out["in neither class, or in both"] += 1
            elif isinstance(each, str):
                left_out[each] += 1
            elif not len(each.ref) == len(each.alt) == 1:
                left_out["no substitution of one base"] += 1
            else:
                variants.append(each)
                classes.append(holds[0])
    return Labelled(variants, np.array(classes, bool), left_out)


def model_damage(opened: score.Opened, variants: Sequence[Variant]) -> dict[str, np.ndarray]:
    """What each score says, (n,) by name; more is worse."""
    how, source, found = opened.settings, iter(variants), []
    with progress_bar("scoring", len(variants)) as advance:
        while some := list(islice(source, how.variants_at_once)):
            found.append(np.stack(score.score(opened.model, opened.genome, some, how)))
            advance(len(some))
    columns = zip(how.columns, np.concatenate(found, 1), strict=True)
    values = {column.name: each for column, each in columns if not column.name.endswith("_se")}
    return {name: each if name == "distance" else -each for name, each in values.items()}


def around(genome: Genome, variant: Variant, flank: int) -> np.ndarray:
    """(2 * flank + 1,) tokens with the reference in the middle, N beyond the contig's ends."""
    name, length = genome.index.names[variant.contig], int(genome.index.lengths[variant.contig])
    first, last = max(0, variant.start - flank), min(length, variant.start + flank + 1)
    missing = (first - (variant.start - flank), variant.start + flank + 1 - last)
    return np.pad(genome.tokens(name, first, last), missing, constant_values=DNA.unknown)


def transition_damage(genome: Genome, variants: Sequence[Variant]) -> np.ndarray:
    """(n,) 0 for transitions at a CpG, 1 for others, 2 for transversions."""
    found = []
    for each in variants:
        triplet = decode(around(genome, each, 1))
        change = triplet[1] + decode(np.frombuffer(each.alt, np.uint8))
        at_cpg = triplet[:2] == "CG" or triplet[1:] == "CG"
        found.append(2.0 if change not in TRANSITIONS else 0.0 if at_cpg else 1.0)
    return np.array(found)


def markov_damage(genome: Genome, variants: Sequence[Variant], chain: MarkovModel) -> np.ndarray:
    """(n,) nats that the chain gives the reference less those of the alternative, in all bases that it tells apart."""
    order = chain.best_order or 0
    rows = np.stack([around(genome, each, order) for each in variants])  # (n, 2 * order + 1)
    changed = rows.copy()
    changed[:, order] = [each.alt[0] for each in variants]
    apart = np.full((len(rows), 1), DNA.unknown, np.uint8)  # no context reaches from one row into the next

    def nats(given: np.ndarray) -> np.ndarray:
        text = np.concatenate([given, apart], 1)
        return np.nansum(chain.log_probs(text.ravel(), order).reshape(text.shape), 1)

    return sum(nats(of(rows)) - nats(of(changed)) for of in (lambda some: some, reverse_complement)) / 2


def seen_in_training(genome: Genome, variants: Sequence[Variant], data: GenomeSplits) -> np.ndarray:
    """(n,) whether the bases on both sides of a variant are in the training data, on either strand."""
    rows = np.stack([around(genome, each, SEEN_BP) for each in variants])
    sides = [rows[:, :SEEN_BP], rows[:, SEEN_BP + 1 :]]
    wanted = np.stack([[_words(row)[0] for row in of(side)] for side in sides for of in (np.copy, reverse_complement)])
    known, place = np.unique(
        wanted, return_inverse=True
    )  # wanted is (4, n): left, left backwards, right, right backwards
    found = np.zeros(len(known), bool)
    for contig, start, end in data.train.regions():
        for first in range(start, end - SEEN_BP + 1, CHUNK):
            words = _words(data.genome.tokens(contig, first, min(end, first + CHUNK + SEEN_BP - 1)))
            at = np.searchsorted(known, words).clip(max=len(known) - 1)
            found[at[known[at] == words]] = True
    here = (found & (known >= 0))[place.reshape(wanted.shape)]
    return (here[0] | here[1]) & (here[2] | here[3])


def _words(tokens: np.ndarray) -> np.ndarray:
    """(length - SEEN_BP + 1,) a number for each word of so many letters, negative where one is not known."""
    half = SEEN_BP // 2
    codes = kmer_codes(tokens, half).astype(np.int64)
    first, second = codes[: len(codes) - half], codes[half:]
    return np.where((first < 0) | (second < 0), -1, (first << 2 * half) + second)


def areas(
    is_positive: np.ndarray, damage: dict[str, np.ndarray], blocks: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """AUROC of each kind of damage by name, (1 + draws,): of the variants as they are, then of draws of blocks."""
    generator = np.random.default_rng(seed)
    _, number = np.unique(blocks, axis=0, return_inverse=True)
    members = np.split(np.argsort(number.ravel(), kind="stable"), np.cumsum(np.bincount(number.ravel()))[:-1])
    choices = [np.arange(len(is_positive))]
    for _ in range(N_DRAWS):
        choices.append(np.concatenate([members[at] for at in generator.integers(len(members), size=len(members))]))
    return {name: np.array([roc(is_positive[at], each[at]).area for at in choices]) for name, each in damage.items()}


def interval(values: np.ndarray) -> list[float]:
    """The figure and its 95 % interval: the first, and what the draws leave between their tails."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return [round(float(value), 4) for value in (values[0], low, high)]


def report(found: dict[str, np.ndarray], baselines: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Of each score its AUROC, and how much that is above each baseline's; [figure, low, high]."""
    rows = {name: {"auroc": interval(each)} for name, each in found.items()}
    for name in found.keys() - set(baselines):
        rows[name] |= {f"above {other}": interval(found[name] - found[other]) for other in baselines}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder, whose data the Markov chain is counted on")
    parser.add_argument("words", nargs="*", help="settings of dnadiff score (scores=llr,bound window=2048)")
    parser.add_argument("--ref", required=True)
    parser.add_argument("--vcf", required=True)
    parser.add_argument("--positive", type=Condition.parse, required=True, help="CLNSIG=pathogenic, or 'AF<0.001'")
    parser.add_argument("--negative", type=Condition.parse, required=True)
    parser.add_argument("--markov-order", type=int, default=MAX_ORDER, help="highest; the best for validation is used")
    parser.add_argument("--block", type=int, default=1000, help="bases whose variants are drawn together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON to write")
    asked = parser.parse_intermixed_args()
    settings = config.read(TrainConfig, Path(config_of(asked.run) or parser.error(f"{asked.run}: is no run folder")))
    opened = score.open_all(resolve(score.ScoreSettings, None, asked.words), asked.run, asked.vcf, asked.ref)
    sites = labelled(opened.variants.records(), asked.positive, asked.negative)
    if not 0 < sites.is_positive.sum() < len(sites.variants):
        parser.error(f"{asked.vcf}: {len(sites.variants)} variants, not of both classes ({dict(sites.left_out)})")
    data = open_data(settings.data, seed=settings.train.seed)
    chain = markov_chain(settings.model_copy(update={"markov_order": asked.markov_order}), data)
    seen = seen_in_training(opened.genome, sites.variants, data)
    baselines = {
        "transitions": transition_damage(opened.genome, sites.variants),
        f"Markov, order {chain.best_order}": markov_damage(opened.genome, sites.variants, chain),
    }
    blocks = np.array([[each.contig, each.start // asked.block] for each in sites.variants])
    damage = model_damage(opened, sites.variants) | baselines
    rows = report(areas(sites.is_positive, damage, blocks, asked.seed), list(baselines))
    facts = {
        "run": str(asked.run), "vcf": asked.vcf, "positive": "".join(asked.positive),
        "negative": "".join(asked.negative),
        "n_positive": int(sites.is_positive.sum()), "n_negative": int((~sites.is_positive).sum()),
        "n_blocks": len(np.unique(blocks, axis=0)), "n_in_training_data": int(seen.sum()),
        "left_out": dict(sites.left_out), "scored": opened.about,
    }  # fmt: skip
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    for name, figures in rows.items():
        shown = (f"{what} {value:.3f} [{low:.3f}, {high:.3f}]" for what, (value, low, high) in figures.items())
        print(f"{name:20} {'   '.join(shown)}")
    if asked.out:
        write_text(asked.out, json.dumps(facts | {"figures": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
