"""What a page is made of, before any renderer: text and tables. Markdown and HTML come from the same blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flatpose.harness.render import to_markdown
from flatpose.harness.tables import Table


@dataclass(frozen=True)
class Shown:
    """A table on a page; a folded one is opened by the reader."""

    table: Table
    folded: bool = False


Block = str | Shown


def markdown(blocks: Iterable[Block]) -> str:
    """The page as GitHub markdown; empty blocks leave no trace."""
    texts = (block if isinstance(block, str) else _table(block) for block in blocks)
    return "\n\n".join(text.strip() for text in texts if text) + "\n"


def _table(shown: Shown) -> str:
    text = to_markdown(shown.table)
    return f"<details><summary>{shown.table.title}</summary>\n\n{text}\n</details>" if shown.folded else text
