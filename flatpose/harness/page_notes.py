"""What a page says besides numbers: contradictions of the paper, and the readings that its rows depend on."""

from __future__ import annotations

import re
from collections import Counter

from flatpose.harness.spec import Experiment, Row


def notes(experiment: Experiment) -> str:
    """What every reader must know: the experiment's notes, then those of its rows."""
    lines = [f"- {note}" for note in experiment.notes]
    for row in experiment.rows:
        lines += [f"- {row.label}: {row.note}"] if row.note else []
        if row.published and row.published.note:
            lines.append(f"- {row.label}, published ({row.published.source}): {row.published.note}")
    return "\n".join(["## Notes", "", *lines]) if lines else ""


def readings(experiment: Experiment) -> str:
    """Which readings of the paper the rows depend on, those of the same rows together."""
    used: dict[str, list[Row]] = {}
    for row in experiment.rows:
        for reading in row.readings:
            used.setdefault(reading, []).append(row)
    groups: dict[str, list[str]] = {}
    for reading in sorted(used, key=lambda name: (len(name), name)):
        groups.setdefault(_who(experiment, used[reading]), []).append(reading)
    titles = _titles()
    parts = [f"{who}:\n\n" + "\n".join(f"- {_link(name, titles)}" for name in names) for who, names in groups.items()]
    return "\n\n".join(["## Readings of the paper that rows depend on", *parts]) if parts else ""


def _who(experiment: Experiment, rows: list[Row]) -> str:
    """Names of rows; a name that several have is told apart by its group."""
    if len(rows) == len(experiment.rows):
        return "All rows"
    counts = Counter(row.label for row in experiment.rows)
    return ", ".join(f"{row.label} ({row.group})" if counts[row.label] > 1 and row.group else row.label for row in rows)


def _titles() -> dict[str, str]:
    from experiments.readings import READINGS

    return {reading.id: f"{reading.id}: {reading.question}" for reading in READINGS}


def _link(name: str, titles: dict[str, str]) -> str:
    """To the reading's heading on its page, whose anchor GitHub makes from the title."""
    if name not in titles:
        return f"`{name}`"
    anchor = re.sub(r"[^\w\- ]", "", titles[name].lower()).strip().replace(" ", "-")
    return f"[{titles[name]}](readings.md#{anchor})"
