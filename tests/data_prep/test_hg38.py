"""The program against a small web server on this machine."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fetch
import hg38
import pytest
from loopback import Web, serving

GENOME = bytes(range(256)) * 400
MD5 = hashlib.md5(GENOME).hexdigest()
BED = "chr18\t928386\t1059458\ttrain\nchr4\t113630947\t113762019\tvalid\nchr11\t1\t9\ttest\n"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(hg38, "SPLIT_ROWS", {"train": 1, "valid": 1, "test": 1})
    sums = f"{MD5}  hg38.fa.gz\n".encode()
    with serving({"/hg38.fa.gz": GENOME, "/split.bed": BED.encode(), "/md5sum.txt": sums}) as web:
        yield web


def get(web: Web, to: Path, *, md5: str = MD5) -> None:
    fetch.fetch(f"{web.url}/hg38.fa.gz", to, md5=md5, licence="none", first_wait_s=0)


def run(web: Web, out: Path, *more: str) -> int:
    return hg38.main(["--out", str(out), "--base-url", web.url, "--split-url", f"{web.url}/split.bed", *more])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_program_writes_sequence_split_and_records(web: Web, tmp_path: Path) -> None:
    assert run(web, tmp_path / "hg38", "--md5", "published") == 0
    assert (tmp_path / "hg38/hg38.fa.gz").read_bytes() == GENOME
    assert (tmp_path / "hg38/hg38.split.bed").read_text() == BED
    assert names(tmp_path / "hg38") == {"hg38.fa.gz", "hg38.fa.gz.json", "hg38.split.bed", "hg38.split.bed.json"}
    record = json.loads((tmp_path / "hg38/hg38.fa.gz.json").read_text())
    assert record["sha256"] == hashlib.sha256(GENOME).hexdigest()
    assert (record["md5"], record["n_bytes"], record["url"]) == (MD5, len(GENOME), f"{web.url}/hg38.fa.gz")
    assert json.loads((tmp_path / "hg38/hg38.split.bed.json").read_text())["row_bp"] == [8, 131072]


def test_a_second_run_verifies_and_gets_nothing(web: Web, tmp_path: Path) -> None:
    get(web, tmp_path / "hg38.fa.gz")
    n_asked = len(web.asked)
    get(web, tmp_path / "hg38.fa.gz")
    assert len(web.asked) == n_asked


@pytest.mark.case(53)
def test_cut_connections_are_resumed_where_they_ended(web: Web, tmp_path: Path) -> None:
    web.cuts = [30_000, 1, 20_000]
    get(web, tmp_path / "hg38.fa.gz")
    assert (tmp_path / "hg38.fa.gz").read_bytes() == GENOME
    assert [wanted for _, wanted in web.asked] == [None, "bytes=30000-", "bytes=30001-", "bytes=50001-"]


@pytest.mark.case(53)
def test_a_later_run_goes_on_from_what_the_first_left(web: Web, tmp_path: Path) -> None:
    web.cuts = [30_000] + [0] * fetch.N_TRIES
    with pytest.raises(fetch.FetchError, match=r"cut, .* are missing at 30,000 bytes; run again to go on from there"):
        get(web, tmp_path / "hg38.fa.gz")
    assert names(tmp_path) == {"hg38.fa.gz.part"}
    web.cuts, web.asked = [], []
    get(web, tmp_path / "hg38.fa.gz")
    assert (tmp_path / "hg38.fa.gz").read_bytes() == GENOME
    assert web.asked == [("/hg38.fa.gz", "bytes=30000-")]


def test_a_server_without_ranges_sends_all_again(web: Web, tmp_path: Path) -> None:
    web.has_ranges, web.cuts = False, [30_000]
    get(web, tmp_path / "hg38.fa.gz")
    assert (tmp_path / "hg38.fa.gz").read_bytes() == GENOME


def test_a_part_that_is_already_whole_is_taken(web: Web, tmp_path: Path) -> None:
    (tmp_path / "hg38.fa.gz.part").write_bytes(GENOME)
    get(web, tmp_path / "hg38.fa.gz")
    assert (tmp_path / "hg38.fa.gz").read_bytes() == GENOME


def test_a_busy_server_is_asked_again(web: Web, tmp_path: Path) -> None:
    web.failures = [503, 503]
    get(web, tmp_path / "hg38.fa.gz")
    assert (tmp_path / "hg38.fa.gz").read_bytes() == GENOME


@pytest.mark.case(53)
def test_a_wrong_checksum_never_gets_the_name(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(web, tmp_path) == 2
    message = capsys.readouterr().err
    assert f"its md5 is {MD5}, not {hg38.MD5}; what came is removed; run again" in message
    assert names(tmp_path) == {"hg38.split.bed", "hg38.split.bed.json"}


def test_a_file_of_that_name_that_is_another_is_left_alone(web: Web, tmp_path: Path) -> None:
    (tmp_path / "hg38.fa.gz").write_bytes(b"mine")
    with pytest.raises(fetch.FetchError, match=r"its md5 is .*; remove it and run again"):
        get(web, tmp_path / "hg38.fa.gz")
    assert (tmp_path / "hg38.fa.gz").read_bytes() == b"mine"


@pytest.mark.case(53)
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_refused(web: Web, tmp_path: Path, content_type: str) -> None:
    web.files["/hg38.fa.gz"], web.content_type = b"\n<!DOCTYPE html><title>Sign in</title>", content_type
    with pytest.raises(fetch.FetchError, match="a web page came instead of the file; open the address in a browser"):
        get(web, tmp_path / "hg38.fa.gz")
    assert "hg38.fa.gz" not in names(tmp_path)


@pytest.mark.case(53)
@pytest.mark.parametrize("to", ["file:///etc/hostname", "data:,x"])
def test_an_address_that_leads_elsewhere_than_the_web_is_refused(web: Web, tmp_path: Path, to: str) -> None:
    web.redirects["/hg38.fa.gz"] = to
    with pytest.raises(fetch.FetchError, match=r"/hg38\.fa\.gz: HTTP Error 302: .*; check the address") as caught:
        get(web, tmp_path / "hg38.fa.gz")
    assert "\n" not in str(caught.value)
    assert not names(tmp_path)


def test_a_redirect_within_the_web_is_followed_and_what_comes_is_verified(web: Web, tmp_path: Path) -> None:
    web.files |= {"/old": b"", "/wrong": b""}
    web.redirects |= {"/old": "/hg38.fa.gz", "/wrong": "/split.bed"}
    fetch.fetch(f"{web.url}/old", tmp_path / "a", md5=MD5, licence="none", first_wait_s=0)
    assert (tmp_path / "a").read_bytes() == GENOME
    with pytest.raises(fetch.FetchError, match="what came is removed"):
        fetch.fetch(f"{web.url}/wrong", tmp_path / "b", md5=MD5, licence="none", first_wait_s=0)
    assert names(tmp_path) == {"a", "a.json"}


def test_an_address_that_is_wrong_is_named(web: Web, tmp_path: Path) -> None:
    del web.files["/hg38.fa.gz"]
    with pytest.raises(fetch.FetchError, match=r"/hg38\.fa\.gz: HTTP Error 404: Not Found; check the address"):
        get(web, tmp_path / "hg38.fa.gz")
    with pytest.raises(fetch.FetchError, match="not a web address; write http:// or https://"):
        fetch.fetch_text("file:///etc/hostname")


def test_a_full_disk_is_seen_before_it_is_full(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(fetch.FetchError, match="102,400 bytes are needed and 1 are free; make room or set --out"):
        get(web, tmp_path / "hg38.fa.gz")


def test_a_small_text_is_whole_or_refused(web: Web) -> None:
    with pytest.raises(fetch.FetchError, match="at most 10 are read"):
        fetch.fetch_text(f"{web.url}/split.bed", max_bytes=10)
    web.cuts = [5]
    with pytest.raises(fetch.FetchError, match="try again"):
        fetch.fetch_text(f"{web.url}/split.bed")


def test_a_checksum_that_is_not_published_is_asked_for(web: Web) -> None:
    web.files["/md5sum.txt"] = b"0123  other.fa.gz\n"
    with pytest.raises(fetch.FetchError, match=r"md5sum\.txt: does not list hg38\.fa\.gz; give its digest with --md5"):
        hg38.published_md5(web.url, "hg38.fa.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BED.replace("valid", "fold3"), "line 2 is 'chr4.*fold3', not contig, start, end, train or valid or test"),
        (BED.replace("\t9\t", "\t1\t"), "line 3 is"),
        (BED + BED, "found .*'train': 2.* rows, expected .*'train': 1.*; it is another split"),
        ("<html></html>", "a web page came instead"),
    ],
)
def test_a_split_that_is_not_the_one_is_refused(web: Web, tmp_path: Path, text: str, message: str) -> None:
    web.files["/split.bed"] = text.encode()
    with pytest.raises(fetch.FetchError, match=message):
        hg38.write_split(f"{web.url}/split.bed", tmp_path / "split.bed")
    assert not names(tmp_path)


def test_an_interrupted_run_says_how_to_go_on(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hg38, "write_sequence", interrupt)
    assert run(web, tmp_path) == 130
    assert "run again to go on from here" in capsys.readouterr().err
