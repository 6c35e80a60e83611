"""Whether a spec is whole: rows exist at every profile, readings are known, published numbers are in range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flatpose.config import RunConfig
from flatpose.config.run import from_dict
from flatpose.errors import DataError, FlatPoseError, SpecError, nearest
from flatpose.harness import catalog
from flatpose.harness.spec import Experiment, Row, at_profile
from flatpose.io import read_json

LARGEST_SIDE, LARGEST_BATCH = 4096, 1 << 16  # beyond these a run is a mistake that would fill the memory
LARGEST_EPOCHS = 100_000  # and beyond this it would never end


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
        if row.id in profile.left_out:
            continue
        try:
            run = at_profile(row.run, profile)
        except (ValueError, FlatPoseError) as error:
            found.append(f"profile {profile.name}: {error}")
            continue
        found += [f"profile {profile.name}: {problem}" for problem in _run_problems(run)]
    for metric, value in (row.published.metrics if row.published else {}).items():
        if not 0 <= value <= 100:
            found.append(f"published {metric} {value} is not in 0..100")
    if experiment.figure is not None and (row.x is None or not row.series):
        found.append("has no place in the figure: series and x are needed")
    known = _reading_ids()
    return found + [f"unknown reading {r!r} ({nearest(r, known)})" for r in row.readings if r not in known]


def examine_json(path: Path) -> list[str]:
    """The defects of a spec that is JSON: one run, or the rows that ``show ID --json`` prints.

    For specs of strangers: the file is data, nothing in it is executed.
    """
    try:
        content = read_json(path)
    except DataError as error:
        return [error.what]
    rows = content.get("rows") if isinstance(content, dict) and "rows" in content else [{"id": "", "run": content}]
    if not isinstance(rows, list) or not all(isinstance(r, dict) and isinstance(r.get("run"), dict) for r in rows):
        return ["neither a run nor {\"rows\": [{\"id\", \"run\"}, ...]} as `show ID --json` prints it"]
    return [f"{f'rows[{i}]: ' if 'rows' in content else ''}{problem}" for i, row in enumerate(rows)
            for problem in _json_problems(row["run"])]


def _json_problems(values: dict[str, Any]) -> list[str]:
    try:
        return _run_problems(from_dict(values))
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
    except (ValueError, OverflowError, RecursionError) as error:  # numbers that Python's own types cannot hold
        return [str(error)]


def _run_problems(run: RunConfig) -> list[str]:
    found = []
    if any(side % 32 for side in run.image_size):
        found.append(f"image_size {run.image_size} is not a multiple of 32")
    if max(run.image_size) > LARGEST_SIDE:
        found.append(f"image_size {run.image_size} is larger than {LARGEST_SIDE}")
    if run.train.epochs > LARGEST_EPOCHS:
        found.append(f"more than {LARGEST_EPOCHS} epochs")
    if max(run.train.batch_size, run.eval.batch_size) > LARGEST_BATCH:
        found.append(f"a batch of {max(run.train.batch_size, run.eval.batch_size)} is larger than {LARGEST_BATCH}")
    return found


def _reading_ids() -> set[str]:
    from experiments.readings import READINGS

    return {reading.id for reading in READINGS}
