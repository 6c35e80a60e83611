"""MPII's PCKh: the share of joints found within a fraction of the head's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.mpii import Truth, read_truth
from flatpose.keypoints import MPII16

GROUPS = {"head": ("head_top",), **{part: (f"left_{part}", f"right_{part}") for part in
                                    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}}
NOT_COUNTED = ("pelvis", "thorax")
"""Left out of the mean, as in every published number: annotated by rule, not seen."""


def mpii_metrics(annotation_file: Path, results: list[dict[str, Any]]) -> dict[str, float]:
    """:func:`pckh` of results [{"id": row of the file, "keypoints": [x, y, score] * 16}], 0-based pixels.

    Args:
        annotation_file: ``valid.json`` or ``mpii_val.json`` with its .mat file beside it.
        results: Rows that are not there are not counted.

    Raises:
        DataError: The .mat file is missing or is not what goes with the annotation file.
    """
    rows = np.array([entry["id"] for entry in results], dtype=np.int64)
    points = np.array([entry["keypoints"] for entry in results], dtype=np.float64).reshape(len(rows), 16, 3)[..., :2]
    return pckh(points, read_truth(annotation_file).take(rows))


def pckh(keypoints: np.ndarray, truth: Truth) -> dict[str, float]:
    """PCKh@0.5, PCKh@0.1 and PCKh@0.5 of the joint groups, in 0..1; a joint without annotations is left out.

    PCKh@0.1 is at exactly 0.1 as in mmpose; HRNet's tool prints the value at 0.11 under that name.

    Args:
        keypoints: (N, 16, 2) pixels counted from 0.
        truth: Of the same N persons.
    """
    # The files count pixels from 1; the predictions move, as in the reference, so that rounding is the same.
    error = np.linalg.norm(keypoints + 1.0 - truth.joints, axis=-1) / truth.head_size[:, None]
    found = {limit: (error <= limit) & truth.present for limit in (0.5, 0.1)}
    present = truth.present.sum(axis=0)
    counted = np.array([name not in NOT_COUNTED for name in MPII16.names])
    out = {f"PCKh@{limit}": float(hits[:, counted].sum() / present[counted].sum())
           for limit, hits in found.items() if present[counted].any()}
    rate = found[0.5].sum(axis=0) / np.maximum(present, 1)
    for group, names in GROUPS.items():
        members = [i for i in map(MPII16.names.index, names) if present[i]]
        if members:
            out[group] = float(rate[members].mean())
    return out
