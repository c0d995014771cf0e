"""The command line. Torch and everything heavy load inside the verbs, so that --help answers at once."""

from __future__ import annotations

import os
import sys

from dnadiff.allocator import keep_memory
from dnadiff.cli import drawing, looking, measuring, mutating, reporting, training
from dnadiff.cli.app import app
from dnadiff.errors import InterruptedRun
from dnadiff.explain import explain
from dnadiff.shown import speak

# importing a module adds its verbs
__all__ = ["app", "drawing", "looking", "main", "measuring", "mutating", "reporting", "training"]


def main() -> None:
    """Entry point: one line per error, with a stable exit code; a traceback only with --debug."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    speak()
    keep_memory()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost tenfold where other programs compete
    try:
        code = app(args=arguments, prog_name="dnadiff", standalone_mode=False) or 0
        if code == InterruptedRun.exit_code:  # typer's answer to Ctrl-C; what stops in order raises
            raise InterruptedRun("stopped by Ctrl-C")
    except Exception as error:
        if debug:
            raise
        code = explain(error)
    sys.exit(code)
