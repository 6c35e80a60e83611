"""A trained network on anybody's pictures: ``Pose.load(checkpoint)(image, boxes)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flatpose.codecs import build_codec
from flatpose.data.loader import normalise
from flatpose.data.transforms import crop
from flatpose.errors import FlatPoseError
from flatpose.geometry import box_to_center_scale, invert_matrix, transform_points, warp_matrices
from flatpose.keypoints import KeypointSet
from flatpose.pose_checkpoint import Checkpoint, load_checkpoint, save_checkpoint

Array = NDArray[np.floating]


class Pose:
    """Keypoints of persons in pictures.

    Args:
        checkpoint: Network, keypoint set and codec.
        device: Where the network runs; None is a GPU where there is one.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | None = None) -> None:
        self.checkpoint = checkpoint
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = checkpoint.network.to(self.device).eval()
        self.codec = build_codec(checkpoint.run.codec, self.image_size, len(self.keypoint_set))

    @classmethod
    def load(cls, path: Path | str | None = None, *, device: str | None = None) -> Pose:
        """From a checkpoint file or folder; None is the small network that comes with the program.

        Raises:
            FlatPoseError: It is missing, damaged, unsafe to read or does not describe itself.
        """
        return cls(load_checkpoint(path), device=device)

    from_pretrained = load

    def save_pretrained(self, folder: Path | str) -> list[Path]:
        """Write model.safetensors, config.json and the model card; ``Pose.from_pretrained(folder)`` reads them."""
        return save_checkpoint(self.checkpoint, Path(folder))

    @property
    def keypoint_set(self) -> KeypointSet:
        """Names, mirror pairs and skeleton of the K keypoints."""
        return self.checkpoint.keypoint_set

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the network's input in pixels."""
        return self.checkpoint.run.image_size

    def __call__(self, image: NDArray[np.uint8], boxes: Any = None, *, flip_test: bool = False,
                 batch_size: int = 32) -> tuple[Array, Array]:
        """Keypoints (N, K, 2) in image pixels and scores (N, K) of the persons in N boxes.

        Args:
            image: (h, w, 3) uint8, RGB.
            boxes: (N, 4) left, top, width, height in pixels; None is one box, the whole image.
            flip_test: Average with the answer on the mirrored crops.
            batch_size: Crops in one forward pass.

        Raises:
            FlatPoseError: Image or boxes have another form.
        """
        image, bbox_xywh = _checked_image(image), _checked_boxes(boxes, image)
        if batch_size < 1:
            raise FlatPoseError(f"a batch of {batch_size}", where="batch_size", hint="1 or more")
        udp = self.checkpoint.run.codec.udp
        center, scale = box_to_center_scale(bbox_xywh, self.image_size)
        mats = warp_matrices(center, scale, self.image_size, udp=udp)
        found = [self._batch(np.stack([crop(image, mat, self.image_size) for mat in mats[i:i + batch_size]]), flip_test)
                 for i in range(0, len(mats), batch_size)]
        count = len(self.keypoint_set)
        keypoints = np.concatenate([np.zeros((0, count, 2)), *(points for points, _ in found)])
        scores = np.concatenate([np.zeros((0, count)), *(score for _, score in found)])
        return transform_points(invert_matrix(mats), keypoints), scores

    @torch.no_grad()
    def _batch(self, crops: NDArray[np.uint8], flip_test: bool) -> tuple[Array, Array]:
        """Crops (B, H, W, 3) to keypoints in crop pixels and scores."""
        images = normalise(torch.from_numpy(crops).to(self.device))
        outputs = self.network(images)
        if flip_test:
            flip_index = torch.as_tensor(self.keypoint_set.flip_index, device=self.device)
            outputs = self.codec.average(outputs, self.codec.flip(self.network(images.flip(-1)), flip_index))
        keypoints, scores = self.codec.decode(outputs)
        return keypoints.cpu().double().numpy(), scores.cpu().double().numpy()


def _checked_image(image: Any) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 \
            or 0 in image.shape:
        form = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise FlatPoseError(f"an image of form {form}", where="image", hint="an (h, w, 3) uint8 array, RGB")
    return image


def _checked_boxes(boxes: Any, image: NDArray[np.uint8]) -> Array:
    """(N, 4) float64; a box without area has no crop."""
    if boxes is None:
        return np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float64)
    try:
        found = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise FlatPoseError("boxes are not numbers", where="boxes", hint="(N, 4): left, top, width, height") from None
    found = found.reshape(0, 4) if found.size == 0 else found
    if found.ndim != 2 or found.shape[1] != 4:
        raise FlatPoseError(f"boxes of shape {found.shape}", where="boxes", hint="(N, 4): left, top, width, height")
    if not np.isfinite(found).all() or not (found[:, 2:] > 0).all():
        bad = next(b for b in found if not np.isfinite(b).all() or not (b[2:] > 0).all())
        raise FlatPoseError(f"box {bad.tolist()} has no area", where="boxes", hint="left, top, width, height in pixels")
    return found
