"""`dnadiff audit`: the table, the pairs, and what is refused."""

import csv
import re
import sys
from pathlib import Path

import pytest
from genomes import fasta_text, random_bases

from dnadiff import cli

OPPOSITE = str.maketrans("ACGT", "TGCA")
TRAIN = [random_bases(120, seed=seed) for seed in range(6)]
TEST = [random_bases(120, seed=100), TRAIN[1], TRAIN[2].translate(OPPOSITE)[::-1], TRAIN[3][:80], TRAIN[4][:90]]
TEST[4] += random_bases(30, seed=101)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    """Exit code, standard output, standard error of a command, run where its files are."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dnadiff", "audit", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output = capsys.readouterr()
        return int(str(stop.value.code)), output.out, output.err

    return run


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)


def table(texts: list[str]) -> str:
    return "sequence,label\n" + "".join(f"{text},{'ab'[i % 2]}\n" for i, text in enumerate(texts))


def cells(printed: str) -> dict[str, list[str]]:
    """The table's rows by their first cell."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]
    return {row[0]: row[1:] for row in rows}


def pairs(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


@pytest.mark.case(46)
def test_each_planted_leak_is_counted_and_listed(call, tmp_path):
    write(tmp_path, train_csv=table(TRAIN), test_csv=table(TEST))
    code, out, _ = call("train.csv", "test.csv", "--out", "pairs.tsv")
    assert code == 0
    assert "train  train.csv: 6 sequences, 720 bases, 2 classes" in out
    assert "test   test.csv: 5 sequences, 560 bases, 2 classes" in out
    assert cells(out) == {
        "identical": ["1", "20.00 %", "0.00 %", "50.00 %"],
        "reverse complement": ["1", "20.00 %", "33.33 %", "0.00 %"],
        "inside": ["1", "20.00 %", "0.00 %", "50.00 %"],
        "similar >= 0.5": ["4", "80.00 %", "66.67 %", "100.00 %"],
        "any": ["4", "80.00 %", "66.67 %", "100.00 %"],
    }
    rows = pairs(tmp_path / "pairs.tsv")
    assert [(row["relation"], row["test"], row["train"]) for row in rows] == [
        ("identical", "test.csv:3", "train.csv:3"),
        ("reverse complement", "test.csv:4", "train.csv:4"),
        ("inside", "test.csv:5", "train.csv:5"),
        *(("similar", f"test.csv:{line}", f"train.csv:{line}") for line in (3, 4, 5, 6)),
    ]
    assert {(row["test_class"], row["train_class"]) for row in rows} == {("a", "a"), ("b", "b")}
    assert [row["share"] for row in rows[:-1]] == ["1.0000"] * 6
    assert 0.5 <= float(rows[-1]["share"]) < 1


def test_settings_change_what_counts(call, tmp_path):
    write(tmp_path, train_csv=table(TRAIN), test_csv=table(TEST))
    _, out, _ = call("train.csv", "test.csv", "similar=1", "k=11", "w=3")
    assert cells(out)["similar >= 1"][0] == "3"
    assert cells(out)["inside"][0] == "1"


@pytest.mark.case(46)
def test_places_count_by_the_test_row_of_any_class_and_strand(call, tmp_path, caplog):
    for name, text in {
        "train/no.csv": "id,region,start,end,strand\n0,chr1,0,100,+\n1,chr2,500,600,-\n",
        "test/yes.csv": "id,region,start,end,strand\n0,1,50,150,-\n1,1,51,151,+\n2,2,500,600,+\n3,2,0,500,+\n",
        "test/no.csv": "id,region,start,end,strand\n0,chr3,0,100,+\n1,2,590,600,+\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    code, out, _ = call("train", "test", "-o", "pairs.tsv")
    assert code == 0
    assert "test   test: 6 places, 2 classes" in out
    assert "train  train: 2 places\n" in out
    assert "test: contigs are named as in train: 2 is chr2, 1 is chr1" in caplog.text
    assert cells(out) == {
        "same place": ["1", "16.67 %", "0.00 %", "25.00 %"],
        "overlap >= 0.5": ["3", "50.00 %", "50.00 %", "50.00 %"],
        "any": ["3", "50.00 %", "50.00 %", "50.00 %"],
    }
    assert [list(row.values()) for row in pairs(tmp_path / "pairs.tsv")] == [
        ["same place", "1.0000", "yes.csv:4", "2:500-600", "yes", "no.csv:3", "chr2:500-600", "no"],
        ["overlap", "1.0000", "no.csv:3", "2:590-600", "no", "no.csv:3", "chr2:500-600", "no"],
        ["overlap", "0.5000", "yes.csv:2", "1:50-150", "yes", "no.csv:2", "chr1:0-100", "no"],
        ["overlap", "1.0000", "yes.csv:4", "2:500-600", "yes", "no.csv:3", "chr2:500-600", "no"],
    ]


@pytest.mark.case(46)
def test_samples_are_looked_for_in_a_genome_piece_by_piece(call, tmp_path):
    genome = {"chr1": random_bases(5000, seed=1), "chr2": random_bases(3000, seed=2)}
    copied = genome["chr2"][1234:1334].translate(OPPOSITE)[::-1]
    write(tmp_path, genome_fa=fasta_text(genome), samples_fa=fasta_text({"new": random_bases(100), "old": copied}))
    code, out, _ = call("genome.fa", "samples.fa", "-o", "pairs.tsv", "--fail-on-leak")
    assert code == 5
    assert re.search(r"genome.fa: 2 sequences in 1\d pieces, 9,\d+ bases", out)
    assert cells(out)["inside"] == ["1", "50.00 %"]
    for row in pairs(tmp_path / "pairs.tsv"):
        start, end = map(int, row["train_place"].removeprefix("chr2:").split("-"))
        assert (row["test"], row["test_place"], row["train"]) == ("samples.fa:2", "old:0-100", "genome.fa:2")
        assert start <= 1234
        assert end >= 1334


def test_a_genome_adds_the_sequences_of_places(call, tmp_path):
    bases = random_bases(1000)
    write(tmp_path, g_fa=fasta_text({"chr1": bases + bases[100:300]}), a_bed="1\t100\t300\n", b_bed="1\t1000\t1200\n")
    _, out, _ = call("a.bed", "b.bed", "--genome", "g.fa")
    assert "a.bed: 1 place with sequence, 200 bases" in out
    shares = {name: row[0] for name, row in cells(out).items()}
    assert (shares["overlap >= 0.5"], shares["identical"], shares["any"]) == ("0", "1", "1")


@pytest.mark.case(46)
def test_fail_on_leak_passes_where_nothing_leaks(call, tmp_path):
    write(tmp_path, train_csv=table(TRAIN), test_csv=table(TEST[:1]), leak_csv=table(TEST))
    assert call("train.csv", "test.csv", "--fail-on-leak")[0] == 0
    code, out, err = call("train.csv", "leak.csv", "--fail-on-leak")
    assert code == 5
    assert "any" in out
    assert err == "dnadiff: leak.csv: 4 of 5 rows are in train.csv too; leave them out of one\n"


def test_what_minimizers_cannot_compare_is_said(call, tmp_path):
    write(tmp_path, train_txt=f"{TRAIN[0]}\nACGT\n", test_txt="ACGT\nACG\n")
    _, out, _ = call("train.txt", "test.txt")
    assert cells(out)["identical"][0] == "1"
    assert "2 test rows of 2 too short or too plain to be similar to anything: only the same sequence" in out


def test_a_guard_that_could_compare_nothing_does_not_pass(call, tmp_path):
    write(tmp_path, train_txt=f"{TRAIN[0]}\n", plain_txt="A" * 90 + "\nACG\n", mixed_txt=f"ACG\n{TEST[0]}\n")
    assert call("train.txt", "plain.txt")[0] == 0
    code, _, err = call("train.txt", "plain.txt", "--fail-on-leak")
    assert code == 2
    assert "plain.txt: every row is too short or too plain to be similar to anything" in err
    assert call("train.txt", "mixed.txt", "--fail-on-leak")[0] == 0
    write(tmp_path, a_bed="chr1\t0\t9\n", b_bed="chr1\t30\t39\n", g_fa=fasta_text({"chr1": "A" * 20 + "C" * 30}))
    assert call("a.bed", "b.bed", "--genome", "g.fa", "--fail-on-leak")[0] == 0  # their places were compared


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.csv", "b.bed"], "b.bed lists places and a.csv holds sequences; give the places' genome with --genome"),
        (["a.csv", "a.csv", "--genome", "g.fa"], "--genome g.fa: neither a.csv nor a.csv lists places on a genome"),
        (["b.bed", "far.bed", "--genome", "g.fa"], "far.bed: line 1: end 999 is beyond 'chr1', which has 40 bases"),
        (["a.csv", "bad.csv"], "bad.csv: line 3: '-' at position 2"),
        (["a.csv", "none.csv"], "none.csv: cannot be read"),
        (["a.csv", "a.csv", "-o", "folder"], "folder: is a folder; name a file to write"),
        (["a.csv", "a.csv", "k=40"], "k: input should be less than or equal to 31"),
        (["a.csv", "a.csv", "overlp=1"], "overlp: unknown setting (did you mean 'overlap'?)"),
    ],
)
def test_mistakes_are_one_line(call, tmp_path, words, message):
    write(tmp_path, a_csv="seq\nACGT\n", bad_csv="seq\nACGT\nAC-T\n", b_bed="chr1\t0\t4\n", far_bed="chr1\t0\t999\n")
    write(tmp_path, g_fa=fasta_text({"chr1": random_bases(40)}))
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_written_where_a_set_cannot_be_read(call, tmp_path):
    write(tmp_path, a_csv="seq\nACGT\n", bad_csv="seq\nAC-T\n")
    assert call("a.csv", "bad.csv", "-o", "pairs.tsv")[0] == 2
    assert not (tmp_path / "pairs.tsv").exists()


def test_dry_run_and_print_config(call, tmp_path):
    write(tmp_path, a_csv="seq\nACGT\n")
    assert call("a.csv", "a.csv", "--dry-run")[1] == "a.csv: 1 sequence, 4 bases\n" * 2
    assert "similar: 0.7" in call("a.csv", "a.csv", "--print-config", "similar=0.7")[1]


@pytest.mark.case(58)
def test_names_of_classes_are_not_markup(call, tmp_path):
    write(tmp_path, a_csv="sequence,label\nACGT,[red]x\n")
    assert "[red]x" in call("a.csv", "a.csv")[1]
