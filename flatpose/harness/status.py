"""How far every experiment is, from the records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flatpose.harness import catalog
from flatpose.harness.plan import make_plan


def overview(root: Path, runs_dir: Path) -> list[dict[str, Any]]:
    """One entry per experiment and profile with any run on this machine, else one saying that nothing was run."""
    del root
    entries = []
    for name in catalog.ids():
        experiment = catalog.load(name)
        found = []
        for profile in experiment.profiles.values():
            plan = make_plan(experiment, profile, runs_dir)
            begun = [r for r in plan.runs if r.status in ("done", "stale", "failed", "running")]
            if begun:
                found.append(_entry(experiment.id, profile.name, len(experiment.rows), begun))
        entries += found or [_entry(experiment.id, "-", len(experiment.rows), [])]
    return entries


def _entry(name: str, setting: str, rows: int, runs: list[Any]) -> dict[str, Any]:
    def count(status: str) -> int:
        return sum(run.status == status for run in runs)

    answered = {row for run in runs if run.status in ("done", "stale") for row in run.rows}
    return {"experiment": name, "setting": setting, "rows": rows, "rows_done": len(answered), "runs": len(runs),
            "failed": count("failed"), "stale": count("stale"), "running": count("running")}
