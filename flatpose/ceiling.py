"""The codec ceiling: what a perfect network would score, because encoding and decoding alone lose something."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from flatpose import benchmarks
from flatpose.codecs import build_codec
from flatpose.config import CodecConfig
from flatpose.data.instances import Person, PoseData
from flatpose.geometry import crop_matrices, transform_points
from flatpose.metrics import Predictions

BATCH = 32
"""Persons at a time: their label vectors then fit into the cache, which is three times as fast as 256."""


def ceiling(codec: CodecConfig, image_size: tuple[int, int], data: PoseData) -> dict[str, float]:
    """Metrics of the validation persons' own keypoints after crop, encoding and decoding."""
    return evaluate(round_trip(codec, image_size, data.val.persons), data)["metrics"]


def evaluate(found: Predictions, data: PoseData) -> dict[str, Any]:
    """Metrics and bootstrap interval; nothing is suppressed, so only decoding and the crop's border cost anything."""
    return benchmarks.get(data.task).measure(
        found, data.val.annotation_file, keypoint_set=data.keypoint_set, image_ids=data.val.image_ids,
        rescore="keypoint", score_threshold=0.0, nms="none")


def round_trip(config: CodecConfig, image_size: tuple[int, int], persons: list[Person]) -> Predictions:
    """The persons' keypoints through the codec and back, in image pixels; every score is 1."""
    mats, _ = crop_matrices(np.stack([p.bbox_xywh for p in persons]), image_size, udp=config.udp)
    keypoints = torch.from_numpy(transform_points(mats, np.stack([p.keypoints for p in persons])))
    codec = build_codec(config, image_size, keypoints.shape[1])
    decoded = torch.cat([codec.round_trip(part) for part in keypoints.split(BATCH)]).double().numpy()
    return Predictions.of_crops(persons, decoded, np.ones(decoded.shape[:2]), image_size, udp=config.udp)
