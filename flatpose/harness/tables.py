"""Tables as data: what a report says, before any renderer decides how it looks. A cell knows why it is empty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flatpose.harness.collect import RecordSet, Setting, Stale
from flatpose.harness.compare import BUILT, Comparison, Measured, box_name, flip, measure, result
from flatpose.harness.spec import Experiment, Row

STALE_MARK = "†"
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
    images = _percent(found.over_images)
    if estimate.half_width is not None:
        display += f" ± {100 * estimate.half_width:.{digits}f}"
    elif images:
        display += brackets(images, digits)
    width = None if estimate.half_width is None else 100 * estimate.half_width
    return Cell(100 * estimate.mean, display, "stale" if found.stale else "done", "; ".join(found.failures), found.runs,
                width, estimate.n, found.condition, images)


def _percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
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
    one_condition = len({c[1:] for c in conditions(setting)}) <= 1
    ceiling = any(result(r, None, "ceiling") for r in setting.done)
    columns = [c for c, _, _ in metrics]
    columns += [Column("seeds", "seeds", decimals=0)]
    columns += [Column("ceiling", f"codec ceiling {experiment.metric}", "x 100", direction="higher")] if ceiling else []
    columns += [] if one_condition else [Column("condition", "flip test, score rule", numeric=False)]
    columns += [Column("params_m", "params", "M", 2, "lower"), Column("gflops", "GFLOPs", "G", 3, "lower"),
                Column("seconds", "train time", "s", 0, "lower")]

    def line(row: Row) -> Line:
        head = measure(setting, row, experiment.metric, first, stale=stale)
        cells = [metric_cell(measure(setting, row, m, box, stale=stale), c) for c, m, box in metrics]
        cells.append(Cell(len(head.values), str(len(head.values)), run_ids=head.runs))
        if ceiling:
            cells.append(_ceiling_cell(experiment, setting, row))
        if not one_condition:
            cells.append(_condition_cell(setting, row, head))
        cells += [_mean_cell(setting, row, head, c) for c in columns[-3:]]
        return Line(row.id, row.label, tuple(cells), row.group)

    notes = ("; ".join(conditions(setting)[0][1:]),) if one_condition and conditions(setting) else ()
    return Table("measured", f"{experiment.metric} at {setting.title}", tuple(columns),
                 tuple(line(row) for row in experiment.rows), notes)


def _ceiling_cell(experiment: Experiment, setting: Setting, row: Row) -> Cell:
    """Ground truth encoded and decoded: no seed enters, so any record of the row tells it."""
    found = measure(setting, row, experiment.metric, None, kind="ceiling")
    if not found.values:
        return Cell(None, "—", "empty", found.reason or "no ceiling recorded", found.runs)
    return replace(number_cell(100 * found.estimate.mean, Column("ceiling", ""), "", found.runs),
                   condition=found.condition)


def _condition_cell(setting: Setting, row: Row, head: Measured) -> Cell:
    results = [e for r in setting.rows.get(row.id, []) if r["status"] == "done" for e in r["results"]]
    texts = sorted({f"{flip(e)}, {e['score_rule']}" for e in results if e["kind"] == "trained"})
    return text_cell("; ".join(texts)) if texts else Cell(None, "—", "empty", head.reason)


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


def comparison_table(comparisons: Sequence[Comparison], title: str = "Published against measured",
                     reference: str = "paper") -> Table:
    """One line per published number (or per number of another set of records); metrics x 100."""
    columns = (
        Column("quantity", "quantity", numeric=False), Column("reference", reference), Column("measured", "measured"),
        Column("difference", "difference"), Column("tolerance", "tolerance"), Column("boxes", "boxes", numeric=False),
        Column("verdict", "verdict", numeric=False), Column("source", "source", numeric=False))
    lines = tuple(Line(c.row, c.label, _comparison_cells(c)) for c in comparisons)
    used = {c.convention for c in comparisons if (c.quantity, c.convention) in CONVENTIONS}
    return Table("comparison", title, columns, lines, tuple(text for name, text in COUNTING.items() if name in used))


def _comparison_cells(c: Comparison) -> tuple[Cell, ...]:
    scale, digits = (1.0, "g") if c.convention == BUILT else (1.0, ".2f") if c.plain else (100.0, ".1f")

    def number(value: float | None, sign: str = "") -> Cell:
        if value is None:
            return Cell(None, "—", "empty", c.outcome)
        return Cell(scale * value, f"{scale * value:{sign}{digits}}")

    measured = replace(number(c.measured), condition=c.condition)
    if c.half_width is not None and c.measured is not None:
        width = scale * c.half_width
        display = f"{measured.display} ± {width:{digits}} (n = {c.n})"
        measured = replace(measured, display=display, half_width=width, n=c.n)
    elif (images := _percent(c.bootstrap)) and c.measured is not None:
        measured = replace(measured, display=measured.display + brackets(images, 1), n=c.n, bootstrap=images)
    counted = CONVENTIONS.get((c.quantity, c.convention))
    name = QUANTITIES.get(c.quantity, c.quantity) + (f", {counted}" if counted else "")
    boxes = "none needed" if c.plain else "—" if c.box_source is None else short_box(c.box_source)
    return (text_cell(name), number(c.reference), measured,
            replace(number(c.difference, "+"), condition=c.condition),
            replace(number(c.tolerance), display=f"± {scale * c.tolerance:{digits}}"), text_cell(boxes),
            text_cell(c.outcome), text_cell(c.source))


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
