"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from flatpose.errors import SpecError

ExperimentArg = Annotated[str, typer.Argument(metavar="ID", help="Experiment id, or the path of a spec file.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
RowsOpt = Annotated[Optional[list[str]], typer.Option("--row", help="Only this row (repeatable).")]
ProfileOpt = Annotated[Optional[str], typer.Option(help="A scale that `show ID` lists; default: the experiment's.")]
RootOpt = Annotated[Optional[Path], typer.Option(help="Folder with coco/ and the like, in place of embedded data.")]
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
