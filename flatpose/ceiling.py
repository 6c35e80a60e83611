"""The codec ceiling: what a perfect network would score, because encoding and decoding alone lose something."""

from __future__ import annotations

import numpy as np
import torch

from flatpose import benchmarks
from flatpose.codecs import Codec, build_codec
from flatpose.codecs.simcc import ideal_logits
from flatpose.config import CodecConfig
from flatpose.data.instances import Person, PoseData
from flatpose.geometry import box_to_center_scale, invert_matrix, transform_points, warp_matrices
from flatpose.metrics import Predictions

BATCH = 256


def ceiling(codec: CodecConfig, image_size: tuple[int, int], data: PoseData) -> dict[str, float]:
    """Ground truth of the validation persons -> crop -> encode -> decode -> image -> AP against itself.

    Every keypoint scores 1 and every person's box is its own, so nothing but the codec's rounding (and keypoints
    outside the crop) can cost anything.
    """
    found = round_trip(codec, image_size, data.val.persons)
    return benchmarks.get(data.task).measure(
        found, data.val.annotation_file, keypoint_set=data.keypoint_set, image_ids=data.val.image_ids,
        rescore="keypoint", score_threshold=0.0, nms="none")["metrics"]


def round_trip(config: CodecConfig, image_size: tuple[int, int], persons: list[Person]) -> Predictions:
    """The persons' keypoints through the codec and back, in image pixels."""
    center, scale = box_to_center_scale(np.stack([p.bbox_xywh for p in persons]), image_size)
    mats = warp_matrices(center, scale, image_size, udp=config.udp)
    keypoints = transform_points(mats, np.stack([p.keypoints for p in persons]))
    codec = build_codec(config, image_size, keypoints.shape[1])
    decoded = [_decode(codec, torch.from_numpy(part)) for part in np.array_split(keypoints, -(-len(persons) // BATCH))]
    return Predictions(
        image_id=np.array([p.image_id for p in persons]), person_id=np.array([p.person_id for p in persons]),
        keypoints=transform_points(invert_matrix(mats), np.concatenate(decoded)),
        scores=np.ones(keypoints.shape[:2]), box_score=np.ones(len(persons)), area=scale.prod(-1))


def _decode(codec: Codec, keypoints: torch.Tensor) -> np.ndarray:
    targets = codec.encode(keypoints, torch.ones(keypoints.shape[:2]))
    perfect = ideal_logits(targets) if "simcc_x" in targets else targets
    return codec.decode(perfect)[0].double().numpy()
