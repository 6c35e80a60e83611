"""The page of the readings: what the paper leaves open, what we do, and what each alternative changes."""

from __future__ import annotations

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
        low, high, n, verdict: the difference paired by seed, with ground-truth boxes.
    """
    evidence, lines = frames.of(SENSITIVITY), []
    base, metric = evidence.experiment.rows[0], evidence.experiment.metric
    costs = evidence.costs[["params_m", "gflops"]].reindex([row.id for row in evidence.experiment.rows]).astype(float)
    results = evidence.under(*evidence.best)
    seeds = frame.by_seed(results[results["box_source"] == "gt"], metric)
    for reading in catalog.entries("readings"):
        for row in (r for r in evidence.experiment.rows if r.readings == (reading.id,)):
            gap = stats.paired(seeds.get(row.id, {}), seeds.get(base.id, {}))
            lines.append({"reading": reading.id, "question": reading.question, "row": row.id, "alternative": row.label,
                          "chosen": f"{reading.field} = {reading.value}",
                          "setting": evidence.best[0][0] if evidence.best else "",
                          **(costs.loc[row.id] - costs.loc[base.id]), "AP": gap.mean, "low": gap.low,
                          "high": gap.high, "n": gap.n, "verdict": gap.verdict})
    return pd.DataFrame(lines)


def page(frames: Frames, found: pd.DataFrame, search: pd.DataFrame) -> str:
    """One line per reading, then the paper's words and our reasons in a fold."""
    readings = catalog.entries("readings")
    lines = pd.DataFrame([{"": r.id, "question": r.question, "what we do": r.ours,
                           "measured effect": _effect(r, found, search)} for r in readings])
    return document(
        "readings: what the paper leaves open, and what we do", HOW, markdown(lines),
        folded("The paper's words, our reasons, and how each could be decided",
               "\n\n".join(_details(r, frames) for r in readings)),
        "```bash\nflatpose-exp cost alternatives\nflatpose-exp run alternatives\n```", "Entries: "
        "[experiments/readings.py](../experiments/readings.py). Every number: [readings.csv](readings.csv).")


def _effect(reading: Any, found: pd.DataFrame, search: pd.DataFrame) -> str:
    """What its alternatives change, and how many printed numbers each explains; else where to look."""
    parts = []
    for line in found[found["reading"] == reading.id].itertuples():
        cost = [f"{number(value, 3, '+')} {unit}" for value, unit in ((line.params_m, "M"), (line.gflops, "G"))
                if abs(value) >= 0.0005]
        gap = (f"{number(100 * line.AP, sign='+')} ± {number(50 * (line.high - line.low))} AP" if line.n > 1
               else "one seed" if line.n else "not trained")
        parts.append(f"`{line.alternative.partition(' = ')[2]}`: {', '.join([*(cost or ['equal cost']), gap])}")
    if len(search) and reading.field:
        literal, total = search.query("departures == 0")["hits"].iloc[0], sum(search["kind"] == "cell")
        parts += [f"`{single.name}` gives {single.alone:.0f} of {total} printed costs, the literal text {literal:.0f}"
                  for single in search[search["kind"] == "single"].itertuples(index=False)
                  if f"({reading.field})" in single.meaning]
    return "; ".join([*parts, *(f"[{name}]({name}.md)" for name in reading.measured)]) or "not measured"


def _details(reading: Any, frames: Frames) -> str:
    used = [name for name, e in frames.experiments.items() if any(reading.id in r.readings for r in e.rows)]
    lines = [("Paper", reading.paper), ("Reason", reading.why), ("Would decide it", reading.test),
             ("Rows of", ", ".join(f"[{name}]({name}.md)" for name in used if name != SENSITIVITY)),
             ("Field", f"`{reading.field}` = `{reading.value}`; alternatives: " + (", ".join(
                 f"`{value}`" for value in reading.alternatives) or "none") if reading.field else "")]
    items = [f"- {name}: {text}" for name, text in lines if text]
    return "\n".join([f"**{reading.id}: {reading.question}**", "", *items])


HOW = (
    "Each open or contradictory point of the paper has a number, a choice, and a field that changes it in any spec. "
    "The last column has the differences from our choice, of the FlatPose of Fig. 1 at stride 8: cost at the paper's "
    "size, and AP paired by seed at the largest scale run, with ground-truth boxes.")
