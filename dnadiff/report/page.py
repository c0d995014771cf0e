"""A report as one HTML page that needs nothing else, and as a folder of tables and pictures.

The page has no script, and its policy forbids to load anything, so that a name in somebody's FASTA file can do nothing.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from dnadiff.report.card import SIZE, Card, Figure, Section, Table
from dnadiff.report.measured import Measured
from dnadiff.shown import cell

PAGE = "report.html"
DPI, FONT_SIZE = 130, 10
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 1180px; margin: 0 auto;
  padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
p { max-width: 48rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; margin: .5rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
th { background: #f4f4f4; }
.scroll td:last-child { min-width: 12rem; }
.facts td { overflow-wrap: anywhere; }
.interval { color: #595959; white-space: nowrap; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 340px; max-width: 560px; }
img { width: 100%; height: auto; }
figcaption { font-size: .8125rem; color: #595959; }
"""
READING = (
    "Every measure is one of four sets of sequences: the samples; other real windows, which say what the measure is "
    "where nothing is wrong (the floor); a Markov chain; and those real windows with their dinucleotides shuffled. In "
    "brackets is the 95 % interval over the sequences of the set (a jackknife; for the classifier, DeLong's); the "
    "reference is the same for all sets. <em>Like real</em> means that samples and real windows differ by no more "
    "than both intervals together, not that they are alike; of many measures, some differ by chance."
)
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html(card: Card) -> str:
    """The whole page."""
    return _page(card, {name: _svg(canvas) for name, canvas in _drawn(card).items()})


def _page(card: Card, drawn: Mapping[str, bytes]) -> str:
    title = "Report of generated DNA"
    body = [
        f"<h1>{title}</h1>", _facts(card.about),
        f"<p>{READING}</p>",
        "<h2>Summary</h2>", _figures([figure for section in card.sections for figure in section.figures]),
        *(part for section in card.sections for part in _section(section, drawn, card.caption)),
    ]  # fmt: skip
    head = [
        '<meta charset="utf-8">', f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">', f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
    ]  # fmt: skip
    whole = ["<!DOCTYPE html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body></html>", ""]
    return "\n".join(whole)


def write(card: Card, folder: Path) -> None:
    """The page, `measures.tsv`, the tables behind it, and each picture as PNG and SVG, into an empty folder."""
    canvases = _drawn(card)
    drawn = {name: _svg(canvas) for name, canvas in canvases.items()}
    (folder / PAGE).write_text(_page(card, drawn), encoding="utf-8")
    rows = list(card.rows())
    _write_table(folder / "measures.tsv", list(rows[0]) if rows else [], (list(row.values()) for row in rows))
    for section in card.sections:
        for table in section.tables:
            _write_table(folder / f"{table.name}.tsv", table.columns, table.rows)
    for name, canvas in canvases.items():
        canvas.savefig(folder / f"{name}.png", dpi=DPI)
        (folder / f"{name}.svg").write_bytes(drawn[name])


def _section(section: Section, drawn: Mapping[str, bytes], caption: str) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>"
    yield _figures(section.figures)
    pictures = []
    for picture in section.pictures:
        source = f"data:image/svg+xml;base64,{base64.b64encode(drawn[picture.name]).decode()}"
        image = f'<img src="{source}" alt="{escape(picture.alt)}">'
        pictures.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
    yield f'<div class="pictures">{"".join(pictures)}</div>'
    yield from (_shown(table) for table in section.tables if table.n_shown)


def _facts(facts: dict[str, str]) -> str:
    rows = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f'<table class="facts">{"".join(rows)}</table>'


def _figures(figures: Sequence[Figure]) -> str:
    """A row for each measure, a column for each set."""
    groups = list(dict.fromkeys(group for figure in figures for group in figure.by_group))
    rows = [
        [escape(figure.measure), escape(figure.reading), *(_measured(figure.by_group.get(group)) for group in groups),
         escape(figure.unit)]
        for figure in figures
    ]  # fmt: skip
    return _html_table(["measure", "samples are", *groups, "unit"], rows)


def _measured(figure: Measured | None) -> str:
    if figure is None or math.isnan(figure.value):
        return "&ndash;"
    interval = "" if math.isnan(figure.low) else f' <span class="interval">[{figure.low:.3g}, {figure.high:.3g}]</span>'
    return f"{figure.value:.3g}{interval}"


def _shown(table: Table) -> str:
    """The first rows of a table."""
    rows = [[escape(str(value)) for value in row] for row in table.rows[: table.n_shown]]
    return f"<p>The first of {len(table.rows):,} rows of {table.name}.tsv:</p>" + _html_table(table.columns, rows)


def _html_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already, names of columns are not."""
    header = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = "".join("<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table></div>'


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in [columns, *rows]:
            file.write("\t".join(map(_cell, row)) + "\n")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return cell(value.replace("\t", " ").replace("\n", " ")) if isinstance(value, str) else str(value)


def _drawn(card: Card) -> dict[str, Canvas]:
    """Every picture by name."""
    canvases = {}
    for name, picture in card.pictures().items():
        with mpl.rc_context({"font.size": FONT_SIZE}):
            canvases[name] = Canvas(figsize=SIZE, layout="constrained")
            picture.draw(canvases[name].add_subplot())
    return canvases


def _svg(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "dnadiff"}):  # the same report is the same file
        canvas.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
