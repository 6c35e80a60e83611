"""Errors for users: what is wrong, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FlatPoseError(Exception):
    """A user's mistake or a damaged input. The command line prints it without a traceback and exits with code 2.

    Args:
        what: What is wrong, with the offending value.
        where: File, row or field in which it was found.
        hint: The nearest valid value or the next command to type.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.where, self.hint = what, where, hint

    def __str__(self) -> str:
        lines = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.hint:
            lines.append(f"  → {self.hint}")
        return "\n".join(lines)


class DataError(FlatPoseError):
    """Annotation, detector or image files that are missing, damaged or inconsistent."""


class SpecError(FlatPoseError):
    """An experiment, row, profile or field that does not exist or has an impossible value."""


class RunError(FlatPoseError):
    """A run that cannot continue (a batch that cannot be split over the processes, missing weights)."""


class AllRanksError(RunError):
    """A run that cannot continue, raised by all of its processes at the same step, so that the next run can start."""


class CheckpointError(AllRanksError):
    """A checkpoint from which a run must not be resumed; it has been removed."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint with the closest valid spelling, or with all of them when none is close."""
    options = sorted(valid)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"one of: {', '.join(options)}" if options else "nothing is available here"
