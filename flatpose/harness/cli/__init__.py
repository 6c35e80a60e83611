"""``flatpose-exp``: parse, call, print. With --json one document goes to stdout, everything else to stderr."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from typing import Annotated

import typer

import flatpose
from flatpose.errors import FlatPoseError
from flatpose.harness.cli import experiments, measure, networks, run
from flatpose.harness.console import OPTIONS, err

HELP = """Reproduce FlatPose's experiments: measure, train, evaluate, compare with the paper, report.

An experiment is an ID that `list` shows, or the path of a spec file of your own (Python code, which is executed).

Examples: flatpose-exp list · flatpose-exp plan fig1 · flatpose-exp run fig1 --seeds 0,1,2 · flatpose-exp run my.py

Exit codes: 0 done, 1 a run failed or a number fell outside its tolerance, 2 bad usage or bad input.
"""
ANYWHERE = ("--debug", "--quiet", "-q", "--verbose", "-v")
"""Options that may be given before or after the command."""

app = typer.Typer(name="flatpose-exp", no_args_is_help=True, pretty_exceptions_enable=False, help=HELP,
                  rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


def _version(wanted: bool) -> None:
    if wanted:
        print(flatpose.__version__)
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version,
                                          help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only what went wrong.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More progress, and libraries' messages.")] = False,
) -> None:
    OPTIONS.quiet, OPTIONS.verbose = quiet, verbose
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, stream=sys.stderr)
    if not verbose:
        warnings.simplefilter("ignore", FutureWarning)  # of libraries about each other


for part in (experiments.app, run.app, measure.app, networks.app):
    app.add_typer(part)
app.add_typer(measure.data_app, name="data")
app.add_typer(networks.submit_app, name="submit")


def main() -> None:
    """Entry point. A user's mistake becomes one message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe of another encoding gets escapes, not an exception
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:]
    try:
        app(args=sorted(given, key=lambda word: word not in ANYWHERE))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (FlatPoseError, OSError) as error:
        if "--debug" in given:
            raise
        err.print(f"error: {error}", markup=False, style="red")
        sys.exit(2)
