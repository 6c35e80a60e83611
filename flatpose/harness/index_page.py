"""reports/index.md: what was found, in a minute; then every experiment with its status. Pure, like the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flatpose.harness import findings, pictures_table
from flatpose.harness.collect import RecordSet, Setting, part_of, settings
from flatpose.harness.compare import against_paper
from flatpose.harness.page import progress
from flatpose.harness.render import escape, pipe
from flatpose.harness.spec import Experiment

Entry = tuple[Experiment, RecordSet]
COLUMNS = ("experiment", "status", "measured", "when, on what", "worst deviation from print", "finding")


def index(entries: Sequence[Entry], others: Mapping[str, str] | None = None, answers: Mapping[str, str] | None = None,
          plot: str | None = None) -> str:
    """The page.

    Args:
        entries: Every experiment with its records.
        others: Further pages by name, with what they are about.
        answers: Question -> what the numbers answer, shown first.
        plot: File of the trade-off picture.
    """
    lines = [pipe(COLUMNS), pipe(["---"] * len(COLUMNS)), *(_line(*entry) for entry in entries)]
    top = [text for question, answer in (answers or {}).items() for text in (f"**{question}** {answer}", "")]
    picture = [f"![Accuracy against cost, Table 2]({plot})", ""] if plot else []
    more = [f"- [{name}]({name}.md): {text}" for name, text in (others or {}).items()]
    more = ["## Without training", "", *more, ""] if more else []
    head = ["# What the paper says, and what was measured", "", *top, *picture] if top else ["# Experiments", ""]
    foot = "Rendered from the records in [data](data) by `flatpose-exp report all`; `--check` proves them current."
    return "\n".join([*head, *(["## Experiments", ""] if top else []), *lines, "", *more, foot, ""])


def _line(experiment: Experiment, records: RecordSet) -> str:
    found = [s for s in settings(experiment, records) if s.profile != "smoke"]
    link = f"[{experiment.id}: {escape(experiment.title)}]({experiment.id}.md)<br>{escape(experiment.source)}"
    drawn = experiment.picture is not None
    measured = [f"{s.title}: {progress(part_of(experiment, s), s)}" for s in found]
    if drawn:
        measured = [pictures_table.title(d) for d in records.drawings]
    state = "drawn" if measured else "not drawn"
    return pipe([link, state if drawn else _status(experiment, found), "<br>".join(measured) or "—",
                 "<br>".join(dict.fromkeys(_origin(s) for s in found)) or "—", _worst(experiment, records),
                 escape(finding(experiment, records, found))])


def _status(experiment: Experiment, found: Sequence[Setting]) -> str:
    """Rows that have a finished run in any setting, of all rows."""
    done = {row for s in found for row, made in s.rows.items() if any(r["status"] == "done" for r in made)}
    count, rows = len(done & {row.id for row in experiment.rows}), len(experiment.rows)
    return f"{'complete' if count == rows else 'partial' if count else 'not run'}, {count}/{rows} rows"


def _origin(setting: Setting) -> str:
    """Last day and device of a setting's runs."""
    made = [r["provenance"] for r in setting.done if r.get("provenance")]
    days = sorted({str(p["ended"])[:10] for p in made if p.get("ended")})
    devices = dict.fromkeys(str(p["cpu"] if str(p["device"]).lower() == "cpu" else p["device"]) for p in made)
    return f"{days[-1] if days else 'date unknown'}, {' / '.join(devices)}"


def _worst(experiment: Experiment, records: RecordSet) -> str:
    return escape(findings.worst_deviation(against_paper(experiment, records))) or "—"


def finding(experiment: Experiment, records: RecordSet, found: Sequence[Setting]) -> str:
    """One sentence."""
    if experiment.picture is not None:
        return " ".join(pictures_table.findings(experiment, records.drawings)[:1]) or "nothing drawn yet"
    if not found:
        return "nothing trained yet"
    fullest = max(reversed(found), key=lambda s: len(s.rows))  # of equal ones the larger scale, which comes last
    return f"{fullest.title}: {findings.summary(part_of(experiment, fullest), records, fullest)}"
