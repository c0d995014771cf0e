"""What verbs share: options, how words are read, and how settings, plan and work are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnadiff.errors import InputError
from dnadiff.hub import shipped

OF_OTHER_VERBS = {  # by folder of presets
    "classify": "dnadiff classify --protocol",
    "tables": "dnadiff reproduce",
    "zeroshot": "dnadiff zeroshot RUN",
}

Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="A preset (such as dna/tiny, or a YAML file), a network on top of it (model/dit-tiny), and settings "
        "(train.max_steps=200); `dnadiff presets` lists them.",
        metavar="[PRESET] [KEY=VALUE]...",
    ),
]
Ref = Annotated[
    str | None,
    typer.Option("--ref", help="Genome as FASTA, plain or gzipped. Default: a toy genome that the package makes."),
]
Bed = Annotated[
    str | None, typer.Option("--bed", help="BED whose rows are windows, its 4th column the split if it has one.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Run folder. Default: runs/NAME. The same command again goes on where it stopped."
    ),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Train on where a checkpoint cannot be written, as on a full disk.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Go on with a run although settings changed that do not change its course.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Print all settings as YAML, and do nothing.")]
Run = Annotated[Path, typer.Argument(help="Run, checkpoint, published weights, or hf:owner/name.", show_default=False)]
AnyRun = Annotated[
    str | None,
    typer.Argument(
        help="Run, checkpoint, published weights, or hf:owner/name. Default: the model that ships, where one does.",
        metavar="[RUN]",
        show_default=False,
    ),
]
Init = Annotated[
    str | None,
    typer.Option("--init", help="Run, published weights, or hf:owner/name to start from; none: random weights."),
]


def model_and_words(run: str | None, words: list[str] | None, *, n_others: int = 0) -> tuple[Path, list[str]]:
    """The model that is meant, and all else that was written: where too little is named, the one that ships.

    Args:
        run, words: as typer reads them; `run` is merely the first word.
        n_others: words without `=` that name no model.

    Raises:
        InputError: none is named, and none ships.
    """
    given = [*([] if run is None else [run]), *(words or [])]
    named = [word for word in given if "=" not in word or Path(word).exists()]
    if len(named) <= n_others:
        return shipped.default(), given
    given.remove(named[0])
    return Path(named[0]), given


def start_of(init: str | None, words: list[str] | None) -> str | None:
    """`--init`; where neither it nor the words say where to start, the model that ships, if one does and it is DNA."""
    said = init is not None or any(word.startswith(("init=", "data.kind=")) for word in words or [])
    ships = shipped.folder()
    return init if said or ships is None else str(ships)


def presets_of(words: list[str] | None, default: str) -> tuple[list[str], list[str]]:
    """The presets of a run, and the settings.

    Raises:
        InputError: there is no such preset, or it is for another verb.
    """
    from dnadiff.config import find_preset, shipped

    names, overrides = split_words(words, default)
    for name in names:
        find_preset(name)
        folder, _, rest = name.partition("/")
        if folder in OF_OTHER_VERBS and name in shipped():
            raise InputError(f"{name}: is for `{OF_OTHER_VERBS[folder]} {rest}`; `dnadiff presets` lists all")
    return names, overrides


def split_words(words: list[str] | None, default: str) -> tuple[list[str], list[str]]:
    """What is named, which is a word without `=`, and a network on top of it, if one is; and the settings."""
    named = [word for word in words or [] if "=" not in word]
    networks = [name for name in named if name.startswith("model/")]
    runs = [name for name in named if name not in networks]
    for group in (runs, networks):
        if len(group) > 1:
            raise typer.BadParameter(
                f"two presets were named ({', '.join(group)}); name one, and write settings as key=value"
            )
    return [*(runs or [default]), *networks], [word for word in words or [] if "=" in word]


def do(settings: Any, print_config: bool, dry_run: Any, work: Any) -> None:
    """Print the settings, or the plan, or do the work."""
    from dnadiff.config import to_yaml

    if print_config:
        typer.echo(to_yaml(settings), nl=False)
    elif dry_run:
        typer.echo(dry_run())
    else:
        work()
