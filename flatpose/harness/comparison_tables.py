"""Published (or other) numbers beside ours as tables: those that can be compared, and in short those that cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flatpose.harness.compare import BUILT, FAILED, MISPRINT, Comparison, box_name
from flatpose.harness.spec import Experiment, Published
from flatpose.harness.tables import (
    Cell,
    Column,
    Line,
    Table,
    brackets,
    number_cell,
    percent_interval,
    short_box,
    text_cell,
)

QUANTITIES = {"params_m": "parameters (M)", "gflops": "GFLOPs"}
CONVENTIONS = {("params_m", "leaf"): "leaf modules", ("gflops", "all"): "every matmul",
               ("gflops", "hrnet_tool"): "HRNet's tool"}
"""(Quantity, how the print counts) -> in words."""
COUNTING = {
    "all": "GFLOPs, every matmul: multiply-adds of every convolution and matrix product, attention included (/ 10^9)",
    "hrnet_tool": "GFLOPs, HRNet's tool: the summary of HRNet's repository (/ 2^30; no attention products, tokens "
                  "taken for channels, transposed convolutions at their output)",
    "leaf": "parameters, leaf modules: without free-standing ones such as position codes"}
"""What the conventions mean, for the foot of a table that has them."""

COLUMNS = (
    Column("quantity", "quantity", numeric=False), Column("reference", "paper"), Column("measured", "measured"),
    Column("difference", "difference"), Column("tolerance", "tolerance"), Column("boxes", "boxes", numeric=False),
    Column("verdict", "verdict", numeric=False), Column("source", "source", numeric=False))


def tables(experiment: Experiment, comparisons: Sequence[Comparison]) -> list[Table]:
    """Published numbers with a counterpart, one a line; and the others, one line per row."""
    beside = [c for c in comparisons if c.measured is not None or c.verdict == FAILED]
    alone = [c for c in comparisons if c.measured is None and c.verdict != FAILED]
    groups = {row.id: row.group for row in experiment.rows}
    made = [comparison_table(beside, groups=groups)] if beside else []
    return [*made, *([unmeasured_table(experiment, alone)] if alone else [])]


def comparison_table(comparisons: Sequence[Comparison], title: str = "Published against measured",
                     reference: str = "paper", groups: Mapping[str, str] | None = None) -> Table:
    """One line per published number (or per number of another set of records); metrics x 100.

    Args:
        comparisons: The lines.
        title: Of the table.
        reference: Heading of the numbers that ours are compared with.
        groups: Row id -> heading under which its lines stand.
    """
    lines = [Line(c.row, c.label, _comparison_cells(c), (groups or {}).get(c.row, "")) for c in comparisons]
    columns = [replace(c, title=reference) if c.key == "reference" else c for c in COLUMNS]
    idle = {"boxes"} if all(c.plain for c in comparisons) else set()
    idle |= {"source"} if all(c.source == c.against for c in comparisons) else set()
    keep = [i for i, c in enumerate(columns) if c.key not in idle]
    notes = [f"measured with {text}" for text in dict.fromkeys(c.condition for c in comparisons if c.condition)]
    used = {c.convention for c in comparisons if (c.quantity, c.convention) in CONVENTIONS}
    return Table("comparison", title, tuple(columns[i] for i in keep),
                 tuple(replace(line, cells=tuple(line.cells[i] for i in keep)) for line in lines),
                 (*notes, *(text for name, text in COUNTING.items() if name in used)))


def by_setting(experiment: Experiment, comparisons: Sequence[Comparison], reference: str) -> list[Table]:
    """For the terminal: a table per setting and box source, one of costs, and what has no counterpart.

    Against other records only costs that differ have lines; how many are equal is said below.
    """
    paper = [c for c in comparisons if c.against == "paper"]
    whole = tables(experiment, paper) if paper else []
    beside = [c for c in comparisons if c.against != "paper" or c.measured is not None or c.verdict == FAILED]
    made = []
    for setting, box in dict.fromkeys((c.setting, c.box_source) for c in beside):
        lines = [c for c in beside if (c.setting, c.box_source) == (setting, box)]
        equal = [c for c in lines if c.plain and c.against != "paper" and c.difference == 0]
        what = ", ".join(filter(None, (setting or "models of the paper's size", box and box_name(box),
                                       "networks as run" if setting and not box else "")))
        table = comparison_table([c for c in lines if c not in equal], f"{experiment.id} against {reference}: {what}",
                                 reference)
        said = f"rows with equal parameters and GFLOPs: {len({c.row for c in equal})}"
        columns = [i for i, c in enumerate(table.columns) if c.key not in ("boxes", "source")]
        made.append(replace(
            table, columns=tuple(table.columns[i] for i in columns), notes=(*table.notes, *([said] if equal else [])),
            rows=tuple(replace(r, cells=tuple(r.cells[i] for i in columns)) for r in table.rows)))
    return [*made, *(t for t in whole if t.id == "unmeasured")]


def unmeasured_table(experiment: Experiment, comparisons: Sequence[Comparison]) -> Table:
    """What the paper prints where nothing here can stand beside it, and why."""
    names = list(dict.fromkeys(c.quantity for c in comparisons))
    columns = [Column(name, QUANTITIES.get(name, name), decimals=1) for name in names]
    rows = {row.id: row for row in experiment.rows}
    found: dict[str, list[Comparison]] = {}
    for c in comparisons:
        found.setdefault(c.row, []).append(c)
    lines = []
    for row, group in found.items():
        by_name = {c.quantity: c for c in group}
        cells = [_printed(by_name.get(column.key), column, rows[row].published) for column in columns]
        why = "; ".join(dict.fromkeys(c.outcome for c in group))
        more = text_cell(why), text_cell(group[0].source)
        lines.append(Line(row, group[0].label, (*cells, *more), rows[row].group))
    text = (Column("why", "why not compared", numeric=False), Column("source", "source", numeric=False))
    return Table("unmeasured", "Published numbers that nothing here can be compared with", (*columns, *text),
                 tuple(lines))


def _printed(c: Comparison | None, column: Column, said: Published | None) -> Cell:
    """A printed number with what is known of it."""
    if c is None or said is None:
        return number_cell(None, column, "not printed, or compared above")
    known = [f"{MISPRINT} ({said.misprints[c.quantity]})"] if c.quantity in said.misprints else []
    known += [f"boxes: {said.boxes}"] if said.boxes and not c.plain else []
    value = c.reference if c.plain else 100 * c.reference
    return Cell(value, f"{value:g}" if c.convention == BUILT else f"{value:.1f}", note="; ".join(known))


def _comparison_cells(c: Comparison) -> tuple[Cell, ...]:
    scale, digits = (1.0, "g") if c.convention == BUILT else (1.0, ".2f") if c.plain else (100.0, ".1f")

    def number(value: float | None, sign: str = "") -> Cell:
        if value is None:
            return Cell(None, "—", "empty", c.outcome)
        text = f"{scale * value:{sign}{digits}}"
        return Cell(scale * value, text.lstrip("+-") if float(text) == 0 else text)

    measured = replace(number(c.measured), condition=c.condition)
    difference = replace(number(c.difference, "+"), condition=c.condition)
    if c.half_width is not None and c.measured is not None:
        if c.against == "paper":
            measured = _spread(measured, scale * c.half_width, c.n)
        else:  # against other records it is the interval of the difference
            difference = _spread(difference, scale * c.half_width, c.n)
    elif (images := percent_interval(c.bootstrap)) and c.measured is not None:
        measured = replace(measured, display=measured.display + brackets(images, 1), n=c.n, bootstrap=images)
    counted = CONVENTIONS.get((c.quantity, c.convention))
    name = QUANTITIES.get(c.quantity, c.quantity) + (f", {counted}" if counted else "")
    boxes = "none needed" if c.plain else "—" if c.box_source is None else short_box(c.box_source)
    tolerance = replace(number(c.tolerance), display=f"± {scale * c.tolerance:{digits}}")
    return (text_cell(name), number(c.reference), measured, difference, tolerance, text_cell(boxes),
            text_cell(c.outcome), text_cell(c.source))


def _spread(cell: Cell, width: float, n: int) -> Cell:
    return replace(cell, display=f"{cell.display} ± {width:.1f} (n = {n})", half_width=width, n=n)
