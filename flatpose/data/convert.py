"""MPII and CrowdPose written in COCO's form, and MPII's official .mat in the form of the HRNet family."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import flatpose.data.mpii as mpii
from flatpose.data.annotations import read_lists
from flatpose.data.coco import AREA_SHARE
from flatpose.data.images import image_facts
from flatpose.errors import DataError
from flatpose.io import write_bytes, write_json
from flatpose.keypoints import CROWDPOSE14, MPII16

HELD_OUT = 8


def convert_crowdpose(path: Path, out: Path) -> Path:
    """An official file with the area that the evaluators assume, in the order of the source; returns the new file.

    Raises:
        DataError: The source is missing or malformed.
    """
    content = read_lists(path)
    persons = []
    for position, entry in enumerate(content["annotations"]):
        try:
            _, _, width, height = entry["bbox"]
            persons.append({"iscrowd": 0, "num_keypoints": sum(v > 0 for v in entry["keypoints"][2::3]), **entry,
                            "area": AREA_SHARE * width * height})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"bad person ({error!r})", where=f"{path}: annotations[{position}]") from None
    return _write(out / path.name, {**content, "annotations": persons, "categories": [CROWDPOSE14.category()]}, path)


def convert_mpii(path: Path, out: Path, images: Path) -> Path:
    """A file of HRNet's or mmpose's form in COCO's, as ``mpii_<name of the source>.json``; returns the new file.

    Coordinates count from 0. Validation persons get ``head_box`` (left, top, width, height) and ``head_size``, all
    persons ``row`` (of the source, which ``score --task mpii`` goes by) and the square box of their centre and scale.

    Raises:
        DataError: The source is missing or malformed, or is already in COCO's form.
    """
    entries = mpii.read_entries(path)
    truth = None if "train" in path.stem else mpii.read_truth(path)
    sizes = None if truth is None else truth.head_size
    ids = {name: i + 1 for i, name in enumerate(sorted({e["image"] for e in entries}))}
    persons = []
    for row, entry in enumerate(entries):
        visible = np.array(entry["joints_vis"]) > 0
        points = np.where(visible[:, None], np.array(entry["joints"], dtype=np.float64) - 1, 0.0)
        box = mpii.person_box(entry["center"], entry["scale"])
        person = {"id": row + 1, "row": row, "image_id": ids[entry["image"]], "category_id": 1, "iscrowd": 0,
                  "bbox": box.round(2).tolist(), "area": round(float(box[2] * box[3]), 2),
                  "keypoints": np.column_stack([points.round(4), 2 * visible]).ravel().tolist(),
                  "num_keypoints": int(visible.sum())}
        if truth is not None and sizes is not None:
            first, last = truth.heads[row]
            person["head_box"] = [*(first - 1).round(2).tolist(), *(last - first).round(2).tolist()]
            person["head_size"] = float(sizes[row])
        persons.append(person)
    pictures: list[dict[str, Any]] = [{"id": number, "file_name": name} for name, number in ids.items()]
    for picture in pictures:  # MPII's files do not give the size of an image
        if facts := image_facts(images / picture["file_name"]):
            picture.update(width=facts.width, height=facts.height)
    target = out / f"mpii_{path.stem.removeprefix('mpii_')}.json"
    return _write(target, {"images": pictures, "annotations": persons, "categories": [MPII16.category()]}, path)


def _write(target: Path, content: Any, source: Path) -> Path:
    if target.resolve() == source.resolve():
        raise DataError("would overwrite its own source", where=str(source), hint="give another output folder")
    try:
        write_json(target, content, indent=None)
    except (ValueError, OverflowError) as error:  # NaN or infinity in a field that was only copied
        raise DataError(f"holds a number that is not finite ({error})", where=str(source)) from None
    return target


def convert_official(path: Path, out: Path) -> list[Path]:
    """MPII's official .mat as annot/train.json, valid.json and gt_valid.mat, and both in COCO's form.

    The .mat has no validation part: every eighth training image (by a hash of its name) is held out, which is **not**
    the split that papers use.

    Raises:
        DataError: The file is damaged or of another form.
    """
    parts: dict[str, list[dict[str, Any]]] = {"train": [], "valid": []}
    heads: dict[str, list[Any]] = {"train": [], "valid": []}
    for person, head in _official_people(path):
        name = "train" if zlib.crc32(person["image"].encode()) % HELD_OUT else "valid"
        parts[name].append(person)
        heads[name].append(head)
    empty = next((name for name, part in parts.items() if not part), None)
    if empty:
        raise DataError(f"no annotated person for {empty}.json", where=str(path))
    joints, visible = (np.array([person[name] for person in parts["valid"]]) for name in ("joints", "joints_vis"))
    written = [_write(out / "annot" / f"{name}.json", part, path) for name, part in parts.items()]
    write_bytes(out / "annot" / "gt_valid.mat", mpii.Truth(joints, visible == 1, np.array(heads["valid"])).to_mat())
    images = path.parent / "images"
    return [*written, out / "annot" / "gt_valid.mat", *(convert_mpii(file, out, images) for file in written)]


def _official_people(path: Path) -> Iterator[tuple[dict[str, Any], list[list[float]]]]:
    """Rows of the HRNet form and head boxes (two corners) of the persons of the training images."""
    from scipy.io import loadmat

    try:
        release = loadmat(path, simplify_cells=True)["RELEASE"]
        pictures = list(zip(_each(release["annolist"]), np.atleast_1d(release["img_train"]), strict=True))
    except Exception as error:  # scipy raises a different type for every way in which a file can be damaged
        raise DataError(f"not MPII's official .mat ({error!r})", where=str(path),
                        hint="mpii_human_pose_v1_u12_1.mat holds one struct RELEASE") from None
    for picture, train in pictures:
        for person in _each(picture.get("annorect")) if train else ():
            points = _each(next(iter(_each(person.get("annopoints"))), {}).get("point"))
            place = next(iter(_each(person.get("objpos"))), {})
            values: list[Any] = [place.get("x"), place.get("y"),
                                 *(person.get(name) for name in ("scale", "x1", "y1", "x2", "y2"))]
            if not points or not all(isinstance(v, (int, float)) for v in values):
                continue
            x, y, scale, *head = map(float, values)
            try:
                name, joints, visible = str(picture["image"]["name"]), *_joints(points)
            except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
                raise DataError(f"a person without an image or with a bad joint ({error})", where=str(path)) from None
            yield {"image": name, "center": [x, y], "scale": scale, "joints": joints.tolist(),
                   "joints_vis": visible.tolist()}, [head[:2], head[2:]]


def _joints(points: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """(16, 2) pixels counted from 1, -1 where there is none, and (16,) whether there is one."""
    joints, visible = np.full((16, 2), -1.0), np.zeros(16, dtype=int)
    for point in points:
        number = int(point["id"])
        if not 0 <= number < 16:
            raise ValueError(f"joint {number}, expected 0 to 15")
        joints[number], visible[number] = (float(point["x"]), float(point["y"])), 1
    return joints, visible


def _each(value: Any) -> list[dict[str, Any]]:
    """A struct, a list of structs or nothing, as a list (MATLAB does not tell one from a list of one)."""
    return [v for v in ([value] if isinstance(value, dict) else np.atleast_1d(value)) if isinstance(v, dict)]
