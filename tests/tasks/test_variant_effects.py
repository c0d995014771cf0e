"""The program that tells classes of variants apart by their scores: its classes, baselines and intervals."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dnadiff import dna
from dnadiff.data.fasta import Genome
from dnadiff.data.markov import fit
from dnadiff.data.vcf import Variant, VcfFile
from dnadiff.errors import InputError
from dnadiff.inference.scores import roc

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "variant_effects.py"
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("variant_effects", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def token(base):
    return dna.encode(base).tobytes()


def genome_of(folder, **contigs):
    (folder / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    return Genome.open(folder / "g.fa")


def snv(genome, contig, at, alt):
    name = genome.index.names[contig]
    return Variant(contig, at, genome.tokens(name, at, at + 1).tobytes(), token(alt))


def test_classes_are_told_by_words_or_by_numbers(program):
    significance = program.Condition.parse("CLNSIG=Benign,likely_benign")
    assert significance.holds({"CLNSIG": "likely_benign"}, 0, 1)
    assert not significance.holds({"CLNSIG": "pathogenic"}, 0, 1)
    assert not significance.holds({}, 0, 1)
    rare = program.Condition.parse("AF<=0.01")
    assert [rare.holds({"AF": "0.5,0.01,.,"}, number, 4) for number in range(4)] == [False, True, False, False]
    assert rare.holds({"AF": "0"}, 2, 3)
    with pytest.raises(InputError, match="write FIELD=WORD,WORD or FIELD<=NUMBER"):
        program.Condition.parse("benign")


def test_what_is_labelled_is_in_one_class_and_a_substitution(program, tmp_path):
    genome = genome_of(tmp_path, c="GATTACAGATTACA")
    rows = ["1\t.\tG\tA,C\t.\t.\tAF=0.5,0.001", "2\t.\tAT\tA\t.\t.\tAF=0.5", "3\t.\tT\t<DEL>\t.\t.\tAF=0.5",
            "4\t.\tT\tA\t.\t.\tAF=0.1", "5\t.\tA\tC\t.\t.\tAF=0.9"]  # fmt: skip
    (tmp_path / "a.vcf").write_text(HEADER + "".join(f"c\t{row}\n" for row in rows))
    classes = [program.Condition.parse(text) for text in ("AF<0.01", "AF>=0.5")]
    found = program.labelled(VcfFile(tmp_path / "a.vcf", genome).records(), *classes)
    assert [each.start for each in found.variants] == [0, 0, 4]
    assert found.is_positive.tolist() == [False, True, False]
    assert found.left_out == {"no substitution of one base": 1, "symbolic": 1, "in neither class, or in both": 1}


def test_transitions_at_a_cpg_are_the_least_damaging(program, tmp_path):
    genome = genome_of(tmp_path, c="ACGTTGAC")
    changes = [(1, "T", 0), (2, "A", 0), (1, "A", 2), (3, "C", 1), (0, "G", 1), (7, "T", 1), (5, "A", 1), (5, "C", 2)]
    variants = [snv(genome, 0, at, alt) for at, alt, _ in changes]
    assert program.transition_damage(genome, variants).tolist() == [damage for _, _, damage in changes]


def test_the_chain_says_how_much_less_likely_the_whole_sequence_is(program, tmp_path):
    generator = np.random.default_rng(0)
    bases = "".join(generator.choice(list("ACGT"), 300, p=[0.4, 0.1, 0.1, 0.4]))
    genome = genome_of(tmp_path, c=bases)
    chain = fit([dna.encode(bases)], 2).tune([dna.encode(bases)])
    order = chain.best_order
    variants = [snv(genome, 0, at, "ACGT"["CGTA".index(bases[at])]) for at in (20, 150, 270)]

    def nats(tokens):
        return sum(np.nansum(chain.log_probs(each, order)) for each in (tokens, dna.reverse_complement(tokens))) / 2

    whole = dna.encode(bases)
    for each, damage in zip(variants, program.markov_damage(genome, variants, chain), strict=True):
        changed = whole.copy()
        changed[each.start] = each.alt[0]
        assert damage == pytest.approx(nats(whole) - nats(changed), abs=1e-9)
        assert abs(damage) > 0.01


def test_what_lies_in_training_data_is_known_on_either_strand(program, tmp_path):
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 600))
    genome = genome_of(tmp_path, c=text)
    (tmp_path / "other").mkdir()
    trained = dna.decode(dna.reverse_complement(dna.encode(text[100:300])))
    other = genome_of(tmp_path / "other", x=text[300:350] + "N" + trained)
    data = SimpleNamespace(genome=other, train=SimpleNamespace(regions=lambda: [("x", 0, 251)]))
    places = [130, 200, 269, 129, 270, 320, 500, 0, 599]
    variants = [snv(genome, 0, at, "ACGT"["CGTA".index(text[at])]) for at in places]
    found = program.seen_in_training(genome, variants, data)
    assert [place for place, seen in zip(places, found, strict=True) if seen] == [130, 200, 269]


def test_areas_are_those_of_the_curve_and_differences_are_of_the_same_draws(program, monkeypatch):
    monkeypatch.setattr(program, "N_DRAWS", 200)
    generator = np.random.default_rng(2)
    is_positive = generator.random(300) < 0.3
    damage = {"good": is_positive + generator.normal(0, 1, 300), "none": generator.normal(0, 1, 300)}
    damage["same"] = damage["good"]
    blocks = np.stack([np.zeros(300, int), np.arange(300) // 3], 1)
    found = program.areas(is_positive, damage, blocks, 0)
    rows = program.report(found, ["none", "same"])
    for name, each in damage.items():
        figure, low, high = rows[name]["auroc"]
        assert figure == pytest.approx(roc(is_positive, each).area, abs=1e-4)
        assert low < figure < high
        assert high - low < 0.25
    assert rows["good"]["above same"] == [0, 0, 0]
    assert rows["good"]["above none"][1] > 0
    assert "above none" not in rows["same"]


def test_the_program_writes_figures_of_a_run(program, run, genome, tmp_path, monkeypatch, capsys):
    bases = {name: "".join(lines) for name, *lines in (
        record.splitlines() for record in genome.read_text().split(">")[1:]
    )}  # fmt: skip
    rows = (
        f"{name}\t{at + 1}\t.\t{bases[name][at]}\t{'ACGT'['CGTA'.index(bases[name][at])]}\t.\t.\tKIND={at % 2}\n"
        for name in ("chrA", "chrC") for at in range(100, 180, 4 if name == "chrA" else 5)
    )  # fmt: skip
    (tmp_path / "a.vcf").write_text(HEADER + "".join(rows).replace("KIND=0", "KIND=even").replace("KIND=1", "KIND=odd"))
    monkeypatch.setattr(program, "N_DRAWS", 20)
    words = [
        "--ref",
        str(genome),
        "--vcf",
        str(tmp_path / "a.vcf"),
        "--positive",
        "KIND=odd",
        "--negative",
        "KIND=even",
    ]
    out = ["--block", "10", "--out", str(tmp_path / "a.json")]
    monkeypatch.setattr("sys.argv", ["variant_effects.py", str(run), *words, *out, "window=64", "scores=llr,distance"])
    program.main()
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["n_positive"], found["n_negative"]) == (8, 28)
    assert found["n_in_training_data"] == 20  # chrC is held out
    *names, markov = found["figures"]
    assert names == ["llr", "distance", "transitions"]
    assert markov.startswith("Markov, order ")
    assert list(found["figures"]["llr"]) == ["auroc", "above transitions", f"above {markov}"]
    assert "transitions          auroc 0." in capsys.readouterr().out
