"""How long-running work reports its progress. The core knows this protocol only; the command line draws it."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """One task at a time: ``start``, any number of ``advance``, ``finish``.

    ``advance`` is called between two steps, when nothing is half done. It may raise KeyboardInterrupt, which is how a
    run is stopped: whoever holds state that is worth keeping (a trainer) saves it and lets the exception pass.
    """

    def start(self, task: str, total: int) -> None:
        """Begin a task of ``total`` steps."""

    def advance(self, n: int = 1, **info: float | str) -> None:
        """Count ``n`` more steps as done; ``info`` holds figures worth showing (loss, images per second)."""

    def finish(self) -> None:
        """End the current task, which is complete."""

    def message(self, text: str) -> None:
        """Print one line."""


class _Silent:
    def start(self, task: str, total: int) -> None: ...

    def advance(self, n: int = 1, **info: float | str) -> None: ...

    def finish(self) -> None: ...

    def message(self, text: str) -> None: ...


SILENT: Reporter = _Silent()
