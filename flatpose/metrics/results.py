"""Results files of any program. A malformed file gives one message: file, item, field, what was expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any, Optional

from pydantic import FailFast, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict

from flatpose.data.annotations import Annotations, Id
from flatpose.data.findings import said
from flatpose.errors import DataError
from flatpose.io import parsed, read_json
from flatpose.keypoints import KeypointSet

LARGEST = 1e15
"""Beyond this the evaluators' arithmetic overflows. (A prediction may lie far outside its image.)"""
FEW = 0.5
"""A file with results for a smaller share of the images with persons deserves a warning."""
COCO_FORM = ("each item is {image_id, category_id, keypoints: one flat list [x, y, score, ...], score}, "
             "perhaps with bbox: [left, top, width, height]")
MPII_FORM = "each item is {id: row of the annotation file, keypoints: one flat list [x, y, score] * 16}, 0-based pixels"
Results = list[dict[str, Any]]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]


class CocoResult(TypedDict):
    """One person; ``bbox`` is left, top, width, height."""

    image_id: Id
    category_id: Id
    keypoints: list[Number]
    score: Number
    bbox: NotRequired[Optional[Annotated[list[Number], Field(min_length=4, max_length=4)]]]


class MpiiResult(TypedDict):
    """One person; ``id`` is the row of the annotation file."""

    id: Id
    keypoints: list[Number]


COCO: TypeAdapter[Any] = TypeAdapter(Annotated[list[CocoResult], FailFast()])
MPII: TypeAdapter[Any] = TypeAdapter(Annotated[list[MpiiResult], FailFast()])


def read_results(path: Path, truth: Annotations, keypoint_set: KeypointSet) -> tuple[Results, str]:
    """Results in COCO's form, with the fields that evaluators read, and a line saying how many are used.

    Results of other categories than the truth's persons are left out. ``bbox`` stays where every result has it: the
    evaluators then take its area, not that of the keypoints, for AP_M and AP_L.

    Raises:
        DataError: The file is malformed, an image is unknown, or no result can be used.
    """
    category = truth.category["id"]
    entries = coco_results(read_json(path), str(path), truth.images, len(keypoint_set))
    found = [entry for entry in entries if entry["category_id"] == category]
    others = Counter({"of other categories": len(entries) - len(found)})
    note = said(+others, len(found), "results")
    if not found:
        raise DataError(f"no usable result: {note}", where=str(path),
                        hint=f"persons are category {category} ({truth.category.get('name')}) in {truth.path.name}")
    if not all(entry.get("bbox") for entry in found):
        found = [{k: v for k, v in entry.items() if k != "bbox"} for entry in found]
    with_persons = {p["image_id"] for p in truth.persons if p["num_keypoints"] and not p["iscrowd"]}
    covered = len(with_persons & {entry["image_id"] for entry in found})
    note += f"; they cover {covered} of {len(with_persons)} images with persons"
    few = covered < FEW * len(with_persons)
    return found, f"warning: {note}. All persons of the other images count as missed" if few else note


def coco_results(items: Any, where: str, images: Container[int], keypoints: int) -> Results:
    """Results of COCO's form, checked, with only the fields that evaluators and servers read; raises DataError."""
    found = _parsed(items, COCO, where, COCO_FORM)
    for position, entry in enumerate(found):
        place = f"{where}: [{position}]"
        if entry["image_id"] not in images:
            raise DataError(f"{entry['image_id']} is not among the images of the list", where=f"{place}.image_id",
                            hint="were these predictions made on another split?")
        _check_count(entry["keypoints"], keypoints, f"{place}.keypoints")
    return found


def read_mpii_results(path: Path, rows: int) -> Results:
    """Results in MPII's form: one for each of ``rows`` rows; raises DataError otherwise."""
    found: dict[int, dict[str, Any]] = {}
    for position, item in enumerate(_parsed(read_json(path), MPII, str(path), MPII_FORM)):
        where, row = f"{path}: [{position}]", item["id"]
        if not 0 <= row < rows:
            raise DataError(f"{row}, expected a row of the annotation file, 0 to {rows - 1}", where=f"{where}.id")
        if row in found:
            raise DataError(f"row {row} a second time, expected one prediction for each row", where=f"{where}.id")
        _check_count(item["keypoints"], 16, f"{where}.keypoints")
        found[row] = item
    missing = [row for row in range(rows) if row not in found]
    if missing:
        raise DataError(f"no prediction for {len(missing)} of {rows} rows, first {missing[0]}", where=str(path),
                        hint="PCKh is over all persons; a missing one would count as if it did not exist")
    return list(found.values())


def _parsed(items: Any, form: TypeAdapter[Results], where: str, words: str) -> Results:
    swapped = "were --annotations and --predictions swapped?"
    found = parsed(items, form, where, swapped if isinstance(items, dict) else words)
    if not found:
        raise DataError("an empty list, expected at least one result", where=where, hint=words)
    return found


def _check_count(values: list[float], count: int, where: str) -> None:
    """Three numbers for each of ``count`` keypoints; raises DataError."""
    if len(values) != 3 * count:
        other = f"{len(values) / 3:g} keypoints: is this a file of another benchmark? see --task"
        hint = "x and y without a score: write x, y, score for every keypoint" if len(values) == 2 * count else other
        raise DataError(f"{len(values)} entries, expected {3 * count} numbers (x, y, score of {count} keypoints)",
                        where=where, hint=hint)
