"""A Table as GitHub markdown, CSV or a terminal table. Nothing here knows what the numbers mean."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flatpose.harness.tables import STALE_MARK, Cell, Column, Line, Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}
STALE_NOTE = f"{STALE_MARK} measured by older code; `--rerun stale` measures it again"
CSV_HEAD = ("table", "setting", "row", "label", "column", "unit", "value", "half_width", "n", "bootstrap_low",
            "bootstrap_high", "condition", "status", "note", "runs")


def to_markdown(table: Table) -> str:
    """A pipe table with group rows, † marks and numbered footnotes."""
    notes: dict[str, int] = {}
    lines = [pipe([table.stub, *map(heading, table.columns)]),
             pipe(["---", *("--:" if c.numeric else "---" for c in table.columns)])]
    group = ""
    for row in table.rows:
        if row.group and row.group != group:
            lines.append(pipe([f"**{escape(row.group)}**", *[""] * len(table.columns)]))
        group = row.group
        lines.append(pipe([escape(row.label), *(_show(row, cell, notes) for cell in row.cells)]))
    foot = [*table.notes, *(f"{_superscript(i)} {text}" for text, i in notes.items())]
    if any(cell.status == "stale" for row in table.rows for cell in row.cells):
        foot.append(STALE_NOTE)
    return "\n".join([*lines, "", *(["<br>\n".join(map(escape, foot)), ""] if foot else [])])


def heading(column: Column) -> str:
    """Title, unit where it is not plain, and which way is better."""
    unit = f" ({column.unit})" if column.unit in ("M", "s") else ""
    return f"{column.title}{unit}{ARROWS[column.direction]}"


def pipe(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escape(text: str) -> str:
    """Text that cannot break out of a table cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def _show(row: Line, cell: Cell, notes: dict[str, int]) -> str:
    """The cell with its marks; a note that another cell of the line spells out gets no footnote."""
    text = escape(cell.display) + (f" {STALE_MARK}" if cell.status == "stale" else "")
    if not cell.note or any(other.display == cell.note for other in row.cells):
        return text
    return text + _superscript(notes.setdefault(cell.note, len(notes) + 1))


def _superscript(number: int) -> str:
    return str(number).translate(SUPERSCRIPTS)


def to_csv(tables: Sequence[tuple[str, Table]]) -> str:
    """One line per cell of every (setting title, table): number in full, why it is missing, the runs that fed it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for setting, table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                numbers = map(_plain, (cell.value, cell.half_width, cell.n, *(cell.bootstrap or (None, None))))
                writer.writerow([table.id, setting, row.id, row.label, column.key, column.unit, *numbers,
                                 cell.condition, cell.status, cell.note, " ".join(cell.run_ids)])
    return buffer.getvalue()


def _plain(value: float | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def to_rich(table: Table) -> RichTable:
    """For the terminal; notes of the table and of cells stand below it."""
    from rich.table import Table as RichTable
    from rich.text import Text

    notes: dict[str, int] = {}
    made = RichTable(title=table.title, caption_justify="left")
    made.add_column(table.stub)
    for column in table.columns:
        made.add_column(heading(column), justify="right" if column.numeric else "left")
    for row in table.rows:
        made.add_row(Text(row.label), *(Text(_show(row, cell, notes)) for cell in row.cells))
    made.caption = Text("\n".join([*table.notes, *(f"{_superscript(i)} {text}" for text, i in notes.items())]))
    return made
