"""Frames of experiments that come with the program, with results made up for a test."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flatpose.harness import catalog, frame
from flatpose.harness.frame import Frames

DATA = "embedded v1 (2000/300 images)"


def line(experiment: str, row: str, seed: int, **values: Any) -> dict[str, Any]:
    """One line of the frame; metrics in 0..1."""
    spec = next(r for r in catalog.load(experiment).rows if r.id == row)
    made = {"experiment": experiment, "row": row, "label": spec.label, "group": spec.group, "series": spec.series,
            "x": spec.x, "profile": "quick", "data_id": "d", "data": DATA, "task": "coco", "kind": "trained",
            "status": "done", "weights": "ema", "box_source": "gt", "seed": seed, "stale": False, "condition": "c",
            "gflops": 1.0, "input_h": 128, "input_w": 96, **values}
    return {**made, "run_id": f"{row}/{made['profile']}/{made['data_id']}/{seed}"}


def frames(lines: list[dict[str, Any]], costs: dict[tuple[str, str], dict[str, Any]] | None = None) -> Frames:
    """All experiments with these results and costs, (experiment, row) -> columns of Frames.costs, and no times."""
    experiments = {name: catalog.load(name) for name in catalog.ids()}
    made = Frames(experiments, {})
    columns = [*frame.COLUMNS, "condition"]
    counted = [{"experiment": e, "row": r, "params_m": 1.0, "gflops": 1.0, "table6": None, **values}
               for (e, r), values in (costs or {}).items()]
    vars(made).update(
        results=pd.DataFrame(lines).reindex(columns=dict.fromkeys([*columns, *(k for x in lines for k in x)])),
        costs=pd.DataFrame(counted, columns=["experiment", "row", *frame.COUNTS]),
        latencies=pd.DataFrame(columns=["experiment", "row", "batch", "compiled", "ratio_flatpose_b", "cpu", "device",
                                        "threads"]))
    return made
