"""What the command line prints: results on stdout; progress (bars on a terminal, else plain lines) on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
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
    """A text as it is, on stderr."""
    console.print(text, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """A text on stderr that --quiet leaves out."""
    if not OPTIONS.quiet:
        say(text)


def emit(value: Any, json_: bool, columns: Iterable[str] = (), rows: Iterable[Iterable[Any]] = (), title: str = "",
         console: Console = out) -> None:
    """``value`` as the one JSON document on stdout, or else a plain table, whose long cells are folded, never cut."""
    if json_:
        print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
        return
    table = Table(title=escape(title), box=SIMPLE, title_justify="left")
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        table.add_row(*(escape("-" if cell is None else str(cell)) for cell in row))
    console.print(table)


def minutes(value: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h."""
    if value < 1:
        return f"{60 * value:.0f} s"
    return f"{value:.0f} min" if value < 90 else f"{value / 60:.1f} h"


class Display:
    """Progress of any number of tasks at a time: one bar each on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        self.bars: Progress | None = None
        if sys.stderr.isatty() and not OPTIONS.quiet:
            self.bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                 TimeRemainingColumn(), TextColumn("{task.fields[info]}"), console=err, transient=True)

    def reporter(self, title: str = "") -> Reporter:
        """The progress of one more run."""
        return TaskReporter(title, self.bars)

    def message(self, text: str) -> None:
        """Print one line, above the bars."""
        note(text)

    def close(self) -> None:
        """Remove the bars."""
        if self.bars is not None:
            self.bars.stop()


class TaskReporter:
    """One bar under a title, or without ``bars`` a plain line now and then, for logs and pipes."""

    def __init__(self, title: str = "", bars: Progress | None = None) -> None:
        self.title, self.bars = title, bars
        self.bar: TaskID | None = None
        self.name, self.info, self.total, self.done, self.before, self.started, self.printed = "", "", 0, 0, 0, 0.0, 0.0

    def start(self, task: str, total: int, done: int = 0) -> None:
        self._remove()
        self.name, self.info, self.total, self.done, self.before = f"{self.title} {task}".strip(), "", total, done, done
        self.started = self.printed = time.monotonic()
        if self.bars is not None:
            self.bars.start()
            self.bar = self.bars.add_task(self.name, total=total, completed=done, info="")

    def advance(self, n: int = 1, **info: float | str) -> None:
        self.done, now = self.done + n, time.monotonic()
        if info:
            self.info = " ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in info.items())
        if self.bars is not None and self.bar is not None:
            self.bars.update(self.bar, advance=n, info=self.info)
        elif now - self.printed >= (1.0 if OPTIONS.verbose else PLAIN_SECONDS):
            left = (now - self.started) * (self.total - self.done) / max(self.done - self.before, 1) / 60
            note(f"{self.name}: {100 * self.done / max(self.total, 1):.0f} %, {minutes(left)} left {self.info}".strip())
            self.printed = now

    def finish(self) -> None:
        seconds = time.monotonic() - self.started
        if self.bars is None and self.name and seconds >= PLAIN_SECONDS:
            note(f"{self.name}: done in {seconds:.0f} s {self.info}".strip())
        self._remove()

    def message(self, text: str) -> None:
        note(f"{self.title}: {text}" if self.title else text)

    def _remove(self) -> None:
        self.name = ""
        if self.bars is not None and self.bar is not None:
            self.bars.remove_task(self.bar)
            self.bar = None
            if not self.bars.tasks:
                self.bars.stop()
