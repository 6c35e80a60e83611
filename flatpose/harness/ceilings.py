"""Measures experiments/ceilings.py on the annotations below a data root; needs no images, no network and no GPU.

Each row's answer goes to reports/data/ceilings.json as soon as it is known, so that a stopped measurement goes on.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flatpose import benchmarks
from flatpose.data.instances import Person, PoseData
from flatpose.errors import DataError
from flatpose.geometry import box_to_center_scale, transform_points, warp_matrices
from flatpose.harness import provenance
from flatpose.harness.catalog import FOLDER
from flatpose.harness.identity import hash_of, same_code
from flatpose.harness.spec import Ceiling
from flatpose.harness.verify import Verdict
from flatpose.io import read_json, write_json
from flatpose.progress import Reporter

SCHEMA_VERSION = 1
DATA = Path("data") / "ceilings.json"
LIBRARIES = ("torch", "numpy", "pycocotools", "xtcocotools", "faster-coco-eval")


@dataclass(frozen=True)
class Job:
    """One ceiling on one benchmark."""

    row: Ceiling
    task: str
    data_id: str

    @property
    def key(self) -> tuple[str, str]:
        return self.row.id, self.task


def declared() -> tuple[Ceiling, ...]:
    """The rows of experiments/ceilings.py."""
    spec = importlib.util.spec_from_file_location("experiments.ceilings", FOLDER / "ceilings.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module.CEILINGS)


def jobs(root: Path) -> tuple[list[Job], dict[str, PoseData], list[str]]:
    """What can be measured below a data root, the data by task, and why a benchmark is left out."""
    rows, missing = declared(), []
    data: dict[str, PoseData] = {}
    for task in dict.fromkeys(task for row in rows for task in row.tasks):
        try:
            data[task] = benchmarks.get(task).validation(root)
        except DataError as error:
            missing.append(error.what)
    return [Job(row, task, data[task].data_id) for row in rows for task in row.tasks if task in data], data, missing


def code_hash() -> str:
    """Hash over all code that a ceiling depends on."""
    return hash_of("ceiling.py")


def is_current(entry: dict[str, Any], code: str) -> bool:
    """Whether today's ``code`` gives the same numbers, by its hash or because :func:`verify` found so."""
    return same_code(entry["code_hash"], code, _way(entry))


def _way(entry: dict[str, Any]) -> str:
    return f"ceiling, {entry['codec']['kind']}"


def verify(todo: Sequence[Job], data: dict[str, PoseData], reports: Path, reporter: Reporter) -> list[Verdict]:
    """Measure the quickest ceiling of each old code, benchmark, codec and decoder again and compare to the bit."""
    code, jobs_of = code_hash(), {(*job.key, job.data_id): job for job in todo}
    chosen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in sorted(load(reports), key=lambda e: e["provenance"]["seconds"]):
        if (entry["row"], entry["task"], entry["data_id"]) in jobs_of and not is_current(entry, code):
            kind = (entry["code_hash"], entry["task"], entry["codec"]["kind"], entry["codec"].get("decode"))
            chosen.setdefault(kind, entry)
    reporter.start("verify ceilings", len(chosen))
    verdicts = []
    for entry in chosen.values():
        job = jobs_of[entry["row"], entry["task"], entry["data_id"]]
        verdicts.append(_compared(entry, _measured(job, data[job.task], code)))
        reporter.advance()
    reporter.finish()
    return verdicts


def _compared(entry: dict[str, Any], again: dict[str, Any]) -> Verdict:
    before, now = ({"error_px": e["error_px"], **e["metrics"]} for e in (entry, again))
    differences = {name: (before[name], now.get(name)) for name in before if before[name] != now.get(name)}
    return Verdict(f"{entry['row']} ({entry['task']})", "none", _way(entry), entry["code_hash"], again["code_hash"],
                   differences)


def load(reports: Path) -> list[dict[str, Any]]:
    """The committed answers; none where there is no file. Raises DataError for another schema."""
    path = reports / DATA
    if not path.exists():
        return []
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"not a file of schema version {SCHEMA_VERSION}", where=str(path))
    return list(content["ceilings"])


def measure(todo: Sequence[Job], data: dict[str, PoseData], reports: Path, reporter: Reporter) -> list[dict[str, Any]]:
    """Every job's answer: those of today's code on the same data are kept, the others are measured."""
    code = code_hash()
    known = {(e["row"], e["task"], e["data_id"]): e for e in load(reports) if is_current(e, code)}
    answers: list[dict[str, Any]] = []
    reporter.start("ceilings", len(todo))
    for job in todo:
        entry = known.get((*job.key, job.data_id))
        if entry is None or entry["codec"] != _codec(job.row):
            answers.append(_measured(job, data[job.task], code))
            rest = [e for e in known.values() if (e["row"], e["task"]) not in {(a["row"], a["task"]) for a in answers}]
            _write(reports, [*answers, *rest])
        else:
            answers.append(entry)
        reporter.advance()
    reporter.finish()
    _write(reports, answers)
    return answers


def _write(reports: Path, answers: list[dict[str, Any]]) -> None:
    write_json(reports / DATA, {"schema_version": SCHEMA_VERSION, "ceilings": answers})


def _codec(row: Ceiling) -> dict[str, Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(type(row.codec)).dump_python(row.codec, mode="json")


def _measured(job: Job, data: PoseData, code: str) -> dict[str, Any]:
    """Encode, decode, score; and how far off the keypoints inside the crop are."""
    from flatpose.ceiling import round_trip

    started, clock, row = provenance.now(), time.monotonic(), job.row
    found = round_trip(row.codec, row.image_size, data.val.persons)
    measured = benchmarks.get(job.task).measure(
        found, data.val.annotation_file, keypoint_set=data.keypoint_set, image_ids=data.val.image_ids,
        rescore="keypoint", score_threshold=0.0, nms="none")
    error, outside = errors(data.val.persons, found.keypoints, row.image_size, udp=row.codec.udp)
    return {"row": row.id, "task": job.task, "series": row.series, "part": row.part, "x": row.x,
            "image_size": list(row.image_size), "codec": _codec(row), "data": data.label, "data_id": job.data_id,
            "code_hash": code, "metrics": measured["metrics"], "bootstrap": measured.get("bootstrap", {}),
            "error_px": error, "outside": outside, "provenance": _origin(started, time.monotonic() - clock)}


def _origin(started: str, seconds: float) -> dict[str, Any]:
    """What can move a ceiling: the code, the libraries below it, the processor."""
    found = provenance.describe(started, seconds)
    versions = {name: version for name, version in found["versions"].items() if name in LIBRARIES}
    return {**{name: found[name] for name in ("git_sha", "dirty_diff_hash", "cpu", "ended", "seconds")},
            "versions": versions}


def errors(persons: list[Person], keypoints: np.ndarray, image_size: tuple[int, int], *, udp: bool
           ) -> tuple[float, float]:
    """Mean error in input pixels of the labelled keypoints inside the crop, and the share of those outside it."""
    center, scale = box_to_center_scale(np.stack([p.bbox_xywh for p in persons]), image_size)
    mats = warp_matrices(center, scale, image_size, udp=udp)
    truth = transform_points(mats, np.stack([p.keypoints for p in persons]))
    labelled = np.stack([p.keypoints_visible for p in persons]) > 0
    inside = labelled & ((truth >= 0) & (truth <= np.array(image_size) - 1)).all(-1)
    distance = np.linalg.norm(transform_points(mats, keypoints) - truth, axis=-1)
    return float(distance[inside].mean()), float(1 - inside.sum() / labelled.sum())
