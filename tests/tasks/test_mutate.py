"""`dnadiff mutate`: the numbers of `dnadiff score`, files that others read, pictures, and mistakes."""

import csv

import numpy as np
import pytest
from matplotlib.image import imread

import dnadiff
from dnadiff import cli
from dnadiff.config import resolve
from dnadiff.data.fasta import Genome
from dnadiff.errors import InputError, ResourceError
from dnadiff.tasks import mutate, score

MOTIFS = ">M1 first\nA [ 9 0 0 9 ]\nC [ 0 9 0 0 ]\nG [ 0 0 9 0 ]\nT [ 0 0 0 0 ]\n"


def settings_of(*words):
    return resolve(mutate.MutateSettings, None, ["window=41", "batch_size=4", *words])


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def bases_of(genome, contig, start, end):
    return Genome.open(genome).text(contig, start, end)


@pytest.fixture
def motifs(tmp_path):
    (tmp_path / "motifs.txt").write_text(MOTIFS)
    return str(tmp_path / "motifs.txt")


@pytest.mark.parametrize("region", ["chrA:1-12", "chrA:1,001-1,030", "chrB:1490-1500"])
def test_the_numbers_are_those_of_score(run, genome, tmp_path, region):
    contig, first, last = mutate.find_region(Genome.open(genome), region)
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    bases = bases_of(genome, contig, first, last)
    lines = (
        f"{contig}\t{at}\t.\t{base}\t{','.join('ACGT'.replace(base, ''))}\t.\t.\t.\n"
        for at, base in enumerate(bases, first + 1)
    )
    (tmp_path / "all.vcf").write_text(header + "".join(lines))
    how = resolve(score.ScoreSettings, None, ["window=41", "batch_size=4"])
    score.run(how, run, str(tmp_path / "all.vcf"), str(genome), str(tmp_path / "score.tsv"))
    mutate.run(settings_of(), run, str(genome), region, None, str(tmp_path / "map.tsv"))
    expected = {(row["pos"], row["ref"], row["alt"]): float(row["llr"]) for row in rows_of(tmp_path / "score.tsv")}
    found = {
        (row["pos"], row["ref"], alt): float(row[alt])
        for row in rows_of(tmp_path / "map.tsv") for alt in "ACGT" if alt != row["ref"]
    }  # fmt: skip
    assert found.keys() == expected.keys()
    assert [found[key] for key in expected] == pytest.approx(list(expected.values()), rel=1e-5, abs=1e-6)
    assert all(float(row[row["ref"]]) == 0 for row in rows_of(tmp_path / "map.tsv"))
    assert len(expected) == 3 * (last - first)


def test_arrays_hold_what_the_table_holds(run, genome, tmp_path, capsys):
    mutate.run(settings_of(), run, str(genome), "chrC:5-9", None, str(tmp_path / "map.npz"))
    mutate.run(settings_of(), run, str(genome), "chrC:5-9")
    with np.load(tmp_path / "map.npz") as file:
        assert (str(file["contig"]), int(file["start"])) == ("chrC", 4)
        assert str(file["sequence"]) == bases_of(genome, "chrC", 4, 9)
        printed = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
        assert file["llr"] == pytest.approx(np.array([line[3:] for line in printed], float), rel=1e-5)


def test_pandas_reads_the_table_and_unknown_bases_have_no_scores(run, tmp_path):
    pandas = pytest.importorskip("pandas")
    (tmp_path / "one.fa").write_text(">=one\nACGNRTTACG\n")
    mutate.run(settings_of(), run, str(tmp_path / "one.fa"), None, None, str(tmp_path / "map.tsv"))
    frame = pandas.read_csv(tmp_path / "map.tsv", sep="\t")
    assert "".join(frame["ref"]) == "ACGNNTTACG"
    assert frame["chrom"].unique().tolist() == ["'=one"]
    assert frame[list("ACGT")].isna().all(axis=1).tolist() == [base == "N" for base in frame["ref"]]


@pytest.mark.parametrize("name", ["map.png", "map.svg", "map.pdf"])
def test_a_picture_is_drawn(run, genome, tmp_path, motifs, caplog, name):
    caplog.set_level("INFO")
    words = settings_of("motif_p=0.02")
    mutate.run(words, run, str(genome), "chrA:201-340", motifs, str(tmp_path / "map.tsv"), str(tmp_path / name))
    assert "1 motif: " in caplog.text
    assert "random bases, 50% of them G or C, would have " in caplog.text
    if name.endswith("png"):
        assert imread(tmp_path / name).std() > 0.05
    else:
        assert (tmp_path / name).stat().st_size > 5000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chrA:101-300", ("chrA", 100, 300)),
        ("chrA:1-1", ("chrA", 0, 1)),
        ("chrB:1,499-1,500", ("chrB", 1498, 1500)),
        ("chrC", ("chrC", 0, 1500)),
    ],
)
def test_regions_are_counted_from_one_and_hold_both_ends(genome, text, expected):
    assert mutate.find_region(Genome.open(genome), text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds 3 sequences; name one, or a part, with --region"),
        ("scaffold:1-2", r"small\.fa has no contig 'scaffold'; name one"),
        ("chra:1-2", r"small\.fa has no contig 'chra' \(did you mean 'chrA'\?\); name one"),
        ("chrD", r"is no CONTIG:FIRST-LAST, such as chrA:101-300, nor a contig"),
        ("chrA:", "is no CONTIG:FIRST-LAST"),
        ("chrA:5", "is no CONTIG:FIRST-LAST"),
        ("chrA:0-5", "chrA has bases 1 to 6,000"),
        ("chrA:9-5", "chrA has bases 1 to 6,000"),
        ("chrA:5990-6001", "chrA has bases 1 to 6,000"),
    ],
)
def test_what_is_no_region_is_refused(genome, text, message):
    with pytest.raises(InputError, match=message):
        mutate.find_region(Genome.open(genome), text)


def test_a_name_with_a_colon_is_a_contig(tmp_path):
    (tmp_path / "a.fa").write_text(">HLA:1-2\nACGT\n>b\nA\n")
    genome = Genome.open(tmp_path / "a.fa")
    assert mutate.find_region(genome, "HLA:1-2") == ("HLA:1-2", 0, 4)
    assert mutate.find_region(genome, "HLA:1-2:2-3") == ("HLA:1-2", 1, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "mutate: name the genome with --ref"),
        (["--ref", "none.fa"], "none.fa: cannot be read"),
        (["--ref", "GENOME", "--out", "map.csv"], "--out map.csv: name a file that ends in .tsv or .npz"),
        (["--ref", "GENOME", "--plot", "a.gif", "--dry-run"], "--plot a.gif: name a file that ends in .png, .svg"),
        (["--ref", "GENOME", "--motifs", "m.txt"], "--motifs: they are drawn; name a picture with --plot"),
        (["--ref", "GENOME", "--region", "chrA", "--plot", "m.png"], "--plot: 6,000 bases; a picture has room for 2,0"),
        (["--ref", "GENOME", "--region", "chrA", "--motifs", "none", "--plot", "m.png"], "none: cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_line(run, genome, monkeypatch, capsys, words, message):
    words = [str(genome) if word == "GENOME" else word for word in words]
    if "none" in words:
        words[words.index("chrA")] = "chrA:1-9"
    monkeypatch.setattr("sys.argv", ["dnadiff", "mutate", str(run), *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in said
    assert said.count("\n") == 1


def test_a_model_of_text_and_a_region_without_letters_are_refused(run, text_run, genome, tmp_path):
    with pytest.raises(InputError, match="is no model of DNA"):
        mutate.dry_run(settings_of(), text_run, str(genome), "chrA:1-9")
    (tmp_path / "n.fa").write_text(">n\nNNNN\n")
    with pytest.raises(InputError, match="n:1-4 has no A, C, G or T"):
        mutate.dry_run(settings_of(), run, str(tmp_path / "n.fa"))


def test_a_dry_run_counts(run, genome, motifs):
    said = mutate.dry_run(settings_of(), run, str(genome), "chrA:101-300", motifs, None, "map.png")
    assert said.endswith("chrA:101-300, 200 bases in windows of 41, 1 motif")


def test_a_notebook_gets_what_the_command_writes(run, genome, tmp_path):
    text = bases_of(genome, "chrC", 0, 90)
    (tmp_path / "one.fa").write_text(f">one\n{text}\n")
    mutate.run(settings_of(), run, str(tmp_path / "one.fa"), "one:11-25", None, str(tmp_path / "map.npz"))
    model = dnadiff.load(run)
    found = model.mutate(text, region=(10, 25), window=41)
    with np.load(tmp_path / "map.npz") as file:
        assert found.llr == pytest.approx(file["llr"], abs=1e-6)
        assert (found.sequence, found.start) == (str(file["sequence"]), int(file["start"]))
    with pytest.raises(InputError, match=r"90 bases, region=\(80, 91\), window=None.*give DNA, a region inside it"):
        model.mutate(text, region=(80, 91))
    with pytest.raises(InputError, match=r"window=0.*3 or more"):
        model.mutate(text, window=0)


@pytest.mark.parametrize(("out", "plot"), [("file/map.tsv", None), ("folder.tsv", None), (None, "file/map.png")])
def test_a_place_that_cannot_be_written_is_found_out_before_anything_is_scored(
    run, genome, tmp_path, monkeypatch, out, plot
):
    monkeypatch.setattr(mutate, "mutate", lambda *_, **__: pytest.fail("scored first"))
    (tmp_path / "file").touch()
    (tmp_path / "folder.tsv").mkdir()
    places = {name: str(tmp_path / path) for name, path in {"out": out, "plot": plot}.items() if path}
    with pytest.raises((InputError, ResourceError), match=r"cannot be written|is a folder"):
        mutate.run(settings_of(), run, str(genome), "chrA:1-12", **places)
