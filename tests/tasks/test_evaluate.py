"""`dnadiff evaluate` on a finished run: files, shards, protocols, and single sequences."""

import json
import math
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

import dnadiff
from dnadiff import cli, dna
from dnadiff.config import resolve
from dnadiff.data.window_set import WindowSet
from dnadiff.errors import InputError, ResourceError
from dnadiff.inference.draws import Shard
from dnadiff.run import RunFolder
from dnadiff.tasks import evaluate, likelihood
from dnadiff.tasks.likelihood import LikelihoodSettings


def figures(run, out, *words, shard=evaluate.ALL):
    evaluate.run(evaluate.settings_of(run, words, {}), run, str(out), shard)
    return json.loads(out.read_text()) if out.is_file() else None


def test_the_file_holds_what_the_run_reports_and_every_choice(run, tmp_path, capsys):
    found = figures(run, tmp_path / "eval.json")
    reported = json.loads((run / "results.json").read_text())
    same = {"nats_per_base", "bits_per_base", "perplexity", "markov", "chosen_order", "n_windows", "n_scored"}
    assert {name: found[name] for name in same} == {name: reported[name] for name in same}
    assert found["split"] == found["evaluate"]["split"] == "test"
    assert found["evaluate"]["protocol"] == "strict"
    assert found["meaning"] == "an upper bound on -log p"
    printed = capsys.readouterr().out
    assert "protocol strict" in printed
    assert re.search(
        r"Markov chains, bits per base by order: \d\.\d{3} \d\.\d{3} \d\.\d{3} \(order \d, chosen", printed
    )
    assert figures(run, tmp_path / "eval.json") == found  # once more, from what is kept
    capsys.readouterr()
    evaluate.run(evaluate.settings_of(run, [], {}), run, "-")
    assert json.loads(capsys.readouterr().out) == found


@pytest.mark.parametrize("words", [[], ["evaluate.max_windows=null"]])
def test_every_contig_has_its_figure_beside_its_own_markov_chains(run, genome, tmp_path, capsys, words):
    other = tmp_path / "other.fa"
    other.write_text(genome.read_text() + ">chrD\n" + "GC" * 600 + "\n")
    settings = evaluate.settings_of(run, ["data.split.test=[chrC,chrD]", *words], {"data.ref": str(other)})
    evaluate.run(settings, run, str(tmp_path / "eval.json"))
    found = json.loads((tmp_path / "eval.json").read_text())
    parts = found["parts"]
    assert [*parts] == ["chrC", "chrD"]
    assert sum(part["n_windows"] for part in parts.values()) == found["n_windows"]
    assert parts["chrC"]["markov"][0] < found["markov"][0] < parts["chrD"]["markov"][0]
    assert parts["chrD"]["markov"][0] == pytest.approx(-math.log2(0.15), abs=0.1)
    low, high = sorted(part["bits_per_base"]["value"] for part in parts.values())
    assert low < found["bits_per_base"]["value"] < high
    printed = capsys.readouterr().out
    assert re.search(r"^  chrD <= \d\.\d{4} .* windows; uniform 2.0000, Markov order 0 2\.", printed, re.MULTILINE)


def test_shards_meet_beside_the_output_and_give_its_bytes(run, tmp_path, capsys):
    words = ["evaluate.batch_size=3", "evaluate.sweeps=3"]
    figures(run, tmp_path / "whole.json", *words)
    capsys.readouterr()
    assert figures(run, tmp_path / "parts.json", *words, shard=Shard(2, 2)) is None
    assert capsys.readouterr().out == ""
    assert figures(run, tmp_path / "parts.json", *words, shard=Shard(1, 2)) is not None
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert "bits per base" in capsys.readouterr().out


def test_an_interrupted_evaluation_goes_on_and_gives_the_same_bytes(run, tmp_path, monkeypatch):
    words = ["evaluate.batch_size=2"]
    figures(run, tmp_path / "whole.json", *words)
    read, n_reads = WindowSet.rows, []

    def stop_at_the_third(self, rows, *, epoch):
        n_reads.append(len(rows))
        if len(n_reads) == 3:
            raise KeyboardInterrupt
        return read(self, rows, epoch=epoch)

    with monkeypatch.context() as patch:
        patch.setattr(WindowSet, "rows", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            figures(run, tmp_path / "stopped.json", *words)
    assert not (tmp_path / "stopped.json").exists()
    figures(run, tmp_path / "stopped.json", *words)
    assert (tmp_path / "stopped.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_other_settings_beside_the_same_output_are_refused(run, tmp_path):
    figures(run, tmp_path / "eval.json")
    with pytest.raises(InputError, match=r"another evaluation \(evaluate.sweeps was 2, is 4\)"):
        figures(run, tmp_path / "eval.json", "evaluate.sweeps=4")


def test_places_that_cannot_be_written_are_refused_before_anything_is_drawn(run, tmp_path):
    with pytest.raises(InputError, match="is a folder; name a file"):
        figures(run, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        figures(run, tmp_path / "file" / "eval.json")
    with pytest.raises(InputError, match="--shard: needs --out FILE"):
        evaluate.run(evaluate.settings_of(run, [], {}), run, shard=Shard(1, 2))


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (
            ["evaluate.protocol=paper"],
            r"protocol paper\nthe training loss, as the paper .*perplexity by batches of 32 ~",
        ),
        (["evaluate.strands=both"], r"protocol strict, strands both\nan upper bound"),
        (["evaluate.T=4"], r"protocol strict, T 4\nan upper bound"),
        (["evaluate.estimator.kind=pairs"], r"protocol strict, estimator pairs\nan upper bound"),
    ],
)
def test_what_was_asked_for_is_named(run, capsys, words, printed):
    evaluate.run(evaluate.settings_of(run, words, {}), run)
    assert re.search(printed, capsys.readouterr().out, re.DOTALL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate.protocol=paper", "evaluate.strands=both"], "leave strands at given"),
        (["evaluate.protocol=paper", "evaluate.estimator.kind=pairs"], "estimator has no part in protocol=paper"),
        (["evaluate.T=4", "evaluate.estimator.kind=bernoulli"], "nor where T is set; leave it out"),
        (["evaluate.estimator.kind=bernouli"], "'bernouli' is not one of numbers, pairs, bernoulli"),
        (["model.width=3"], r"only these can be set: data.\*, evaluate.\*"),
    ],
)
def test_settings_that_have_no_part_are_refused(run, words, message):
    with pytest.raises(InputError, match=message):
        evaluate.settings_of(run, words, {})


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "short.fa"
    path.write_text(">one\nGATTACA\n>two\nACGTNACGT\n")
    return str(path)


def table(run, out, fasta, *words, bed=None):
    likelihood.run(resolve(LikelihoodSettings, None, words), run, fasta, bed, str(out))
    about, *lines = out.read_text().splitlines()
    names, *rows = (line.split("\t") for line in lines)
    return about, [dict(zip(names, row, strict=True)) for row in rows]


def test_sequences_of_a_file_are_scored_one_by_one_beside_a_markov_chain(run, fasta, tmp_path, caplog):
    caplog.set_level("INFO", "dnadiff")
    about, rows = table(run, tmp_path / "out.tsv", fasta, "method=exact")
    expected = dnadiff.load(run).log_prob(["GATTACA", "ACGTNACGT"], "exact")
    assert about.endswith(": log_p_nats is log p, exactly")
    assert "out.tsv: 2 sequences" in caplog.text
    assert [row["sequence"] for row in rows] == ["one", "two"]
    assert [int(row["letters"]) for row in rows] == [7, 8]
    for row, one in zip(rows, expected, strict=True):
        assert float(row["log_p_nats"]) == pytest.approx(one.nats, abs=1e-4)
        assert float(row["markov_nats"]) / int(row["letters"]) == pytest.approx(-math.log(4), abs=0.5)


def test_regions_are_scored_given_their_flanks_on_either_strand(run, fasta, tmp_path):
    bed = tmp_path / "regions.bed"
    bed.write_text("one\t2\t5\none\t0\t3\ta\t0\t-\n")
    _, rows = table(run, tmp_path / "out.tsv", fasta, "method=exact", bed=str(bed))
    model = dnadiff.load(run)
    expected = [model.log_prob("GATTACA", "exact", region=(2, 5)), model.log_prob("TGTAATC", "exact", region=(4, 7))]
    assert [float(row["log_p_nats"]) for row in rows] == pytest.approx([one.nats for (one,) in expected], abs=1e-4)
    assert [(row["start"], row["end"], row["strand"]) for row in rows] == [("2", "5", "+"), ("0", "3", "-")]


def test_the_chain_beside_a_sequence_is_the_one_that_was_counted(run, settings):
    chain = likelihood.chain_of(run)
    tokens = dna.encode("GATTACA")
    nats = likelihood.markov_nats(chain, tokens, (0, 7))
    parts = [chain.log_probs(tokens[:end], min(end - 1, chain.best_order))[end - 1] for end in range(1, 8)]
    assert nats == pytest.approx(sum(parts))
    assert likelihood.markov_nats(chain, tokens, (2, 5)) == pytest.approx(sum(parts[2:5]))


def test_a_checkpoint_without_its_data_has_no_chain_beside_it(run, fasta, tmp_path, caplog):
    shutil.copytree(RunFolder(run).newest(), tmp_path / "model")
    _, rows = table(tmp_path / "model", tmp_path / "out.tsv", fasta, "draws=4")
    assert {row["markov_nats"] for row in rows} == {""}
    assert "is not inside a run folder, so there is no Markov chain" in caplog.text


def test_a_dry_run_of_sequences_counts_them(run, fasta):
    said = likelihood.dry_run(LikelihoodSettings(), run, fasta, None)
    assert said.endswith("bound of 2 sequences, 16 bases")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">one\nACGT\n>two\n", "short.fa: 'two' has no bases; leave it out"),
        (">one\nACGT\n>two\nNNN\n", "short.fa: two:0-3 has no A, C, G or T to score; leave it out"),
    ],
)
def test_what_cannot_be_scored_is_found_before_anything_is_loaded(run, fasta, tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(likelihood.checkpoint, "load", lambda _: pytest.fail("loaded"))
    Path(fasta).write_text(text)
    with pytest.raises(InputError, match=message):
        table(run, tmp_path / "out.tsv", fasta)


def test_a_sequence_that_is_too_long_for_a_method_is_named(run, fasta, tmp_path):
    Path(fasta).write_text(">one\nACGT\n>two\n" + "ACGT" * 4)
    with pytest.raises(InputError, match="two: method='exact': 16 positions"):
        table(run, tmp_path / "out.tsv", fasta, "method=exact")


def test_each_base_is_written_where_it_lies_on_the_strand_of_the_file(run, fasta, tmp_path):
    bed = tmp_path / "regions.bed"
    bed.write_text("two\t2\t6\none\t0\t3\ta\t0\t-\n")
    settings = resolve(LikelihoodSettings, None, ["method=pseudo"])
    for name in ("a.bedgraph", "a.tsv"):
        likelihood.run(settings, run, fasta, str(bed), str(tmp_path / "out.tsv"), str(tmp_path / name))
    (head, *graph), (names, *rows) = (
        [line.split("\t") for line in (tmp_path / name).read_text().splitlines()] for name in ("a.bedgraph", "a.tsv")
    )
    assert head == ["track type=bedGraph"]
    assert [row[:3] for row in graph] == [
        ["two", "2", "3"], ["two", "3", "4"], ["two", "5", "6"], ["one", "0", "1"], ["one", "1", "2"], ["one", "2", "3"]
    ]  # fmt: skip
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(row["strand"], row["base"]) for row in found] == [(s, b) for s, b in zip("+++---", "GTACTA", strict=True)]
    assert [row["log_p_nats"] for row in found] == [row[3] for row in graph]
    _, _, whole, _ = (tmp_path / "out.tsv").read_text().splitlines()
    assert sum(float(row[3]) for row in graph[:3]) == pytest.approx(float(whole.split("\t")[5]), abs=1e-3)


def test_sequences_of_a_table_are_named_by_their_lines(run, tmp_path):
    (tmp_path / "rows.csv").write_text("name,sequence\na,GATTACA\nb,ACGTNACGT\n")
    _, rows = table(run, tmp_path / "out.tsv", str(tmp_path / "rows.csv"), "draws=50")
    assert [row["sequence"] for row in rows] == ["rows.csv:2", "rows.csv:3"]
    for row in rows:
        nats, error, low, high = (float(row[k]) for k in ("log_p_nats", "standard_error", "low_nats", "high_nats"))
        assert (low, high) == pytest.approx((nats - 1.96 * error, nats + 1.96 * error), abs=1e-3)
    (tmp_path / "places.bed").write_text("chr1\t3\t9\n")
    with pytest.raises(InputError, match=r"lists places; give the genome with --fasta and the places with --bed"):
        table(run, tmp_path / "out.tsv", str(tmp_path / "places.bed"))


@pytest.fixture
def regions(tmp_path):
    (tmp_path / "regions.bed").write_text("two\t2\t6\none\t0\t3\ta\t0\t-\none\t1\t7\n")
    return str(tmp_path / "regions.bed")


def test_shards_of_sequences_write_what_one_process_writes(run, fasta, regions, tmp_path):
    settings = resolve(LikelihoodSettings, None, ["draws=4"])
    for name, shards in (("whole", [likelihood.ALL]), ("parts", [Shard(number, 2) for number in (2, 1)])):
        for shard in shards:
            assert not (tmp_path / f"{name}.tsv").exists()
            files = (str(tmp_path / f"{name}.tsv"), str(tmp_path / f"{name}.bedgraph"))
            likelihood.run(settings, run, fasta, regions, *files, shard)
    for suffix in ("tsv", "bedgraph"):
        assert (tmp_path / f"parts.{suffix}").read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    assert not list(tmp_path.glob("*.part-*"))


@pytest.mark.parametrize("verb", ["score", "evaluate"])
def test_the_command_takes_a_share_of_sequences(run, fasta, tmp_path, monkeypatch, verb):
    out = tmp_path / "out.tsv"
    for share, done in (("2/2", False), ("1/2", True)):
        words = [verb, str(run), "draws=4", "--fasta", fasta, "--out", str(out), "--shard", share]
        monkeypatch.setattr("sys.argv", ["dnadiff", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        assert out.exists() == done
    _, rows = table(run, tmp_path / "whole.tsv", fasta, "draws=4")
    assert out.read_text().splitlines()[2:] == (tmp_path / "whole.tsv").read_text().splitlines()[2:]
    assert len(rows) == 2


def test_sequences_that_were_scored_before_a_kill_are_not_scored_again(run, fasta, regions, tmp_path, monkeypatch):
    settings, out = resolve(LikelihoodSettings, None, ["draws=4"]), tmp_path / "out.tsv"
    seen, plain = [], likelihood.log_prob

    def watched(model, tokens, **how):
        seen.append(how["region"])
        if len(seen) == 3 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(model, tokens, **how)

    parent = os.getpid()
    monkeypatch.setattr(likelihood, "log_prob", watched)
    child = os.fork()
    if child == 0:
        likelihood.run(settings, run, fasta, regions, str(out))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not out.exists()
    with pytest.raises(InputError, match=r"holds parts of other work \(settings.seed"):
        likelihood.run(settings.model_copy(update={"seed": 1}), run, fasta, regions, str(out))
    likelihood.run(settings, run, fasta, regions, str(out))
    assert len(seen) == 1
    likelihood.run(settings, run, fasta, regions, str(tmp_path / "again.tsv"))
    assert out.read_bytes() == (tmp_path / "again.tsv").read_bytes()


def test_a_region_is_seen_with_the_flanks_that_a_window_has_room_for(run, fasta, regions, tmp_path):
    found = {}
    for window in (1, 6, 100):
        _, rows = table(run, tmp_path / f"{window}.tsv", fasta, "method=pseudo", f"window={window}", bed=regions)
        found[window] = [float(row["log_p_nats"]) for row in rows]
    model = dnadiff.load(run)
    expected = {
        1: [("GTNA", (0, 4)), ("ATC", (0, 3)), ("ATTACA", (0, 6))],
        6: [("CGTNAC", (1, 5)), ("TAATC", (2, 5)), ("ATTACA", (0, 6))],
        100: [("ACGTNACGT", (2, 6)), ("TGTAATC", (4, 7)), ("GATTACA", (1, 7))],
    }
    for window, asked in expected.items():
        for row, (text, region) in zip(found[window], asked, strict=True):
            (one,) = model.log_prob(text, "pseudo", region=region)
            assert row == pytest.approx(one.nats, abs=1e-3), (window, text)
