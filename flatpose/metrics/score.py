"""Score a results file from any program. Every malformed file gets one message: file, item, field, expected."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from flatpose.data.mpii import read_truth
from flatpose.errors import DataError, SpecError, nearest
from flatpose.io import read_json
from flatpose.keypoints import COCO17, CROWDPOSE14, MPII16
from flatpose.metrics.coco import coco_metrics
from flatpose.metrics.crowdpose import crowdpose_metrics
from flatpose.metrics.mpii import mpii_metrics

TASKS = {"coco": COCO17, "crowdpose": CROWDPOSE14, "mpii": MPII16}
LARGEST = 1e15
"""Beyond this the evaluators' arithmetic overflows, in areas and in 64-bit ids."""
COCO_FORM = "each item is {image_id, category_id, keypoints: [x, y, score, ...], score}"
MPII_FORM = "each item is {id: row of the annotation file, keypoints: [x, y, score] * 16}, 0-based pixels"


def score_file(task: str, annotations: Path, predictions: Path) -> dict[str, float]:
    """The benchmark's numbers, in 0..1, by its reference evaluator; nothing is rescored or suppressed.

    Args:
        task: coco, crowdpose or mpii.
        annotations: COCO or CrowdPose annotation file; for MPII HRNet's ``valid.json`` or mmpose's ``mpii_val.json``
            with its .mat file beside it.
        predictions: COCO results format; for MPII a list of {"id": row, "keypoints": [x, y, score] * 16}, 0-based.

    Raises:
        DataError: A file is missing, damaged or not in that form; the message names file, item and field.
        SpecError: The task does not exist.
    """
    if task not in TASKS:
        raise SpecError(f"unknown task {task!r}", where="--task", hint=nearest(task, TASKS))
    annotations, predictions = Path(annotations), Path(predictions)
    if task == "mpii":
        return mpii_metrics(annotations, _mpii_predictions(predictions, len(read_truth(annotations).joints)))
    truth = read_json(annotations)
    check_truth(task, truth, annotations)
    found = _predictions(predictions, COCO_FORM)
    images, categories = {i["id"] for i in truth["images"]}, {c["id"] for c in truth["categories"]}
    for position, item in enumerate(found):
        where = f"{predictions}: [{position}]"
        _check_item(item, where, images, categories)
        check_keypoints(item["keypoints"], task, f"{where}.keypoints")
    found = _known_fields(found)
    if task == "coco":
        return coco_metrics(annotations, found, keypoint_set=COCO17)
    if not any(any(item["keypoints"][2::3]) for item in found):
        raise DataError("every keypoint score is 0, and CrowdPose's evaluator does not count such persons",
                        where=str(predictions), hint="write a confidence (or 1) as every third number")
    return crowdpose_metrics(annotations, found)


def _known_fields(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results without what other programs add, on which the evaluators stumble.

    ``bbox`` stays where all have it: the evaluators then take its area, not the keypoints', for AP_M and AP_L.
    """
    names = ["image_id", "category_id", "keypoints", "score", *(["bbox"] if all(r.get("bbox") for r in found) else [])]
    return [{name: item[name] for name in names} for item in found]


def check_truth(task: str, content: Any, path: Path) -> None:
    """What the evaluators need of an annotation file and would otherwise fail on, or miscount, without a word."""
    if isinstance(content, list):
        raise DataError("a list, expected an annotation file with images, annotations and categories", where=str(path),
                        hint="were --annotations and --predictions swapped, or is this MPII (--task mpii)?")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"no list {key!r}, expected images, annotations and categories", where=str(path))
        if not content[key]:
            raise DataError(f"the list {key!r} is empty", where=str(path))
    image_ids = _unique_ids(content["images"], f"{path}: images")
    if task == "crowdpose":
        for position, image in enumerate(content["images"]):
            if not _finite(image.get("crowdIndex")):
                raise DataError("no number 'crowdIndex', which easy, medium and hard are told by",
                                where=f"{path}: images[{position}]", hint="is this a COCO file (--task coco)?")
    _unique_ids(content["categories"], f"{path}: categories")
    _unique_ids(content["annotations"], f"{path}: annotations")
    for position, person in enumerate(content["annotations"]):
        _check_person(person, task, f"{path}: annotations[{position}]", image_ids)
    if not any(p["num_keypoints"] and not p["iscrowd"] for p in content["annotations"]):
        raise DataError("no person with keypoints to find", where=str(path))


def _check_person(person: dict[str, Any], task: str, where: str, image_ids: Container[Any]) -> None:
    fields = ("image_id", "category_id", "bbox", "keypoints", "num_keypoints", "iscrowd",
              *(("area",) if task == "coco" else ()))
    for name in fields:
        if name not in person:
            hint = "CrowdPose files have no area: --task crowdpose?" if name == "area" else \
                f"fields needed: {', '.join(fields)}"
            raise DataError(f"no field {name!r}", where=where, hint=hint)
    _check_id(person["image_id"], image_ids, f"{where}.image_id", "images")
    if not isinstance(person["category_id"], (int, float, str)):
        raise DataError(f"{_show(person['category_id'])}, expected an id", where=f"{where}.category_id")
    check_keypoints(person["keypoints"], task, f"{where}.keypoints")
    _check_box(person["bbox"], f"{where}.bbox")
    for name in ("num_keypoints", "iscrowd", *(("area",) if task == "coco" else ())):
        if not _finite(person[name]) or person[name] < 0:
            raise DataError(f"{person[name]!r}, expected a number of at least 0", where=f"{where}.{name}")
    if not isinstance(person["id"], int):
        raise DataError(f"{_show(person['id'])}, expected a whole number", where=f"{where}.id")
    if person["id"] == 0 and task == "coco":
        raise DataError("0, which pycocotools takes for 'not matched'", where=f"{where}.id", hint="number from 1")


def _check_box(box: Any, where: str) -> None:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_finite, box)):
        raise DataError("expected four finite numbers: left, top, width, height", where=where)


def _check_item(item: Any, where: str, images: Container[Any], categories: Container[Any]) -> None:
    if not isinstance(item, dict):
        raise DataError(f"{_show(item)}, expected an object", where=where, hint=COCO_FORM)
    for name in ("image_id", "category_id", "keypoints", "score"):
        if name not in item:
            raise DataError(f"no field {name!r}", where=where, hint=COCO_FORM)
    _check_id(item["image_id"], images, f"{where}.image_id", "the annotation file's images")
    _check_id(item["category_id"], categories, f"{where}.category_id", f"the categories {categories}")
    if not _finite(item["score"]):
        raise DataError(f"{_show(item['score'])}, expected a finite number", where=f"{where}.score")
    if item.get("bbox"):
        _check_box(item["bbox"], f"{where}.bbox")


def check_keypoints(values: Any, task: str, where: str) -> None:
    """Three finite numbers for every keypoint of the task, in one flat list; raises DataError."""
    count = len(TASKS[task])
    expected = f"expected {3 * count} numbers (x, y, score of {count} keypoints)"
    if not isinstance(values, list):
        raise DataError(f"{_show(values)}, {expected}", where=where)
    if len(values) != 3 * count:
        others = [f"{len(s)} keypoints are {name}'s: --task {name}?" for name, s in TASKS.items()
                  if len(values) == 3 * len(s)]
        raise DataError(f"{len(values)} entries, {expected}", where=where,
                        hint=others[0] if others else _count_hint(len(values), count))
    if not all(map(_finite, values)):
        bad = next(i for i, value in enumerate(values) if not _finite(value))
        raise DataError(f"{_show(values[bad])}, expected a finite number", where=f"{where}[{bad}]")


def _count_hint(given: int, count: int) -> str:
    if given == 2 * count:
        return "x and y without a score: write x, y, score for every keypoint"
    if given == count:
        return "one list per keypoint? write all numbers in one flat list"
    return "valid: " + ", ".join(f"{3 * len(s)} for {name}" for name, s in TASKS.items())


def _mpii_predictions(path: Path, rows: int) -> list[dict[str, Any]]:
    found, seen = _predictions(path, MPII_FORM), set()
    for position, item in enumerate(found):
        where = f"{path}: [{position}]"
        if not isinstance(item, dict):
            raise DataError(f"{_show(item)}, expected an object", where=where, hint=MPII_FORM)
        for name in ("id", "keypoints"):
            if name not in item:
                raise DataError(f"no field {name!r}", where=where, hint=MPII_FORM)
        row = item["id"]
        if type(row) is not int or not 0 <= row < rows:
            raise DataError(f"{_show(row)}, expected a row of the annotation file, 0 to {rows - 1}",
                            where=f"{where}.id")
        if row in seen:
            raise DataError(f"row {row} a second time, expected one prediction for each row", where=f"{where}.id")
        seen.add(row)
        check_keypoints(item["keypoints"], "mpii", f"{where}.keypoints")
    if len(seen) < rows:
        missing = [row for row in range(rows) if row not in seen]
        raise DataError(f"no prediction for {len(missing)} of {rows} rows, first {missing[0]}", where=str(path),
                        hint="PCKh is over all persons; a missing one would count as if it did not exist")
    return found


def _predictions(path: Path, form: str) -> list[Any]:
    found = read_json(path)
    if not isinstance(found, list):
        hint = "were --annotations and --predictions swapped?" if isinstance(found, dict) else form
        raise DataError(f"{_show(found)}, expected a list of predictions", where=str(path), hint=hint)
    if not found:
        raise DataError("an empty list, expected predictions", where=str(path), hint=form)
    return found


def _unique_ids(entries: list[Any], where: str) -> set[Any]:
    seen: set[Any] = set()
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{_show(entry)}, expected an object", where=f"{where}[{position}]")
        if not isinstance(entry.get("id"), (int, str)):
            raise DataError("no field 'id'", where=f"{where}[{position}]")
        if isinstance(entry["id"], int) and abs(entry["id"]) > LARGEST:
            raise DataError(f"{_show(entry['id'])}, expected an id below {LARGEST:g}", where=f"{where}[{position}].id")
        if entry["id"] in seen:
            raise DataError(f"id {entry['id']!r} a second time", where=f"{where}[{position}].id")
        seen.add(entry["id"])
    return seen


def _check_id(value: Any, known: Container[Any], where: str, of: str) -> None:
    if isinstance(value, (bool, list, dict)) or value not in known:
        hint = "a number, not text" if isinstance(value, str) and value.isdecimal() and int(value) in known else None
        raise DataError(f"{_show(value)} is not among {of}", where=where, hint=hint)


def _finite(value: Any) -> bool:
    """A number that is one for the evaluators too (True is not, nor one that they cannot square)."""
    return type(value) in (int, float) and abs(value) <= LARGEST


def _show(value: Any) -> str:
    """A value as it may stand in a message: its kind for containers, never more than a few words."""
    if isinstance(value, (list, dict)):
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    return repr(value) if len(repr(value)) < 40 else f"{repr(value)[:37]}..."
