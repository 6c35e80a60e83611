"""COCO-form annotation files, read and checked in one place.

Training, evaluators, ceilings, ``score``, ``predict`` and ``data check`` all read through :func:`examine`: a file is
accepted or refused by the same rules everywhere. Ids are whole numbers and file names are plain paths from here on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

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
        persons: In file order, numbered from 1: the fields that evaluators read. ``area`` only where the file has it
            or it is needed.
        category: The person category as the file has it.
    """

    path: Path
    images: dict[int, dict[str, Any]]
    persons: list[dict[str, Any]]
    category: dict[str, Any]

    def dataset(self, image_ids: Iterable[int] | None = None) -> dict[str, Any]:
        """A copy in COCO's form for an evaluator, which adds fields of its own; of some images only if given."""
        keep = self.images.keys() if image_ids is None else set(image_ids)
        return {"images": [i for i in self.images.values() if i["id"] in keep], "categories": [self.category],
                "annotations": [dict(p) for p in self.persons if p["image_id"] in keep]}


def read(path: Path, keypoint_set: KeypointSet, *, scored: bool = True, use_area: bool = True,
         crowd_index: bool = False) -> Annotations:
    """:func:`examine`, refusing a file with an error: DataError names the file, the first places and the fix."""
    found, findings = examine(path, keypoint_set, scored=scored, use_area=use_area, crowd_index=crowd_index)
    refuse(findings)
    return found


def read_cached(path: Path, keypoint_set: KeypointSet, *, use_area: bool = True, crowd_index: bool = False
                ) -> Annotations:
    """:func:`read` of a file that is evaluated on again and again; read anew when the file changes."""
    try:
        stamp = path.stat().st_mtime_ns, path.stat().st_size
    except OSError:
        stamp = 0, 0
    return _read_once(path, keypoint_set, use_area, crowd_index, stamp)


@lru_cache(maxsize=4)
def _read_once(path: Path, keypoint_set: KeypointSet, use_area: bool, crowd_index: bool, _: tuple[int, int]
               ) -> Annotations:
    return read(path, keypoint_set, use_area=use_area, crowd_index=crowd_index)


def examine(path: Path, keypoint_set: KeypointSet, *, scored: bool = True, use_area: bool = True,
            crowd_index: bool = False) -> tuple[Annotations, list[Finding]]:
    """Read a file by every rule of this module.

    Args:
        path: COCO keypoint annotations.
        keypoint_set: What its keypoints have to be, in this order.
        scored: The file is evaluated on (training alone needs less).
        use_area: The evaluator takes the persons' ``area`` as the scale of OKS.
        crowd_index: Every image needs CrowdPose's crowdIndex.

    Raises:
        DataError: The file is no JSON, lacks one of its lists, or does not say which category is the person.
    """
    content = read_lists(path)
    category = person_category(content["categories"], str(path), keypoint_set)
    broken = Broken(str(path), len(keypoint_set))
    images = _images(content["images"], broken, crowd_index)
    reader = _PersonReader(keypoint_set, images, category["id"], broken, scored, use_area)
    persons = [p for i, entry in enumerate(content["annotations"]) if (p := reader.read(entry, i)) is not None]
    counted = [p for p in persons if not p["iscrowd"] and any(p["keypoints"][2::3])]
    if not counted:
        broken.add("nobody", "annotations")
    elif scored and not any(p["num_keypoints"] for p in counted):
        broken.places.setdefault("nobody counts", [f"annotations[{p['id'] - 1}]" for p in counted])
    found = f"{len(content['images'])} images, {len(content['annotations'])} persons, {len(counted)} with keypoints"
    return Annotations(path, images, persons, category), [Finding("ok", str(path), found), *broken.findings()]


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
    except ValueError as error:
        raise DataError(str(error), where=f"{where}: categories") from None
    if keypoint_set is not None and isinstance(category.get("keypoints"), list) and category["keypoints"]:
        _check_names(category["keypoints"], keypoint_set, where)
    return category


def _check_names(listed: list[Any], keypoint_set: KeypointSet, where: str) -> None:
    """The names that a category lists must be the set's, in its order."""
    wanted = [_canonical(name, keypoint_set) for name in keypoint_set.names]
    given = [_canonical(name, keypoint_set) for name in listed]
    if given == wanted:
        return
    first = next((i for i, (a, b) in enumerate(zip(given, wanted, strict=False)) if a != b), min(len(given), len(wanted)))
    pair = [str(names[first]) if first < len(names) else "nothing" for names in (listed, keypoint_set.names)]
    raise DataError(f"its keypoints differ from {keypoint_set.name}'s: number {first + 1} is {pair[0]}, expected "
                    f"{pair[1]}", where=f"{where}: categories",
                    hint="reorder the annotations to the set's order; is this the file of another benchmark (--task)?")


def _canonical(name: Any, keypoint_set: KeypointSet) -> str:
    text = str(name)
    if text in keypoint_set.names:
        return text
    text = text.strip().lower().replace(" ", "_").replace("-", "_")
    return ALIASES.get(text, text)


def _images(entries: list[Any], broken: Broken, crowd_index: bool) -> dict[int, dict[str, Any]]:
    images: dict[int, dict[str, Any]] = {}
    for position, entry in enumerate(entries):
        place = f"images[{position}]"
        image_id = _own_id(entry, images, place, broken)
        if image_id is None:
            continue
        image = {"id": image_id, "file_name": "", "width": LARGEST, "height": LARGEST}
        try:
            image["file_name"] = plain_name(entry.get("file_name"))
        except ValueError:
            broken.add("file name", place)
        size = _numbers_or_none([entry.get("width"), entry.get("height")], 2)
        if size is None or (size <= 0).any():
            broken.add("image size", place)
        else:
            image["width"], image["height"] = entry["width"], entry["height"]
        if crowd_index:
            if _numbers_or_none([entry.get("crowdIndex")], 1) is None:
                broken.add("crowd index", place)
            image["crowdIndex"] = entry.get("crowdIndex")
        images[image_id] = image
    return images


def _own_id(entry: Any, seen: Iterable[int], place: str, broken: Broken) -> int | None:
    try:
        value = whole_id(entry["id"])
    except (KeyError, TypeError, ValueError):
        broken.add("not an object", place)
        return None
    if value in seen:  # type: ignore[operator]
        broken.add("duplicate id", f"{place} (id {value})")
        return None
    return value


class _PersonReader:
    """Reads one annotation after the other; what is wrong goes to ``broken``."""

    def __init__(self, keypoint_set: KeypointSet, images: dict[int, dict[str, Any]], category_id: int, broken: Broken,
                 scored: bool, use_area: bool) -> None:
        self.keypoint_set, self.images, self.category_id, self.broken = keypoint_set, images, category_id, broken
        self.scored, self.use_area, self.seen = scored, use_area, set[int]()

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
            image = self.images[whole_id(entry["image_id"])]
        except (KeyError, ValueError):
            self.broken.add("unknown image", place)
            return None
        if own_id == 0:
            self.broken.add("id zero", place)
        crowd = int(bool(entry.get("iscrowd", 0)))
        box = _numbers_or_none(entry.get("bbox"), 4)
        flat = _numbers_or_none(entry.get("keypoints"), 3 * len(self.keypoint_set))
        if flat is None and crowd:  # a crowd region is only ignored
            flat = np.zeros(3 * len(self.keypoint_set))
        if box is None:
            self.broken.add("bad box", place)
        if flat is None:
            self.broken.add("keypoint count", place)
        if box is None or flat is None:
            return None
        person = {"id": position + 1, "image_id": image["id"], "category_id": self.category_id, "iscrowd": crowd,
                  "bbox": entry["bbox"], "keypoints": entry.get("keypoints", flat.tolist()),
                  "num_keypoints": self._count(entry, flat, place, crowd)}
        self._area(entry, person, place)
        if not crowd:
            self._place(box, flat, image, place)
        return person

    def _count(self, entry: dict[str, Any], flat: np.ndarray, place: str, crowd: int) -> int:
        """``num_keypoints``, which evaluators take as given; counted where the file does not have it."""
        labelled = int((flat[2::3] > 0).sum())
        if not crowd and not np.isin(flat[2::3], (0, 1, 2)).all():
            self.broken.add("visibility", place)
        if not crowd and not labelled:
            self.broken.add("no keypoint", place)
        given = entry.get("num_keypoints")
        if type(given) is not int or given < 0:
            return labelled
        if labelled and given != labelled and self.use_area and not crowd:  # CrowdPose counts visible ones alone
            self.broken.add("num_keypoints", place)
        return given

    def _area(self, entry: dict[str, Any], person: dict[str, Any], place: str) -> None:
        """The annotated area; the box's where it is missing and cannot matter."""
        area = _numbers_or_none([entry.get("area") or 0], 1, LARGEST**2)
        if area is None or area[0] < 0:
            self.broken.add("bad area", place)
        elif area[0] > 0:
            person["area"] = entry["area"]
        elif self.use_area:
            person["area"] = max(0.0, person["bbox"][2]) * max(0.0, person["bbox"][3])
            if not person["iscrowd"] and any(person["keypoints"][2::3]):
                self.broken.add("no area" if self.scored else "no area to train", place)

    def _place(self, box: np.ndarray, flat: np.ndarray, image: dict[str, Any], place: str) -> None:
        size = np.array([image["width"], image["height"]])
        if (box[2:] <= 0).any():
            self.broken.add("zero box", place)
        elif (box[:2] < -1).any() or (box[:2] + box[2:] > size + 1).any():
            self.broken.add("box outside", place)
        points = flat.reshape(-1, 3)[flat[2::3] > 0, :2]
        if ((points < -1) | (points > size + 1)).any():
            self.broken.add("point outside", place)


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


def numbers(values: Any, count: int, largest: float = LARGEST) -> np.ndarray:
    """(count,) floats from a flat JSON list; raises ValueError for anything else in it: text, NaN, absurd values."""
    if not isinstance(values, list) or len(values) != count or not set(map(type, values)) <= {int, float}:
        raise ValueError(f"expected {count} numbers")
    if not all(abs(v) <= largest for v in values):
        raise ValueError(f"a number is not finite, or beyond {largest:g}")
    return np.array(values, dtype=np.float64)


def _numbers_or_none(values: Any, count: int, largest: float = LARGEST) -> np.ndarray | None:
    try:
        return numbers(values, count, largest)
    except ValueError:
        return None
