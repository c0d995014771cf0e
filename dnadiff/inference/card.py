"""The card of a model, from what its run recorded: its training, its figures, and what it is not good for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dnadiff import checkpoint
from dnadiff.errors import counted
from dnadiff.hub.download import is_reference
from dnadiff.model import DiffusionModel
from dnadiff.run import config_of, find_checkpoint

FACTS = "facts"  # in the manifest of a saved model
FROM_RUN = ("started", "seed", "parameters", "data", "assumptions", "init", "trained", "machine")
LIMITS = [
    "What it was trained on is above; how it does on other genomes, assemblies and species was not measured.",
    "It knows which letters are likely where. Nothing follows from that about function, expression, safety or disease: "
    "neither its scores nor its samples are for clinical use, and samples were not tried in any cell.",
]


def facts_of(path: Path) -> dict[str, Any]:
    """What is known of a user's model: from its run, from where it was saved, or from the published files.

    Raises:
        InputError: there is no model, or it is damaged.
    """
    folder, of_run = find_checkpoint(path), config_of(path)
    about = checkpoint.verify(folder)
    if of_run is None:
        name = str(path) if is_reference(path) else path.name
        published = {"published": {**about["published"], "name": name}} if "published" in about else {}
        return {**about.get(FACTS, {}), **published}
    run = Path(of_run).parent
    recorded, results = _read(run / "manifest.json"), _read(run / "results.json")
    facts = {name: recorded[name] for name in FROM_RUN if recorded.get(name)}
    facts["step"] = about.get("step")
    if results.get("checkpoint") == folder.name:
        facts["results"] = results
    facts["data"] = {name: _without_folder(value) for name, value in facts.get("data", {}).items()}
    return facts


def card(model: DiffusionModel, facts: Mapping[str, Any], *, name: str, license: str | None, unchanged: bool) -> str:
    """A model card as the hub has them, Markdown under a YAML header.

    Args:
        facts: as `facts_of` gives them.
        name: by which the model is loaded.
        license: of the weights; None where their makers state none.
        unchanged: whether the weights are those that the facts are about.
    """
    header = ["---", *([f"license: {license}"] if license else []), "library_name: dnadiff", "tags:"]
    header += [f"- {tag}" for tag in ("dna", "genomics", "masked-diffusion", model.config.model.kind)] + ["---"]
    kind = f"{type(model.config.model).__name__}, {model.n_parameters():,} parameters"
    parts = [
        "\n".join(header),
        f"# {name.removeprefix('hf:')}",
        f"{kind}, objective `{model.config.objective.kind}`, saved by dnadiff {version('dnadiff')}.\n\n"
        f'    import dnadiff\n    model = dnadiff.load("{name}")',
        "## Trained on\n\n" + _trained_on(facts, unchanged),
        "## Figures\n\n" + _figures(facts.get("results"), unchanged),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in _limits(model)),
        "## Licence\n\n" + (license or "Of the weights: none is stated."),
    ]
    return "\n\n".join(parts) + "\n"


def _trained_on(facts: Mapping[str, Any], unchanged: bool) -> str:
    rows = {**facts.get("data", {}), **{name: facts[name] for name in ("step", "seed", "started") if name in facts}}
    if spent := facts.get("trained"):
        rows["letters read"] = f"{spent['letters']:,}, in {spent['hours']:.2g} hours on {_processors(facts['machine'])}"
    for name, sources in (("started from", facts.get("init")), ("published weights", facts.get("published"))):
        if sources:
            rows[name] = sources["name"]
            rows |= {f"sha256 of {file}": digest for file, digest in sources["sha256"].items()}
    changed = [] if unchanged else ["The weights were changed after that; how is not recorded."]
    assumed = [f"- Assumed: {assumption}" for assumption in facts.get("assumptions", ())]
    table = [f"| {name} | {value} |" for name, value in rows.items()]
    known = ["| | |", "| --- | --- |", *table] if table else ["Nothing is recorded."]
    return "\n".join([*known, *([""] if changed or assumed else []), *changed, *assumed])


def _processors(machine: Mapping[str, Any]) -> str:
    """The GPUs that were there, else the cores."""
    return ", ".join(machine["devices"]) or counted(machine["cores"], "core")


def _figures(results: Mapping[str, Any] | None, unchanged: bool) -> str:
    if not results or not unchanged:
        return "None were measured of these weights."
    how = results["evaluate"]
    rows = [
        f"| {name.replace('_', ' ')} | {figure['value']:.4f} | {figure['low']:.4f} to {figure['high']:.4f} |"
        for name, figure in results.items()
        if isinstance(figure, dict) and {"value", "low", "high"} <= figure.keys()
    ]
    lines = [
        f"{results['meaning'].capitalize()}. Split {results['split']}, protocol {how['protocol']}, "
        f"{results['n_windows']:,} windows, {results['n_scored']:,} letters, {results['n_sweeps']} sweeps.",
        "", "| figure | value | 95 % interval |", "| --- | --- | --- |", *rows,
    ]  # fmt: skip
    if markov := results.get("markov"):
        order = results.get("chosen_order", 0)
        lines += ["", f"Beside it a Markov chain of order {order}: {markov[order]:.4f} bits per base; uniform: 2."]
        lines += _by_contig(results.get("parts", {}), order)
    return "\n".join(lines)


def _by_contig(parts: Mapping[str, Any], order: int) -> list[str]:
    """Bits per base of each contig that was scored, where there are several."""
    rows = []
    for name, part in parts.items():
        value, low, high = (f"{part['bits_per_base'][end]:.4f}" for end in ("value", "low", "high"))
        beside = (f"{part['markov'][order]:.4f}", f"{min(part['markov']):.4f}") if part["markov"] else ("-", "-")
        rows.append(f"| {' | '.join((name, value, f'{low} to {high}', *beside))} |")
    head = f"| contig | bits per base | 95 % interval | Markov order {order} | lowest of all orders |"
    return ["", head, "| --- | --- | --- | --- | --- |", *rows] if rows else []


def _limits(model: DiffusionModel) -> list[str]:
    if getattr(model.config.model, "symmetry", "ps") == "ph":
        return [*LIMITS, "It reads one strand: scores of a sequence and of its reverse complement differ."]
    return LIMITS


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _without_folder(value: Any) -> Any:
    """Names of files without those of the folders of somebody's machine."""
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value
