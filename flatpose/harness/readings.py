"""The page of the readings: what the paper leaves open, what we do, and what each alternative changes."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pandas as pd

from flatpose.harness import catalog, frame, stats
from flatpose.harness.frame import Frames
from flatpose.harness.tables import csv, document, folded, markdown, number

SENSITIVITY = "alternatives"
"""The experiment whose rows are the alternatives; its first row is the network as we read the paper."""


def files(frames: Frames, search: pd.DataFrame) -> dict[str, bytes]:
    """The page and its CSV file, by path below reports/. ``search``: the study of that name, or empty."""
    found = effects(frames)
    return {"readings.md": page(frames, found, search).encode(), "readings.csv": csv(found)}


def effects(frames: Frames) -> pd.DataFrame:
    """One line per alternative: its costs and its accuracy less those of the network as we read the paper.

    Returns:
        Columns reading, question, row, alternative, chosen, setting, params_m, gflops (differences), and AP (0..1),
        low, high, n, verdict: the difference paired by seed, with ground-truth boxes; AP_chosen: of our choice at the
        seeds of both.
    """
    evidence, lines = frames.of(SENSITIVITY), []
    base, metric = evidence.experiment.rows[0], evidence.experiment.metric
    costs = evidence.costs[["params_m", "gflops"]].reindex([row.id for row in evidence.experiment.rows]).astype(float)
    results = evidence.under(*evidence.best)
    seeds = frame.by_seed(results[results["box_source"] == "gt"], metric)
    for reading in catalog.entries("readings"):
        for row in (r for r in evidence.experiment.rows if r.readings == (reading.id,)):
            own, chosen = seeds.get(row.id, {}), seeds.get(base.id, {})
            gap, shared = stats.paired(own, chosen), [chosen[seed] for seed in chosen if seed in own]
            lines.append({"reading": reading.id, "question": reading.question, "row": row.id, "alternative": row.label,
                          "chosen": f"{reading.field} = {reading.value}",
                          "setting": evidence.best[0][0] if evidence.best else "",
                          **(costs.loc[row.id] - costs.loc[base.id]), "AP": gap.mean, "low": gap.low,
                          "high": gap.high, "AP_chosen": fmean(shared) if shared else None, "n": gap.n,
                          "verdict": gap.verdict})
    return pd.DataFrame(lines)


def page(frames: Frames, found: pd.DataFrame, search: pd.DataFrame) -> str:
    """One line per reading, then the paper's words and our reasons in a fold."""
    readings = catalog.entries("readings")
    lines = pd.DataFrame([{"question": f"{r.id}: {r.question}", "what we do": r.ours,
                           "measured effect": _effect(r, found)} for r in readings])
    return document(
        "readings: what the paper leaves open, and what we do", HOW, markdown(lines),
        folded("The paper's words, our reasons, and how each could be decided",
               "\n\n".join(_details(r, frames, search) for r in readings)),
        "```bash\nflatpose-exp cost alternatives\nflatpose-exp run alternatives\n```", "Entries: "
        "[experiments/readings.py](../experiments/readings.py). Every number: [readings.csv](readings.csv).")


def _effect(reading: Any, found: pd.DataFrame) -> str:
    """What each alternative changes in cost and AP; else where to look."""
    parts = []
    for line in found[found["reading"] == reading.id].itertuples():
        field, _, value = line.alternative.partition(" = ")
        cost = [f"{number(gap, 3, '+')} {unit}" for gap, unit in ((line.params_m, "M"), (line.gflops, "G"))
                if abs(gap) >= 0.0005]
        parts.append(f"`{field.rpartition('.')[2]} = {value}`: {', '.join([*cost, _accuracy(line)])}")
    return "; ".join([*parts, *(f"[{name}]({name}.md)" for name in reading.measured)]) or "not measured"


def _accuracy(line: Any) -> str:
    """The difference of AP with its interval; of one seed, which cannot show a difference, the two values."""
    if not line.n:
        return "not trained"
    if line.n == 1:
        return f"{number(100 * (line.AP_chosen + line.AP))} AP ({number(100 * line.AP_chosen)} as chosen)"
    return f"{number(100 * line.AP, sign='+')} ± {number(50 * (line.high - line.low))} AP"


def _printed_costs(reading: Any, search: pd.DataFrame) -> str:
    """How many printed costs the network of each alternative explains; empty if the search has none of them."""
    if search.empty or not reading.field:
        return ""
    literal, total = search.query("departures == 0")["hits"].iloc[0], sum(search["kind"] == "cell")
    found = [f"`{single.name}` explains {single.alone:.0f} of {total}" for single in
             search[search["kind"] == "single"].itertuples(index=False) if f"({reading.field})" in single.meaning]
    return f"{'; '.join(found)}; the literal text {literal:.0f}" if found else ""


def _details(reading: Any, frames: Frames, search: pd.DataFrame) -> str:
    used = [name for name, e in frames.experiments.items() if any(reading.id in r.readings for r in e.rows)]
    lines = [("Paper", reading.paper), ("Reason", reading.why), ("Would decide it", reading.test),
             ("Printed costs", _printed_costs(reading, search)),
             ("Rows of", ", ".join(f"[{name}]({name}.md)" for name in used if name != SENSITIVITY)),
             ("Field", f"`{reading.field}` = `{reading.value}`; alternatives: " + (", ".join(
                 f"`{value}`" for value in reading.alternatives) or "none") if reading.field else "")]
    items = [f"- {name}: {text}" for name, text in lines if text]
    return "\n".join([f"**{reading.id}: {reading.question}**", "", *items])


HOW = (
    "Each open or contradictory point of the paper has a number, a choice, and a field that changes it in any spec. "
    "The last column has the differences from our choice, of the FlatPose of Fig. 1 at stride 8: cost at the paper's "
    "size, and AP with ground-truth boxes at the best evidence (`flatpose-exp run alternatives`). One seed cannot show "
    "a difference: there both values are printed.")
