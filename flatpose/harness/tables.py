"""Tables as data: what a report says, before any renderer decides how it looks. A cell knows why it is empty."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flatpose.harness.collect import RecordSet, Setting, Stale
from flatpose.harness.compare import Measured, box_name, flip, measure, result
from flatpose.harness.spec import Experiment, Row

STALE_MARK = "†"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""Names of the rules of a table."""


@dataclass(frozen=True)
class Cell:
    """One entry. ``value`` is the bare number or text in the column's unit, ``display`` how it reads."""

    value: float | str | None
    display: str
    status: str = "done"
    """done, stale, failed, not run, or empty (the question does not arise)."""
    note: str = ""
    """Becomes a footnote; always there when ``value`` is None."""
    run_ids: tuple[str, ...] = ()
    half_width: float | None = None
    n: int | None = None
    condition: str = ""
    """Box source, flip test and score rule under which the number holds; empty where none of them enters."""
    bootstrap: tuple[float, float] | None = None
    """95 % interval over images, its ends averaged over seeds."""


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    unit: str = ""
    decimals: int = 1
    direction: str = ""
    """"higher" or "lower" is better; empty for text and conditions."""
    numeric: bool = True


@dataclass(frozen=True)
class Line:
    id: str
    label: str
    cells: tuple[Cell, ...]
    group: str = ""


@dataclass(frozen=True)
class Table:
    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    stub: str = "row"
    """Heading of the first column, the labels of the lines."""


def condensed(table: Table) -> Table:
    """For a page: rows that were never run leave the table and are named below it, with the reason.

    A table in which nothing was run stays as it is.
    """
    idle = [line for line in table.rows if all(c.value in (None, 0) and c.status != "failed" for c in line.cells)
            and line.cells[0].status == "not run" and not line.cells[0].run_ids]
    if not idle or len(idle) == len(table.rows):
        return table
    counts = Counter(line.label for line in table.rows)
    why: dict[str, list[str]] = {}
    for line in idle:
        name = f"{line.label} ({line.group})" if counts[line.label] > 1 and line.group else line.label
        why.setdefault(line.cells[0].note, []).append(name)
    said = [f"not run here ({reason}): {', '.join(names)}" for reason, names in why.items()]
    return replace(table, rows=tuple(line for line in table.rows if line not in idle), notes=(*table.notes, *said))


def text_cell(text: str) -> Cell:
    return Cell(text, text)


def number_cell(value: float | None, column: Column, why_empty: str, run_ids: tuple[str, ...] = ()) -> Cell:
    """A plain number, or a dash that knows its reason."""
    if value is None:
        return Cell(None, "—", "empty", why_empty, run_ids)
    return Cell(value, f"{value:.{column.decimals}f}", run_ids=run_ids)


def metric_cell(found: Measured, column: Column) -> Cell:
    """Mean over seeds x 100 with the half-width of its t-interval, one seed with its bootstrap interval over images;
    "failed" or a dash with the reason otherwise.
    """
    if found.status != "done":
        return Cell(None, "failed" if found.status == "failed" else "—", found.status, found.reason, found.runs)
    estimate, digits = found.estimate, column.decimals
    display = f"{100 * estimate.mean:.{digits}f}"
    images = percent_interval(found.over_images)
    if estimate.half_width is not None:
        display += f" ± {100 * estimate.half_width:.{digits}f}"
    elif images:
        display += brackets(images, digits)
    width = None if estimate.half_width is None else 100 * estimate.half_width
    return Cell(100 * estimate.mean, display, "stale" if found.stale else "done", "; ".join(found.failures), found.runs,
                width, estimate.n, found.condition, images)


def percent_interval(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """0..1 to points."""
    return interval and (100 * interval[0], 100 * interval[1])


def brackets(interval: tuple[float, float], digits: int) -> str:
    """" [9.0, 11.4]": how an interval over images follows its number."""
    return f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def short_box(source: str) -> str:
    return "GT boxes" if source == "gt" else "detector boxes"


def metrics_of(experiment: Experiment) -> list[str]:
    """The experiment's metric first, then every other one the paper printed for a row."""
    published = (m for row in experiment.rows if row.published for m in row.published.metrics)
    return list(dict.fromkeys([experiment.metric, *published]))


def conditions(setting: Setting) -> list[tuple[str, str, str]]:
    """The distinct (box source, flip test, score rule) under which this setting was evaluated."""
    entries = [r for record in setting.done for r in record["results"] if r["kind"] == "trained"]
    return sorted({(box_name(r["box_source"]), flip(r), r["score_rule"]) for r in entries})


def measured_table(experiment: Experiment, setting: Setting, stale: Stale | None = None) -> Table:
    """Every row of the experiment in one setting: metrics by box source, seeds, codec ceiling, cost, time."""
    first = setting.box_sources[0] if setting.box_sources else None
    boxes: Sequence[str | None] = setting.box_sources or [None]
    metrics = [(Column(f"{m}_{box or 'gt'}", f"{m}, {short_box(box or 'gt')}", "x 100", direction="higher"), m, box)
               for m in metrics_of(experiment) for box in boxes]
    rules = list(dict.fromkeys(rule for row in experiment.rows for rule in _rules(setting, row)))
    ceiling = any(result(r, None, "ceiling") for r in setting.done)
    columns = [c for c, _, _ in metrics]
    columns += [Column("seeds", "seeds", decimals=0)]
    columns += [Column("ceiling", f"codec ceiling {experiment.metric}", "x 100", direction="higher")] if ceiling else []
    columns += [Column("condition", "rule", numeric=False)] if len(rules) > 1 else []
    columns += [Column("params_m", "params", "M", 2, "lower"), Column("gflops", "GFLOPs", "G", 3, "lower"),
                Column("seconds", "train time", "s", 0, "lower")]

    def line(row: Row) -> Line:
        head = measure(setting, row, experiment.metric, first, stale=stale)
        cells = [metric_cell(measure(setting, row, m, box, stale=stale), c) for c, m, box in metrics]
        cells.append(Cell(len(head.values), str(len(head.values)), run_ids=head.runs))
        if ceiling:
            cells.append(_ceiling_cell(experiment, setting, row))
        if len(rules) > 1:
            cells.append(_rule_cell(_rules(setting, row), rules, head))
        cells += [_mean_cell(setting, row, head, c) for c in columns[-3:]]
        return Line(row.id, row.label, tuple(cells), row.group)

    notes = tuple(f"rule {letter}: {rule}" for letter, rule in zip(LETTERS, rules, strict=False)
                  ) if len(rules) > 1 else tuple(rules)
    return Table("measured", f"{experiment.metric} at {setting.title}", tuple(columns),
                 tuple(line(row) for row in experiment.rows), notes)


def _ceiling_cell(experiment: Experiment, setting: Setting, row: Row) -> Cell:
    """Ground truth encoded and decoded: no seed enters, so any record of the row tells it."""
    found = measure(setting, row, experiment.metric, None, kind="ceiling")
    if not found.values:
        return Cell(None, "—", "empty", found.reason or "no ceiling recorded", found.runs)
    return replace(number_cell(100 * found.estimate.mean, Column("ceiling", ""), "", found.runs),
                   condition=found.condition)


def _rules(setting: Setting, row: Row) -> list[str]:
    """Flip test and score rule under which this row was evaluated; box sources have columns of their own."""
    results = [e for r in setting.rows.get(row.id, []) if r["status"] == "done" for e in r["results"]]
    return sorted({f"{flip(e)}, {e['score_rule']}" for e in results if e["kind"] == "trained"})


def _rule_cell(found: Sequence[str], rules: Sequence[str], head: Measured) -> Cell:
    """A letter that the foot of the table explains; its value is the rule itself."""
    if not found:
        return Cell(None, "—", "empty", head.reason)
    return Cell("; ".join(found), ", ".join(LETTERS[rules.index(rule)] for rule in found))


def _mean_cell(setting: Setting, row: Row, head: Measured, column: Column) -> Cell:
    """Mean of a cost or training time over the row's finished runs."""
    records = [r for r in setting.rows.get(row.id, []) if r["status"] == "done"]
    found = [{**(r.get("train") or {}), **(r.get("cost") or {})}.get(column.key) for r in records]
    values = [v for v in found if v is not None]
    mean = math.fsum(values) / len(values) if values else None
    return number_cell(mean, column, head.reason or f"{column.title} not recorded", head.runs)


def weights_table(experiment: Experiment, setting: Setting, stale: Stale | None = None) -> Table | None:
    """Averaged against raw weights, where runs recorded both."""
    both = {w for r in setting.done for e in r["results"] if e["kind"] == "trained" for w in [e.get("weights")]}
    if not {"ema", "raw"} <= both:
        return None
    columns = tuple(Column(w, f"{experiment.metric}, {name}", "x 100", direction="higher")
                    for w, name in (("ema", "averaged weights (EMA)"), ("raw", "raw weights")))
    box = setting.box_sources[0]
    lines = [Line(row.id, row.label, tuple(
        metric_cell(measure(setting, row, experiment.metric, box, weights=c.key, stale=stale), c) for c in columns))
        for row in experiment.rows if row.id in setting.rows]
    return Table("weights", f"EMA against raw weights at {setting.title}, {box_name(box)}", columns, tuple(lines))


def cost_table(experiment: Experiment, records: RecordSet) -> Table | None:
    """Parameters and multiply-adds of the paper-size models, in both conventions."""
    if not records.costs:
        return None
    by_row = {c.get("row"): c for c in records.costs}
    columns = (Column("params_m", "params", "M", 2, "lower"), Column("gflops", "GFLOPs, every matmul", "G", 2, "lower"),
               Column("gflops_hrnet_tool", "GFLOPs, HRNet's tool", "G", 2, "lower"))
    lines = [Line(r.id, r.label, tuple(
        number_cell(by_row.get(r.id, {}).get(c.key), c, "cost not computed") for c in columns), r.group)
        for r in experiment.rows]
    return Table("cost", "Cost of the paper-size models (one forward pass, batch 1, no flip)", columns, tuple(lines))
