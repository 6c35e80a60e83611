"""What the command line prints: results on stdout; progress (bars on a terminal, else plain lines) on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from flatpose.progress import Reporter

PLAIN_SECONDS = 10.0
PIPE_WIDTH = 200
"""A pipe has no width; without one rich would wrap tables at 80."""


@dataclass
class Options:
    """How much is printed, for the whole process."""

    quiet: bool = False
    verbose: bool = False


OPTIONS = Options()


def _console(stream: Any, **options: Any) -> Console:
    fixed = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(highlight=False, width=fixed, **options)


err = _console(sys.stderr, stderr=True, soft_wrap=True)
out = _console(sys.stdout)


def say(text: str, console: Console = err) -> None:
    """One line as it is, on stderr."""
    console.print(text, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """One line on stderr that --quiet leaves out."""
    if not OPTIONS.quiet:
        say(text)


def emit(value: Any, json_: bool, columns: Sequence[str] = (), rows: Iterable[Sequence[Any]] = (), title: str = "",
         console: Console = out) -> None:
    """``value`` as the one JSON document on stdout, or else a plain table, whose long cells are folded, never cut."""
    if json_:
        print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
        return
    table = Table(title=title, box=SIMPLE, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape("-" if cell is None else str(cell)) for cell in row))
    console.print(table)


def minutes(value: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h."""
    if value < 1:
        return f"{60 * value:.0f} s"
    return f"{value:.0f} min" if value < 90 else f"{value / 60:.1f} h"


def describe(info: dict[str, float | str]) -> str:
    """``loss 0.0123 img/s 210``."""
    return " ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in info.items())


class Display:
    """Progress of any number of tasks at a time: one bar each on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        if sys.stderr.isatty() and not OPTIONS.quiet:
            self.progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                     TimeRemainingColumn(), TextColumn("{task.fields[info]}"), console=err,
                                     transient=True)

    def reporter(self, title: str = "") -> Reporter:
        """The progress of one more run."""
        return PlainReporter(title) if self.progress is None else BarReporter(title, self.progress)

    def message(self, text: str) -> None:
        """Print one line, above the bars."""
        note(text)

    def close(self) -> None:
        """Remove the bars."""
        if self.progress is not None:
            self.progress.stop()


class BarReporter:
    """A bar of rich's, which is there while the task lasts."""

    def __init__(self, title: str, progress: Progress) -> None:
        self.title, self.progress = title, progress
        self.task: TaskID | None = None

    def start(self, task: str, total: int) -> None:
        self.finish()
        self.progress.start()
        self.task = self.progress.add_task(f"{self.title} {task}".strip(), total=total, info="")

    def advance(self, n: int = 1, **info: float | str) -> None:
        if self.task is not None:
            self.progress.update(self.task, advance=n, info=describe(info))

    def finish(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
        if not self.progress.tasks:
            self.progress.stop()

    def message(self, text: str) -> None:
        note(text)


class PlainReporter:
    """A line now and then, for logs and pipes."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self._task, self._total, self._done = "", 0, 0
        self._info: dict[str, float | str] = {}
        self._started = self._printed = 0.0

    def start(self, task: str, total: int) -> None:
        self._task, self._total, self._done, self._info = task, total, 0, {}
        self._started = self._printed = time.monotonic()

    def advance(self, n: int = 1, **info: float | str) -> None:
        self._done += n
        self._info = info or self._info
        if time.monotonic() - self._printed >= (1.0 if OPTIONS.verbose else PLAIN_SECONDS):
            self._printed = time.monotonic()
            left = (self._printed - self._started) * (self._total - self._done) / max(self._done, 1) / 60
            self._print(f"{100 * self._done / max(self._total, 1):.0f} %, {minutes(left)} left")

    def finish(self) -> None:
        if self._task and time.monotonic() - self._started >= PLAIN_SECONDS:
            self._print(f"done in {time.monotonic() - self._started:.0f} s")
        self._task = ""

    def message(self, text: str) -> None:
        note(text)

    def _print(self, text: str) -> None:
        note(" ".join(f"{self.title} {self._task}: {text} {describe(self._info)}".split()))
