"""MPII's annotations in HRNet's or mmpose's form: 16 keypoints, one crop per annotated person.

Their JSON files are lists of {image, center, scale, joints, joints_vis}: pixels counted from 1, scale = height / 200.
The validation part's .mat file beside them says which joints are missing and how large the head is.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, FailFast, Field, TypeAdapter
from typing_extensions import TypedDict

from flatpose.data.annotations import FileName, Number
from flatpose.data.instances import Person, Split
from flatpose.errors import DataError
from flatpose.io import parsed, read_json

HEAD_SHARE = 0.6
"""The head's size is this share of the diagonal of its box (SC_BIAS of the official evaluation)."""
SHORT_NAMES = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho",
               "lsho", "lelb", "lwri")
Point = Annotated[list[Number], Field(min_length=2, max_length=2)]


def _plain_file(name: str) -> str:
    if "/" in name:
        raise ValueError(f"image {name[:40]!r} is not a plain file name")
    return name


class Entry(TypedDict):
    """One row: a person."""

    image: Annotated[FileName, AfterValidator(_plain_file)]
    center: Point
    scale: Number
    joints: Annotated[list[Point], Field(min_length=16, max_length=16)]
    joints_vis: Annotated[list[Number], Field(min_length=16, max_length=16)]


ENTRIES: TypeAdapter[list[Entry]] = TypeAdapter(Annotated[list[Entry], Field(min_length=1), FailFast()])


@dataclass(frozen=True)
class Truth:
    """What PCKh is measured against; pixels count from 1.

    Args:
        joints: (N, 16, 2) pixels.
        present: (N, 16) whether the joint is annotated.
        heads: (N, 2, 2) first and last corner of the head box.
    """

    joints: np.ndarray
    present: np.ndarray
    heads: np.ndarray

    @property
    def head_size(self) -> np.ndarray:
        """(N,) pixels."""
        return np.linalg.norm(self.heads[:, 1] - self.heads[:, 0], axis=1) * HEAD_SHARE

    def take(self, rows: np.ndarray) -> Truth:
        """The truth of these rows, in their order."""
        return Truth(self.joints[rows], self.present[rows], self.heads[rows])

    def to_mat(self) -> bytes:
        """The content of a ``gt_valid.mat``; equal truth gives equal bytes."""
        from scipy.io import savemat

        names = np.empty((1, 16), dtype=object)
        names[0] = SHORT_NAMES
        buffer = io.BytesIO()
        savemat(buffer, {"dataset_joints": names, "jnt_missing": (~self.present.T).astype(np.uint8),
                         "pos_gt_src": self.joints.transpose(1, 2, 0), "headboxes_src": self.heads.transpose(1, 2, 0)})
        # The first 116 bytes are free text, in which scipy writes the time of day.
        return b"MATLAB 5.0 MAT-file, flatpose embedded data".ljust(116) + buffer.getvalue()[116:]


def truth_path(annotation_file: Path) -> Path:
    """``gt_valid.mat`` beside ``valid.json``, ``mpii_gt_val.mat`` beside ``mpii_val.json``; raises DataError."""
    stem = annotation_file.stem
    names = dict.fromkeys([f"gt_{stem}.mat", stem.replace("mpii_", "mpii_gt_") + ".mat", "gt_valid.mat",
                           "mpii_gt_val.mat"])
    for name in names:
        if (annotation_file.parent / name).is_file():
            return annotation_file.parent / name
    raise DataError(f"no gt_valid.mat (or mpii_gt_val.mat) beside it: looked for {', '.join(names)}",
                    where=str(annotation_file), hint="it holds the head boxes; copy it into the same folder")


def read_truth(annotation_file: Path) -> Truth:
    """Joints, missing joints and head boxes that go with an annotation file; raises DataError when they do not."""
    from scipy.io import loadmat

    path = truth_path(annotation_file)
    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises a different type for every way in which a file can be damaged
        raise DataError(f"not a MATLAB file that can be read ({error})", where=str(path)) from None
    rows = len(read_entries(annotation_file))
    for name, shape in {"jnt_missing": (16,), "pos_gt_src": (16, 2), "headboxes_src": (2, 2)}.items():
        found = np.shape(content.get(name))
        if found != (*shape, rows):
            raise DataError(f"{name} has shape {found}, expected {(*shape, rows)} for the {rows} persons of "
                            f"{annotation_file.name}", where=str(path), hint="are the two files of the same split?")
    joints, heads = (content[name].transpose(2, 0, 1).astype(np.float64) for name in ("pos_gt_src", "headboxes_src"))
    truth = Truth(joints, content["jnt_missing"].T == 0, heads)
    good = (truth.head_size > 0) & np.isfinite(truth.head_size)
    if not good.all():
        raise DataError(f"the head box of row {int(np.argmin(good))} has no size", where=str(path))
    return truth


def read_entries(path: Path) -> list[Entry]:
    """The rows of an annotation file, each whole; raises DataError naming the row and field."""
    return parsed(read_json(path), ENTRIES, str(path),
                  "an MPII annotation file is a list of {image, center, scale, joints, joints_vis}")


def load_split(path: Path, images: Path) -> Split:
    """Every person of an annotation file with a place and a labelled joint; ``person_id`` is its row.

    Boxes are squares of side scale * 200 around the centre moved down by 15 scale pixels; with the usual padding of
    1.25 that is HRNet's crop. Images are numbered by name; ids run from 1.
    """
    entries = read_entries(path)
    ids = {name: i + 1 for i, name in enumerate(sorted({e["image"] for e in entries}))}
    persons = []
    for row, entry in enumerate(entries):
        if has_place(entry):
            joints, visible = np.array(entry["joints"], dtype=np.float64), np.array(entry["joints_vis"])
            box = person_box(entry["center"], entry["scale"])
            persons.append(Person(ids[entry["image"]], images / entry["image"], row, box, joints - 1,
                                  2.0 * (visible > 0), float(box[2] * box[3])))
    if not persons:
        raise DataError("no person with a centre, a scale and a visible joint", where=str(path))
    return Split(persons, path, sorted(ids.values()))


def has_place(entry: Entry) -> bool:
    """Whether a row has a centre, a scale and a visible joint."""
    return entry["center"][0] != -1 and entry["scale"] > 0 and any(entry["joints_vis"])


def person_box(center: Any, scale: float) -> np.ndarray:
    """(4,) left, top, width, height, pixels counted from 0, of a person given by MPII's centre and scale."""
    side = 200.0 * scale
    middle = np.array([center[0] - 1.0, center[1] - 1.0 + 15.0 * scale])
    return np.array([*(middle - side / 2), side, side])
