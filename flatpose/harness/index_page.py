"""reports/index.md: what was found, in a minute; then every experiment with its status. Pure, like the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flatpose.harness import findings
from flatpose.harness.collect import Record, RecordSet, Setting, Stale, part_of, settings
from flatpose.harness.compare import against_paper
from flatpose.harness.page import progress
from flatpose.harness.render import escape, pipe
from flatpose.harness.spec import Experiment

Entry = tuple[Experiment, RecordSet]
Cells = tuple[str, list[str], list[str], str]
"""Status, what was measured, when and on what, finding."""
COLUMNS = ("experiment", "status", "measured", "when, on what", "worst deviation from print", "finding")


def index(entries: Sequence[Entry], others: Mapping[str, str] | None = None, answers: Mapping[str, str] | None = None,
          plot: str | None = None, stale: Stale | None = None) -> str:
    """The page.

    Args:
        entries: Every experiment with its records.
        others: Further pages by name, with what they are about.
        answers: Question -> what the numbers answer (lines of markdown), shown first.
        plot: File of the trade-off picture, shown below the first answer.
        stale: Whether a record is by older code.
    """
    lines = [pipe(COLUMNS), pipe(["---"] * len(COLUMNS)), *(_line(*entry, stale) for entry in entries)]
    top = [part for question, answer in (answers or {}).items() for part in (f"## {question}", "", answer, "")]
    picture = [f"![Accuracy against cost, Table 2]({plot})", ""] if plot else []
    more = [f"- [{name}]({name}.md): {text}" for name, text in (others or {}).items()]
    more = ["## Without training", "", *more, ""] if more else []
    head = ["# What the paper says, and what was measured", "", *top[:4], *picture, *top[4:]] if top else []
    foot = "Rendered from the records in [data](data) by `flatpose-exp report all`; `--check` proves them current."
    title = ["## Experiments", ""] if top else ["# Experiments", ""]
    return "\n".join([*head, *title, *_scale(entries), *lines, "", *more, foot, ""])


def _scale(entries: Sequence[Entry]) -> list[str]:
    """How far from the paper's scale all of the table is."""
    found = [(s, experiment) for experiment, records in entries for s in settings(experiment, records)
             if s.profile != "smoke"]
    if not found or any(s.incomparable is None for s, _ in found):
        return []
    scores = [e["metrics"]["AP"] for s, _ in found for r in s.done for e in r["results"]
              if e["kind"] == "trained" and "AP" in e["metrics"]]
    best = f", where the best network has {100 * max(scores):.1f} AP" if scores else ""
    names = " and ".join(f"`{name}`" for name in dict.fromkeys(s.profile for s, _ in found))
    return [f"Everything trained so far is at the reduced scale of {names}{best}: no number of it can be compared with "
            "a published one.", ""]


def _line(experiment: Experiment, records: RecordSet, stale: Stale | None) -> str:
    link = f"[{experiment.id}: {escape(experiment.title)}]({experiment.id}.md)<br>{escape(experiment.source)}"
    if experiment.picture is not None:
        cells = "a picture", [], [], "see the page"
    else:
        found = [s for s in settings(experiment, records) if s.profile != "smoke"]
        cells = (_status(experiment, found, stale),
                 [f"{s.title}: {progress(part_of(experiment, s), s)}" for s in found],
                 [_origin([r["provenance"] for r in s.done if r.get("provenance")]) for s in found],
                 finding(experiment, records, found))
    state, measured, origins, said = cells
    return pipe([link, state, "<br>".join(measured) or "—", "<br>".join(dict.fromkeys(origins)) or "—",
                 _worst(experiment, records), escape(first_sentence(said))])


def first_sentence(text: str) -> str:
    """Up to the first full stop that a capital letter follows."""
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text, maxsplit=1)[0]


def _status(experiment: Experiment, found: Sequence[Setting], stale: Stale | None) -> str:
    """Rows that have a finished run in any setting, of all rows; and how many of the runs are by older code."""
    if not found and set(experiment.profiles[experiment.default_profile].left_out) >= {r.id for r in experiment.rows}:
        return f"costs and checkpoints of {len(experiment.rows)} rows"
    done = {row for s in found for row, made in s.rows.items() if any(r["status"] == "done" for r in made)}
    count, rows = len(done & {row.id for row in experiment.rows}), len(experiment.rows)
    runs = [r for s in found for r in s.done]
    old = sum(stale(r) for r in runs) if stale else 0
    return (f"{'complete' if count == rows else 'partial' if count else 'not run'}, {count}/{rows} rows"
            + (f"; {'all' if old == len(runs) else f'{old} of {len(runs)}'} runs stale" if old else ""))


def _origin(made: Sequence[Mapping[str, Any]]) -> str:
    """Last day and device of what has this provenance."""
    days = sorted({str(p["ended"])[:10] for p in made if p.get("ended")})
    devices = dict.fromkeys(str(p["cpu"] if str(p["device"]).lower() == "cpu" else p["device"]) for p in made)
    return f"{days[-1] if days else 'date unknown'}, {' / '.join(devices)}"


def _worst(experiment: Experiment, records: RecordSet) -> str:
    return escape(findings.worst_deviation(against_paper(experiment, records))) or "—"


def finding(experiment: Experiment, records: RecordSet, found: Sequence[Setting]) -> str:
    """One sentence about the setting that has most rows, named where there is more than one."""
    if not found:
        return findings.comparison_finding(against_paper(experiment, records)) or "nothing trained yet"
    fullest = max(reversed(found), key=lambda s: len(s.rows))  # of equal ones the larger scale, which comes last
    said = findings.summary(part_of(experiment, fullest), records, fullest)
    return f"{fullest.title}: {said}" if len(found) > 1 else said
