"""Whether a spec is whole: rows exist at every profile, readings are known, published numbers are in range."""

from __future__ import annotations

from flatpose.errors import FlatPoseError, SpecError, nearest
from flatpose.harness import catalog
from flatpose.harness.spec import Experiment, Row, at_profile


def examine(name: str) -> list[str]:
    """The defects of an experiment by id or path, of one that cannot even be loaded as well."""
    try:
        return problems(catalog.load(name))
    except SpecError as error:
        return [str(error)]


def problems(experiment: Experiment) -> list[str]:
    """Every defect of an experiment, as one sentence each; empty when it is valid."""
    found = [] if experiment.default_profile in experiment.profiles else [
        f"default profile {experiment.default_profile!r} is not among {', '.join(experiment.profiles)}"]
    for row in experiment.rows:
        found += [f"row {row.id}: {problem}" for problem in _row_problems(experiment, row)]
    return found


def _row_problems(experiment: Experiment, row: Row) -> list[str]:
    found = []
    for profile in experiment.profiles.values():
        try:
            run = at_profile(row.run, profile)
        except (ValueError, FlatPoseError) as error:
            found.append(f"profile {profile.name}: {error}")
            continue
        if any(side % 32 for side in run.image_size):
            found.append(f"profile {profile.name}: image_size {run.image_size} is not a multiple of 32")
    for metric, value in (row.published.metrics if row.published else {}).items():
        if not 0 <= value <= 100:
            found.append(f"published {metric} {value} is not in 0..100")
    if experiment.figure is not None and (row.x is None or not row.series):
        found.append("has no place in the figure: series and x are needed")
    known = _reading_ids()
    return found + [f"unknown reading {r!r} ({nearest(r, known)})" for r in row.readings if r not in known]


def _reading_ids() -> set[str]:
    from experiments.readings import READINGS

    return {reading.id for reading in READINGS}
