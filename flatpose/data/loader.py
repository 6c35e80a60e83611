"""Torch side of the data: crops by (epoch, index), shuffling that depends on seed and epoch alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from flatpose.config import AugmentConfig
from flatpose.data import transforms
from flatpose.data.images import ImageCache
from flatpose.data.instances import Person
from flatpose.keypoints import KeypointSet

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class PackedPersons(Sequence[Person]):
    """Persons pickled into one array, which data-loading processes share with their parent.

    Python keeps its reference counts inside the objects, so a forked process that only reads COCO's 150,000 persons
    as objects copies 120 MB of them.
    """

    def __init__(self, persons: Sequence[Person]) -> None:
        pickled = [pickle.dumps(person, pickle.HIGHEST_PROTOCOL) for person in persons]
        self._content = np.frombuffer(b"".join(pickled), np.uint8)
        self._bounds = np.cumsum([0, *map(len, pickled)])

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, index: int) -> Person:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return pickle.loads(self._content[self._bounds[index]:self._bounds[index + 1]].tobytes())


class Crops(Dataset):
    """Crops of persons; an item is addressed by (epoch, index), so the data set itself has no state to resume.

    Items: ``image`` (H, W, 3) uint8 RGB, ``keypoints`` (K, 2) crop pixels, ``weights`` (K,), ``index``.
    ``final``: the epoch from which another augmentation applies, and that one. ``by_image``: see DataConfig; an item
    never depends on what was read before it.
    """

    def __init__(self, persons: list[Person], keypoint_set: KeypointSet, image_size: tuple[int, int], *,
                 udp: bool, augment: AugmentConfig | None = None, seed: int = 0,
                 final: tuple[int, AugmentConfig] | None = None, by_image: bool = False) -> None:
        self.persons, self.keypoint_set, self.image_size = PackedPersons(persons), keypoint_set, image_size
        self.udp, self.augment, self.seed, self.final, self.by_image = udp, augment, seed, final, by_image
        self.cache = ImageCache()

    def __len__(self) -> int:
        return len(self.persons)

    def image_numbers(self) -> np.ndarray:
        """(N,) a number per person, the same for those of one image."""
        return np.unique([str(person.image_path) for person in self.persons], return_inverse=True)[1]

    def __getitem__(self, address: tuple[int, int]) -> dict[str, np.ndarray | int]:
        epoch, index = address
        person = self.persons[index]
        augment = self.final[1] if self.final and epoch >= self.final[0] else self.augment
        if augment is None:
            view = transforms.plain_view(person, self.image_size)
        else:
            rng = np.random.default_rng((self.seed, epoch, index))
            view = transforms.random_view(person, self.image_size, augment, self.keypoint_set, rng)
        mat = transforms.view_matrix(view, self.image_size, udp=self.udp)
        pixels = transforms.crop(self.cache.read(person.image_path, person.image_size), mat, self.image_size)
        if augment is not None:
            pixels = transforms.change_pixels(pixels, augment, rng)
        keypoints, weights = transforms.crop_keypoints(person, view, mat, self.keypoint_set)
        return {"image": pixels, "keypoints": keypoints, "weights": weights, "index": index}


class EpochSampler(Sampler):
    """(epoch, index) pairs: a permutation drawn from (seed, epoch), or the plain order when not shuffling.

    ``groups`` (size,): members of one group follow each other, in the order in which the first of each was drawn.

    The trainer sets ``epoch``. There is no ``set_epoch`` on purpose: accelerate would call it with its own count,
    which starts at 0 again after a resume.
    """

    def __init__(self, size: int, *, shuffle: bool, seed: int = 0, groups: np.ndarray | None = None) -> None:
        self.size, self.shuffle, self.seed, self.groups, self.epoch = size, shuffle, seed, groups, 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.size)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        if self.groups is not None:
            _, first, member = np.unique(self.groups[order], return_index=True, return_inverse=True)
            order = order[np.argsort(first[member], kind="stable")]
        return ((self.epoch, int(i)) for i in order)


def normalise(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float with ImageNet's mean and deviation, in channels-last memory."""
    mean, std = _row_constants(images.shape[2], images.device)
    return images.to(torch.float32).sub_(mean).div_(std).permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _row_constants(width: int, device: torch.device) -> tuple[Tensor, ...]:
    """Mean and deviation for a whole row of pixels.

    With three numbers the inner loop over memory would have three iterations, at several times the cost.
    """
    return tuple(torch.tensor(values, device=device).repeat(width, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
