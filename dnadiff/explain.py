"""Any error as one line on standard error, and an exit code."""

from __future__ import annotations

import re
import textwrap
import traceback
from typing import Any

import typer

from dnadiff.cache import cache_folder
from dnadiff.errors import DnadiffError, InputError, OutOfMemoryError, ResourceError
from dnadiff.shown import printable
from dnadiff.world import world

LONGEST = 200  # characters of an internal error that are printed
NEVER = {"trust_remote_code": "; no code that comes with a model is ever run, docs/weights.md says what is read"}


def explain(error: Exception) -> int:
    """Print one line; the exit code."""
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and re.search("OutOfMemory|DefaultCPUAllocator|out of memory", repr(error))
    ):
        error = OutOfMemoryError("out of memory; lower the batch size (train.micro_batch) or the length")
    elif isinstance(error, RuntimeError) and "home directory" in str(error):  # of Path.expanduser
        error = InputError("a path begins with ~ and a name that nobody has here; write the folder out")
    elif isinstance(error, OSError):
        error = ResourceError(f"{error.filename or 'input/output'}: {error.strerror or error}")
    if isinstance(error, DnadiffError):
        _say(str(error))
        return error.exit_code
    if hasattr(error, "format_message"):
        return _explain_usage(error)
    what = textwrap.shorten(f"{type(error).__name__}: {error}", LONGEST, placeholder=" ...")
    _say(f"internal error ({what}); {_keep_traceback()}")
    return 1


def _explain_usage(error: Any) -> int:
    """Print one line about an option or argument that typer refuses; the exit code."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(message, err=True, nl=False)
        return int(error.exit_code)
    mend = ""
    if type(error).__name__ == "NoSuchOption":
        word = error.option_name.lstrip("-").replace("-", "_")
        message = error.message  # without what typer takes for similar
        mend = NEVER.get(word, f"; a setting is a word, {word}=VALUE")
    command = getattr(getattr(error, "ctx", None), "command_path", "dnadiff")
    _say(f"{' '.join(message.split()).rstrip('.?')}{mend}; see {command} --help")
    return int(error.exit_code)


def _say(text: str) -> None:
    """In one line, whatever names of files are in it."""
    here = world()
    who = "" if here.is_first else f" (rank {here.rank})"
    typer.echo(f"dnadiff{who}: {printable(text.replace(chr(10), ' '))}", err=True)


def _keep_traceback() -> str:
    """Write the traceback of the error in progress to the cache, and say where it is."""
    try:
        path = cache_folder() / "traceback.txt"
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except (DnadiffError, OSError):
        return "run it again with --debug and report what it prints"
    return f"please report it with its traceback, which is in {path}"
