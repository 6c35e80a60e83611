"""What the command line says: results on stdout; progress (a bar on a terminal, plain lines elsewhere) on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

PLAIN_SECONDS = 10.0
PIPE_WIDTH = 200  # a pipe has no width to fit; without one rich would wrap tables at 80


@dataclass
class Options:
    """How much is said, for the whole process."""

    quiet: bool = False
    verbose: bool = False


OPTIONS = Options()


def _console(stream: Any, **options: Any) -> Console:
    fixed = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(highlight=False, width=fixed, **options)


err = _console(sys.stderr, stderr=True, soft_wrap=True)
out = _console(sys.stdout)


def print_json(value: Any) -> None:
    """The one JSON document."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def table(title: str, columns: list[str], rows: list[list[str]], console: Console = out) -> None:
    """A plain table; long cells are folded, never cut."""
    shown = Table(title=title, box=SIMPLE, title_justify="left")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*map(escape, row))
    console.print(shown)


def make_reporter() -> BarReporter | PlainReporter:
    """The reporter that fits the terminal."""
    return BarReporter() if sys.stderr.isatty() and not OPTIONS.quiet else PlainReporter(OPTIONS.quiet)


class BarReporter:
    """A rich progress bar for the task at hand, under a title naming the run."""

    def __init__(self) -> None:
        self.title = ""
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def start(self, task: str, total: int) -> None:
        self.finish()
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                  TimeRemainingColumn(), TextColumn("{task.fields[info]}"), console=err,
                                  transient=True)
        self._progress.start()
        self._task = self._progress.add_task(f"{self.title} {task}".strip(), total=total, info="")

    def advance(self, n: int = 1, **info: float | str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=n, info=describe(info))

    def finish(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def message(self, text: str) -> None:
        (self._progress.console if self._progress else err).print(text, markup=False)


class PlainReporter:
    """A line now and then, for logs and pipes."""

    def __init__(self, quiet: bool = False) -> None:
        self.title, self.quiet = "", quiet
        self._task, self._total, self._done = "", 0, 0
        self._info: dict[str, float | str] = {}
        self._started = self._spoken = 0.0

    def start(self, task: str, total: int) -> None:
        self._task, self._total, self._done, self._info = task, total, 0, {}
        self._started = self._spoken = time.monotonic()

    def advance(self, n: int = 1, **info: float | str) -> None:
        self._done += n
        self._info = info or self._info
        if time.monotonic() - self._spoken >= (1.0 if OPTIONS.verbose else PLAIN_SECONDS):
            self._spoken = time.monotonic()
            self._say(f"{self._percent()}, {self._eta()} left {describe(self._info)}")

    def finish(self) -> None:
        if self._task and time.monotonic() - self._started >= PLAIN_SECONDS:
            self._say(f"done in {time.monotonic() - self._started:.0f} s {describe(self._info)}")
        self._task = ""

    def message(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        self.message(" ".join(f"{self.title} {self._task}: {text}".split()))

    def _percent(self) -> str:
        return f"{100 * self._done / max(self._total, 1):.0f} %"

    def _eta(self) -> str:
        elapsed = time.monotonic() - self._started
        return minutes(elapsed * (self._total - self._done) / max(self._done, 1) / 60)


def describe(info: dict[str, float | str]) -> str:
    """``loss 0.0123 img/s 210``."""
    return " ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in info.items())


def minutes(value: float | None) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h."""
    if value is None:
        return "unknown"
    if value < 1:
        return f"{60 * value:.0f} s"
    return f"{value:.0f} min" if value < 90 else f"{value / 60:.1f} h"
