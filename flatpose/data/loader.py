"""Torch side of the data: crops by (epoch, index), shuffling that depends on seed and epoch alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from flatpose.config import AugmentConfig
from flatpose.data import transforms
from flatpose.data.instances import Person
from flatpose.data.packed import PackedPersons
from flatpose.errors import DataError
from flatpose.keypoints import KeypointSet

CACHE_BYTES = 1 << 30
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class ImageCache:
    """Decoded images, least recently used first out, so that the persons of one image share one decode."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self.max_bytes, self.bytes = max_bytes, 0
        self.images: OrderedDict[Path, np.ndarray] = OrderedDict()

    def read(self, path: Path) -> np.ndarray:
        """The image as (h, w, 3) uint8 RGB; raises DataError when it is missing or cannot be decoded."""
        if path in self.images:
            self.images.move_to_end(path)
            return self.images[path]
        image = self.images[path] = read_image(path)
        self.bytes += image.nbytes
        while self.bytes > self.max_bytes and len(self.images) > 1:
            self.bytes -= self.images.popitem(last=False)[1].nbytes
        return image


def read_image(path: Path) -> np.ndarray:
    """Decode an image file to (h, w, 3) uint8 RGB; raises DataError naming the file."""
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"image cannot be read ({reason})", where=str(path),
                        hint="flatpose-exp data check --data-root DIR lists every missing image") from None
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if encoded.size else None
    except cv2.error as error:
        raise DataError(f"image is refused by OpenCV ({_reason(error)})", where=str(path),
                        hint="it says that it is huge, or is damaged: replace it") from None
    if image is None or _cut_off(encoded):
        raise DataError("image cannot be decoded", where=str(path), hint="replace the file; it may be cut off")
    return image


def _cut_off(encoded: np.ndarray) -> bool:
    """Whether a JPEG file has no end marker, in which case OpenCV gives grey for the missing part without a word."""
    content = encoded.tobytes()
    return content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < 0


def _reason(error: cv2.error) -> str:
    """The condition that OpenCV found broken, out of its long message."""
    text = str(error).strip().splitlines()[-1]
    return text.split("error: ", 1)[-1][:200]


class Crops(Dataset):
    """Crops of persons; an item is addressed by (epoch, index), so the data set itself has no state to resume.

    Items: ``image`` (H, W, 3) uint8 RGB, ``keypoints`` (K, 2) crop pixels, ``weights`` (K,), ``index``.
    ``final``: the epoch from which another augmentation applies, and that one.
    """

    def __init__(self, persons: list[Person], keypoint_set: KeypointSet, image_size: tuple[int, int], *,
                 udp: bool, augment: AugmentConfig | None = None, seed: int = 0,
                 final: tuple[int, AugmentConfig] | None = None) -> None:
        self.persons, self.keypoint_set, self.image_size = PackedPersons(persons), keypoint_set, image_size
        self.udp, self.augment, self.seed, self.final = udp, augment, seed, final
        self.cache = ImageCache()

    def __len__(self) -> int:
        return len(self.persons)

    def __getitem__(self, address: tuple[int, int]) -> dict[str, np.ndarray | int]:
        epoch, index = address
        person = self.persons[index]
        image = self.cache.read(person.image_path)
        augment = self.final[1] if self.final and epoch >= self.final[0] else self.augment
        if augment is None:
            view = transforms.plain_view(person, self.image_size)
        else:
            rng = np.random.default_rng((self.seed, epoch, index))
            view = transforms.random_view(person, self.image_size, augment, self.keypoint_set, rng)
        mat = transforms.view_matrix(view, self.image_size, udp=self.udp)
        pixels = transforms.crop(image, mat, self.image_size)
        if augment is not None:
            pixels = transforms.change_pixels(pixels, augment, rng)
        keypoints, weights = transforms.crop_keypoints(person, view, mat, self.keypoint_set)
        return {"image": pixels, "keypoints": keypoints, "weights": weights, "index": index}


class EpochSampler(Sampler):
    """(epoch, index) pairs: a permutation drawn from (seed, epoch), or the plain order when not shuffling.

    The trainer sets ``epoch``. There is no ``set_epoch`` on purpose: accelerate would call it with its own count,
    which starts at 0 again after a resume.
    """

    def __init__(self, size: int, *, shuffle: bool, seed: int = 0) -> None:
        self.size, self.shuffle, self.seed, self.epoch = size, shuffle, seed, 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.size)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        return ((self.epoch, int(i)) for i in order)


def normalise(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float with ImageNet's mean and deviation, in channels-last memory."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device)
    std = torch.tensor(IMAGENET_STD, device=images.device)
    return images.to(torch.float32).sub_(mean).div_(std).permute(0, 3, 1, 2)
