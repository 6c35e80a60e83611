"""Object keypoint similarity: rescoring, suppression of duplicates, and how close predictions come to the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flatpose.data.annotations import Annotations
from flatpose.data.coco import AREA_SHARE
from flatpose.data.instances import Person
from flatpose.geometry import crop_matrices, invert_matrix, transform_points

Nms = Literal["none", "oks"]
Rescore = Literal["box", "keypoint", "box_keypoint"]
PCK_RADIUS = 0.1
"""Share of the longer side of a person's box within which a keypoint counts as found."""


@dataclass(frozen=True)
class Predictions:
    """A network's predictions for N boxes.

    Args:
        image_id: (N,).
        person_id: (N,) annotation ids, 0 for detections.
        keypoints: (N, K, 2) image pixels.
        scores: (N, K) keypoint confidences.
        box_score: (N,) detector confidences, 1 for ground truth.
        area: (N,) of the padded, aspect-fixed box in square pixels, the scale of OKS-NMS in HRNet and mmpose alike.
    """

    image_id: np.ndarray
    person_id: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    box_score: np.ndarray
    area: np.ndarray

    @classmethod
    def of_crops(cls, persons: Sequence[Person], keypoints: np.ndarray, scores: np.ndarray,
                 image_size: tuple[int, int], *, udp: bool) -> Predictions:
        """From keypoints (N, K, 2) in pixels of each person's own crop."""
        mats, area = crop_matrices(np.array([p.bbox_xywh for p in persons]).reshape(-1, 4), image_size, udp=udp)
        return cls(np.array([p.image_id for p in persons], dtype=np.int64),
                   np.array([p.person_id for p in persons], dtype=np.int64),
                   transform_points(invert_matrix(mats), keypoints), scores,
                   np.array([p.box_score for p in persons], dtype=np.float64), area)


def person_scores(predictions: Predictions, rescore: Rescore, threshold: float) -> np.ndarray:
    """Score of each person (N,): box score, mean score of the keypoints above ``threshold``, or their product."""
    above = predictions.scores > threshold
    mean = (predictions.scores * above).sum(1) / np.maximum(above.sum(1), 1)
    if rescore == "box":
        return predictions.box_score.copy()
    return mean if rescore == "keypoint" else predictions.box_score * mean


def oks_matrix(keypoints: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """OKS (N, N) between predictions of one image; the scale is the mean of the two areas."""
    distance = ((keypoints[:, None] - keypoints[None]) ** 2).sum(-1)
    scale = 0.5 * (area[:, None] + area[None]) + np.spacing(1)
    exponent = distance / (2 * sigmas) ** 2 / scale[..., None] / 2
    return np.exp(-exponent).mean(-1)


def oks_nms(similarity: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Indices kept, best first: each drops all those more similar to it than ``threshold``."""
    kept: list[int] = []
    order = np.argsort(-scores, kind="stable")
    while order.size:
        kept.append(int(order[0]))
        order = order[1:][similarity[order[0], order[1:]] <= threshold]
    return kept


def survivors(predictions: Predictions, scores: np.ndarray, sigmas: np.ndarray, nms: Nms, threshold: float
              ) -> list[int]:
    """Indices that suppression by the persons' ``scores`` (N,) keeps: image by image, best first (all with "none")."""
    order, kept = np.argsort(predictions.image_id, kind="stable"), list[int]()
    _, starts = np.unique(predictions.image_id[order], return_index=True)
    for members in np.split(order, starts[1:]):
        if nms == "oks" and len(members) > 1:
            similarity = oks_matrix(predictions.keypoints[members], predictions.area[members], sigmas)
            members = members[oks_nms(similarity, scores[members], threshold)]
        kept += members.tolist()
    return kept


def to_results(predictions: Predictions, *, sigmas: np.ndarray, rescore: Rescore = "box_keypoint",
               score_threshold: float = 0.2, nms: Nms = "oks", nms_threshold: float = 0.9
               ) -> tuple[list[dict[str, Any]], str]:
    """Rescoring, then suppression within each image.

    Returns:
        Dicts of the COCO results format, and the rule in words for the tables.
    """
    scores = person_scores(predictions, rescore, score_threshold)
    triples = np.concatenate([predictions.keypoints, predictions.scores[..., None]], axis=-1)
    results = [{"image_id": int(predictions.image_id[i]), "category_id": 1, "keypoints": triples[i].ravel().tolist(),
                "score": float(scores[i])}
               for i in survivors(predictions, scores, sigmas, nms, nms_threshold)]
    mean = f"mean keypoint score > {score_threshold:g}"
    rule = {"box": "box score", "keypoint": mean, "box_keypoint": f"box score x {mean}"}[rescore]
    return results, rule + {"none": ", no NMS", "oks": f", OKS-NMS {nms_threshold:g}"}[nms]


def closeness(truth: Annotations, results: list[dict[str, Any]], sigmas: np.ndarray, image_ids: Collection[int]
              ) -> dict[str, float]:
    """``mean_OKS`` and ``PCK@0.1``, in 0..1, over the persons with labelled keypoints in ``image_ids``.

    They differ between rows even where AP is near 0 or 1. Each person is compared with the prediction of the same image
    that has the highest OKS with it; a person without any counts as 0. Scores are not read. With ground-truth boxes OKS
    is thus averaged over persons instead of being compared with thresholds. Empty where no person is labelled.
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
    return person.get("area", AREA_SHARE * person["bbox"][2] * person["bbox"][3]) + np.spacing(1)
