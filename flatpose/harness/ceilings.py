"""Measures experiments/ceilings.py on the annotations below a data root; needs no images, no network and no GPU.

Each row's answer goes to reports/data/ceilings.json as soon as it is known, so that a stopped measurement goes on.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data import coco, crowdpose, mpii
from flatpose.data.instances import Person, PoseData, Split
from flatpose.errors import DataError
from flatpose.geometry import box_to_center_scale, transform_points, warp_matrices
from flatpose.harness import provenance
from flatpose.harness.catalog import FOLDER
from flatpose.harness.identity import hash_of, same_code
from flatpose.harness.spec import Ceiling
from flatpose.harness.verify import Verdict
from flatpose.io import read_json, write_json
from flatpose.keypoints import COCO17, CROWDPOSE14, MPII16, KeypointSet
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


def validation(task: str, root: Path) -> PoseData:
    """The validation persons of a benchmark (CrowdPose: test, else val) from its annotation file alone.

    Raises:
        DataError: There is no such file; the message says where it was looked for.
    """
    names = _names(task)
    path = next((p for folder in (root / task, root) for p in (folder / name for name in names) if p.is_file()), None)
    if path is None:
        raise DataError(f"no {task} annotations in {root / task} or {root}: looked for {', '.join(names)}")
    split, keypoint_set = _persons(task, path)
    found = PoseData(task, "", coco.fingerprint([path]), keypoint_set, split, split, root)
    return replace(found, label=_label(found, path))


def _persons(task: str, path: Path) -> tuple[Split, KeypointSet]:
    """Images are not opened, so any folder does for them."""
    if task == "coco":
        return coco.load_split(path, path.parent, COCO17), COCO17
    if task == "crowdpose":
        return crowdpose.load_split(path, path.parent), CROWDPOSE14
    return mpii.load_split(path, path.parent), MPII16


def _names(task: str) -> list[str]:
    """Where the annotation file may lie below the benchmark's folder."""
    if task == "coco":
        return ["annotations/person_keypoints_val2017.json", "annotations/val.json"]
    if task == "crowdpose":
        return [pattern.format(name) for name in ("test", "val") for pattern in crowdpose.PATTERNS]
    return [f"{inner}/{names[1]}" for inner, names in mpii.LAYOUTS.items()]


def _label(data: PoseData, path: Path) -> str:
    images, persons = len(data.val.image_ids), len(data.val.persons)
    if data.task == "coco":
        name = "COCO val2017" if images == coco.OFFICIAL_IMAGES["val"] else "COCO subset, val"
    else:
        name = f"CrowdPose {path.stem.rpartition('_')[2]}" if data.task == "crowdpose" else "MPII val"
    return f"{name} ({images} images, {persons} persons)"


def jobs(root: Path) -> tuple[list[Job], dict[str, PoseData], list[str]]:
    """What can be measured below a data root, the data by task, and why a benchmark is left out."""
    rows, missing = declared(), []
    data: dict[str, PoseData] = {}
    for task in dict.fromkeys(task for row in rows for task in row.tasks):
        try:
            data[task] = validation(task, root)
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
    from flatpose.metrics import crowdpose_metrics, mpii_metrics, mpii_results, to_results
    from flatpose.metrics.coco import evaluate, interval, summary

    started, clock, row = provenance.now(), time.monotonic(), job.row
    found = round_trip(row.codec, row.image_size, data.val.persons)
    results, _ = to_results(found, rescore="keypoint", score_threshold=0.0, nms="none", nms_threshold=1.0,
                            sigmas=np.array(data.keypoint_set.sigmas))
    path, bootstrap = data.val.annotation_file, {}
    if job.task == "mpii":
        metrics = mpii_metrics(path, mpii_results(found))
    elif job.task == "crowdpose":
        metrics = crowdpose_metrics(path, results)
    else:
        evaluation = evaluate(path, results, data.keypoint_set, None)
        metrics, bootstrap = summary(evaluation), interval(evaluation)
    error, outside = errors(data.val.persons, found.keypoints, row.image_size, udp=row.codec.udp)
    return {"row": row.id, "task": job.task, "series": row.series, "part": row.part, "x": row.x,
            "image_size": list(row.image_size), "codec": _codec(row), "data": data.label, "data_id": job.data_id,
            "code_hash": code, "metrics": metrics, "bootstrap": bootstrap,
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
