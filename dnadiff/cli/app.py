"""The program, to which verbs are added, and what can be said before a verb."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from dnadiff.errors import InputError
from dnadiff.world import require_torchrun, world

SHARED = {"train", "finetune", "evaluate", "sample", "score", "classify"}  # verbs that several processes do together
app = typer.Typer(
    name="dnadiff", no_args_is_help=True, add_completion=True, rich_markup_mode="rich",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    help="Masked discrete diffusion language models for DNA, and for text. Add --debug to any command for tracebacks.",
)  # fmt: skip


def _say_errors_alone() -> None:
    """All else is said by the first process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.ERROR)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dnadiff {version_of('dnadiff')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What can be said before a verb; typer calls it first.

    Raises:
        InputError: there are several processes for a verb that takes one, or ones that train and do not know it.
    """
    if context.invoked_subcommand in ("train", "finetune"):  # others may be given shards
        require_torchrun()
    here = world()
    if here.size > 1 and context.invoked_subcommand not in SHARED:
        raise InputError(
            f"dnadiff {context.invoked_subcommand}: is the work of one process, and torchrun started {here.size}; "
            "run it without torchrun"
        )
    if not here.is_first:
        _say_errors_alone()
