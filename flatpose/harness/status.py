"""How far every experiment is, from the committed records, those in runs/, and the locks of what runs now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from flatpose.harness import catalog, collect, identity
from flatpose.harness.spec import Experiment
from flatpose.harness.store import RunDir


def overview(root: Path, runs_dir: Path) -> list[dict[str, Any]]:
    """One entry per experiment and setting (profile and data) with any run, else one saying that nothing was run."""
    found, stale = collect.scan(runs_dir), collect.stale_check(identity.is_current)
    entries = []
    for name in catalog.ids():
        experiment = catalog.load(name)
        committed = collect.load(root / "reports" / "data" / f"{name}.json", name)
        settings = collect.settings(experiment, collect.merge(experiment, committed, found))
        live = _running(experiment, runs_dir)
        rows = [_entry(experiment, s.title, s, stale, live.pop((s.profile, s.data_id), 0)) for s in settings]
        rows += [_entry(experiment, f"{profile} · data {data_id[:8]}", None, stale, count)
                 for (profile, data_id), count in live.items()]
        entries += rows or [_entry(experiment, "-", None, stale, 0)]
    return entries


def _entry(experiment: Experiment, title: str, setting: collect.Setting | None, stale: collect.Stale, running: int
           ) -> dict[str, Any]:
    done = setting.done if setting else []
    old = sum(map(stale, done))
    return {"experiment": experiment.id, "setting": title, "rows": len(experiment.rows),
            "rows_done": setting.rows_done if setting else 0, "done": len(done) - old, "stale": old,
            "failed": len(setting.records) - len(done) if setting else 0, "running": running,
            "seeds": setting.seeds if setting else []}


def _running(experiment: Experiment, runs_dir: Path) -> Counter[tuple[str, str]]:
    """(profile, data id) -> runs that a live process works on."""
    return Counter((profile, lock.parent.name) for key, wanted in collect.wanted(experiment).items()
                   for profile in dict.fromkeys(profile for _, profile in wanted)
                   for lock in runs_dir.glob(f"{key}/seed*/*/lock") if RunDir(lock.parent).running())
