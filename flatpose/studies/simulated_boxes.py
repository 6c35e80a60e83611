"""What boxes alone do to AP, AP50 and AR at the accuracy of Table 2: simulated networks on real boxes (reading R15).

A simulated network finds the person of its box with an error that does not depend on the box; its scores correlate
with that error to a given degree. So only the boxes differ between the two sources.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pycocotools.mask import iou

from flatpose import NUMERICS, benchmarks
from flatpose.data.instances import Person, PoseData
from flatpose.errors import DataError
from flatpose.geometry import box_to_center_scale
from flatpose.metrics import Predictions
from flatpose.progress import SILENT, Reporter

SPREADS, TAILS, KNOWLEDGE = (0.22, 0.27, 0.32), (0.6, 0.9), (1.0, 0.5)
SEEDS = 10
SHARED = 0.9
"""Correlation of the errors in two boxes of one person: a network answers nearly alike in boxes that overlap. With this
value AR falls by about as much as in the public pairs (experiments/box_pairs.py) when the boxes are the annotated ones;
without correlation a detector that returns several boxes of a person would give several tries."""
MIN_IOU = 0.2
"""A box with less overlap with every annotated person shows no person."""
METRICS = ("AP", "AP50", "AR")


@dataclass(frozen=True)
class Network:
    """A simulated network."""

    spread: float
    """Median error of a person's keypoints, in units of the OKS scale (1 gives an OKS of about 0.5)."""
    tail: float
    """Standard deviation of the logarithm of that error over persons."""
    knowledge: float
    """Share of the true error in the error that the keypoint scores are made from; the rest is unrelated to it."""


def targets(persons: Sequence[Person], data: PoseData) -> list[Person | None]:
    """The annotated person with keypoints that each box shows, or None."""
    truth = benchmarks.get(data.task).truth(data.val.annotation_file, data.keypoint_set)
    known = {p.person_id: p for p in data.val.persons}
    annotated: dict[int, list[dict[str, Any]]] = {}
    for entry in truth.persons:
        annotated.setdefault(entry["image_id"], []).append(entry)
    found: list[Person | None] = []
    for person in persons:
        entries = annotated.get(person.image_id, [])
        shown = None
        if entries:
            overlaps = iou([person.bbox_xywh.tolist()], [entry["bbox"] for entry in entries], [0] * len(entries))[0]
            shown = known.get(entries[overlaps.argmax()]["id"]) if overlaps.max() > MIN_IOU else None
        found.append(known.get(person.person_id) or shown)
    return found


def predict(network: Network, persons: Sequence[Person], shown: Sequence[Person | None], data: PoseData,
            seed: int = 0) -> Predictions:
    """The network's keypoints for every box; scattered keypoints with low scores where a box shows no person."""
    rng, count = np.random.default_rng(seed), len(data.keypoint_set)
    sigmas = 2 * np.array(data.keypoint_set.sigmas)[:, None]
    own = {p.person_id: (rng.normal(), rng.normal(size=(count, 2)), rng.normal()) for p in data.val.persons}
    center, scale = box_to_center_scale(np.stack([p.bbox_xywh for p in persons]), (192, 256))
    points, scores = np.zeros((len(persons), count, 2)), np.zeros((len(persons), count))
    for i, person in enumerate(shown):
        if person is None:
            points[i] = center[i] + rng.uniform(-0.4, 0.4, (count, 2)) * scale[i]
            scores[i] = rng.uniform(0.05, 0.5, count)
            continue
        size, direction, doubt = own[person.person_id]
        error = network.spread * np.exp(network.tail * size)
        noise = _again(direction, rng) * sigmas * np.sqrt(person.area) * error
        points[i] = np.clip(person.keypoints + noise, center[i] - scale[i] / 2, center[i] + scale[i] / 2)
        unrelated = network.spread * np.exp(network.tail * _again(doubt, rng))
        guess = network.knowledge * error + (1 - network.knowledge) * unrelated
        scores[i] = np.clip(np.exp(-0.5 * guess) * rng.uniform(0.85, 1.15, count), 0, 1)
    return Predictions(np.array([p.image_id for p in persons]), np.zeros(len(persons), dtype=np.int64), points, scores,
                       np.array([p.box_score for p in persons]), scale.prod(-1))


def _again(value: Any, rng: np.random.Generator) -> Any:
    """Standard normal numbers that correlate with ``value`` by SHARED."""
    return SHARED * value + np.sqrt(1 - SHARED**2) * rng.normal(size=np.shape(value))


def measure(data_root: Path, reporter: Reporter = SILENT) -> pd.DataFrame:
    """Every simulated network on both sets of boxes of a COCO tree with a detector file (11 minutes on one core).

    One line per network: spread, tail, knowledge, AP, AP50 and AR in 0..1 with ground-truth boxes (AP_gt, …) and with
    the detector's (AP_det, …), means over SEEDS seeds that both share, gain_sd (standard deviation of AP_gt − AP_det),
    data, data_id, detector_file, numerics. DataError where the tree is incomplete.
    """
    benchmark = benchmarks.COCO
    data = benchmark.load(data_root)
    if data.detector_file is None or not data.detections:
        raise DataError("no detector file with usable boxes", where=str(data_root),
                        hint="docs/evaluation.md says where it belongs")
    sources = {"gt": data.val.persons, "det": data.detections}
    shown = {name: targets(persons, data) for name, persons in sources.items()}
    networks = [Network(*values) for values in itertools.product(SPREADS, TAILS, KNOWLEDGE)]
    lines: list[dict[str, Any]] = []
    reporter.start("simulated boxes", len(networks) * SEEDS)
    for network, seed in itertools.product(networks, range(SEEDS)):
        line = dict(vars(network))
        for name, persons in sources.items():
            found = benchmark.measure(predict(network, persons, shown[name], data, seed), data.val.annotation_file,
                                      keypoint_set=data.keypoint_set, image_ids=data.val.image_ids)["metrics"]
            line |= {f"{metric}_{name}": found[metric] for metric in METRICS}
        lines.append(line | {"gain": line["AP_gt"] - line["AP_det"]})
        reporter.advance()
    reporter.finish()
    by_network = pd.DataFrame(lines).groupby(["spread", "tail", "knowledge"], sort=False)
    found = by_network.mean().assign(gain_sd=by_network["gain"].std()).drop(columns="gain").reset_index()
    return found.assign(data=data.label, data_id=data.data_id, detector_file=data.detector_file.name,
                        numerics=NUMERICS)
