"""`dnadiff embed`: three formats of one thing, and the laws of what is in them."""

import csv

import numpy as np
import pytest
import torch
from Bio.Seq import Seq

from dnadiff import cli, dna
from dnadiff.batch import Batch
from dnadiff.config import resolve
from dnadiff.diffusion.objectives import Plaid
from dnadiff.errors import InputError
from dnadiff.inference.draws import Shard
from dnadiff.inference.features import features
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.tasks import embed
from dnadiff.vocab import DNA

SEQUENCES = {"one": "GATTACA", "two": "ACGTNACGTTTAG", "three": "TTGAC"}


def settings_of(*words):
    return resolve(embed.EmbedSettings, None, ["batch_size=2", *words])


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "some.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in SEQUENCES.items()))
    return path


def written(run, fasta, *words, bed=None):
    out = fasta.parent / "out.npz"
    embed.run(settings_of(*words), run, str(fasta), bed, str(out))
    with np.load(out) as file:
        return dict(file)


def test_a_sequence_has_the_mean_of_its_bases_whatever_is_beside_it(run, fasta):
    whole, bases = written(run, fasta), written(run, fasta, "pooling=none")
    assert whole["names"].tolist() == list(SEQUENCES)
    assert bases["offsets"].tolist() == [0, 7, 20, 25]
    parts = np.split(bases["features"], bases["offsets"][1:-1])
    assert whole["features"] == pytest.approx(np.stack([part.mean(0) for part in parts]), abs=1e-5)
    alone = written(run, fasta, "batch_size=1")
    assert whole["features"] == pytest.approx(alone["features"], abs=1e-5)


@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_features_of_the_other_strand_are_the_same_backwards(symmetry):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DiffusionModel(ModelConfig(model=Caduceus(symmetry=symmetry, width=8, n_layers=1, n_states=2)), DNA)
    row = dna.encode("GATTACAGGN")
    there, back = (
        features(model, Batch(torch.from_numpy(tokens.astype(np.int64))[None]))[0]
        for tokens in (row, dna.reverse_complement(row))
    )
    assert torch.allclose(there, back.flip(0), atol=1e-6)
    assert (there - there.flip(0)).abs().max() > 1e-3


def test_all_formats_hold_the_same(run, fasta):
    npz = written(run, fasta, "pooling=none")
    embed.run(settings_of("pooling=none"), run, str(fasta), None, str(fasta.parent / "out.tsv"))
    with (fasta.parent / "out.tsv").open() as file:
        names, *rows = csv.reader(file, delimiter="\t")
    assert names[:3] == ["name", "position", "f0"]
    expected = [(name, str(at)) for name, bases in SEQUENCES.items() for at in range(len(bases))]
    assert [(row[0], row[1]) for row in rows] == expected
    assert np.array([row[2:] for row in rows], float) == pytest.approx(npz["features"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "none"])
def test_pandas_reads_parquet_and_tables_alike(run, fasta, pooling):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for name in ("out.tsv", "out.parquet"):
        embed.run(settings_of(f"pooling={pooling}"), run, str(fasta), None, str(fasta.parent / name))
    table = pandas.read_csv(fasta.parent / "out.tsv", sep="\t")
    pandas.testing.assert_frame_equal(
        table, pandas.read_parquet(fasta.parent / "out.parquet"), check_dtype=False, rtol=1e-4, atol=1e-6
    )


def test_regions_and_rows_of_tables_are_sequences(run, fasta, tmp_path):
    (tmp_path / "a.bed").write_text("two\t5\t12\none\t0\t7\tx\t0\t-\n")
    found = written(run, fasta, bed=str(tmp_path / "a.bed"))
    assert found["names"].tolist() == ["two:5-12", "one:0-7(-)"]
    (tmp_path / "a.csv").write_text(f"sequence\n{SEQUENCES['two'][5:12]}\n{Seq('GATTACA').reverse_complement()}\n")
    again = written(run, tmp_path / "a.csv")
    assert again["names"].tolist() == ["a.csv:2", "a.csv:3"]
    assert found["features"] == pytest.approx(again["features"], abs=1e-6)


def test_one_batch_at_a_time_is_read(run, fasta, monkeypatch):
    """What comes of a sequence is in the file before the next but one is read."""
    seen, plain = [], embed.open_places

    def watched(*files):
        places = plain(*files)
        tokens = places.tokens
        part = fasta.parent / "out.npz.part-1-of-1"
        monkeypatch.setattr(
            type(places), "tokens", lambda self, number: seen.append(part.stat().st_size) or tokens(number)
        )
        return places

    monkeypatch.setattr(embed, "open_places", watched)
    written(run, fasta, "batch_size=1")
    assert seen[0] < seen[1] < seen[2]
    assert not list(fasta.parent.glob("*.part-*"))


@pytest.mark.parametrize("name", ["out.npz", "out.tsv", "out.parquet"])
@pytest.mark.parametrize("pooling", ["mean", "none"])
def test_shards_write_what_one_process_writes(run, fasta, name, pooling):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    how, whole, parts = settings_of(f"pooling={pooling}"), fasta.parent / name, fasta.parent / f"parts-{name}"
    embed.run(how, run, str(fasta), None, str(whole))
    for number in (2, 1):
        assert not parts.exists()
        embed.run(how, run, str(fasta), None, str(parts), Shard(number, 2))
    assert parts.read_bytes() == whole.read_bytes()
    assert not list(fasta.parent.glob("*.part-*"))


def test_the_command_takes_a_share(run, fasta, monkeypatch):
    out = fasta.parent / "out.npz"
    for share, done in (("2/2", False), ("1/2", True)):
        words = ["embed", str(run), "--fasta", str(fasta), "--out", str(out), "--shard", share, "batch_size=2"]
        monkeypatch.setattr("sys.argv", ["dnadiff", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        assert out.exists() == done
    with np.load(out) as file:
        assert file["features"] == pytest.approx(written(run, fasta)["features"])


def test_rows_of_a_group_are_those_of_all(run, fasta, monkeypatch):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frames = []
    for rows in (1, 8, 1 << 14):
        monkeypatch.setattr(embed, "ROW_GROUP", rows)
        embed.run(settings_of("pooling=none"), run, str(fasta), None, str(fasta.parent / "out.parquet"))
        frames.append(pandas.read_parquet(fasta.parent / "out.parquet"))
    pandas.testing.assert_frame_equal(frames[0], frames[2])
    pandas.testing.assert_frame_equal(frames[1], frames[2])


def test_means_are_a_matrix_of_float32_by_name(run, fasta):
    """What `anndata.AnnData(frame)` takes for an h5ad."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    embed.run(settings_of(), run, str(fasta), None, str(fasta.parent / "out.parquet"))
    frame = pandas.read_parquet(fasta.parent / "out.parquet").set_index("name")
    assert frame.index.is_unique
    assert frame.to_numpy().dtype == np.float32
    assert frame.to_numpy() == pytest.approx(written(run, fasta)["features"])


@pytest.mark.parametrize(
    ("text", "out", "message"),
    [
        (">a\nACGT\n", "out.h5", "name a file that ends in .npz, .parquet, .tsv"),
        (">a\nACGT\n>b\n", "out.npz", "'b' has no bases; leave it out"),
        ("chr1\t3\t9\n", "out.npz", "lists places; give the genome with --fasta and the places with --bed"),
    ],
)
def test_what_cannot_be_embedded_is_refused(run, fasta, text, out, message):
    fasta.write_text(text)
    with pytest.raises(InputError, match=message):
        embed.run(settings_of(), run, str(fasta), None, str(fasta.parent / out))
    assert not (fasta.parent / out).exists()


def test_a_model_of_text_is_refused(text_run, fasta):
    with pytest.raises(InputError, match="is no model of DNA"):
        embed.dry_run(settings_of(), text_run, str(fasta), None, "a.npz")


def test_a_network_of_noisy_embeddings_is_refused():
    model = DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2, conditioning="time"),
                                       objective=Plaid()), DNA)  # fmt: skip
    with pytest.raises(InputError, match="Plaid reads noisy embeddings"):
        features(model, Batch(torch.full((1, 4), DNA.letters[0])))


def test_a_dry_run_counts(run, fasta):
    said = embed.dry_run(settings_of("pooling=none"), run, str(fasta), None, "a.npz")
    assert said.endswith("3 sequences, 25 bases; 25 rows of features")
