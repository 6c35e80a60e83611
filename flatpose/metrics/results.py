"""Results files of any program. A malformed file gives one message: file, item, field, what was expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Any

from flatpose.data.annotations import Annotations, are_numbers, whole_id
from flatpose.data.findings import said
from flatpose.errors import DataError
from flatpose.io import read_json
from flatpose.keypoints import KeypointSet

LARGEST = 1e15
"""Beyond this the evaluators' arithmetic overflows. (A prediction may lie far outside its image.)"""
FEW = 0.5
"""A file with results for a smaller share of the images with persons deserves a warning."""
COCO_FORM = "each item is {image_id, category_id, keypoints: [x, y, score, ...], score}"
MPII_FORM = "each item is {id: row of the annotation file, keypoints: [x, y, score] * 16}, 0-based pixels"
Results = list[dict[str, Any]]


def read_results(path: Path, truth: Annotations, keypoint_set: KeypointSet) -> tuple[Results, str]:
    """Results in COCO's form, with the fields that evaluators read, and a line saying how many are used.

    Results of other categories than the truth's persons are left out. ``bbox`` stays where every result has it: the
    evaluators then take its area, not that of the keypoints, for AP_M and AP_L.

    Raises:
        DataError: The file is malformed, an image is unknown, or no result can be used.
    """
    category = truth.category["id"]
    entries = [coco_result(item, f"{path}: [{position}]", truth.images, len(keypoint_set))
               for position, item in enumerate(_items(path, COCO_FORM))]
    found = [entry for entry in entries if entry["category_id"] == category]
    others = Counter({"of other categories": len(entries) - len(found)})
    note = said(+others, len(found), "results")
    if not found:
        raise DataError(f"no usable result: {note}", where=str(path),
                        hint=f"persons are category {category} ({truth.category.get('name')}) in {truth.path.name}")
    if not all("bbox" in entry for entry in found):
        found = [{k: v for k, v in entry.items() if k != "bbox"} for entry in found]
    with_persons = {p["image_id"] for p in truth.persons if p["num_keypoints"] and not p["iscrowd"]}
    covered = len(with_persons & {entry["image_id"] for entry in found})
    note += f"; they cover {covered} of {len(with_persons)} images with persons"
    few = covered < FEW * len(with_persons)
    return found, f"warning: {note}. All persons of the other images count as missed" if few else note


def coco_result(item: Any, where: str, images: Container[int], keypoints: int) -> dict[str, Any]:
    """One result of COCO's form, checked, with ids as ints and only the fields that evaluators and servers read."""
    _check_fields(item, ("image_id", "category_id", "keypoints", "score"), where, COCO_FORM)
    entry = {name: _id(item[name], f"{where}.{name}") for name in ("image_id", "category_id")}
    if entry["image_id"] not in images:
        raise DataError(f"{show(item['image_id'])} is not among the images of the list", where=f"{where}.image_id",
                        hint="were these predictions made on another split?")
    check_keypoints(item["keypoints"], keypoints, f"{where}.keypoints")
    if not are_numbers([item["score"]], 1, LARGEST):
        raise DataError(f"{show(item['score'])}, expected a finite number", where=f"{where}.score")
    box = item.get("bbox")
    if box and not are_numbers(box, 4, LARGEST):
        raise DataError("expected four finite numbers: left, top, width, height", where=f"{where}.bbox")
    return {**entry, "keypoints": item["keypoints"], "score": item["score"], **({"bbox": box} if box else {})}


def read_mpii_results(path: Path, rows: int) -> Results:
    """Results in MPII's form: one for each of ``rows`` rows; raises DataError otherwise."""
    found: dict[int, dict[str, Any]] = {}
    for position, item in enumerate(_items(path, MPII_FORM)):
        where = f"{path}: [{position}]"
        _check_fields(item, ("id", "keypoints"), where, MPII_FORM)
        row = _id(item["id"], f"{where}.id")
        if not 0 <= row < rows:
            raise DataError(f"{row}, expected a row of the annotation file, 0 to {rows - 1}", where=f"{where}.id")
        if row in found:
            raise DataError(f"row {row} a second time, expected one prediction for each row", where=f"{where}.id")
        check_keypoints(item["keypoints"], 16, f"{where}.keypoints")
        found[row] = {**item, "id": row}
    missing = [row for row in range(rows) if row not in found]
    if missing:
        raise DataError(f"no prediction for {len(missing)} of {rows} rows, first {missing[0]}", where=str(path),
                        hint="PCKh is over all persons; a missing one would count as if it did not exist")
    return list(found.values())


def check_keypoints(values: Any, count: int, where: str) -> None:
    """Three finite numbers for each of ``count`` keypoints in one flat list; raises DataError."""
    if are_numbers(values, 3 * count, LARGEST):
        return
    expected = f"expected {3 * count} numbers (x, y, score of {count} keypoints)"
    if not isinstance(values, list):
        raise DataError(f"{show(values)}, {expected}", where=where)
    if len(values) != 3 * count:
        hints = {2 * count: "x and y without a score: write x, y, score for every keypoint",
                 count: "one list per keypoint? write all numbers in one flat list"}
        other = f"{len(values) / 3:g} keypoints: is this a file of another benchmark? see --task"
        raise DataError(f"{len(values)} entries, {expected}", where=where, hint=hints.get(len(values), other))
    bad = next(i for i, value in enumerate(values) if not are_numbers([value], 1, LARGEST))
    raise DataError(f"{show(values[bad])}, expected a finite number", where=f"{where}[{bad}]")


def _items(path: Path, form: str) -> list[Any]:
    found = read_json(path)
    if not isinstance(found, list):
        hint = "were --annotations and --predictions swapped?" if isinstance(found, dict) else form
        raise DataError(f"{show(found)}, expected a list of predictions", where=str(path), hint=hint)
    if not found:
        raise DataError("an empty list, expected predictions", where=str(path), hint=form)
    return found


def _check_fields(item: Any, names: tuple[str, ...], where: str, form: str) -> None:
    if not isinstance(item, dict):
        raise DataError(f"{show(item)}, expected an object", where=where, hint=form)
    lacking = next((name for name in names if name not in item), None)
    if lacking:
        raise DataError(f"no field {lacking!r}", where=where, hint=form)


def _id(value: Any, where: str) -> int:
    try:
        return whole_id(value)
    except ValueError:
        raise DataError(f"{show(value)}, expected a whole number", where=where) from None


def show(value: Any) -> str:
    """A value as it may stand in a message: its kind for containers, never more than a few words."""
    if isinstance(value, (list, dict)):
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    return repr(value) if len(repr(value)) < 40 else f"{repr(value)[:37]}..."
