"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from flatpose.errors import FlatPoseError, SpecError
from flatpose.harness import catalog
from flatpose.harness.spec import Experiment


def complete_ids() -> list[str]:
    """Ids of all experiments, for the shell's completion."""
    return list(catalog.known())


def complete_rows(ctx: typer.Context) -> list[str]:
    """Row ids of the experiment that the command line names so far."""
    return [row.id for experiment in _named(ctx) for row in experiment.rows]


def complete_profiles(ctx: typer.Context) -> list[str]:
    """Its profiles."""
    return [name for experiment in _named(ctx) for name in experiment.profiles]


def _named(ctx: typer.Context) -> list[Experiment]:
    given = [ctx.params.get("experiment"), ctx.params.get("source"), *ctx.args]  # args: of a line that ends in --row
    name = next(filter(None, given), "")
    try:
        return [catalog.load(name.rpartition("/")[0] if "source" in ctx.params and "/" in name else name)]
    except FlatPoseError:
        return []


ExperimentArg = Annotated[str, typer.Argument(metavar="ID", help="Experiment id, or the path of a spec file.",
                                              autocompletion=complete_ids)]
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
RowsOpt = Annotated[Optional[list[str]], typer.Option("--row", help="Only this row (repeatable).",
                                                      autocompletion=complete_rows)]
ProfileOpt = Annotated[Optional[str], typer.Option(help="A scale that `show ID` lists; default: the experiment's.",
                                                   autocompletion=complete_profiles)]
RootOpt = Annotated[Optional[Path], typer.Option(help="Folder with coco/ and the like, in place of embedded data.")]
JobsOpt = Annotated[Optional[int], typer.Option(min=1, help="Runs side by side, one thread each; default: one per "
                                                "core (runs of seconds: 1). 1: one run on all cores; a GPU takes one "
                                                "at a time.")]
Launcher = Literal["local", "slurm"]
LauncherOpt = Annotated[Launcher, typer.Option(help="slurm: one job per run, through submitit.")]
SeedsOpt = Annotated[Optional[str], typer.Option(help="As in 0,1,2; default: the experiment's.")]


def parse_seeds(text: str | None) -> tuple[int, ...] | None:
    """``0,1,2`` as numbers; raises SpecError for anything else."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise SpecError(f"{text!r} is not a list of seeds", where="--seeds", hint="write 0,1,2")
    return tuple(dict.fromkeys(map(int, parts)))


def existing_root(data_root: Path | None) -> Path:
    """The data root of a command that needs one; raises SpecError when there is none."""
    from flatpose.data import find_root

    place = find_root(data_root)
    if place is None:
        raise SpecError("no data root", where="--data-root", hint="give --data-root DIR or set FLATPOSE_DATA")
    return place
