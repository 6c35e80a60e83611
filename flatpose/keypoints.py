"""Keypoint sets: names, mirror pairs, OKS sigmas and skeletons of COCO-17, CrowdPose-14, MPII-16, and a user's own.

``keypoints.json`` beside a COCO-like tree says what its keypoints mean.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flatpose.errors import DataError, nearest
from flatpose.io import invalid, read_json

OPPOSITE = {"left": "right", "right": "left", "l": "r", "r": "l"}


@dataclass(frozen=True)
class KeypointSet:
    """Names and properties of a data set's keypoints.

    Args:
        name: Key under which specs refer to the set.
        names: One name per keypoint, in annotation order.
        flip_pairs: Index pairs that swap when the image is mirrored.
        sigmas: OKS fall-off per keypoint (COCO's ``k/2``), relative to the square root of the person's area.
        skeleton: Index pairs joined by a limb, for drawing.
        upper_body: Indices that count as upper body in half-body augmentation.
    """

    name: str
    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    skeleton: tuple[tuple[int, int], ...]
    upper_body: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def flip_index(self) -> np.ndarray:
        """Permutation (K,) that maps each keypoint to its mirror image."""
        index = np.arange(len(self.names))
        for a, b in self.flip_pairs:
            index[a], index[b] = b, a
        return index

    def category(self) -> dict[str, Any]:
        """The person category of an annotation file in COCO's form."""
        return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(self.names),
                "skeleton": [[a + 1, b + 1] for a, b in self.skeleton]}

    @cached_property
    def unpaired(self) -> tuple[str, ...]:
        """Keypoints named for one side ("left_paw", "paw_l") whose partner exists but is not their mirror image."""
        partners = [_other_sides(name) & set(self.names) for name in self.names]
        return tuple(name for name, mirror, found in zip(self.names, self.flip_index, partners, strict=True)
                     if found and self.names[mirror] not in found)

    @property
    def can_flip(self) -> bool:
        """Whether mirrored images may be used: with forgotten flip pairs they would exchange left and right."""
        return not self.unpaired

    @property
    def lower_body(self) -> tuple[int, ...]:
        """The keypoints that are not upper body."""
        return tuple(i for i in range(len(self)) if i not in self.upper_body)


def _other_sides(name: str) -> set[str]:
    """The names with one mention of a side replaced by the opposite: left_paw, lefteye, Lhip, paw_fl."""
    def other(word: str) -> str:
        opposite = OPPOSITE[word.lower()]
        return opposite.upper() if word.isupper() else opposite.capitalize() if word[0].isupper() else opposite

    return {name[:found.start()] + other(found[0]) + name[found.end():]
            for found in re.finditer("left|right|[lr]", name, re.IGNORECASE)}


def _both(*parts: str) -> tuple[str, ...]:
    """The left and the right one of every part."""
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


def _pairs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Every (left_x, right_x) index pair."""
    return tuple((i, names.index("right" + n[4:])) for i, n in enumerate(names) if n.startswith("left"))


_COCO_NAMES = ("nose", *_both("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
COCO17 = KeypointSet(
    name="coco17", names=_COCO_NAMES, flip_pairs=_pairs(_COCO_NAMES), upper_body=tuple(range(11)),
    sigmas=(.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089),
    skeleton=((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9),
              (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)))

_CROWD_NAMES = (*_both("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), "head_top", "neck")
CROWDPOSE14 = KeypointSet(
    name="crowdpose14", names=_CROWD_NAMES, flip_pairs=_pairs(_CROWD_NAMES), upper_body=(0, 1, 2, 3, 4, 5, 12, 13),
    sigmas=(.079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089, .079, .079),
    skeleton=((10, 8), (8, 6), (11, 9), (9, 7), (6, 7), (0, 6), (1, 7), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5),
              (12, 13), (13, 0), (13, 1)))

_MPII_NAMES = ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
               "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
               "left_elbow", "left_wrist")
MPII16 = KeypointSet(
    name="mpii16", names=_MPII_NAMES, flip_pairs=_pairs(_MPII_NAMES), upper_body=tuple(range(7, 16)),
    # MPII is scored by PCKh; these OKS sigmas follow the COCO joints (mmpose's table) and serve NMS only.
    sigmas=(.089, .083, .107, .107, .083, .089, .026, .026, .026, .026, .062, .072, .179, .179, .072, .062),
    skeleton=((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12), (12, 11), (11, 10),
              (8, 13), (13, 14), (14, 15)))

KEYPOINTS_FILE = "keypoints.json"
DEFAULT_SIGMA = 0.05  # between COCO's values for facial keypoints and wrists
Name = Annotated[str, Field(min_length=1, max_length=64)]
Pair = Annotated[list[Name], Field(min_length=2, max_length=2)]


class _File(BaseModel):
    """The form of the file; everything refers to keypoints by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    keypoints: Annotated[list[Name], Field(min_length=1, max_length=1000)]
    flip_pairs: list[Pair] = []
    skeleton: list[Pair] = []
    upper_body: list[Name] = []
    sigmas: list[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]] | None = None


def find_keypoint_set(place: Path | None) -> KeypointSet:
    """The set of keypoints.json in a folder or up to three folders above it; raises DataError when there is none."""
    if place is None:
        raise DataError("own keypoints are described by a file beside the data", where="task custom",
                        hint=f"give --data-root DIR with DIR/{KEYPOINTS_FILE}")
    files = [folder / KEYPOINTS_FILE for folder in (place, *place.resolve().parents[:3])]
    return read_keypoint_set(next((file for file in files if file.is_file()), files[0]))


def read_keypoint_set(path: Path) -> KeypointSet:
    """The set that a file describes:

    ``{"name": "dog6", "keypoints": [names], "flip_pairs": [[left, right], ...], "skeleton": [[a, b], ...],
    "sigmas": [one per keypoint], "upper_body": [names]}``; all but the first two may be left out. Without sigmas
    every keypoint has 0.05 (in units of the square root of the object's area).

    Raises:
        DataError: The file is missing, is not JSON, has another form, or names keypoints that it does not list.
    """
    if not path.is_file():
        raise DataError("no keypoint set for custom data", where=str(path),
                        hint='write {"name": ..., "keypoints": [...], "flip_pairs": [...], "sigmas": [...]}')
    try:
        found = _File.model_validate(read_json(path))
    except ValidationError as error:
        problem, known = invalid(error, _File.model_fields)
        raise DataError(f"not a keypoint set: {problem}", where=str(path), hint=known) from None
    return _resolve(found, path)


def _resolve(found: _File, path: Path) -> KeypointSet:
    """Names to indices, with every rule that the form alone cannot say."""
    names = found.keypoints

    def indices(field: str, wanted: list[str]) -> tuple[int, ...]:
        unknown = next((name for name in wanted if name not in names), None)
        if unknown is not None:
            raise DataError(f"{field}: {unknown!r} is not among the keypoints", where=str(path),
                            hint=nearest(unknown, names))
        return tuple(map(names.index, wanted))

    def pairs(field: str, wanted: list[list[str]]) -> tuple[tuple[int, int], ...]:
        flat = indices(field, [name for pair in wanted for name in pair])
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    if double := _repeated(names):
        raise DataError(f"keypoints: {double!r} is named twice", where=str(path))
    if found.sigmas is not None and len(found.sigmas) != len(names):
        raise DataError(f"sigmas: {len(found.sigmas)} values for {len(names)} keypoints", where=str(path))
    if twice := _repeated([name for pair in found.flip_pairs for name in pair]):
        raise DataError(f"flip_pairs: {twice!r} stands in two places", where=str(path),
                        hint="a keypoint has one mirror image, and none when it lies in the middle")
    return KeypointSet(name=found.name, names=tuple(names), flip_pairs=pairs("flip_pairs", found.flip_pairs),
                       sigmas=tuple(found.sigmas or [DEFAULT_SIGMA] * len(names)),
                       skeleton=pairs("skeleton", found.skeleton), upper_body=indices("upper_body", found.upper_body))


def _repeated(names: list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
