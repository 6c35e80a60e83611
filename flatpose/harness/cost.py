"""What each row of an experiment costs: parameters, multiply-adds in every convention, and (on request) time.

Counts need no weights, data or GPU. They are kept in runs/cost, keyed by the network and by the code that builds and
counts it, and a whole experiment's in runs/costs/<id>.json, where the report finds them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose.config import RunConfig, to_dict
from flatpose.errors import SpecError, nearest
from flatpose.harness import stopwatch
from flatpose.harness.spec import Experiment, Row
from flatpose.io import read_json, write_json
from flatpose.progress import SILENT, Reporter

if TYPE_CHECKING:
    from torch import nn

PACKAGE = Path(__file__).resolve().parents[1]


def cost_rows(experiment: Experiment, *, row: str | None = None, latency: bool = False,
              runs_dir: Path = Path("runs"), reporter: Reporter = SILENT) -> list[dict[str, Any]]:
    """One entry per row (see docs of ``cost``), at the paper's scale whatever the profile.

    ``gflops`` counts the paper's Algorithm 1 as printed, which is what the paper can have counted;
    ``gflops_executed`` what this implementation executes. Rows with the same network share one count.

    Args:
        experiment: Its rows are measured as the spec has them.
        row: Only this row.
        latency: Also measure time and memory here and now, against FlatPose-B (minutes per row; kept for the page).
        runs_dir: Where counts are kept.
        reporter: Told about progress of the timing.

    Raises:
        SpecError: No such row.
    """
    rows = [r for r in experiment.rows if row in (None, r.id)]
    if not rows:
        raise SpecError(f"no row {row!r} in {experiment.id}", hint=nearest(str(row), [r.id for r in experiment.rows]))
    costs = [_row_cost(experiment, r, runs_dir) for r in rows]
    if row is None:
        write_json(runs_dir / "costs" / f"{experiment.id}.json", costs)
    if latency:
        timed = stopwatch.time_rows(experiment, rows, _build, runs_dir, reporter)
        costs = [{**cost, "latency": found["latency"]} for cost, found in zip(costs, timed, strict=True)]
    return costs


def _row_cost(experiment: Experiment, row: Row, runs_dir: Path) -> dict[str, Any]:
    width, height = row.run.image_size
    published = row.published
    return {
        "experiment": experiment.id, "row": row.id, "label": row.label, "input_hw": [height, width],
        **_count(row.run, runs_dir / "cost"),
        "published_params_m": published.params_m if published else None,
        "published_gflops": published.gflops if published else None,
    }


def _count(run: RunConfig, cache: Path) -> dict[str, Any]:
    """Counts of the network of a run, from the cache when code and configuration are unchanged."""
    spec = to_dict(run)
    spec["model"].pop("pretrained", None)
    key = {name: spec[name] for name in ("model", "codec", "image_size")}
    key |= {"task": run.data.task, "code": _code_hash()}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{digest}.json"
    if not path.exists():
        write_json(path, _counted(run))
    return read_json(path)


def _code_hash() -> str:
    """Over the files that decide a count, and the versions of the libraries that build and count."""
    from importlib.metadata import version

    files = sorted([*(PACKAGE / "models").glob("*.py"), *(PACKAGE / "codecs").glob("*.py"), PACKAGE / "complexity.py"])
    content = b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)
    libraries = " ".join(f"{name} {version(name)}" for name in ("torch", "timm", "fvcore"))
    return hashlib.sha256(content + libraries.encode()).hexdigest()


def _build(run: RunConfig) -> nn.Module:
    from flatpose.keypoints import benchmark_keypoints
    from flatpose.models import build_model

    count = len(benchmark_keypoints(run.data.task))
    return build_model(run.model, run.codec, run.image_size, count, pretrained=False)


def _counted(run: RunConfig) -> dict[str, Any]:
    from flatpose.complexity import ShapesOnly, measure

    with ShapesOnly():
        model = _build(run)
    with_ica = [block for block in getattr(model, "coarse", ()) if block.semantic_bias is not None]
    extra = {}
    if with_ica:
        from flatpose.complexity import table6

        extra = {"table6": table6(with_ica[0])}
    return {**asdict(measure(model, run.image_size)), **extra}
