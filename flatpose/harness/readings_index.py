"""reports/readings.md: every open point of the paper, what was chosen, on what evidence, and what that changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flatpose.harness import stats
from flatpose.harness.blocks import Block, Shown, markdown
from flatpose.harness.claims import Entries, plain
from flatpose.harness.collect import Setting, settings
from flatpose.harness.compare import measure
from flatpose.harness.render import to_csv
from flatpose.harness.spec import Experiment, Row
from flatpose.harness.tables import Cell, Column, Line, Table, number_cell, text_cell

if TYPE_CHECKING:
    from experiments.readings import Reading

SENSITIVITY = "alternatives"
"""The experiment whose rows are the alternatives."""
OURS = "every FlatPose row of"
PARAMS, GFLOPS = Column("params_m", "Δ params", "M", 3), Column("gflops", "Δ GFLOPs", "G", 3)
EFFECT = Column("ap", "Δ AP")


def files(entries: Entries) -> dict[str, bytes]:
    """The page and its CSV twin, by path below reports/."""
    return {"readings.md": markdown(parts(entries)).encode(), "readings.csv": to_csv([("", table(entries))]).encode()}


def parts(entries: Entries) -> list[Block]:
    """The blocks of the page."""
    from experiments.readings import READINGS

    made = table(entries)
    return ["# readings: what the paper leaves open, and what we chose", HOW, "## What each alternative changes",
            Shown(made), "## Every reading", *(_text(r, entries, made) for r in READINGS), REPRODUCE]


def rows_of(reading: Reading, entries: Entries) -> str:
    """Whose numbers depend on it: "every FlatPose row of table1, table2; every row of fig5; of table5 `regression`"."""
    from experiments.readings import FLATPOSE

    groups: dict[str, list[str]] = {}
    for name, (experiment, _) in entries.items():
        rows = {row.id for row in experiment.rows if reading.id in row.readings}
        if rows and name != SENSITIVITY:
            groups.setdefault(_which(experiment, rows), []).append(_link(name))
    named = {name for name, (experiment, _) in entries.items()
             if any(reading.id in row.readings for row in experiment.rows)}
    for entry in reading.rows:
        name, _, row = entry.partition("/")
        if name not in named:
            whole = OURS if reading.rows == FLATPOSE else "numbers of"
            groups.setdefault(f"`{row}` of" if row else whole, []).append(_link(name))
    return "; ".join(f"{which} {', '.join(names)}" for which, names in groups.items())


def _which(experiment: Experiment, rows: set[str]) -> str:
    ours = {row.id for row in experiment.rows if row.run.model.kind == "flatpose"}
    if rows == ours:
        return OURS
    if len(rows) == len(experiment.rows):
        return "every row of"
    return f"{', '.join(f'`{row.id}`' for row in experiment.rows if row.id in rows)} of"


def _link(page: str) -> str:
    return f"[{page}]({page}.md)"


def measured(reading: Reading, made: Table) -> str:
    """Where to see what was measured about it, or that nothing was."""
    lines = [line for line in made.rows if line.id.startswith(f"{reading.id.lower()}_")]
    trained = sum(line.cells[-1].value is not None for line in lines)
    alternatives = f"{trained} of {len(lines)} alternatives trained, cost of all of them counted"
    found = [*map(_link, reading.measured), *([f"{_link(SENSITIVITY)} ({alternatives})"] if lines else [])]
    return ", ".join(found) or "nothing yet"


def table(entries: Entries) -> Table:
    """One line per alternative that can be set in a run: its cost and its accuracy less those of what we chose."""
    from experiments.readings import READINGS

    experiment, records = entries[SENSITIVITY]
    costs = {c["row"]: c for c in records.costs}
    found = [s for s in settings(experiment, records) if s.profile == experiment.default_profile][:1]
    lines = []
    for reading in READINGS:
        rows = [row for row in experiment.rows if row.readings == (reading.id,)]
        group = f"{reading.id}: {reading.question}"
        chosen = f"{reading.field} = {reading.value}" if reading.field else reading.ours
        lines += [Line(row.id, row.label, (text_cell(chosen), *(_cost(costs, experiment.rows[0], row, c)
                                                                for c in (PARAMS, GFLOPS)),
                                           _effect(experiment, found, row)), group) for row in rows]
    where = f"; Δ AP at {found[0].title}, {_boxes(found[0])}" if found else ""
    note = f"of the FlatPose of Fig. 1 at stride 8{where}"
    return Table("readings", "Alternatives", (Column("chosen", "we chose", numeric=False), PARAMS, GFLOPS, EFFECT),
                 tuple(lines), (note,))


def _boxes(setting: Setting) -> str:
    return "ground-truth boxes" if setting.box_sources[:1] == ["gt"] else "detector boxes"


def _cost(costs: dict[str, dict[str, float]], base: Row, row: Row, column: Column) -> Cell:
    pair = [costs.get(r.id, {}).get(column.key) for r in (row, base)]
    if pair[0] is None or pair[1] is None:
        return number_cell(None, column, "cost not computed")
    value = round(pair[0] - pair[1], column.decimals) + 0.0
    return Cell(value, f"{value:+.{column.decimals}f}" if value else "0")


def _effect(experiment: Experiment, found: Sequence[Setting], row: Row) -> Cell:
    """Difference of the means with its two-sample t-interval, where both sides have two seeds."""
    if not found:
        return number_cell(None, EFFECT, "not run")
    box = found[0].box_sources[0]
    ours, base = (measure(found[0], r, experiment.metric, box) for r in (row, experiment.rows[0]))
    if not ours.values or not base.values:
        return number_cell(None, EFFECT, ours.reason or base.reason)
    gap = stats.difference(ours.values, base.values)
    width = None if gap.half_width is None else 100 * gap.half_width
    text = plain(100 * gap.mean) + ("" if width is None else f" ± {width:.1f}") + f" (n = {gap.n})"
    return Cell(100 * gap.mean, text, run_ids=ours.runs, half_width=width, n=gap.n, condition=ours.condition)


def _text(reading: Reading, entries: Entries, made: Table) -> str:
    lines = [f"### {reading.id}: {reading.question}", "", f"- **Paper** {reading.paper}",
             f"- **Chosen** {reading.ours}", f"- **Evidence** {reading.why}", f"- **Would decide it** {reading.test}",
             f"- **Measured** {measured(reading, made)}"]
    if reading.field:
        others = ", ".join(f"`{value}`" for value in reading.alternatives) or "none"
        lines.append(f"- **Field** `{reading.field}` = `{reading.value}`; alternatives: {others}")
    lines.append(f"- **Rows** {rows_of(reading, entries)}")
    return "\n".join(re.sub(r"(?<!\[)reports/(\w+)\.md", r"[\1](\1.md)", line) for line in lines)


HOW = (
    "Each open or contradictory point of the paper has a number, a choice, and a way to undo it: the field can be set "
    "in any spec. Where counts decide (which digits a choice explains), the evidence is in "
    "[readings_search](readings_search.md); where only training can, the table below has what was measured. At `quick` "
    "every network is far from convergence: a difference shows that a reading matters early, no difference shows "
    "nothing.")
REPRODUCE = """## Reproduce

```bash
flatpose-exp cost alternatives
flatpose-exp run alternatives
```

Entries: [experiments/readings.py](../experiments/readings.py). Numbers: [readings.csv](readings.csv),
[alternatives](alternatives.md)."""
