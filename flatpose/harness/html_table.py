"""A Table as HTML: sortable, every cell with its condition as a tooltip and, below the table, as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from flatpose.harness.render import STALE_NOTE, heading
from flatpose.harness.tables import STALE_MARK, Cell, Column, Line, Table

LONG = 28
"""Letters that need a wide column."""
HARD = "\N{NO-BREAK SPACE}"


def to_html(table: Table) -> str:
    """The table in a frame of its own that scrolls sideways, then footnotes and conditions."""
    notes: dict[str, int] = {}
    heads = [head(table.stub, False), *(head(heading(c), c.numeric, c.direction) for c in table.columns)]
    body, group = [], ""
    for row in table.rows:
        if row.group and row.group != group:
            body.append(f'<tr class="group"><th colspan="{len(heads)}" scope="rowgroup">{escape(row.group)}</th></tr>')
        group = row.group
        body.append(_line(row, table.columns, notes))
    name = escape(table.title, quote=True)
    frame = (f'<div class="scroll" role="region" aria-label="{name}" tabindex="0"><table class="sortable">'
             f'<caption>{name}</caption><thead><tr>{"".join(heads)}</tr></thead>\n<tbody>\n'
             + "\n".join(body) + "\n</tbody></table></div>")
    return f'<div class="table">{frame}{_foot(table, notes)}</div>'


def head(title: str, numeric: bool, direction: str = "") -> str:
    """A heading that sorts; the better end comes first where one end is better."""
    first = ' data-first="descending"' if direction == "higher" else ""
    kind = ' class="num"' if numeric else ""
    text = escape(title).replace(" ↑", f"{HARD}↑").replace(" ↓", f"{HARD}↓")
    return (f'<th scope="col" aria-sort="none"{kind}{first}><button type="button">{text}'
            '<span class="mark" aria-hidden="true"></span></button></th>')


def _line(row: Line, columns: Sequence[Column], notes: dict[str, int]) -> str:
    group = f'<small class="of">{escape(row.group)}</small>' if row.group else ""
    cells = (_cell(row, column, cell, notes) for column, cell in zip(columns, row.cells, strict=True))
    return f'<tr><th scope="row">{escape(row.label)}{group}</th>{"".join(cells)}</tr>'


def _cell(row: Line, column: Column, cell: Cell, notes: dict[str, int]) -> str:
    kinds = " ".join([column_class(column.numeric, cell.display), *([] if cell.status == "done" else
                                                                    [cell.status.replace(" ", "-")])]).strip()
    value = "" if cell.value is None else f' data-value="{escape(_plain(cell.value), quote=True)}"'
    mark = f" {STALE_MARK}" if cell.status == "stale" else ""
    if cell.note and not any(other.display == cell.note for other in row.cells):
        mark += f"<sup>{notes.setdefault(cell.note, len(notes) + 1)}</sup>"
    title = escape(tooltip(row, column, cell), quote=True)
    kind = f' class="{kinds}"' if kinds else ""
    return f'<td{kind}{value} title="{title}">{escape(cell.display)}{mark}</td>'


def _plain(value: float | str) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def column_class(numeric: bool, text: str) -> str:
    """How a cell is set: numbers to the right, long texts with room on a phone."""
    return "num" if numeric else "long" if len(text) > LONG else ""


def tooltip(row: Line, column: Column, cell: Cell) -> str:
    """Everything the cell knows about itself, one fact a line."""
    unit = f" ({column.unit})" if column.unit else ""
    lines = [f"{row.label} · {column.title}{unit}: {cell.display}"]
    if cell.n is not None:
        interval = "no interval over seeds" if cell.half_width is None else "± half-width of the 95 % t-interval"
        lines.append(f"mean of n = {cell.n}; {interval}")
    if cell.bootstrap:
        low, high = cell.bootstrap
        lines.append(f"95 % bootstrap interval over images: {low:.{column.decimals}f} to {high:.{column.decimals}f}")
    lines += [f"condition: {cell.condition}"] if cell.condition else []
    lines += [f"{cell.status}: {cell.note}" if cell.status != "done" else cell.note] if cell.note else []
    lines += ["measured by older code"] if cell.status == "stale" else []
    if cell.run_ids:
        lines.append(f"run{'s' * (len(cell.run_ids) != 1)}: {' '.join(cell.run_ids)}")
    return "\n".join(lines)


def _foot(table: Table, notes: dict[str, int]) -> str:
    """Notes of the table, footnotes, and the conditions of its columns as text."""
    lines = [escape(text) for text in table.notes]
    lines += [f"<sup>{number}</sup> {escape(text)}" for text, number in notes.items()]
    if any(cell.status == "stale" for row in table.rows for cell in row.cells):
        lines.append(escape(STALE_NOTE))
    lines += [f"<b>{escape(who)}</b>: {escape(text)}" for who, text in conditions(table)]
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<ul class="notes">{items}</ul>' if items else ""


def conditions(table: Table) -> list[tuple[str, str]]:
    """(whose numbers, condition): columns that share a condition together; rows by name where a column has several."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.condition:
                found.setdefault(cell.condition, {}).setdefault(column.title, []).append(row.label)
    rules = list(found.values())
    mixed = {title for columns in rules for title in columns if sum(title in other for other in rules) > 1}
    lines = []
    for condition, columns in found.items():
        plain = [title for title in columns if title not in mixed]
        lines += [(", ".join(plain), condition)] if plain else []
        shared: dict[tuple[str, ...], list[str]] = {}
        for title, rows in columns.items():
            if title in mixed:
                shared.setdefault(tuple(dict.fromkeys(rows)), []).append(title)
        lines += [(f"{', '.join(titles)} of {', '.join(rows)}", condition) for rows, titles in shared.items()]
    return lines
