"""`dnadiff report`: of a run, a file, strings in a notebook; what is compared is said, and so is what cannot be."""

import numpy as np
import pytest

import dnadiff
from dnadiff import cli
from dnadiff.config import resolve
from dnadiff.dna import decode
from dnadiff.errors import InputError, ResourceError
from dnadiff.report.card import REAL, SAMPLES, Card
from dnadiff.tasks import report
from dnadiff.tasks.places import Places
from dnadiff.tasks.report_sets import ReportSettings, open_real, open_samples

QUICK = ["n=10", "markov_order=1", "folds=2"]
MOTIF = ">M1 TATA\nA [ 0 9 0 9 9 9 ]\nC [ 0 0 0 0 0 0 ]\nG [ 0 0 0 0 0 0 ]\nT [ 9 0 9 0 0 0 ]\n"


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Eighteen sequences, two of them shorter than the others."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("report") / "samples.fa"
    lengths = [64] * 16 + [40] * 2
    texts = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
    path.write_text("".join(f">s{i} sampler=none\n{text}\n" for i, text in enumerate(texts)))
    return path


@pytest.fixture(scope="session")
def card(run, samples):
    """Of a run, with these samples."""
    return dnadiff.report_card(run, samples=samples, n=10, markov_order=1, folds=2, length=64)


def settings_of(*words):
    return resolve(ReportSettings, None, [*QUICK, *words])


def test_every_figure_names_its_reference_split_and_number(card):
    windows = "windows of 64 bases, test split of small.fa (23 windows)"
    assert card.caption == f"10 sequences of 64 bases in each set. Reference: {windows}."
    assert card.about["training DNA"] == "train split of small.fa, 5,952 bases"
    assert card.about["first header"] == "sampler=none"
    assert card.about["left out"] == "2 samples of fewer than 64 bases"
    titles = [section.title for section in card.sections]
    assert titles[-3:] == ["Frechet distance", "Frechet distance in the model's own features", "Novelty and diversity"]
    rows = list(card.rows())
    assert {row["set"] for row in rows} == {SAMPLES, REAL, "Markov chain, order 1", "shuffled dinucleotides"}
    novel = {row["set"]: row["value"] for row in rows if row["measure"] == "copied whole"}
    assert novel[SAMPLES] == novel[REAL] == 0


def test_the_same_seed_gives_the_same_report(run, samples, card):
    again = dnadiff.report_card(run, samples=samples, n=10, markov_order=1, folds=2, length=64)
    assert [row["value"] for row in again.rows()] == pytest.approx([row["value"] for row in card.rows()], nan_ok=True)


def test_real_windows_are_like_real_windows(genome):
    """Windows of a genome as samples: most measures are like those of others, and all of them are copies."""
    records = genome.read_text().split(">")[1:]
    bases = "".join(records[0].splitlines()[1:])
    card = dnadiff.report_card(samples=[bases[i : i + 80] for i in range(0, 6000, 80)], real=genome, markov_order=1)
    readings = [figure.reading for section in card.sections[:-1] for figure in section.figures if figure.reading]
    assert readings.count("like real") > 0.7 * len(readings)
    assert "no split is known" in card.about["training DNA"]
    copied = next(figure for figure in card.sections[-1].figures if figure.measure == "copied whole")
    assert copied.by_group[SAMPLES].value == 1
    assert REAL not in copied.by_group


def test_the_command_writes_a_folder_and_again_in_its_place(run, samples, tmp_path, monkeypatch, caplog):
    (tmp_path / "m.jaspar").write_text(MOTIF)
    out = tmp_path / "out"
    arguments = ["report", str(run), "--samples", str(samples), "--motifs", str(tmp_path / "m.jaspar")]
    monkeypatch.setattr("sys.argv", ["dnadiff", *arguments, "--out", str(out), "length=64", "motif_p=0.01", *QUICK])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code in (0, None)
    names = {path.name for path in out.iterdir()}
    assert {"report.html", "measures.tsv", "motifs.tsv", "novelty.tsv", "kmers.tsv", "kmers.png", "kmers.svg"} <= names
    assert (out / "motifs.tsv").read_text().splitlines()[1].startswith("M1 TATA\t")
    assert "measures of the samples are like those of real windows" in caplog.text
    monkeypatch.setattr(report, "compare", lambda *_: Card({"samples": "none"}, "", []))
    report.run(settings_of(), report.asked_of(run, str(samples), None, None, []), out, None)
    assert {path.name for path in out.iterdir()} == {"report.html", "measures.tsv"}
    assert not list(tmp_path.glob(".unfinished*"))


def test_a_dry_run_counts(run, samples, genome):
    asked = report.asked_of(run, str(samples), None, None, [])
    said = report.dry_run(settings_of("length=64"), asked, None)
    assert said.startswith("10 of 16 samples; windows of 64 bases, test split of small.fa (23 windows); train split")
    (genome.parent / "split.bed").write_text("chrA\t0\t3000\ttrain\nchrB\t0\t1500\tvalid\nchrC\t0\t1500\ttest\n")
    asked = report.asked_of(samples, None, str(genome), str(genome.parent / "split.bed"), [])
    real = open_real(settings_of("length=64"), asked, 64)
    assert (len(real.windows), len(real.train), real.is_held_out) == (23, 46, True)


def test_what_a_run_was_trained_on_does_not_hang_on_what_it_is_compared_with(run, genome, tmp_path):
    rng = np.random.default_rng(4)
    records = "".join(f">chr{name}\n{''.join(rng.choice(list('ACGT'), 1500))}\n" for name in "ABC")
    (tmp_path / "other.fa").write_text(records)
    real = open_real(settings_of(), report.asked_of(run, None, str(tmp_path / "other.fa"), None, []), 64)
    assert (real.windows.genome.path.name, real.data.genome.path) == ("other.fa", genome)
    assert real.about == "windows of 64 bases, test split of other.fa (23 windows)"
    assert real.training == "train split of small.fa, 5,952 bases"
    (tmp_path / "no_split.bed").write_text("chrA\t0\t3000\nchrC\t0\t1500\n")
    real = open_real(settings_of(), report.asked_of(run, None, None, str(tmp_path / "no_split.bed"), []), 64)
    assert real.about == "windows of 64 bases, all windows of small.fa (69 windows)"
    assert real.training == "train split of small.fa, 5,952 bases"
    assert not real.is_held_out


def test_samples_are_read_as_they_are_drawn_and_a_table_has_no_header_of_fasta(samples, tmp_path, monkeypatch):
    texts = samples.read_text().split()[2::3][:16]
    (tmp_path / "samples.csv").write_text("my name,sequence\n" + "".join(f"a,{text}\n" for text in texts))
    read = []
    tokens = Places.tokens
    monkeypatch.setattr(Places, "tokens", lambda self, number: read.append(number) or tokens(self, number))
    opened = open_samples(settings_of(), report.asked_of(tmp_path / "samples.csv", None, "any.fa", None, []))
    assert read == []
    assert [decode(opened.read(number)) for number in (3, 0)] == [texts[3], texts[0]]
    assert read == [3, 0]
    assert "first header" not in opened.about


def test_what_cannot_be_used_is_told_before_the_long_work(run, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "open_samples", lambda *_: pytest.fail("this is late"))
    asked = report.asked_of(run, str(samples), None, None, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="out: cannot be written"):
        report.run(settings_of(), asked, tmp_path / "file" / "out", None)
    with pytest.raises(InputError, match="cannot be read"):
        report.run(settings_of(), asked, tmp_path / "out", str(samples))
    assert not list(tmp_path.glob(".unfinished*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the shortest sequence has 40 bases; length=64 or more leaves shorter ones out"),
        (["length=65"], "0 sequences of 65 bases or more; give 10 or more"),
    ],
)
def test_samples_that_are_too_short_or_few_are_refused(samples, genome, words, message):
    with pytest.raises(InputError, match=message):
        open_samples(settings_of(*words), report.asked_of(samples, None, str(genome), None, []))


def test_what_cannot_be_compared_is_refused(run, samples, genome, text_run, tmp_path):
    def asked(*given):
        return report.asked_of(*given, [])

    with pytest.raises(InputError, match="no such file or folder; name a run, or a file of samples"):
        asked(tmp_path / "none.fa", None, None, None)
    with pytest.raises(InputError, match="is a file of samples already; name one of them"):
        asked(samples, str(samples), None, None)
    with pytest.raises(InputError, match=r"name real DNA with --real genome\.fa"):
        open_real(settings_of(), asked(samples, None, None, None), 64)
    with pytest.raises(InputError, match="is no model of DNA; a report is about DNA"):
        open_real(settings_of(), asked(text_run, str(samples), None, None), 64)
    with pytest.raises(InputError, match=r"has no samples.fa; name samples with --samples"):
        open_samples(settings_of(), asked(text_run, None, None, None))
    with pytest.raises(InputError, match=r"3 windows of 400 known bases in the test split; a report needs 20"):
        open_real(settings_of(), asked(run, None, None, None), 400)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("x")
    with pytest.raises(InputError, match="out: is there and is no report; choose another --out"):
        report.run(settings_of(), asked(run, str(samples), None, None), tmp_path / "out", None)
    with pytest.raises(InputError, match="report: name a run, or samples"):
        dnadiff.report_card(real=genome)
