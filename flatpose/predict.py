"""A trained network applied to pictures: ``Pose.load(checkpoint)(image, boxes)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from flatpose.checkpoints.described import Checkpoint, load_checkpoint, save_checkpoint
from flatpose.codecs import Codec, SimCCCodec, build_codec
from flatpose.config import RunConfig
from flatpose.data.images import read_image
from flatpose.data.loader import normalise
from flatpose.data.transforms import crop
from flatpose.drawing import draw_poses
from flatpose.errors import FlatPoseError
from flatpose.geometry import crop_matrices, invert_matrix, transform_points
from flatpose.keypoints import KeypointSet

Array = NDArray[np.floating]


class Pose:
    """Keypoints of persons in pictures, by the network of a checkpoint. ``device``: None is a GPU if there is one."""

    def __init__(self, checkpoint: Checkpoint, *, device: str | None = None) -> None:
        self.checkpoint = checkpoint
        self.codec = build_codec(checkpoint.run.codec, self.image_size, len(self.keypoint_set))
        self.perfect = perfect_score(self.codec)
        self.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @classmethod
    def load(cls, path: Path | str | None = None, *, system: RunConfig | None = None,
             device: str | None = None) -> Pose:
        """From a packed folder, a run's folder or a published file of ``system``; None is the bundled network.

        Raises FlatPoseError where it is missing, damaged, unsafe to read or does not describe itself.
        """
        return cls(load_checkpoint(path, system=system), device=device)

    from_pretrained = load

    def save_pretrained(self, folder: Path | str) -> list[Path]:
        """Write model.safetensors, config.json and the model card; ``Pose.from_pretrained(folder)`` reads them."""
        return save_checkpoint(self.checkpoint, Path(folder))

    def to(self, device: str) -> Pose:
        """Move the network; returns itself. Raises FlatPoseError where there is no such device."""
        try:
            self.device = torch.device(device)
            self.network = self.checkpoint.network.to(self.device).eval()
        except (RuntimeError, AssertionError) as error:
            raise FlatPoseError(f"no device {device!r} ({str(error).splitlines()[0][:100]})", where="device",
                                hint="cpu, cuda, cuda:1 or mps") from None
        return self

    @property
    def keypoint_set(self) -> KeypointSet:
        """Names, mirror pairs and skeleton of the K keypoints."""
        return self.checkpoint.keypoint_set

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """The K names, in the order of the answers."""
        return self.keypoint_set.names

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the network's input in pixels."""
        return self.checkpoint.run.image_size

    def __repr__(self) -> str:
        run, (width, height) = self.checkpoint.run, self.image_size
        return (f"Pose({run.model.kind}, {run.codec.kind}, input {width}x{height}, {len(self.keypoint_set)} keypoints "
                f"of {self.keypoint_set.name}, on {self.device})")

    def __call__(self, image: Any, boxes: Any = None, *, flip_test: bool = False, batch_size: int = 32) -> Any:
        """Keypoints (N, K, 2) in image pixels and scores (N, K) in 0..1 of the persons in N boxes.

        docs/predict.md defines the score.

        Args:
            image: A path, a PIL image or an (h, w, 3) uint8 RGB array, or a list of these, which gives a list.
            boxes: (N, 4) left, top, width, height in pixels, for a list one such array each; None: the whole image.
            flip_test: Average with the answer on the mirrored crops.
            batch_size: Crops in one forward pass.

        Raises:
            FlatPoseError: Image or boxes have another form.
        """
        if isinstance(image, (list, tuple)):
            each = [None] * len(image) if boxes is None else list(boxes)
            if len(each) != len(image):
                raise FlatPoseError(f"boxes of {len(each)} images for {len(image)} images", where="boxes")
            return [self(i, b, flip_test=flip_test, batch_size=batch_size) for i, b in zip(image, each, strict=True)]
        keypoints, scores = self.raw(image, boxes, flip_test=flip_test, batch_size=batch_size)
        return keypoints, self.confidence(scores)

    def relative(self, scores: Array) -> Array:
        """The codec's scores as shares of a perfect answer's, 0..1."""
        return np.clip(scores / self.perfect, 0, 1)

    def confidence(self, scores: Array) -> Array:
        """The codec's scores as probabilities where the checkpoint is calibrated, else as :meth:`relative`."""
        knots, relative = np.array(self.checkpoint.calibration), self.relative(scores)
        return np.asarray(np.interp(relative, knots[:, 0], knots[:, 1])) if len(knots) else relative

    def raw(self, image: Any, boxes: Any, *, flip_test: bool, batch_size: int = 32) -> tuple[Array, Array]:
        """Like ``__call__`` for one image, with the codec's own scores, which evaluation uses."""
        pixels = as_rgb(image)
        bbox_xywh = _checked_boxes(boxes, pixels)
        if batch_size < 1:
            raise FlatPoseError(f"a batch of {batch_size}", where="batch_size", hint="1 or more")
        mats, _ = crop_matrices(bbox_xywh, self.image_size, udp=self.checkpoint.run.codec.udp)
        found = [self._batch([crop(pixels, mat, self.image_size) for mat in mats[i:i + batch_size]], flip_test)
                 for i in range(0, len(mats), batch_size)]
        count = len(self.keypoint_set)
        keypoints = np.concatenate([np.zeros((0, count, 2)), *(points for points, _ in found)])
        scores = np.concatenate([np.zeros((0, count)), *(score for _, score in found)])
        return transform_points(invert_matrix(mats), keypoints), scores

    @torch.no_grad()
    def _batch(self, crops: list[NDArray[np.uint8]], flip_test: bool) -> tuple[Array, Array]:
        """Crops (H, W, 3) to keypoints in crop pixels and scores."""
        images = normalise(torch.from_numpy(np.stack(crops)).to(self.device))
        flip = flip_test and self.keypoint_set.can_flip
        flip_index = torch.as_tensor(self.keypoint_set.flip_index, device=self.device) if flip else None
        keypoints, scores = self.codec.predict(self.network, images, flip_index)
        return keypoints.cpu().double().numpy(), scores.cpu().double().numpy()

    def draw(self, image: Any, keypoints: Array, scores: Array, boxes: Array | None = None, *,
             threshold: float = 0.3) -> NDArray[np.uint8]:
        """The image with skeletons: keypoints whose score is below ``threshold`` are left out."""
        return draw_poses(as_rgb(image), keypoints, scores, self.keypoint_set, boxes=boxes, threshold=threshold)


def perfect_score(codec: Codec) -> float:
    """The codec's score of a perfect answer: 1, or for SimCC scored by a softmax the peak of the label."""
    if not isinstance(codec, SimCCCodec) or codec.config.score == "min_raw":
        return 1.0
    centre = torch.tensor(codec.image_size).float().div(2).floor().expand(1, codec.num_keypoints, 2)
    return float(codec.decode(codec.perfect(centre))[1].mean())


def as_rgb(image: Any) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 of a path, a PIL image or such an array; raises FlatPoseError for anything else."""
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 \
            or 0 in image.shape:
        form = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise FlatPoseError(f"an image of form {form}", where="image",
                            hint="a path, a PIL image or an (h, w, 3) uint8 array, RGB")
    return image


def _checked_boxes(boxes: Any, image: NDArray[np.uint8]) -> Array:
    """(N, 4) float64; a box without area has no crop."""
    form = "(N, 4): left, top, width, height in pixels"
    if boxes is None:
        return np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float64)
    try:
        found = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise FlatPoseError("boxes are not numbers", where="boxes", hint=form) from None
    found = found.reshape(0, 4) if found.size == 0 else found
    if found.ndim != 2 or found.shape[1] != 4:
        raise FlatPoseError(f"boxes of shape {found.shape}", where="boxes", hint=form)
    bad = found[~(np.isfinite(found).all(1) & (found[:, 2:] > 0).all(1))]
    if len(bad):
        raise FlatPoseError(f"box {bad[0].tolist()} has no area", where="boxes", hint=form)
    return found
