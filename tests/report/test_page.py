"""The page needs nothing else and obeys nobody: read by a parser, and by a browser where there is one."""

import re
import shutil
import subprocess
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from dnadiff.dna import encode
from dnadiff.errors import InputError
from dnadiff.report import comparisons, panels, sections
from dnadiff.report.card import REAL, SAMPLES, SHUFFLED, Card, Sets
from dnadiff.report.frechet import pinned_features
from dnadiff.report.nearest import Nearest
from dnadiff.report.page import html, write

HOSTILE = "<script>alert(1)</script>"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def card():
    """All sections of small sets, one of whose sequences has a hostile name."""
    rng = np.random.default_rng(0)
    reference, *groups = rng.integers(7, 11, (5, 20, 80)).astype(np.uint8)
    sets = Sets(reference, dict(zip([SAMPLES, REAL, "Markov chain, order 2", SHUFFLED], groups, strict=True)))
    found = Nearest(rng.random(20), [f"{HOSTILE}:0-640"] * 20, np.zeros(20, bool))
    parts = [
        sections.kmers(sets), sections.composition(sets), sections.repeats(sets), sections.frames(sets),
        comparisons.classifier(sets, folds=2, seed=0),
        comparisons.frechet(sets, pinned_features, name="random-conv-1", title="Frechet distance", text="Features."),
        comparisons.novelty(sets, {SAMPLES: found, SHUFFLED: found}, ["=cmd()", *[HOSTILE] * 19], training="chrA"),
    ]  # fmt: skip
    return Card({"samples": HOSTILE}, f"20 sequences of 80 bases. Reference: {HOSTILE}.", parts)


@pytest.fixture(scope="module")
def text(card):
    """The page."""
    return html(card)


class Page(HTMLParser):
    """Tags of a page with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "!doctype"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.case(58)
def test_the_page_is_whole_and_refers_to_nothing_else(text):
    page = Page(text)
    assert not page.open
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "background", "action"):
            assert attributes.get(name, "data:").startswith("data:")
        assert not [name for name in attributes if name.startswith("on")]
    assert "http" not in re.sub(r"data:[^\"]*", "", text).replace("http-equiv", "")
    policy = next(each["content"] for tag, each in page.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert HOSTILE in page.text


def test_every_picture_is_inside_with_what_it_shows_in_words(card, text):
    images = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(images) == len(card.pictures()) > 8
    for image in images:
        assert "samples" in image["alt"]
        prefix, _, data = image["src"].partition(",")
        assert prefix == "data:image/svg+xml;base64"
        drawn = ElementTree.fromstring(b64decode(data))
        assert drawn.tag.endswith("svg")
        assert len(list(drawn.iter())) > 30


def test_every_measure_is_on_the_page_with_its_floor(card, text):
    page = Page(text)
    for section in card.sections:
        for figure in section.figures:
            assert page.text.count(figure.measure) >= 2  # in the summary, and in its section
            assert {SAMPLES, SHUFFLED} <= figure.by_group.keys()
    assert card.sections[0].figures[3].reading in {"like real", "above real", "below real"}
    assert "[" in page.text


def test_the_same_card_is_the_same_page(card, text):
    assert html(card) == text


def test_the_folder_holds_the_same_as_tables_and_pictures(card, tmp_path):
    pandas = pytest.importorskip("pandas")
    write(card, tmp_path)
    table = pandas.read_csv(tmp_path / "measures.tsv", sep="\t")
    assert len(table) == len(list(card.rows()))
    values = table.set_index(["measure", "set"])["value"]
    assert values["GC content, mean", "samples"] == pytest.approx(0.5, abs=0.05)
    assert ((table.low <= table.value) & (table.value <= table.high) | table.low.isna()).all()
    kmers = pandas.read_csv(tmp_path / "kmers.tsv", sep="\t", keep_default_na=False)
    assert len(kmers) == sum(4**k for k in range(1, 7))
    assert kmers[kmers.kmer.str.len() == 2]["samples"].sum() == 20 * 79
    novelty = (tmp_path / "novelty.tsv").read_text().splitlines()
    assert any(line.startswith("'=cmd()\t") for line in novelty)
    for name in card.pictures():
        assert imread(tmp_path / f"{name}.png").std() > 0.05
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")


def test_a_card_draws_on_axes_of_yours(card):
    axes = card.draw("gc")
    assert axes.get_xlabel() == "GC content of a sequence"
    assert card.draw("kmers", axes) is axes
    for picture in card.pictures().values():
        drawn = picture.draw(card.draw("gc").figure.add_subplot())
        assert drawn.get_xlabel()
        assert drawn.get_ylabel() or drawn.get_yticklabels()
    with pytest.raises(InputError, match=r"'gcc': no such picture \(did you mean 'gc'\?\); there are kmers"):
        card.draw("gcc")


def test_sequences_without_letters_are_a_page_too():
    rng = np.random.default_rng(1)
    reference, real, shuffled = rng.integers(7, 11, (3, 10, 80)).astype(np.uint8)
    unknown = np.full_like(reference, encode("N")[0])
    sets = Sets(reference, {SAMPLES: unknown, REAL: real, SHUFFLED: shuffled})
    assert "k-mers" in html(Card({}, "", [sections.kmers(sets), sections.composition(sets), sections.repeats(sets)]))


def test_what_never_occurs_is_a_picture_too():
    nothing, axes = np.zeros(3), Figure().add_subplot()
    panels.scatter(axes, nothing, {SAMPLES: nothing, REAL: nothing}, x="motifs", y="motifs")
    panels.rates(Figure().add_subplot(), {SAMPLES: nothing}, x="runs", y="runs").figure.canvas.draw()
    unknown = dict.fromkeys([SAMPLES, REAL], np.full(3, np.nan))
    panels.histogram(Figure().add_subplot(), unknown, x="CpG").figure.canvas.draw()
    panels.survival(Figure().add_subplot(), unknown, x="CpG").figure.canvas.draw()
    axes.figure.canvas.draw()
    assert axes.get_xscale() == "linear"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_shows_it_without_asking_for_anything(text, tmp_path, width):
    (tmp_path / "report.html").write_text(text)
    shot = tmp_path / "shot.png"
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--screenshot={shot}"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000"]
    command = [BROWSER, *words, f"file://{tmp_path / 'report.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert "CONSOLE" not in done.stderr
    assert imread(shot).std() > 0.05
