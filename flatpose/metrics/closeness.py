"""How close predictions come to each labelled person: metrics that still tell rows apart where AP is near 0 or 1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import numpy as np

from flatpose.data.annotations import Annotations
from flatpose.metrics.coco import Results

PCK_RADIUS = 0.1
"""Share of the longer side of a person's box within which a keypoint counts as found."""
CROWD_AREA = 0.53
"""CrowdPose's scale of OKS, as a share of the box's area (its files have no area)."""


def closeness(truth: Annotations, results: Results, sigmas: np.ndarray, image_ids: Collection[int]
              ) -> dict[str, float]:
    """``mean_OKS`` and ``PCK@0.1``, in 0..1, over the persons with labelled keypoints in ``image_ids``.

    Each person is compared with the prediction of the same image that has the highest OKS with it; a person without
    any counts as 0. Scores are not read. With ground-truth boxes OKS is thus averaged over persons instead of being
    compared with thresholds. Empty where nobody is labelled.
    """
    found = defaultdict(list)
    for result in results:
        found[result["image_id"]].append(result["keypoints"])
    keep = set(image_ids)
    persons = [p for p in truth.persons if p["image_id"] in keep and not p["iscrowd"] and any(p["keypoints"][2::3])]
    similarity, close, labelled = [], 0, 0
    for person in persons:
        keypoints = np.array(person["keypoints"], dtype=np.float64).reshape(-1, 3)
        known = keypoints[:, 2] > 0
        labelled += int(known.sum())
        if not found[person["image_id"]]:
            similarity.append(0.0)
            continue
        others = np.array(found[person["image_id"]], dtype=np.float64).reshape(-1, len(keypoints), 3)
        squared = ((others[:, known, :2] - keypoints[known, :2]) ** 2).sum(-1)
        oks = np.exp(-squared / (2 * _area(person) * (2 * sigmas[known]) ** 2)).mean(1)
        similarity.append(float(oks.max()))
        close += int((squared[oks.argmax()] <= (PCK_RADIUS * max(person["bbox"][2:])) ** 2).sum())
    return {"mean_OKS": float(np.mean(similarity)), "PCK@0.1": close / labelled} if persons else {}


def _area(person: dict[str, Any]) -> float:
    """The scale of OKS, never 0, as the evaluators take it."""
    return person.get("area", CROWD_AREA * person["bbox"][2] * person["bbox"][3]) + np.spacing(1)
