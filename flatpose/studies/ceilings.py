"""Codec ceilings: what a perfect network would score through a codec. Needs annotations, but no images and no network.

Ground truth is encoded, decoded and scored against itself. Heatmaps are not built (``HeatmapCodec.round_trip``) and
annotations are read once per process, so that the evaluator's own time is what remains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pandas as pd
from pydantic import PositiveInt, TypeAdapter

from flatpose import NUMERICS, benchmarks, parallel
from flatpose.config import CodecConfig
from flatpose.config.base import config
from flatpose.data.instances import Person, PoseData
from flatpose.errors import DataError
from flatpose.geometry import crop_matrices, transform_points
from flatpose.progress import SILENT, Reporter
from flatpose.studies import records

Line = dict[str, Any]
Cell = tuple["Ceiling", str, Path]
"""Row, benchmark and data root."""


@config
class Ceiling:
    """One codec at one input size."""

    id: str
    series: str
    """The codec's name in tables and the curve it belongs to."""
    part: Literal["map", "ratio", "sigma"]
    """What is varied: cells of the map, bins per pixel, or the width of SimCC's label."""
    codec: CodecConfig
    image_size: tuple[PositiveInt, PositiveInt]
    tasks: tuple[str, ...] = (benchmarks.COCO.name,)
    x: Optional[float] = None
    """Pixels per cell, bins per pixel, or sigma in pixels; None for a codec that has no cells."""


def measure(rows: Sequence[Ceiling], data_root: Path, *, known: pd.DataFrame | None = None, jobs: int | None = None,
            reporter: Reporter = SILENT, save: Callable[[pd.DataFrame], None] | None = None) -> pd.DataFrame:
    """Metrics of every row on each benchmark of its ``tasks`` whose annotations lie below ``data_root``.

    Lines of an earlier call (``known``) are kept where they were measured under the same conditions. ``save`` is called
    with all lines so far whenever one is added, so that an interrupted measurement can go on. ``jobs``: processes of
    one thread each (default: one per core).

    Returns:
        One line per row and benchmark: task, id, series, part, image_size [width, height], x, data, data_id, numerics,
        the codec's fields as ``codec_*``, the benchmark's metrics in 0..1, the 95 % interval of COCO's AP as AP_low and
        AP_high, error_px (mean error in input pixels of the labelled keypoints inside the crop) and outside (share of
        those outside it).

    Raises:
        DataError: No benchmark has annotations below ``data_root``.
    """
    tasks = dict.fromkeys(task for row in rows for task in row.tasks)
    data: dict[str, PoseData] = {}
    for task in tasks:
        try:
            data[task] = _data(task, data_root)
        except DataError as error:
            reporter.message(f"left out: {error.what}")
    if not data:
        raise DataError(f"no annotations of {', '.join(tasks)}", where=str(data_root), hint="flatpose-exp data check")
    cells = {(row.id, task): row for row in rows for task in row.tasks if task in data}
    wanted = {key: _conditions(row, data[key[1]]) for key, row in cells.items()}
    old = {(line["id"], line["task"]): line for line in records(pd.DataFrame() if known is None else known)}
    lines = {key: old[key] for key in wanted if key in old and _holds(old[key], wanted[key])}
    todo = [(row, task, data_root) for (name, task), row in cells.items() if (name, task) not in lines]
    reporter.start("ceilings", len(todo))
    for (row, task, _), line in parallel.each(_line, todo, jobs):
        lines[row.id, task] = {**wanted[row.id, task], **line}
        if save:
            save(_frame([lines[key] for key in wanted if key in lines]))
        reporter.advance()
    reporter.finish()
    return _frame([lines[key] for key in wanted])


def _frame(lines: list[Line]) -> pd.DataFrame:
    """With a column x, which no line has when no codec has cells."""
    return pd.DataFrame([{"x": None, **line} for line in lines]).astype({"x": float})


@cache
def _data(task: str, root: Path) -> PoseData:
    return benchmarks.get(task).validation(root)


def _conditions(row: Ceiling, data: PoseData) -> Line:
    """What the numbers depend on, and how the line is named; fields that are None are left out."""
    codec = TypeAdapter(type(row.codec)).dump_python(row.codec, mode="json")
    found = {"task": data.task, "id": row.id, "series": row.series, "part": row.part, "x": row.x,
             "image_size": list(row.image_size), "data": data.label, "data_id": data.data_id, "numerics": NUMERICS,
             **{f"codec_{name}": value for name, value in codec.items()}}
    return {name: value for name, value in found.items() if value is not None}


def _holds(line: Line, conditions: Line) -> bool:
    """Whether a line was measured under these conditions, and with no other codec field."""
    return all(line.get(k) == v for k, v in conditions.items()) and all(
        name in conditions for name in line if name.startswith("codec_"))


def _line(cell: Cell) -> Line:
    """Encode, decode, score; and how far off the keypoints inside the crop are."""
    from flatpose.ceiling import evaluate, round_trip

    row, task, root = cell
    data = _data(task, root)
    found = round_trip(row.codec, row.image_size, data.val.persons)
    result = evaluate(found, data)
    interval = dict(zip(("AP_low", "AP_high"), result.get("bootstrap", {}).get("AP", ()), strict=False))
    error, outside = errors(data.val.persons, found.keypoints, row.image_size, udp=row.codec.udp)
    return {**result["metrics"], **interval, "error_px": error, "outside": outside}


def errors(persons: list[Person], keypoints: np.ndarray, image_size: tuple[int, int], *, udp: bool
           ) -> tuple[float, float]:
    """Mean error in input pixels of the labelled keypoints inside the crop, and the share of those outside it."""
    mats, _ = crop_matrices(np.stack([p.bbox_xywh for p in persons]), image_size, udp=udp)
    truth = transform_points(mats, np.stack([p.keypoints for p in persons]))
    labelled = np.stack([p.keypoints_visible for p in persons]) > 0
    inside = labelled & ((truth >= 0) & (truth <= np.array(image_size) - 1)).all(-1)
    distance = np.linalg.norm(transform_points(mats, keypoints) - truth, axis=-1)
    return float(distance[inside].mean()), float(1 - inside.sum() / labelled.sum())
