"""How long-running work reports its progress. The core knows this protocol only; the command line draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Reporter(Protocol):
    """One task at a time: ``start``, any number of ``advance``, ``finish``.

    ``advance`` is called between two steps, when nothing is half done. It may raise KeyboardInterrupt, which is how a
    run is stopped: whoever holds state that is worth keeping (a trainer) saves it and lets the exception pass.
    """

    def start(self, task: str, total: int, done: int = 0) -> None:
        """Begin a task of ``total`` steps, of which ``done`` were made before."""

    def advance(self, n: int = 1, **info: float | str) -> None:
        """Count ``n`` more steps as done; ``info`` holds figures worth showing (loss, images per second)."""

    def finish(self) -> None:
        """End the current task, which is complete."""

    def message(self, text: str) -> None:
        """Print one line."""


class Relay:
    """A reporter that passes every call on, as (name, arguments, info)."""

    def __init__(self, send: Callable[[str, tuple[Any, ...], Mapping[str, Any]], None]) -> None:
        self.send = send

    def start(self, task: str, total: int, done: int = 0) -> None:
        self.send("start", (task, total, done), {})

    def advance(self, n: int = 1, **info: float | str) -> None:
        self.send("advance", (n,), info)

    def finish(self) -> None:
        self.send("finish", (), {})

    def message(self, text: str) -> None:
        self.send("message", (text,), {})


SILENT: Reporter = Relay(lambda *_: None)
