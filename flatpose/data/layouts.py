"""Which of a benchmark's known folder layouts is there, and what the nearest one lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flatpose.errors import DataError


class Layout(NamedTuple):
    """A benchmark's folder and its annotation files to train and to test on."""

    folder: Path
    train: Path
    val: Path

    @property
    def present(self) -> list[Path]:
        """Those of the two files that exist."""
        return [path for path in (self.train, self.val) if path.is_file()]


def closest(layouts: Sequence[Layout]) -> Layout | None:
    """The first that is whole, else the first with one of its files, else None."""
    return next((layout for wanted in (2, 1) for layout in layouts if len(layout.present) == wanted), None)


def whole(layouts: Sequence[Layout], name: str, root: Path, hint: str) -> Layout:
    """The layout that is there; raises DataError saying which file is missing, or where each was looked for."""
    found = closest(layouts)
    if found is None:
        raise DataError(f"no {name} annotations under {root}: {looked_for(layouts)}", hint=hint)
    if len(found.present) == 1:
        raise DataError(missing(found), where=str(root), hint=hint)
    return found


def missing(layout: Layout) -> str:
    """``annot/valid.json found, annot/train.json missing`` of a layout with one of its files, and what that is for."""
    (there,) = layout.present
    lacking = layout.val if there == layout.train else layout.train
    use = "enough for `score` and `ceilings`, not for `run`" if there == layout.val else "not enough for `run`"
    return f"{there.relative_to(layout.folder)} found, {lacking.relative_to(layout.folder)} missing: {use}"


def looked_for(layouts: Sequence[Layout]) -> str:
    """The files of each layout, once for the folders that may hold it."""
    pairs = dict.fromkeys(f"{layout.train.relative_to(layout.folder)} with {layout.val.name}" for layout in layouts)
    folders = dict.fromkeys(str(layout.folder) for layout in layouts)
    return f"looked for {', '.join(pairs)} in {' and '.join(folders)}"


def first_file(candidates: Sequence[Path], what: str, root: Path) -> Path:
    """The first that exists; raises DataError listing the names that were looked for."""
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        names = dict.fromkeys(f"{path.parent.name}/{path.name}" for path in candidates)
        raise DataError(f"no {what} under {root}: looked for {', '.join(names)}",
                        hint="flatpose-exp data check --data-root DIR lists what is expected where")
    return found
