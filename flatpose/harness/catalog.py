"""Loads and validates experiments, by id or from a spec file anywhere. The only module that imports experiments/.

The lists of experiments/ that are not experiments (claims, readings, …) are reached through :func:`entries`.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from pydantic import ValidationError

import flatpose.config
from flatpose.config import RunConfig
from flatpose.config.run import from_dict
from flatpose.errors import DataError, FlatPoseError, SpecError, nearest
from flatpose.harness import spec as vocabulary
from flatpose.harness import store
from flatpose.harness.console import say
from flatpose.harness.spec import Experiment, Profile, Row, at_profile, require
from flatpose.io import read_json

LARGEST_SIDE, LARGEST_BATCH, LARGEST_EPOCHS = 4096, 1 << 16, 100_000
"""Larger values are taken for mistakes: such a run would fill the memory or never end."""
FOLDER = Path(__file__).resolve().parents[2] / "experiments"


def ids() -> list[str]:
    """Ids of the experiments that come with the program, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if "\nEXPERIMENT = " in path.read_text(encoding="utf-8"))


def known() -> dict[str, Path]:
    """Id -> spec file, of the user's experiments that were run here, then of those that come with the program."""
    return {**store.own_specs(store.runs_dir()), **{name: FOLDER / f"{name}.py" for name in ids()}}


def load(name: str) -> Experiment:
    """The experiment of that id, or of that spec file, which is executed; raises SpecError naming file and field."""
    return _from_file(Path(name).resolve() if name.endswith(".py") else require(name, known(), "experiment"))


def own(runs_dir: Path) -> list[Experiment]:
    """The user's experiments that were run into this folder; one whose spec no longer loads is named and left out."""
    found = []
    for path in store.own_specs(runs_dir).values():
        try:
            found.append(load(str(path)))
        except SpecError as error:
            say(f"left out: {error}")
    return found


def find_row(experiment: Experiment, row: str) -> Row:
    """The row of that id; raises SpecError with the nearest one."""
    return require(row, {r.id: r for r in experiment.rows}, "row", where=experiment.id)


def find_profile(experiment: Experiment, profile: str | None) -> Profile:
    """The profile of that name, the experiment's default for None; raises SpecError with the nearest one."""
    return require(profile or experiment.default_profile, experiment.profiles, "profile", where=experiment.id)


def entries(name: str) -> tuple[Any, ...]:
    """The list of experiments/<name>.py: claims, readings, ceilings or box_pairs."""
    return tuple(getattr(import_module(f"experiments.{name}"), name.upper()))


@lru_cache
def _from_file(path: Path) -> Experiment:
    experiment = getattr(_execute(path), "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise SpecError("does not define EXPERIMENT = Experiment(...)", where=str(path),
                        hint="experiments/fig1.py is an example")
    names, own = [row.id for row in experiment.rows], path.parent != FOLDER
    repeated = sorted({name for name in names if names.count(name) > 1})
    problems = {
        "may hold letters, digits, - and _ only": not re.fullmatch(r"[A-Za-z0-9][\w-]*", experiment.id),
        "differs from the file's name": not own and experiment.id != path.stem,
        "belongs to an experiment that comes with the program, whose page it would overwrite":
            own and experiment.id in ids(),
        f"has row ids that occur twice: {', '.join(repeated)}": repeated}
    for problem, holds in problems.items():
        if holds:
            raise SpecError(f"experiment id {experiment.id!r} {problem}", where=str(path))
    return experiment


def _execute(path: Path) -> ModuleType:
    """Run a spec file as a module; whatever goes wrong in it becomes one SpecError that names the place."""
    if not path.is_file():
        raise SpecError("no such spec file", where=str(path))
    spec = spec_from_file_location(f"flatpose_spec_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(FOLDER.parent))  # specs import experiments.recipes, also from outside the checkout
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        what, where, hint = f"{type(error).__name__}: {error}", None, None
        if isinstance(error, FlatPoseError):
            what, where, hint = error.what, error.where, error.hint
        elif isinstance(error, ValidationError):
            what, hint = _first_problem(error)
        raise SpecError(what, where=": ".join(filter(None, (_place(error, path), where))), hint=hint) from error
    finally:
        sys.path.remove(str(FOLDER.parent))
    return module


def _first_problem(error: ValidationError) -> tuple[str, str | None]:
    """pydantic's first error, preferably about an unknown field, and the nearest field name."""
    first = min(error.errors(), key=lambda e: e["type"] != "unexpected_keyword_argument")
    hint = None
    if first["type"] == "unexpected_keyword_argument":
        cls = getattr(flatpose.config, error.title, None) or getattr(vocabulary, error.title, None)
        hint = nearest(str(first["loc"][-1]), getattr(cls, "__dataclass_fields__", {}))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{error.title}.{'.'.join(map(str, first['loc']))}: {first['msg']}{more}", hint


def _place(error: BaseException, path: Path) -> str:
    """``file:line``, the deepest line inside the spec file."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def problems(name: str) -> list[str]:
    """For ``validate``: every defect of an experiment, by id or path, as one sentence each.

    A file that ends in .json is never executed. It holds one run, or the rows that ``show ID --json`` prints.
    """
    try:
        if name.endswith(".json"):
            return _json_problems(read_json(Path(name)))
        experiment = load(name)
    except (SpecError, DataError) as error:
        return [str(error)]
    return [f"row {row.id}: {problem}" for row in experiment.rows for problem in _row_problems(experiment, row)]


def _row_problems(experiment: Experiment, row: Row) -> list[str]:
    found = []
    for profile in (p for p in experiment.profiles.values() if row.id not in p.left_out):
        try:
            run_problems = _run_problems(at_profile(row.run, profile))
        except (ValueError, FlatPoseError) as error:
            run_problems = [str(error)]
        found += [f"profile {profile.name}: {problem}" for problem in run_problems]
    if experiment.figure is not None and (row.x is None or not row.series):
        found.append("has no place in the figure: series and x are needed")
    known = {reading.id for reading in entries("readings")}
    return found + [f"unknown reading {r!r} ({nearest(r, known)})" for r in row.readings if r not in known]


def _json_problems(content: Any) -> list[str]:
    rows = content.get("rows") if isinstance(content, dict) and "rows" in content else [{"run": content}]
    if not isinstance(rows, list) or not all(isinstance(r, dict) and isinstance(r.get("run"), dict) for r in rows):
        return ["neither a run nor {\"rows\": [{\"id\", \"run\"}, ...]} as `show ID --json` prints it"]
    return [f"rows[{number}]: {problem}" for number, row in enumerate(rows) for problem in _json_run(row["run"])]


def _json_run(values: dict[str, Any]) -> list[str]:
    try:
        return _run_problems(from_dict(values))
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
    except (ValueError, OverflowError, RecursionError) as error:  # numbers that Python's own types cannot hold
        return [str(error)]


def _run_problems(run: RunConfig) -> list[str]:
    batch = max(run.train.batch_size, run.eval.batch_size)
    checks = {f"image_size {run.image_size} is not a multiple of 32": any(side % 32 for side in run.image_size),
              f"image_size {run.image_size} is larger than {LARGEST_SIDE}": max(run.image_size) > LARGEST_SIDE,
              f"more than {LARGEST_EPOCHS} epochs": run.train.epochs > LARGEST_EPOCHS,
              f"a batch of {batch} is larger than {LARGEST_BATCH}": batch > LARGEST_BATCH}
    return [problem for problem, holds in checks.items() if holds]
