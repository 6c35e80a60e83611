"""CrowdPose AP by xtcocotools, or by faster-coco-eval, which needs no compiler and gives the same numbers."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.annotations import read_truth
from flatpose.keypoints import CROWDPOSE14, KeypointSet
from flatpose.metrics.coco import Results, indexed, with_results

STATS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")


def crowdpose_metrics(annotation_file: Path, results: Results, *, keypoint_set: KeypointSet = CROWDPOSE14,
                      image_ids: list[int] | None = None) -> dict[str, float]:
    """AP, AP50, AP75, the same for AR, and AP of easy, medium and hard images (by their crowdIndex), in 0..1.

    Without ``area`` in the files, a person's scale is 0.53 times the box area. The evaluators round the three
    difficulty APs to four decimals; a difficulty without persons is left out. ``results`` in COCO's format may be
    empty; their keypoint scores are not read: every result counts. With ``image_ids`` only these images are evaluated.
    """
    truth = read_truth(annotation_file, keypoint_set, crowd=True)
    dataset = truth.dataset(image_ids)
    keep = {image["id"] for image in dataset["images"]}
    entries = [{**entry, "category_id": truth.category["id"], "keypoints": _all_scored(entry["keypoints"])}
               for entry in results if entry["image_id"] in keep]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluator()(dataset, entries, np.array(keypoint_set.sigmas))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(v) for name, v in zip(STATS, evaluation.stats, strict=True) if v >= 0}


def _all_scored(keypoints: list[float]) -> list[float]:
    """The keypoints with score 1. OKS does not read it, but xtcocotools drops a person without a positive score."""
    out = list(keypoints)
    out[2::3] = [1.0] * (len(out) // 3)
    return out


def _evaluator() -> Any:
    try:
        import xtcocotools.cocoeval  # noqa: F401
    except (ImportError, ValueError):  # its wheels were built for numpy 1 and fail with a ValueError
        return faster_evaluation
    return xt_evaluation


def xt_evaluation(truth: dict[str, Any], entries: Results, sigmas: np.ndarray) -> Any:
    """xtcocotools' evaluator. It would read crowdIndex from the file again; here it is given the checked images."""
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    def by_difficulty(_: Any, *limits: float) -> tuple[list[int], ...]:
        ranges = np.searchsorted(limits, [image["crowdIndex"] for image in truth["images"]], side="right")
        return tuple([image["id"] for image, r in zip(truth["images"], ranges, strict=True) if r == k]
                     for k in range(3))

    known = indexed(COCO, truth)
    known.anno_file = ["", ""]
    evaluation = COCOeval(known, with_results(COCO, known, entries), "keypoints_crowd", sigmas, use_area=False)
    evaluation.split = by_difficulty
    return evaluation


def faster_evaluation(truth: dict[str, Any], entries: Results, sigmas: np.ndarray) -> Any:
    """faster-coco-eval's evaluator."""
    from faster_coco_eval import COCO, COCOeval_faster

    known = COCO(truth)
    return COCOeval_faster(known, with_results(COCO, known, entries), "keypoints_crowd", kpt_oks_sigmas=sigmas,
                           use_area=False)
