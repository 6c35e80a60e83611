"""COCO-form annotation files, read and checked in one place.

Training, evaluators, ceilings, ``score``, ``predict`` and ``data check`` all read through :func:`examine`: a file is
accepted or refused by the same rules everywhere. Ids are whole numbers and file names are plain paths from here on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from flatpose.data.findings import Broken, Finding, refuse
from flatpose.errors import DataError
from flatpose.io import read_json
from flatpose.keypoints import KeypointSet

LARGEST = 1e6
"""Pixels: no image is wider or higher, and no annotated coordinate lies further out."""
ALIASES = {"head": "head_top", "top_head": "head_top"}
"""CrowdPose's files call one keypoint differently from the rest of the field."""


@dataclass(frozen=True)
class Annotations:
    """A checked annotation file.

    Args:
        path: The file.
        images: By id: dicts of id, file_name, width, height and, for CrowdPose, crowdIndex.
        persons: In file order, numbered from 1, with the fields that evaluators read.
        category: The person category as the file has it.
        crowd: CrowdPose's form: no area, the scale of OKS is a share of the box.
    """

    path: Path
    images: dict[int, dict[str, Any]]
    persons: list[dict[str, Any]]
    category: dict[str, Any]
    crowd: bool = False

    def dataset(self, image_ids: Iterable[int] | None = None) -> dict[str, Any]:
        """A copy in COCO's form for an evaluator, which adds fields of its own; of some images only if given."""
        keep = self.images.keys() if image_ids is None else set(image_ids)
        return {"images": [i for i in self.images.values() if i["id"] in keep], "categories": [self.category],
                "annotations": [dict(p) for p in self.persons if p["image_id"] in keep]}


def read(path: Path, keypoint_set: KeypointSet, *, scored: bool = True, crowd: bool = False) -> Annotations:
    """:func:`examine`, refusing a file with an error: DataError names the file, the first places and the fix."""
    found, findings = examine(path, keypoint_set, scored=scored, crowd=crowd)
    refuse(findings)
    return found


def read_truth(path: Path, keypoint_set: KeypointSet, *, crowd: bool = False) -> Annotations:
    """:func:`read` of a file to evaluate on, which is kept in memory until the file changes."""
    stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
    return _kept(path, keypoint_set, crowd, stamp)


@lru_cache(maxsize=4)
def _kept(path: Path, keypoint_set: KeypointSet, crowd: bool, _: tuple[int, int] | None) -> Annotations:
    return read(path, keypoint_set, crowd=crowd)


def examine(path: Path, keypoint_set: KeypointSet, *, scored: bool = True, crowd: bool = False
            ) -> tuple[Annotations, list[Finding]]:
    """Read a file by every rule of ``flatpose.data.findings``.

    Args:
        path: COCO keypoint annotations.
        keypoint_set: What its keypoints have to be, in this order.
        scored: The file is evaluated on (training alone needs less).
        crowd: CrowdPose's form: images have a crowdIndex, persons need no area.

    Raises:
        DataError: The file is no JSON, lacks one of its lists, or does not say which category is the person.
    """
    content = read_lists(path)
    category = person_category(content["categories"], str(path), keypoint_set)
    broken = Broken(str(path), len(keypoint_set))
    images = _images(content["images"], broken, crowd_index=crowd and scored)
    reader = _PersonReader(len(keypoint_set), images, category["id"], broken, scored=scored, crowd=crowd)
    persons = [p for i, entry in enumerate(content["annotations"]) if (p := reader.read(entry, i)) is not None]
    _check_places(persons, images, broken)
    counted = [p for p in persons if not p["iscrowd"] and any(p["keypoints"][2::3])]
    if scored and counted and not any(p["num_keypoints"] for p in counted):
        broken.places["nobody counts"] = [f"annotations[{p['id'] - 1}]" for p in counted]
    what = f"{len(content['images'])} images, {len(content['annotations'])} persons, {len(counted)} with keypoints"
    findings = [Finding("ok", str(path), what), *broken.findings()]
    if not counted:
        findings.append(Finding("error", str(path), "no person with a labelled keypoint",
                                "is this the right annotation file?"))
    return Annotations(path, images, persons, category, crowd), findings


def read_lists(path: Path) -> dict[str, Any]:
    """A COCO annotation file with its three lists present; raises DataError otherwise."""
    content = read_json(path)
    if isinstance(content, list):
        raise DataError("a list, expected an annotation file with images, annotations and categories", where=str(path),
                        hint="were --annotations and --predictions swapped, or is this MPII (--task mpii)?")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"no list {key!r}; a COCO annotation file has images, annotations and categories",
                            where=str(path))
    return content


def person_category(categories: list[Any], where: str, keypoint_set: KeypointSet | None = None) -> dict[str, Any]:
    """The category named "person", else the file's only one, with its id as an int.

    Raises:
        DataError: There are several or none, or it lists other keypoints than ``keypoint_set``'s.
    """
    known = [c for c in categories if isinstance(c, dict) and "id" in c]
    chosen = [c for c in known if str(c.get("name")).lower() == "person"] or known
    if len(chosen) != 1:
        listed = ", ".join(f"{c['id']}: {c.get('name')}" for c in known[:20]) or "none"
        raise DataError(f"which category is the person? The file lists {listed}", where=f"{where}: categories",
                        hint='name exactly one "person", or keep a single category and its annotations')
    try:
        category = {**chosen[0], "id": whole_id(chosen[0]["id"])}
        if sum(id_or_none(c["id"]) == category["id"] for c in known) > 1:
            raise ValueError(f"several categories have id {category['id']}")
    except ValueError as error:
        raise DataError(str(error), where=f"{where}: categories") from None
    names = category.get("keypoints")
    if keypoint_set is not None and isinstance(names, list) and names:
        _check_names(names, keypoint_set, f"{where}: categories")
    return category


def _check_names(listed: list[Any], keypoint_set: KeypointSet, where: str) -> None:
    """The names that a category lists must be the set's, in its order."""
    def canonical(name: Any) -> str:
        text = str(name).strip().lower().replace(" ", "_").replace("-", "_")
        return str(name) if name in keypoint_set.names else ALIASES.get(text, text)

    given, wanted = ([canonical(name) for name in names] for names in (listed, keypoint_set.names))
    if given != wanted:
        shared = min(len(given), len(wanted))
        first = next((i for i in range(shared) if given[i] != wanted[i]), shared)
        pair = [str(names[first]) if first < len(names) else "nothing" for names in (listed, keypoint_set.names)]
        raise DataError(f"its keypoints differ from {keypoint_set.name}'s: number {first + 1} is {pair[0]}, expected "
                        f"{pair[1]}", where=where,
                        hint="reorder the annotations; is this the file of another benchmark (--task)?")


def _images(entries: list[Any], broken: Broken, *, crowd_index: bool) -> dict[int, dict[str, Any]]:
    images: dict[int, dict[str, Any]] = {}
    for position, entry in enumerate(entries):
        place = f"images[{position}]"
        image_id = _own_id(entry, images.keys(), place, broken)
        if image_id is None:
            continue
        image = images[image_id] = {"id": image_id, "file_name": "", "width": LARGEST, "height": LARGEST}
        try:
            image["file_name"] = plain_name(entry.get("file_name"))
        except ValueError:
            broken.add("file name", place)
        size = [entry.get("width"), entry.get("height")]
        if not are_numbers(size, 2) or min(size) <= 0:
            broken.add("image size", place)
        else:
            image.update(width=size[0], height=size[1])
        if crowd_index:
            image["crowdIndex"] = entry.get("crowdIndex")
            if not are_numbers([image["crowdIndex"]], 1):
                broken.add("crowd index", place)
    return images


def _own_id(entry: Any, seen: Collection[int], place: str, broken: Broken) -> int | None:
    try:
        value = whole_id(entry["id"])
    except (KeyError, TypeError, ValueError):
        broken.add("not an object", place)
        return None
    if value in seen:
        broken.add("duplicate id", f"{place} (id {value})")
        return None
    return value


class _PersonReader:
    """Reads one annotation after the other; what is wrong goes to ``broken``."""

    def __init__(self, keypoints: int, images: dict[int, dict[str, Any]], category_id: int, broken: Broken, *,
                 scored: bool, crowd: bool) -> None:
        self.numbers, self.images, self.category_id, self.broken = 3 * keypoints, images, category_id, broken
        self.scored, self.use_area, self.seen = scored, not crowd, set[int]()

    def read(self, entry: Any, position: int) -> dict[str, Any] | None:
        """The person in COCO's form; None when it is of another category or cannot be used."""
        place = f"annotations[{position}]"
        own_id = _own_id(entry, self.seen, place, self.broken)
        if own_id is None:
            return None
        self.seen.add(own_id)
        try:
            if whole_id(entry.get("category_id", self.category_id)) != self.category_id:
                self.broken.add("other category", place)
                return None
            image_id = self.images[whole_id(entry["image_id"])]["id"]
        except (KeyError, ValueError):
            self.broken.add("unknown image", place)
            return None
        region, flat = entry.get("iscrowd") or 0, entry.get("keypoints")
        if region == 1 and not are_numbers(flat, self.numbers):  # a crowd region is only ignored
            flat = [0] * self.numbers
        good = {"bad box": are_numbers(entry.get("bbox"), 4), "keypoint count": are_numbers(flat, self.numbers),
                "bad crowd": region in (0, 1)}
        for rule in (rule for rule in good if not good[rule]):
            self.broken.add(rule, place)
        if own_id == 0:
            self.broken.add("id zero", place)
        if not all(good.values()):
            return None
        person = {"id": position + 1, "image_id": image_id, "category_id": self.category_id, "iscrowd": int(region),
                  "bbox": entry["bbox"], "keypoints": flat, "num_keypoints": sum(v > 0 for v in flat[2::3])}
        self._area(entry, person, place)
        self._count(entry, person, place)
        return person

    def _area(self, entry: dict[str, Any], person: dict[str, Any], place: str) -> None:
        """The annotated area; the box's where it is missing and cannot matter."""
        area = entry.get("area") or 0
        if not are_numbers([area], 1, LARGEST**2) or area < 0:
            self.broken.add("bad area", place)
        elif area:
            person["area"] = area
        elif self.use_area:
            person["area"] = max(0.0, person["bbox"][2]) * max(0.0, person["bbox"][3])
            if person["num_keypoints"] and not person["iscrowd"]:
                self.broken.add("no area" if self.scored else "no area to train", place)

    def _count(self, entry: dict[str, Any], person: dict[str, Any], place: str) -> None:
        """``num_keypoints``, which evaluators take as given, is counted only where the file does not have it."""
        given, labelled = entry.get("num_keypoints"), person["num_keypoints"]
        if type(given) is int and given >= 0:
            person["num_keypoints"] = given
            if labelled and given != labelled and self.use_area and not person["iscrowd"]:  # CrowdPose: visible ones
                self.broken.add("num_keypoints", place)


def _check_places(persons: list[dict[str, Any]], images: dict[int, dict[str, Any]], broken: Broken) -> None:
    """Boxes and keypoints against the images, and visibility flags, of all persons at once."""
    people = [p for p in persons if not p["iscrowd"]]
    if not people:
        return
    box = np.array([p["bbox"] for p in people], dtype=np.float64)
    keypoints = np.array([p["keypoints"] for p in people], dtype=np.float64).reshape(len(people), -1, 3)
    size = np.array([[images[p["image_id"]][side] for side in ("width", "height")] for p in people])
    points, flags, empty = keypoints[..., :2], keypoints[..., 2], (box[:, 2:] <= 0).any(1)
    rules = {"visibility": ~np.isin(flags, (0, 1, 2)).all(1), "no keypoint": ~flags.any(1), "zero box": empty,
             "box outside": ((box[:, :2] < -1) | (box[:, :2] + box[:, 2:] > size + 1)).any(1) & ~empty,
             "point outside": (((points < -1) | (points > size[:, None] + 1)).any(2) & (flags > 0)).any(1)}
    for rule, where in rules.items():
        for index in np.flatnonzero(where):
            broken.add(rule, f"annotations[{people[index]['id'] - 1}]")


def plain_name(name: Any) -> str:
    """A relative path without ``.`` and doubled slashes; raises ValueError for one that leaves its folder."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 1000:
        raise ValueError(f"file_name {str(name)[:40]!r} cannot be the name of a file")
    path = PurePosixPath(name)
    if path.is_absolute() or Path(name).is_absolute() or ".." in Path(name).parts or not path.parts:
        raise ValueError(f"file_name {name[:40]!r} leaves the image folder")
    return str(path)


def whole_id(value: Any) -> int:
    """An id as an int: 139, 139.0 and "139" are the same; raises ValueError for anything else."""
    digits = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20
    if digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if type(value) is not int or abs(value) >= 2**63:
        raise ValueError(f"id {str(value)[:40]!r} is not a whole number")
    return value


def id_or_none(value: Any) -> int | None:
    """:func:`whole_id`, or None for anything else."""
    try:
        return whole_id(value)
    except ValueError:
        return None


def are_numbers(values: Any, count: int, largest: float = LARGEST) -> bool:
    """Whether JSON's value is a flat list of ``count`` finite numbers of at most ``largest`` (True is not one)."""
    return isinstance(values, list) and len(values) == count and set(map(type, values)) <= {int, float} and \
        all(-largest <= v <= largest for v in values)


Id = Annotated[int, BeforeValidator(whole_id)]
FileName = Annotated[str, BeforeValidator(plain_name)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
"""Fields of other files, for pydantic."""
