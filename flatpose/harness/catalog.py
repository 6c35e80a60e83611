"""Finds experiments: files of experiments/ that expose EXPERIMENT, or a spec file anywhere on disk."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from flatpose.errors import FlatPoseError, SpecError, nearest
from flatpose.harness.spec import Experiment, Profile, Row

FOLDER = Path(__file__).resolve().parents[2] / "experiments"


def ids() -> list[str]:
    """Names of the experiments that come with the program, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if "\nEXPERIMENT = " in path.read_text(encoding="utf-8"))


def load(name: str) -> Experiment:
    """The experiment of that id, or of that spec file (which is Python and is executed).

    Raises:
        SpecError: No such experiment, or its file does not define a valid one; the message names file and field.
    """
    if name.endswith(".py"):
        return _from_file(Path(name).resolve())
    if name not in ids():
        raise SpecError(f"unknown experiment {name!r}", hint=nearest(name, ids()))
    return _from_file(FOLDER / f"{name}.py")


def find_row(experiment: Experiment, row: str) -> Row:
    """The row of that id; raises SpecError with the nearest one."""
    rows = {r.id: r for r in experiment.rows}
    if row not in rows:
        raise SpecError(f"{experiment.id} has no row {row!r}", hint=nearest(row, rows))
    return rows[row]


def find_profile(experiment: Experiment, profile: str | None) -> Profile:
    """The profile of that name, the experiment's default for None; raises SpecError with the nearest one."""
    name = profile or experiment.default_profile
    if name not in experiment.profiles:
        raise SpecError(f"{experiment.id} has no profile {name!r}", hint=nearest(name, experiment.profiles))
    return experiment.profiles[name]


@lru_cache
def _from_file(path: Path) -> Experiment:
    module = _execute(path)
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise SpecError("does not define EXPERIMENT = Experiment(...)", where=str(path),
                        hint="experiments/fig1.py shows how")
    _check_id(experiment.id, path)
    repeated = {row.id for row in experiment.rows if [r.id for r in experiment.rows].count(row.id) > 1}
    if repeated:
        raise SpecError(f"row ids occur twice: {', '.join(sorted(repeated))}", where=str(path))
    return experiment


def _check_id(name: str, path: Path) -> None:
    """The id names the pages, so two experiments must not have the same one, and it must be fit for a file name."""
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
        raise SpecError(f"experiment id {name!r} is not made of letters, digits, - and _", where=str(path))
    if path.parent == FOLDER and name != path.stem:
        raise SpecError(f"experiment id {name!r} differs from the file's name", where=str(path))
    if path.parent != FOLDER and name in ids():
        raise SpecError(f"experiment id {name!r} belongs to a file that comes with the program", where=str(path),
                        hint="give yours an id of its own, or its pages would overwrite the other's")


def _execute(path: Path) -> ModuleType:
    """Run a spec file as a module; whatever goes wrong in it becomes one SpecError naming the place."""
    if not path.is_file():
        raise SpecError("no such spec file", where=str(path))
    spec = importlib.util.spec_from_file_location(f"flatpose_spec_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(FOLDER.parent))  # specs import experiments.recipes, also from outside the checkout
    try:
        spec.loader.exec_module(module)
    except FlatPoseError:
        raise
    except ValidationError as error:
        raise _field_error(error, path) from error
    except Exception as error:
        raise SpecError(f"{type(error).__name__}: {error}", where=_place(error, path)) from error
    finally:
        sys.path.remove(str(FOLDER.parent))
    return module


def _field_error(error: ValidationError, path: Path) -> SpecError:
    """What pydantic complains about, a typo in a field's name first, and the nearest name there is."""
    first = min(error.errors(), key=lambda e: e["type"] != "unexpected_keyword_argument")
    field = ".".join(str(part) for part in first["loc"])
    hint = None
    if first["type"] == "unexpected_keyword_argument":
        hint = nearest(str(first["loc"][-1]), _fields_of(error.title))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return SpecError(f"{error.title}.{field}: {first['msg']}{more}", where=_place(error, path), hint=hint)


def _fields_of(class_name: str) -> list[str]:
    """Field names of a configuration or spec class, by its name."""
    import flatpose.config as config
    import flatpose.harness.spec as vocabulary

    cls = getattr(config, class_name, None) or getattr(vocabulary, class_name, None)
    return list(getattr(cls, "__dataclass_fields__", {}))


def _place(error: BaseException, path: Path) -> str:
    """``file:line, row x``: the deepest line inside the spec file, and the row it builds where that can be told."""
    lines, frame = [], error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(path):
            lines.append(frame.tb_lineno)
        frame = frame.tb_next
    if not lines:
        return str(path)
    row = next(filter(None, map(_rows_by_line(path).get, reversed(lines))), None)
    return f"{path}:{lines[-1]}" + (f", row {row}" if row else "")


def _rows_by_line(path: Path) -> dict[int, str]:
    """Line -> id of the Row(...) that is written there."""
    rows: dict[int, str] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Row":
            name = next((ast.unparse(k.value) for k in node.keywords if k.arg == "id"), None)
            if name is not None:
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    rows[line] = f"{rows[line]} or {name}" if line in rows else name
    return rows


def public_pairs() -> tuple[dict[str, object], ...]:
    """Published results of one network with ground-truth and with detector boxes (experiments/box_pairs.py)."""
    return tuple(_execute(FOLDER / "box_pairs.py").PAIRS)


def claims() -> tuple[Any, ...]:
    """The paper's quantitative sentences (experiments/claims.py)."""
    return tuple(_execute(FOLDER / "claims.py").CLAIMS)


def readings() -> tuple[Any, ...]:
    """What the paper leaves open, with our choices (experiments/readings.py)."""
    return tuple(_execute(FOLDER / "readings.py").READINGS)
