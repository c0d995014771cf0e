"""The program, to which verbs are added, and what can be said before a verb."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Annotated

import typer

app = typer.Typer(
    name="dnadiff", no_args_is_help=True, add_completion=True, rich_markup_mode="rich",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    help="Masked discrete diffusion language models for DNA. Add --debug to any command for tracebacks.",
)  # fmt: skip


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dnadiff {version_of('dnadiff')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What can be said before a verb; typer calls it first."""
