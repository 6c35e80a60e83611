"""How long work reports itself; the core knows only this protocol, the command line draws it."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """One task at a time: ``start``, any number of ``advance``, ``finish``."""

    def start(self, task: str, total: int) -> None:
        """Begin a task of ``total`` steps."""

    def advance(self, n: int = 1, **info: float | str) -> None:
        """``n`` more steps are done; ``info`` holds figures worth showing (loss, images per second)."""

    def finish(self) -> None:
        """The current task is over."""

    def message(self, text: str) -> None:
        """One line for the log."""


class _Silent:
    def start(self, task: str, total: int) -> None: ...

    def advance(self, n: int = 1, **info: float | str) -> None: ...

    def finish(self) -> None: ...

    def message(self, text: str) -> None: ...


SILENT: Reporter = _Silent()
