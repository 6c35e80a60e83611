"""GPU-hours of a plan: training persons x epochs over the images per second and GPU that records measured."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flatpose.config import DataConfig, RunConfig, spec_hash, to_dict
from flatpose.data import load
from flatpose.errors import DataError
from flatpose.harness.store import RunDir


def gpu_hours(runs: Iterable[tuple[RunConfig, str | None]], runs_dir: Path, data_root: Path | None
              ) -> tuple[float | None, int]:
    """Hours of those of the (run, data_id) pairs whose speed is known, None without any; and how many they are.

    A run is as fast as the records of its own spec were on a GPU, else as those of its network and input size, at
    whatever profile and on whatever data. A speed is known of no run whose data are not there yet.
    """
    rates = _rates(runs_dir)
    persons: dict[DataConfig, int | None] = {}
    hours = []
    for run, data_id in runs:
        measured = rates.get(spec_hash(run)) or rates.get(_network(to_dict(run)))
        if not measured or data_id is None:
            continue
        if run.data not in persons:
            persons[run.data] = _train_persons(run.data, data_root)
        found = persons[run.data]
        if found is not None:
            hours.append(run.train.epochs * found / statistics.median(measured) / 3600)
    return sum(hours) if hours else None, len(hours)


def _rates(runs_dir: Path) -> dict[str, list[float]]:
    """Images per second and GPU, by spec hash and by network."""
    rates: dict[str, list[float]] = {}
    for path in sorted(runs_dir.glob("*/seed*/*/record.json")):
        if b'"device": "cuda' not in path.read_bytes():  # ten thousand records are searched faster than parsed
            continue
        record = RunDir(path.parent).record()
        if record is not None and record["status"] == "done":
            speed = record["train"]["images_per_s"] / record["train"].get("processes", 1)
            for key in (record["spec_hash"], _network(record["spec"])):
                rates.setdefault(key, []).append(speed)
    return rates


def _network(spec: dict[str, Any]) -> str:
    """Network and input size; where its first weights come from makes it no slower."""
    model = {name: value for name, value in spec["model"].items() if name != "pretrained"}
    return json.dumps([model, spec["image_size"]], sort_keys=True)


def _train_persons(data: DataConfig, data_root: Path | None) -> int | None:
    try:
        return len(load(data, data_root).train.persons)
    except DataError:
        return None
