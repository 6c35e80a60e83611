"""CrowdPose AP by xtcocotools, or by faster-coco-eval, which gives the same numbers and needs no compiler."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.keypoints import CROWDPOSE14, KeypointSet
from flatpose.metrics.coco import Results

STATS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")


def crowdpose_metrics(annotation_file: Path, results: Results, *, keypoint_set: KeypointSet = CROWDPOSE14,
                      image_ids: list[int] | None = None) -> dict[str, float]:
    """AP, AP50, AP75, the same for AR, and AP of easy, medium and hard images (by their crowdIndex), in 0..1.

    Without ``area`` in the files, a person's scale is 0.53 times the box area. The evaluators round the three
    difficulty APs to four decimals; a difficulty without persons is left out.

    Args:
        annotation_file: Official form: every image has ``crowdIndex``.
        results: COCO results format; may be empty. A person whose keypoint scores are all 0 is not counted.
        keypoint_set: Gives the OKS sigmas.
        image_ids: Evaluate these images only.
    """
    truth = json.loads(annotation_file.read_text(encoding="utf-8"))
    if image_ids is not None:
        keep = set(image_ids)
        truth["images"] = [image for image in truth["images"] if image["id"] in keep]
        truth["annotations"] = [person for person in truth["annotations"] if person["image_id"] in keep]
        results = [entry for entry in results if entry["image_id"] in keep]
    entries = [dict(entry) for entry in results]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluator()(annotation_file, truth, entries, np.array(keypoint_set.sigmas))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(v) for name, v in zip(STATS, evaluation.stats, strict=True) if v >= 0}


def _evaluator() -> Any:
    try:
        import xtcocotools.cocoeval  # noqa: F401
    except (ImportError, ValueError):  # its wheels were built for numpy 1 and fail with a ValueError
        return faster_evaluation
    return xt_evaluation


def xt_evaluation(annotation_file: Path, truth: dict[str, Any], entries: Results, sigmas: np.ndarray) -> Any:
    """xtcocotools' evaluator, which also reads crowdIndex from ``annotation_file``."""
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    known = COCO(str(annotation_file), ann_data=truth)
    found = known.loadRes(entries) if entries else _no_results(COCO, known)
    known.anno_file = [str(annotation_file), ""]  # the evaluator unpacks two names and opens the first
    return COCOeval(known, found, "keypoints_crowd", sigmas, use_area=False)


def faster_evaluation(annotation_file: Path, truth: dict[str, Any], entries: Results, sigmas: np.ndarray) -> Any:
    """faster-coco-eval's evaluator."""
    from faster_coco_eval import COCO, COCOeval_faster

    known = COCO(truth)
    found = known.loadRes(entries) if entries else _no_results(COCO, known)
    return COCOeval_faster(known, found, "keypoints_crowd", kpt_oks_sigmas=sigmas, use_area=False)


def _no_results(coco: Any, known: Any) -> Any:
    """An index without results, which ``loadRes`` cannot make."""
    empty = coco()
    empty.dataset = {"images": known.dataset["images"], "categories": known.dataset["categories"], "annotations": []}
    empty.createIndex()
    return empty
