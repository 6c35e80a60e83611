"""The page of the claims: reports/claims.md, .csv and data/claims.json, from the specs and the committed records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from flatpose.harness import claims, claims_judge, stopwatch
from flatpose.harness.blocks import Block, Shown, markdown
from flatpose.harness.claims import Claim, Entries, Judged, Verdict
from flatpose.harness.formula import Interval, cells, evaluate
from flatpose.harness.render import to_csv
from flatpose.harness.tables import Cell, Column, Line, Table, number_cell, text_cell
from flatpose.io import read_json

CONVENTION = "fvcore, every matrix product counted, one forward pass of the paper's size, no flip"
EXPERIMENTS = {"fig1", "peers", "table1", "table2", "table3", "table4", "table5"}
"""Whose cells the claims speak of."""
WORDS = {
    claims.HOLDS: ("holds", "hold"), claims.ROUNDING: ("holds within rounding", "hold within rounding"),
    claims.DIRECTION: ("fails, but in the same direction", "fail, but in the same direction"),
    claims.FAILS: ("fails", "fail"), claims.SAME: ("has the same direction", "have the same direction"),
    claims.OPPOSITE: ("has the opposite direction", "have the opposite direction"),
    claims.KEEPS: ("lead stays", "leads stay"), claims.LOSES: ("lead is gone", "leads are gone"),
    claims.UNDECIDED: ("is undecided", "are undecided"),
    claims.NOT_COMPARABLE: ("cannot be compared at that scale", "cannot be compared at that scale"),
    claims.NOT_TESTED: ("is not tested", "are not tested"),
    claims.NOT_PRINTED: ("speaks of numbers that no table prints", "speak of numbers that no table prints")}
MATCH = {claims.HOLDS: ("matches", "match")}
"""Of a quotation."""


def judge_all(entries: Entries, reports: Path) -> list[Judged]:
    """Every claim of experiments/claims.py with its verdicts, in the order of the paper."""
    from experiments.claims import CLAIMS

    gain = box_gain(reports)
    return [claims_judge.judge(claim, entries, gain) for claim in CLAIMS]


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
    """How many hold, on what: comparisons, quotations and the sentence that names another system counted apart."""
    compared = [j for j in judged if not j.claim.quotation and not j.claim.as_named]
    quoted = [j for j in judged if j.claim.quotation]
    costs, shapes, metrics = (of_kind(compared, kind) for kind in ("cost", "shape", "metric"))
    boxes = [j.one_box_source for j in compared if j.one_box_source]
    lines = [
        f"- **Arithmetic.** {len(judged)} entries. Of {len(compared)} comparisons, by the paper's own numbers: "
        f"{counts(j.published for j in compared)}.{_named(compared, published=True)} Of {len(quoted)} quotations of a "
        f"single cell: {counts((j.published for j in quoted), MATCH)}.",
        f"- **One convention.** Of {len(costs)} comparisons of parameters and GFLOPs, every system counted by us in "
        f"one convention ({CONVENTION}): {counts(j.ours for j in costs)}.{_named(costs)} Of "
        f"{len(of_kind(quoted, 'cost'))} quotations: {counts((j.ours for j in of_kind(quoted, 'cost')), MATCH)}.",
        *as_named(judged),
        f"- **One box source.** Of {len(boxes)} leads of FlatPose over another system in Table 2 (FlatPose's boxes "
        "look like ground truth, the others' are a detector's), less what ground-truth boxes gave to simulated "
        f"networks: {counts(boxes)}." if boxes else "",
        f"- **How the network is built.** Of {len(shapes)} statements: by the paper's numbers "
        f"{counts(j.published for j in shapes)}; by the network we build {counts(j.ours for j in shapes)}.",
        f"- **Accuracy, tested here.** {tested(metrics)}"]
    return "\n".join(line for line in lines if line)


def of_kind(judged: Sequence[Judged], kind: str) -> list[Judged]:
    """"cost", "shape" or "metric"."""
    return [j for j in judged if j.claim.kind == kind]


def as_named(judged: Sequence[Judged]) -> list[str]:
    """The sentence that names a system other than the table's, as it stands."""
    parts = [f"“{j.claim.quote}”: {said.verdict} ({said.reason or claims.plain(said.value or 0.0)})" for j in judged
             if j.claim.as_named for said in [j.published]]
    head = "- **As the sentence names it.** Where the text says RTMPose-m and the table holds RTMPose-l, by RTMPose-m's"
    return [f"{head} own numbers: {'; '.join(parts)}."] if parts else []


def tested(metrics: Sequence[Judged]) -> str:
    """What measurements here say of the comparisons of accuracy, with scale, data and seeds of each."""
    parts = [f"at {where} {said}" if where else said for where, said in tested_parts(metrics)]
    small = "" if any(j.ours.verdict in (claims.HOLDS, claims.FAILS) for j in metrics) else (
        " Nothing was trained at the paper's scale yet: only the direction of a difference can be seen.")
    return f"Of {len(metrics)} comparisons: {'; '.join(parts)}.{small}"


def tested_parts(metrics: Sequence[Judged]) -> list[tuple[str, str]]:
    """(Profile, data, boxes and seeds; what was found there), and what was not tested under no place."""
    found: dict[str, list[Judged]] = {}
    for j in (j for j in metrics if j.ours.setting):
        found.setdefault(f"{j.ours.setting}, {j.ours.boxes}", []).append(j)
    left = [j.ours for j in metrics if not j.ours.setting]
    parts = [(f"{where} (n = {_span([j.ours.n or 0 for j in made])})", counts(j.ours for j in made))
             for where, made in found.items()]
    return [*parts, *([("", counts(left))] if left else [])]


def accuracy_answer(judged: Sequence[Judged]) -> str:
    """What is known of the accuracy that the cost is paid with, in lines."""
    compared = [j for j in of_kind(judged, "metric") if not j.claim.quotation and not j.claim.as_named]
    full = [j for j in compared if j.ours.verdict in (claims.HOLDS, claims.FAILS)]
    head = "Nobody can tell yet: nothing was trained at the paper's scale." if not full else (
        f"{counts(j.ours for j in full)} at the paper's scale.")
    lines = [f"**By the paper's own tables**, of {len(compared)} comparisons {counts(j.published for j in compared)}.",
             *(f"**{where or 'Not run here'}**: {said}." for where, said in tested_parts(compared))]
    return "\n".join([f"{head} What was seen, of a difference its direction at most:", "",
                      *(f"- {line}" for line in lines)])


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def counts(verdicts: Iterable[Verdict], words: dict[str, tuple[str, str]] | None = None) -> str:
    """"12 hold, 1 fails"."""
    found, said = Counter(v.verdict for v in verdicts), {**WORDS, **(words or {})}
    return ", ".join(f"{found[v]} {said[v][found[v] != 1]}" for v in WORDS if found[v])


def _named(judged: Sequence[Judged], published: bool = False) -> str:
    """Those that do not hold, by name and number."""
    both = [(j, j.published if published else j.ours) for j in judged]
    texts = [f"“{j.claim.quote}” ({said.reason})" for j, said in both
             if said.verdict in (claims.DIRECTION, claims.FAILS)]
    return f" {'This does' if len(texts) == 1 else 'These do'} not: {'; '.join(texts)}." if texts else ""


def tables(judged: Sequence[Judged], entries: Entries) -> list[Table]:
    """Claims on cost and structure, then those on accuracy; comparisons before mere quotations."""
    says, value = Column("says", "that is", numeric=False), Column("published", "paper's cells give", decimals=2)
    verdict = Column("verdict", "arithmetic", numeric=False)
    ours, timed = Column("counted", "we count", decimals=2), Column("time", "% less time", decimals=0)
    made = [j for j in judged if j.claim.kind != "metric"]
    lines = [_line(j, (_number(j.ours, replace(ours, decimals=_digits(j.claim))), _verdict(j.ours),
                       _timed(j, entries, timed))) for j in _ordered(made)]
    first = Table("claims_cost", "Parameters, GFLOPs and structure", (
        says, value, verdict, ours, Column("ours", "one convention", numeric=False), timed), tuple(lines),
        (f"we count: {CONVENTION}; time: one image, not compiled, {timed_on(entries)}",), SAYS)
    measured = Column("measured", "measured here", decimals=1)
    second = Table("claims_accuracy", "Accuracy", (
        says, value, verdict, measured, Column("ours", "tested here", numeric=False),
        Column("where", "measured on", numeric=False),
        Column("boxes", "one box source (simulated)", numeric=False)), tuple(_line(j, (
            _measured(j.ours, measured), _verdict(j.ours), _where(j.ours), _verdict(j.one_box_source)))
            for j in _ordered(of_kind(judged, "metric"))), (), SAYS)
    return [first, second]


def _ordered(judged: Sequence[Judged]) -> list[Judged]:
    return sorted(judged, key=lambda j: list(GROUPS.values()).index(_group(j)))


GROUPS = {"comparison": "Comparisons", "shape": "How the network is built", "quotation": "Quotations of a single cell"}


def _group(judged: Judged) -> str:
    claim = judged.claim
    return GROUPS["quotation" if claim.quotation else "shape" if claim.kind == "shape" else "comparison"]


def _line(judged: Judged, ours: tuple[Cell, ...]) -> Line:
    claim = judged.claim
    published = _number(judged.published, Column("published", "", decimals=_digits(claim)))
    parts = ("" if claim.quotation else str(claim.formula), claim.note)
    says = Cell(claim.expected, claim.expected, note=". ".join(filter(None, parts)))
    return Line(claim.id, f"“{claim.quote}” ({claim.section})", (says, published, _verdict(judged.published), *ours),
                _group(judged))


def _digits(claim: Claim) -> int:
    """Decimals of a value that is compared with print: two, or as many as are printed."""
    return max(2, len((claim.prints or "").partition(".")[2]))


def _number(found: Verdict, column: Column) -> Cell:
    """The value behind a verdict, without the sign of a rounded zero."""
    value = None if found.value is None else round(found.value, column.decimals) + 0.0
    return number_cell(value, column, found.reason)


def _measured(found: Verdict, column: Column) -> Cell:
    """The same with its interval; the condition goes to the CSV twin and the tooltip."""
    cell = _number(found, column)
    if found.half_width is None or found.value is None:
        return replace(cell, n=found.n, condition=found.where)
    return replace(cell, display=f"{cell.display} ± {found.half_width:.1f}", half_width=found.half_width, n=found.n,
                   condition=found.where)


def _where(found: Verdict) -> Cell:
    return text_cell(found.where) if found.where else Cell(None, "—", "empty", found.reason)


def _timed(judged: Judged, entries: Entries, column: Column) -> Cell:
    times = stopwatch_values(judged, entries)
    return number_cell(times[0] if times else None, column, "no reduction of GFLOPs in Table 2, or not timed")


def _verdict(found: Verdict | None) -> Cell:
    if found is None:
        return Cell(None, "—", "empty", "both sides have the same boxes, or the question does not arise")
    return Cell(found.verdict, found.verdict, note=found.reason)


def stopwatch_values(judged: Judged, entries: Entries) -> list[float]:
    """A reduction of GFLOPs in Table 2 as a reduction of time, in every mode that both rows were timed in, in order.

    Empty where the claim is no such reduction or a row was not timed.
    """
    found, timings = cells(judged.claim.formula), entries["table2"][1].latencies
    if getattr(judged.claim.formula, "op", "") != "reduction" or any(
            (c.experiment, c.quantity) != ("table2", "gflops") for c in found):
        return []
    modes = dict.fromkeys((e["batch"], e["compiled"]) for r in timings for e in r["latency"])
    ratios = [{r["row"]: e["ratio_flatpose_b"] for r in timings for e in [stopwatch.entry(r, *mode)] if e}
              for mode in modes]
    values = [evaluate(judged.claim.formula, lambda c, times=times: (  # type: ignore[misc]
        Interval.exact(times[c.row]) if c.row in times else None)) for times in ratios]
    return [v.mid for v in values if v is not None]


def timed_on(entries: Entries) -> str:
    """Machine of the stopwatch."""
    timings = entries["table2"][1].latencies
    if not timings:
        return "nothing timed"
    first = timings[0]["latency"][0]
    machine = timings[0]["cpu"] if first["device"] == "CPU" else first["device"]
    return f"{machine}, {first['threads']} threads"


SAYS = "the paper says"
TERMINAL = (SAYS, "where", "its numbers give", "arithmetic", "here", "verdict here, and why")


def terminal(judged: Sequence[Judged]) -> list[tuple[str, list[list[str]]]]:
    """(title, rows under TERMINAL) for a terminal, which has no footnotes: reasons stand in the cells."""
    parts: dict[str, list[list[str]]] = {}
    for j in _ordered(sorted(judged, key=lambda j: j.claim.kind == "metric")):
        costs = j.claim.kind != "metric"
        title = f"{'Parameters, GFLOPs and structure' if costs else 'Accuracy'}: {_group(j).lower()}"
        here = _number(j.ours, Column("", "", decimals=_digits(j.claim) if costs else 1)).display
        why = "; ".join(filter(None, (j.ours.reason, j.ours.where)))
        boxes = f"; with one box source, {j.one_box_source.text}" if j.one_box_source else ""
        parts.setdefault(title, []).append([
            f"“{j.claim.quote}” ({j.claim.expected})", j.claim.section,
            _number(j.published, Column("", "", decimals=_digits(j.claim))).display, j.published.text, here,
            f"{j.ours.verdict}{f': {why}' if why else ''}{boxes}"])
    return list(parts.items())


def meanings(judged: Sequence[Judged]) -> str:
    """What a sentence without a number was taken to mean."""
    lines = [f"- “{j.claim.quote}” ({j.claim.section}): {j.claim.note}" for j in judged
             if j.claim.note.startswith("Taken to mean")]
    return "\n".join(lines)


HOW = (
    "Each quantitative sentence of the paper is a formula over cells of its own tables (a few words or the number are "
    "quoted) and is judged three times: on the **published** cells, each known to half a unit of its last digit; on "
    "**our counts** of every system, all in one convention; and on metrics **measured here**, by the t-interval over "
    "seeds. A *quotation* repeats one cell and compares nothing. *Fails, same direction* is a right comparison with a "
    "wrong number. A measurement at a reduced scale never holds or fails: it has the *same direction* as the sentence, "
    "the *opposite direction*, or is *undecided*; a level, a range or an equality is *not comparable* there. A "
    "difference between FlatPose and another row of Table 2 also mixes box sources "
    "([boxes_simulated](boxes_simulated.md)), which the last column takes out.")
REPRODUCE = """## Reproduce

```bash
flatpose-exp claims
flatpose-exp report all
```

Entries: [experiments/claims.py](../experiments/claims.py). Data: [data/claims.json](data/claims.json),
[claims.csv](claims.csv)."""
