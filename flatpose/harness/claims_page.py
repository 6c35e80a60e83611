"""The page of the claims: reports/claims.md, .csv and data/claims.json, from the specs and the committed records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from flatpose.harness import claims, stopwatch
from flatpose.harness.blocks import Block, Shown, markdown
from flatpose.harness.claims import (
    DIRECTION,
    FAILS,
    HOLDS,
    NOT_PRINTED,
    NOT_TESTED,
    ROUNDING,
    UNDECIDED,
    Entries,
    Judged,
    Verdict,
)
from flatpose.harness.formula import Interval, cells, evaluate
from flatpose.harness.render import to_csv
from flatpose.harness.tables import Cell, Column, Line, Table, number_cell
from flatpose.io import read_json

CONVENTION = "fvcore, every matrix product counted, one forward pass of the paper's size, no flip"
EXPERIMENTS = {"fig1", "table2", "table3", "table4", "table5"}
"""Whose cells the claims speak of."""
ORDER = (HOLDS, ROUNDING, DIRECTION, FAILS, UNDECIDED, NOT_TESTED, NOT_PRINTED)


def judge_all(entries: Entries, reports: Path) -> list[Judged]:
    """Every claim of experiments/claims.py with its verdicts, in the order of the paper."""
    from experiments.claims import CLAIMS

    gain = box_gain(reports)
    return [claims.judge(claim, entries, gain) for claim in CLAIMS]


def box_gain(reports: Path) -> tuple[float, float] | None:
    """Least and most AP that ground-truth boxes gave to simulated networks; None where that was not simulated."""
    path = reports / "data" / "boxes_simulated.json"
    if not path.exists():
        return None
    gains = [100 * (row["gt"]["AP"] - row["det"]["AP"]) for row in read_json(path)["rows"]]
    return min(gains), max(gains)


def files(judged: Sequence[Judged], entries: Entries) -> dict[str, bytes]:
    """Every file of the page, by its path below reports/."""
    made = tables(judged, entries)
    data = json.dumps([j.to_dict() for j in judged], indent=1, ensure_ascii=False) + "\n"
    return {"claims.md": markdown(blocks(judged, made)).encode(), "data/claims.json": data.encode(),
            "claims.csv": to_csv([("", table) for table in made]).encode()}


def parts(entries: Entries, reports: Path) -> list[Block]:
    """The blocks of the page, for other renderers."""
    judged = judge_all(entries, reports)
    return blocks(judged, tables(judged, entries))


def blocks(judged: Sequence[Judged], made: Sequence[Table]) -> list[Block]:
    """The page."""
    shown = [part for table in made for part in (f"## {table.title}", Shown(table))]
    return ["# claims: does each number that the paper states hold?", HOW, "## In short", headline(judged), *shown,
            "## Words without numbers", meanings(judged), REPRODUCE]


def headline(judged: Sequence[Judged]) -> str:
    """How many hold, on what."""
    costs, metrics = [j for j in judged if j.claim.is_cost], [j for j in judged if not j.claim.is_cost]
    boxes = [j.one_box_source for j in judged if j.one_box_source]
    lines = [
        f"- **Arithmetic.** Of {len(judged)} statements, by the paper's own tables: "
        f"{counts(j.published for j in judged)}.",
        f"- **One convention.** Of {len(costs)} statements on parameters and GFLOPs, every system counted by us in one "
        f"convention ({CONVENTION}): {counts(j.ours for j in costs)}." + _named(costs),
        f"- **One box source.** Of {len(boxes)} comparisons of Table 2 between FlatPose and another system (FlatPose's "
        "boxes look like ground truth, the others' are a detector's), less what ground-truth boxes gave to simulated "
        f"networks: {counts(boxes)}." if boxes else "",
        f"- **Tested here.** Of {len(metrics)} statements on accuracy: {counts(j.ours for j in metrics)}. Nothing was "
        "trained at the paper's scale yet, so a verdict is about the direction at the scale it names."]
    return "\n".join(line for line in lines if line)


def counts(verdicts: Iterable[Verdict]) -> str:
    """"12 hold, 1 fails"."""
    found = Counter(v.verdict for v in verdicts)
    words = {HOLDS: ("holds", "hold"), ROUNDING: ("holds within rounding", "hold within rounding"),
             FAILS: ("fails", "fail"), UNDECIDED: ("is undecided", "are undecided"),
             DIRECTION: ("fails, but in the same direction", "fail, but in the same direction"),
             NOT_TESTED: ("is not tested", "are not tested"),
             NOT_PRINTED: ("speaks of numbers that no table prints", "speak of numbers that no table prints")}
    return ", ".join(f"{found[v]} {words[v][found[v] != 1]}" for v in ORDER if found[v])


def _named(costs: Sequence[Judged]) -> str:
    """Those that do not hold, by name and number."""
    texts = [f"“{j.claim.quote}” ({j.ours.reason})" for j in costs if j.ours.verdict in (DIRECTION, FAILS)]
    return f" These do not: {'; '.join(texts)}." if texts else ""


def cost_answer(judged: Sequence[Judged], entries: Entries) -> str:
    """Does FlatPose's cost claim hold, and under which condition?"""
    costs = [j for j in judged if j.claim.is_cost]
    fewer = [j.ours.value or 0.0 for j in costs if getattr(j.claim.formula, "op", "") == "reduction"]
    cheaper = sum(value > 0 for value in fewer)
    start = "In direction yes" if cheaper == len(fewer) else "In direction not everywhere"
    text = (f"{start}: in {cheaper} of {len(fewer)} printed comparisons the FlatPose row is the smaller one. Of "
            f"{len(costs)} statements on parameters and GFLOPs, "
            f"with every system counted in one convention ({CONVENTION}): {counts(j.ours for j in costs)}."
            f"{_named(costs)}")
    timed = [(j, t) for j in costs for t in [stopwatch_value(j, entries)] if t is not None]
    if timed:
        parts = "; ".join(f"“{j.claim.quote}” is {value:.0f} % less time" for j, value in timed)
        text += f" By a stopwatch ({timed_on(entries)}): {parts}."
    return text


def stopwatch_value(judged: Judged, entries: Entries) -> float | None:
    """A reduction of GFLOPs in Table 2 as a reduction of time: eager, one image; None where a row was not timed."""
    found = cells(judged.claim.formula)
    if getattr(judged.claim.formula, "op", "") != "reduction" or any(
            (c.experiment, c.quantity) != ("table2", "gflops") for c in found):
        return None
    times = {r["row"]: e["ratio_flatpose_b"] for r in entries["table2"][1].latencies
             for e in [stopwatch.entry(r, 1, False)] if e}
    value = evaluate(judged.claim.formula, lambda c: Interval.exact(times[c.row]) if c.row in times else None)
    return None if value is None else value.mid


def timed_on(entries: Entries) -> str:
    """Machine and mode of the stopwatch."""
    record = entries["table2"][1].latencies[0]
    first = record["latency"][0]
    machine = record["cpu"] if first["device"] == "CPU" else first["device"]
    return f"one image, eager, {machine}, {first['threads']} threads"


def accuracy_answer(judged: Sequence[Judged]) -> str:
    """What is known of the accuracy that the cost is paid with."""
    metrics = [j for j in judged if not j.claim.is_cost]
    boxes = [j.one_box_source for j in judged if j.one_box_source]
    return (f"Of {len(metrics)} statements on accuracy, by the paper's own tables: "
            f"{counts(j.published for j in metrics)}; tested here: {counts(j.ours for j in metrics)}. "
            f"FlatPose's rows of Table 2 look like ground-truth boxes: less what those gave to simulated "
            f"networks, of its {len(boxes)} comparisons with other systems {counts(boxes)}.")


def tables(judged: Sequence[Judged], entries: Entries) -> list[Table]:
    """Claims on cost, then those on accuracy."""
    costs, metrics = [j for j in judged if j.claim.is_cost], [j for j in judged if not j.claim.is_cost]
    says, value = Column("says", "says", numeric=False), Column("published", "paper's cells give", decimals=2)
    verdict = Column("verdict", "arithmetic", numeric=False)
    ours = Column("counted", "we count", decimals=2)
    timed = Column("time", "% less time", decimals=0)
    first = Table("claims_cost", "Parameters and GFLOPs", (says, value, verdict, ours, Column(
        "ours", "one convention", numeric=False), timed), tuple(_line(j, (
            _number(j.ours, ours), _verdict(j.ours),
            number_cell(stopwatch_value(j, entries), timed, "no reduction of GFLOPs in Table 2, or not timed")))
            for j in costs), (f"we count: {CONVENTION}",))
    measured = Column("measured", "measured here", decimals=1)
    second = Table("claims_accuracy", "Accuracy", (says, value, verdict, measured, Column(
        "ours", "tested here", numeric=False), Column("boxes", "one box source (simulated)", numeric=False)),
        tuple(_line(j, (_number(j.ours, measured), _verdict(j.ours),
                        _verdict(j.one_box_source))) for j in metrics))
    return [first, second]


def _line(judged: Judged, ours: tuple[Cell, ...]) -> Line:
    claim = judged.claim
    published = _number(judged.published, Column("published", "", decimals=2))
    says = Cell(claim.expected, claim.expected, note=f"{claim.formula}" + (f". {claim.note}" if claim.note else ""))
    return Line(claim.id, f"“{claim.quote}” ({claim.section})", (says, published, _verdict(judged.published), *ours))


def _number(found: Verdict, column: Column) -> Cell:
    """The value behind a verdict, without the sign of a rounded zero."""
    value = None if found.value is None else round(found.value, column.decimals) + 0.0
    return number_cell(value, column, found.reason)


def _verdict(found: Verdict | None) -> Cell:
    if found is None:
        return Cell(None, "—", "empty", "both sides have the same boxes, or the question does not arise")
    return Cell(found.verdict, found.verdict, note=found.reason)


def meanings(judged: Sequence[Judged]) -> str:
    """What a sentence without a number was taken to mean."""
    lines = [f"- “{j.claim.quote}” ({j.claim.section}): {j.claim.note}" for j in judged
             if j.claim.note.startswith("Taken to mean")]
    return "\n".join(lines)


HOW = (
    "Each quantitative sentence of the paper is a formula over cells of its own tables (a few words or the number are "
    "quoted) and is judged three times: on the **published** cells, each known to half a unit of its last digit; on "
    "**our counts** of every system, all in one convention; and on metrics **measured here**, by the t-interval over "
    "seeds. *Fails, same direction* is a right comparison with a wrong number. A difference between FlatPose and "
    "another row of Table 2 also mixes box sources ([boxes_simulated](boxes_simulated.md)), which the last column "
    "takes out.")
REPRODUCE = """## Reproduce

```bash
flatpose-exp claims
flatpose-exp report all
```

Entries: [experiments/claims.py](../experiments/claims.py). Data: [data/claims.json](data/claims.json),
[claims.csv](claims.csv)."""
