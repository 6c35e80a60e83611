"""Keypoint sets: names, mirror pairs, OKS sigmas and skeletons of COCO-17, CrowdPose-14 and MPII-16."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

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
