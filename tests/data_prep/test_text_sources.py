"""The programs that get text, against a small web server on this machine."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ag_news
import fetch
import hub
import lambada
import lm1b
import openwebtext
import ptb
import pytest
import scientific_papers
import text8
import wikitext
from loopback import Web, serving

PARQUET = b"PAR1 stands for a file of rows PAR1"
TREES = {
    openwebtext: [("Skylion007/openwebtext", "main", "plain_text", ["train-00000-of-00002", "train-00001-of-00002"])],
    wikitext: [
        ("Salesforce/wikitext", "main", f"{part}-raw-v1", ["test-0", "train-0", "validation-0"])
        for part in wikitext.PARTS
    ],
    ag_news: [("fancyzhx/ag_news", "main", "data", ["train-0", "test-0"])],
    scientific_papers: [
        ("armanc/scientific_papers", "refs%2Fconvert%2Fparquet", f"{part}/validation", ["0000"])
        for part in scientific_papers.PARTS
    ],
}
WRITTEN = {
    openwebtext: {"train-00000-of-00002.parquet", "train-00001-of-00002.parquet"},
    wikitext: {f"{part}/{split}/{split}-0.parquet" for part in wikitext.PARTS for split in wikitext.SPLITS},
    ag_news: {"train/train-0.parquet", "test/test-0.parquet"},
    scientific_papers: {"arxiv/0000.parquet", "pubmed/0000.parquet"},
}


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({}) as web:
        yield web


def files(folder: Path, *, suffix: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob(f"*{suffix}") if path.is_file()}


def serve_hub(web: Web, program: ModuleType, oid: str) -> None:
    for dataset, revision, folder, names in TREES[program]:
        paths = [f"{folder}/{name}.parquet" for name in names]
        listed = [{"type": "file", "path": path, "lfs": {"oid": oid}} for path in paths]
        tree = f"/api/datasets/{dataset}/tree/{revision}/{folder}"
        web.files[tree] = json.dumps([{"type": "file", "path": "README.md"}, *listed]).encode()
        for path in paths:
            web.files[f"/datasets/{dataset}/resolve/{revision}/{path}"] = PARQUET


@pytest.mark.parametrize("program", TREES, ids=lambda program: program.__name__)
def test_sets_of_the_hub_come_with_the_checksums_that_it_lists(program: ModuleType, web: Web, tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path / "set"), "--hub-url", web.url]
    serve_hub(web, program, hashlib.sha256(PARQUET).hexdigest())
    assert program.main(arguments) == 0
    assert files(tmp_path / "set", suffix=".parquet") == WRITTEN[program]
    assert len(files(tmp_path / "set", suffix=".json")) == len(WRITTEN[program])

    serve_hub(web, program, "0" * 64)
    assert program.main(["--out", str(tmp_path / "other"), "--hub-url", web.url]) == 2
    assert not files(tmp_path / "other", suffix=".parquet")


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'[{"path": "x.parquet"}]'])
def test_a_hub_that_lists_nothing_is_refused(answer: bytes, web: Web) -> None:
    web.files["/api/datasets/a/b/tree/main/c"] = answer
    with pytest.raises(fetch.FetchError, match=r"lists no parquet|is no list of files|a web page came"):
        hub.hub_files("a/b", "c", hub_url=web.url)


def test_lm1b_is_unpacked_with_the_held_out_sentences_last(web: Web, tmp_path: Path) -> None:
    web.files["/lm1b"] = lm1b_archive({"training": "a b\n", "heldout": "c d\n"})
    assert lm1b.main(["--out", str(tmp_path), "--url", f"{web.url}/lm1b"]) == 0
    written = sorted(tmp_path.rglob("*.txt"))
    assert [path.read_text() for path in written] == ["a b\n", "c d\n"]
    assert [path.parent.name for path in written] == ["train", "valid"]


def test_another_archive_than_lm1b_is_refused(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    web.files["/lm1b"] = lm1b_archive({"training": "a b\n"})
    assert lm1b.main(["--out", str(tmp_path), "--url", f"{web.url}/lm1b"]) == 2
    assert "lacks sentences to train on or held-out ones" in capsys.readouterr().err
    web.files["/bad"] = b"no archive"
    assert lm1b.main(["--out", str(tmp_path / "bad"), "--url", f"{web.url}/bad"]) == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.case(52)
def test_a_hostile_archive_in_lm1b_s_place_writes_nothing_elsewhere(web: Web, tmp_path: Path) -> None:
    inside, secret = "lm1b/training-monolingual.tokenized.shuffled", tmp_path / "secret"
    secret.write_text("kept")
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as tar:
        for name, kind in {
            f"{inside}/news.en-1/../../../escaped": tarfile.REGTYPE, "/tmp/news.en-escaped": tarfile.REGTYPE,
            f"{inside}/news.en-link": tarfile.SYMTYPE, f"{inside}/news.en-hard": tarfile.LNKTYPE,
            f"{inside}/news.en-pipe": tarfile.FIFOTYPE, f"{inside}/news.en-device": tarfile.CHRTYPE,
            f"{inside}/news.en..": tarfile.REGTYPE,
        }.items():  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(secret)
            tar.addfile(member)
    web.files["/lm1b"] = into.getvalue()
    assert lm1b.main(["--out", str(tmp_path / "out"), "--url", f"{web.url}/lm1b"]) == 2
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.suffix == ".txt"} == {"news.en...txt"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", "secret"}
    assert secret.read_text() == "kept"


@pytest.mark.case(52)
@pytest.mark.parametrize("limit", ["MOST_MEMBERS", "MOST_BYTES"])
def test_an_archive_that_swells_is_refused_before_it_is_unpacked(
    limit: str, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lm1b, limit, 1)
    web.files["/lm1b"] = lm1b_archive({"training": "a b\n", "heldout": "c d\n"})
    assert lm1b.main(["--out", str(tmp_path), "--url", f"{web.url}/lm1b"]) == 2
    assert "it is another" in capsys.readouterr().err
    assert "c d" not in "".join(path.read_text() for path in tmp_path.rglob("*.txt"))


def lm1b_archive(sentences: dict[str, str]) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as tar:
        for kind, text in {**sentences, "../../escaped": "x"}.items():
            member = tarfile.TarInfo(f"lm1b/{kind}-monolingual.tokenized.shuffled/news.en-00001-of-00100")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return into.getvalue()


def test_text8_is_cut_into_lines_that_are_the_text(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " the text of wikipedia "
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as zipped:
        zipped.writestr("text8", text)
    web.files["/text8.zip"] = into.getvalue()
    arguments = ["--out", str(tmp_path), "--url", f"{web.url}/text8.zip"]
    assert text8.main(arguments) == 2
    assert f"holds {len(text)} characters, not 100,000,000" in capsys.readouterr().err
    for name, number in (("N_CHARACTERS", len(text)), ("N_TRAIN", 15), ("LINE", 5)):
        monkeypatch.setattr(text8, name, number)
    assert text8.main(arguments) == 0
    train, test = ((tmp_path / part / "text8.txt").read_text().split("\n") for part in ("train", "test"))
    assert "".join([*train, *test]) == text
    assert {len(line) for line in train[:-1]} == {5}


def test_ptb_loses_the_spaces_around_sentences(web: Web, tmp_path: Path) -> None:
    web.files |= {f"/ptb.{split}.txt": b" a <unk> N \n b 's \n" for split in ("train", "valid", "test")}
    assert ptb.main(["--out", str(tmp_path), "--base-url", web.url]) == 0
    assert (tmp_path / "valid.txt").read_text() == "a <unk> N\nb 's\n"
    assert files(tmp_path, suffix=".txt") == {"train.txt", "valid.txt", "test.txt"}


def test_what_came_first_is_later_compared_with(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    web.files["/lambada.jsonl"] = b'{"text": "a"}\n'
    arguments = ["--out", str(tmp_path), "--url", f"{web.url}/lambada.jsonl"]
    assert lambada.main(arguments) == lambada.main(arguments) == 0
    assert len(web.asked) == 1
    (tmp_path / "lambada_test.jsonl").write_bytes(b'{"text": "b"}\n')
    assert lambada.main(arguments) == 2
    assert "remove it and run again" in capsys.readouterr().err
