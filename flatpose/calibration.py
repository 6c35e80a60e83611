"""How often keypoints with a given score are right, measured on persons not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from accelerate import Accelerator
from scipy.optimize import isotonic_regression

from flatpose.checkpoints.described import Checkpoint, Knots
from flatpose.data import load
from flatpose.errors import DataError
from flatpose.evaluate import predict
from flatpose.metrics.oks import PCK_RADIUS
from flatpose.predict import Pose
from flatpose.progress import Reporter

BINS, LEAST = 20, 200
"""Bins of equally many keypoints; and the fewest keypoints from which a map is fitted."""


def calibrated(checkpoint: Checkpoint, data_root: Path | None, reporter: Reporter) -> Checkpoint:
    """The checkpoint with a rising map from scores to the share of keypoints within PCK_RADIUS of the box.

    The persons are those of its run's evaluation data, with ground-truth boxes.

    Raises:
        DataError: The data are missing, or have fewer than LEAST labelled keypoints.
    """
    data = load(checkpoint.run.data, data_root, reporter=reporter)
    pose, persons = Pose(checkpoint.model_copy(update={"calibration": ()}), device="cpu"), data.val.persons
    found = predict(pose.network, pose.codec, persons, data, checkpoint.run, Accelerator(cpu=True), reporter)
    truth, known = np.stack([p.keypoints for p in persons]), np.stack([p.keypoints_visible for p in persons]) > 0
    radius = PCK_RADIUS * np.array([p.bbox_xywh[2:].max() for p in persons])[:, None]
    close = np.linalg.norm(found.keypoints - truth, axis=-1) <= radius
    if known.sum() < LEAST:
        raise DataError(f"{known.sum()} labelled keypoints, {LEAST} are needed", where=str(data.val.annotation_file))
    knots = fit(pose.relative(found.scores)[known], close[known])
    return checkpoint.model_copy(update={"calibration": knots})


def fit(scores: np.ndarray, right: np.ndarray) -> Knots:
    """Knots (score, share of right answers) of a rising map, by isotonic regression over bins of scores."""
    bins = [part for part in np.array_split(np.argsort(scores, kind="stable"), BINS) if len(part)]
    shares = isotonic_regression([right[part].mean() for part in bins], weights=[len(part) for part in bins]).x
    centres = [scores[part].mean() for part in bins]
    return tuple((round(float(c), 5), round(float(share), 4)) for c, share in zip(centres, shares, strict=True))
