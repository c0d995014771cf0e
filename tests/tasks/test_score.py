"""`dnadiff score`: files in, files out, and what happens in between when something goes wrong."""

import csv
import gzip
import os
import signal

import numpy as np
import pytest
from Bio import bgzf

from dnadiff import cli
from dnadiff.config import resolve
from dnadiff.errors import InputError
from dnadiff.inference.draws import Shard
from dnadiff.tasks import likelihood, score

HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=chrA,length=6000>\n##contig=<ID=chrB,length=1500>\n"
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">\n'
    '##INFO=<ID=DNADIFF_LLR,Number=A,Type=Float,Description="of another time">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\n"
)


def settings_of(*words):
    return resolve(score.ScoreSettings, None, ["window=40", "batch_size=2", *words])


@pytest.fixture(scope="module")
def bases(genome):
    """Of each contig."""
    records = genome.read_text().split(">")[1:]
    return {name: "".join(lines) for name, *lines in (record.splitlines() for record in records)}


@pytest.fixture(scope="module")
def rows(bases):
    """Substitutions, an insertion, a deletion, several alternatives, a contig's ends, and what cannot be scored."""

    def other(base, step=1):
        return "ACGT"[("ACGT".index(base) + step) % 4]

    a, b = bases["chrA"], bases["chrB"]
    return [
        ("chrB", 700, "=x()", b[699], other(b[699]), "AF=0.5;DNADIFF_LLR=9"),
        ("chrA", 1, "rs1", a[0], other(a[0]), "."),
        ("chrA", 2000, ".", a[1999], ",".join([other(a[1999]), "<DEL>", other(a[1999], 2), "*"]), "AF=.1,.2,.3,.4"),
        ("chrA", 2000, ".", a[1999], other(a[1999], 3), "."),
        ("chrA", 6000, ".", a[5999], a[5999] + "GA", "."),
        ("chrA", 300, "many", a[299:305], a[299], "."),
        ("chrA", 310, "long", a[309], a[309] + "ACGT" * 10, "."),
        ("chrX", 310, ".", "A", "C", "."),
        *(("chrA", at, f"v{at}", a[at - 1], other(a[at - 1]), ".") for at in range(500, 512)),
    ]


@pytest.fixture
def vcf(rows, tmp_path):
    path = tmp_path / "some.vcf"
    text = (f"{c}\t{p}\t{i}\t{r}\t{a}\t50\tPASS\t{info}\tGT\t0/1\n" for c, p, i, r, a, info in rows)
    path.write_text(HEADER + "".join(text))
    return path


N_SCORED = 19


def table(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.case(39)
def test_a_table_has_a_row_for_each_alternative_in_order(run, genome, vcf, rows, tmp_path, caplog):
    caplog.set_level("INFO")
    score.run(settings_of("scores=llr,bound,distance", "draws=3"), run, str(vcf), str(genome), str(tmp_path / "a.tsv"))
    found = table(tmp_path / "a.tsv")
    expected = [(c, str(p), r, alt) for c, p, _, r, a, _ in rows for alt in a.split(",")]
    assert [(row["chrom"], row["pos"], row["ref"], row["alt"]) for row in found] == expected
    assert found[0]["id"] == "'=x()"
    reasons = {number: row["not_scored"] for number, row in enumerate(found) if row["not_scored"]}
    assert reasons == {3: "symbolic", 5: "spanning", 9: "long", 10: "contig"}
    for number, row in enumerate(found):
        values = [row[name] for name in ("llr", "bound", "bound_se", "distance")]
        assert values == [""] * 4 if number in reasons else np.isfinite([float(value) for value in values]).all()
    assert "19 alternatives in windows of 40 bases; 1 are not: ALT is symbolic" in caplog.text


@pytest.mark.case(39)
def test_a_vcf_keeps_its_rows_and_gains_values_for_each_alternative(run, genome, vcf, tmp_path):
    score.run(settings_of("scores=llr"), run, str(vcf), str(genome), str(tmp_path / "a.vcf"))
    score.run(settings_of("scores=llr"), run, str(vcf), str(genome), str(tmp_path / "a.tsv"))
    before, after = ([line.split("\t") for line in path.read_text().splitlines()] for path in (vcf, tmp_path / "a.vcf"))
    header = [line[0] for line in after if line[0].startswith("##")]
    assert [line for line in header if "DNADIFF_LLR" in line] == [
        '##INFO=<ID=DNADIFF_LLR,Number=A,Type=Float,Description="log p(ALT) - log p(REF) in nats, the site hidden">'
    ]
    assert any(line.startswith("##dnadiff_score=model=step-") for line in header)
    old, new = ([line for line in lines if not line[0].startswith("#")] for lines in (before, after))
    assert [[*row[:7], *row[8:]] for row in new] == [[*row[:7], *row[8:]] for row in old]
    values = iter([row["llr"] or "." for row in table(tmp_path / "a.tsv")])
    for row in new:
        info = dict(entry.split("=") for entry in row[7].split(";"))
        assert info["DNADIFF_LLR"].split(",") == [next(values) for _ in row[4].split(",")]
    assert new[0][7].startswith("AF=0.5;DNADIFF_LLR=")
    assert new[2][7].endswith(";DNADIFF_SKIP=.,symbolic,.,spanning")
    assert new[1][7].startswith("DNADIFF_LLR=")


def test_a_packed_vcf_is_in_blocks_and_ends_as_bgzip_does(run, genome, vcf, tmp_path):
    packed = tmp_path / "a.vcf.gz"
    (tmp_path / "a.vcf.gz.tbi").write_text("of another file")
    score.run(settings_of(), run, str(vcf), str(genome), str(packed))
    score.run(settings_of(), run, str(vcf), str(genome), str(tmp_path / "a.vcf"))
    assert gzip.decompress(packed.read_bytes()) == (tmp_path / "a.vcf").read_bytes()
    assert packed.read_bytes().endswith(bgzf._bgzf_eof)
    assert not (tmp_path / "a.vcf.gz.tbi").exists()  # rows are not sorted
    score.run(settings_of(), run, str(packed), str(genome), str(tmp_path / "again.vcf"))
    assert (tmp_path / "again.vcf").read_text() == (tmp_path / "a.vcf").read_text()


def test_pysam_reads_what_is_written_and_finds_rows_by_its_index(run, genome, vcf, tmp_path):
    pysam = pytest.importorskip("pysam")
    lines = vcf.read_text().splitlines(keepends=True)
    head, body = lines[:7], [line for line in lines[7:] if line.startswith("chrA")]
    vcf.write_text("".join([*head, *sorted(body, key=lambda line: int(line.split("\t")[1]))]))
    packed = tmp_path / "a.vcf.gz"
    score.run(settings_of("scores=llr,bound", "draws=2"), run, str(vcf), str(genome), str(packed))
    with pysam.VariantFile(str(packed)) as file:
        (row,) = file.fetch("chrA", 504, 505)
        assert row.id == "v505"
        assert set(row.info) == {"DNADIFF_LLR", "DNADIFF_BOUND", "DNADIFF_BOUND_SE"}
        assert len([*file.fetch("chrA")]) == len(body)


def test_pandas_reads_what_is_written(run, genome, vcf, tmp_path):
    pandas = pytest.importorskip("pandas")
    score.run(settings_of(), run, str(vcf), str(genome), str(tmp_path / "a.tsv.gz"))
    frame = pandas.read_csv(tmp_path / "a.tsv.gz", sep="\t")
    assert frame["llr"].notna().sum() == N_SCORED
    assert frame["llr"].dtype == float


def test_shards_write_what_one_process_writes(run, genome, vcf, tmp_path):
    words = ("scores=llr,bound", "draws=4")
    score.run(settings_of(*words), run, str(vcf), str(genome), str(tmp_path / "whole.vcf"))
    for number in (3, 1, 2):
        assert not (tmp_path / "parts.vcf").exists()
        score.run(settings_of(*words), run, str(vcf), str(genome), str(tmp_path / "parts.vcf"), Shard(number, 3))
    assert (tmp_path / "parts.vcf").read_bytes() == (tmp_path / "whole.vcf").read_bytes()


def test_a_killed_run_goes_on_and_scores_nothing_twice(run, genome, vcf, tmp_path, monkeypatch):
    monkeypatch.setattr(score, "BATCHES", 1)  # two variants at a time
    monkeypatch.setattr("dnadiff.inference.draws.SAVE_SECONDS", 0.0)
    out, seen, plain = tmp_path / "a.tsv", [], score.score

    def watched(model, genome, some, how):
        seen.append(some)
        if len(seen) == 4 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(model, genome, some, how)

    parent = os.getpid()
    monkeypatch.setattr(score, "score", watched)
    child = os.fork()
    if child == 0:
        score.run(settings_of(), run, str(vcf), str(genome), str(out))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not out.exists()
    score.run(settings_of(), run, str(vcf), str(genome), str(out))
    assert len(seen) == -(-N_SCORED // 2) - 3
    monkeypatch.setattr(score, "score", plain)
    score.run(settings_of(), run, str(vcf), str(genome), str(tmp_path / "b.tsv"))
    assert out.read_bytes() == (tmp_path / "b.tsv").read_bytes()
    with pytest.raises(InputError, match=r"holds draws of another evaluation \(settings.seed"):
        score.run(settings_of("seed=2"), run, str(vcf), str(genome), str(out))


def test_without_a_file_a_table_is_printed(run, genome, vcf, capsys):
    score.run(settings_of(), run, str(vcf), str(genome), "-")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["chrom", "pos", "id", "ref", "alt", "llr", "not_scored"]
    assert len(lines) == 24
    with pytest.raises(InputError, match="--shard: needs --out FILE"):
        score.run(settings_of(), run, str(vcf), str(genome), None, Shard(1, 2))


@pytest.mark.case(39)
def test_another_genome_is_told_by_its_references(run, genome, vcf, tmp_path):
    (row,) = [line for line in vcf.read_text().splitlines() if "\tv505\t" in line]
    chrom, pos, name, ref, *rest = row.split("\t")
    wrong = vcf.read_text().replace(row, "\t".join([chrom, pos, name, "ACGT".replace(ref, "")[0], *rest]))
    (tmp_path / "wrong.vcf").write_text(wrong)
    first = rf"\(the first: {chrom}:{pos} {'ACGT'.replace(ref, '')[0]}\)"
    with pytest.raises(InputError, match=rf"REF of 1 of 19 alternatives .* {first}, more than 1%: another assembly\?"):
        score.dry_run(settings_of(), run, str(tmp_path / "wrong.vcf"), str(genome))
    how = settings_of("mismatched=0.1")
    score.run(how, run, str(tmp_path / "wrong.vcf"), str(genome), str(tmp_path / "a.tsv"))
    assert [row["not_scored"] for row in table(tmp_path / "a.tsv") if row["id"] == "v505"] == ["ref_mismatch"]


@pytest.mark.parametrize("name", ["a.csv", "a.vcf.bz2", "a.BCF"])
def test_a_name_that_promises_another_format_is_refused(run, genome, vcf, tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: no .* is written; name a file that ends in \.tsv"):
        score.run(settings_of(), run, str(vcf), str(genome), str(tmp_path / name))
    with pytest.raises(InputError, match=rf"{name}: no .* is written"):
        score.dry_run(settings_of(), run, str(vcf), str(genome), str(tmp_path / name))
    with pytest.raises(InputError, match=rf"{name}: no .* is written; name a file that ends in \.tsv"):
        likelihood.run(likelihood.LikelihoodSettings(), run, str(genome), None, str(tmp_path / name))
    with pytest.raises(InputError, match=r"b\.wig: no \.wig is written; name a file"):
        likelihood.run(likelihood.LikelihoodSettings(), run, str(genome), None, None, str(tmp_path / "b.wig"))


def test_nothing_to_score_and_a_model_that_cannot_are_refused(run, text_run, genome, vcf, tmp_path):
    (tmp_path / "none.vcf").write_text(HEADER + "chrX\t3\t.\tA\tC\t.\t.\t.\tGT\t0\n")
    with pytest.raises(InputError, match="1 are not: its contig is not in the genome; there is nothing to score"):
        score.run(settings_of(), run, str(tmp_path / "none.vcf"), str(genome))
    with pytest.raises(InputError, match="is no model of DNA"):
        score.run(settings_of(), text_run, str(vcf), str(genome))


def test_a_dry_run_counts(run, genome, vcf):
    assert "llr of" in (said := score.dry_run(settings_of(), run, str(vcf), str(genome)))
    assert "19 alternatives in windows of 40 bases" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score"], "name variants with --vcf and their genome with --ref, or sequences with --fasta"),
        (["score", "--vcf", "a.vcf"], "name variants with --vcf and their genome with --ref"),
        (["score", "--per-base", "a.bg", "--vcf", "a.vcf"], "--per-base: is for sequences; name them with --fasta"),
        (["score", "--fasta", "a.fa", "--ref", "g.fa"], "--ref: has no part where --fasta names sequences"),
        (["score", "--vcf", "none.vcf", "--ref", "none.fa"], "none.fa: cannot be read"),
        (["score", "scores=lr"], "scores.0: "),
        (["embed"], "embed: name the sequences with --fasta"),
        (["embed", "--fasta", "a.fa", "--out", "a.h5"], "a.h5: name a file that ends in .npz, .parquet, .tsv"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(run, monkeypatch, capsys, words, message):
    monkeypatch.setattr("sys.argv", ["dnadiff", words[0], str(run), *words[1:]])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in said
    assert said.count("\n") == 1


def test_scores_are_chosen_by_name_once():
    assert settings_of("scores=bound,llr,bound").scores == ("bound", "llr")
    with pytest.raises(InputError, match="scores"):
        settings_of("scores=lr")
