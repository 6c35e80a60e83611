"""Our data pipeline against a plain one of the same stages, on the same JPEGs, crops and augmentations.

    python benchmarks/data_pipeline.py                    # prints
    python benchmarks/data_pipeline.py --write            # and keeps benchmarks/results/data_pipeline.md
    python benchmarks/data_pipeline.py --data-root DIR    # another COCO tree; without any: the embedded images

The plain pipeline is what top-down code bases do for every person by itself: read and decode the image, mirror it,
warp it, shift its colours, normalise to float32 in channel order, and draw one Gaussian per keypoint with numpy.
"Whole": both end in batches of network input and targets, on the CPU. "Loader": ours ends in the uint8 crops and
keypoints that a data-loading process hands over, the rest being done on the device, as in training; the plain one has
done everything there. One process, one thread; the pipelines alternate, CPU time is counted, and each ratio is of
neighbours in time. Workers are timed by the clock. Freed memory is kept, as `run` does (flatpose.harness.memory).
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate

from flatpose.codecs import HeatmapCodec
from flatpose.config import AugmentConfig, DataConfig, EmbeddedConfig, HeatmapCodecConfig
from flatpose.data import PoseData, load, transforms
from flatpose.data.images import ImageCache, read_image
from flatpose.data.instances import Person
from flatpose.data.loader import IMAGENET_MEAN, IMAGENET_STD, Crops, EpochSampler, normalise
from flatpose.harness.runner import _keep_freed_memory as keep_freed_memory
from flatpose.io import write_text
from flatpose.keypoints import KeypointSet

RESULTS = Path(__file__).parent / "results" / "data_pipeline.md"
SHARED = Path(__file__).resolve().parents[2] / "shared/data"
SIZE, BATCH, STRIDE, SIGMA = (192, 256), 32, 4, 2.0
AUGMENT = AugmentConfig(hsv=(5.0, 30.0, 30.0))
CODEC = HeatmapCodecConfig(stride=STRIDE, sigma=SIGMA)
FEW_BYTES = 4 << 20  # room for the last few images only: the data are larger than memory
PER_IMAGE = 149_813 / 56_599  # persons with keypoints per image that has any, in COCO train2017
Batches = Callable[[], Iterator[object]]


class Plain:
    """The reference: every stage per person, in numpy and OpenCV, as it is usually written."""

    def __init__(self, persons: list[Person], keypoint_set: KeypointSet) -> None:
        self.persons, self.keypoint_set = persons, keypoint_set

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(3, H, W) float32 image, (K, H/4, W/4) heatmaps, (K,) weights."""
        person, rng = self.persons[index], np.random.default_rng((0, 0, index))
        view = transforms.random_view(person, SIZE, AUGMENT, self.keypoint_set, rng)
        image = cv2.cvtColor(cv2.imread(str(person.image_path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        keypoints, visible = person.keypoints.copy(), person.keypoints_visible.copy()
        center, rotation = view.center.copy(), view.rotation
        if view.flip:
            image = cv2.flip(image, 1)
            width = image.shape[1]
            keypoints[:, 0], center[0], rotation = width - 1 - keypoints[:, 0], width - center[0], -rotation
            keypoints, visible = keypoints[self.keypoint_set.flip_index], visible[self.keypoint_set.flip_index]
        mat = _affine(center, view.scale, rotation)
        pixels = self.colours(cv2.warpAffine(image, mat, SIZE, flags=cv2.INTER_LINEAR), rng)
        pixels = (pixels.astype(np.float32) - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
        points = keypoints @ mat[:, :2].T + mat[:, 2]
        heatmaps, weights = _gaussians(points, (visible > 0).astype(np.float32))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)), heatmaps, weights

    @staticmethod
    def colours(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same random shifts of hue, saturation and value, in 16-bit arithmetic over the whole crop."""
        rng.random(7)  # the draws of stages that are switched off
        shift = (np.array(AUGMENT.hsv) * (2 * rng.random(3) - 1) * (rng.random(3) < 0.5)).astype(np.int16)
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV).astype(np.int16)
        hsv[..., 0] = (hsv[..., 0] + shift[0]) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] + shift[1], 0, 255)
        hsv[..., 2] = np.clip(hsv[..., 2] + shift[2], 0, 255)
        return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def _affine(center: np.ndarray, scale: np.ndarray, rotation: float) -> np.ndarray:
    """Three points before and after, as in the code bases that descend from HRNet's."""
    angle = np.deg2rad(rotation)
    up = np.array([np.sin(angle), np.cos(angle)]) * -0.5 * scale[0]
    source = np.stack([center, center + up, center + up + [-up[1], up[0]]]).astype(np.float32)
    middle, top = np.array([SIZE[0] / 2, SIZE[1] / 2]), np.array([0, -SIZE[0] / 2])
    target = np.stack([middle, middle + top, middle + top + [-top[1], top[0]]]).astype(np.float32)
    return cv2.getAffineTransform(source, target)


def _gaussians(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One Gaussian per keypoint, drawn into its own window."""
    width, height = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    heatmaps, weights, radius = np.zeros((len(points), height, width), np.float32), weights.copy(), int(3 * SIGMA)
    for k, point in enumerate(points):
        x, y = (point / STRIDE + 0.5).astype(int)
        left, top, right, bottom = x - radius, y - radius, x + radius + 1, y + radius + 1
        if weights[k] == 0 or left >= width or top >= height or right < 0 or bottom < 0:
            weights[k] = 0
            continue
        offsets = np.arange(2 * radius + 1, dtype=np.float32) - radius
        window = np.exp(-(offsets[None] ** 2 + offsets[:, None] ** 2) / (2 * SIGMA**2))
        a, b, c, d = max(0, left), min(right, width), max(0, top), min(bottom, height)
        heatmaps[k, c:d, a:b] = window[c - top:d - top, a - left:b - left]
    return heatmaps, weights


def plain_batches(plain: Plain, order: list[int]) -> Iterator[object]:
    """Network input and targets, batch by batch."""
    for start in range(0, len(order), BATCH):
        yield default_collate([plain(index) for index in order[start:start + BATCH]])


def our_batches(crops: Crops, codec: HeatmapCodec | None) -> Iterator[object]:
    """The same through our pipeline: uint8 crops; with ``codec`` also normalised and encoded, as a batch."""
    order = list(_sampler(crops))
    for start in range(0, len(order), BATCH):
        batch = default_collate([crops[address] for address in order[start:start + BATCH]])
        yield (normalise(batch["image"]), codec.encode(batch["keypoints"], batch["weights"])) if codec else batch


def pipelines(data: PoseData, persons: list[Person]) -> dict[tuple[str, str], Batches]:
    """(name, extent) -> one pass over ``persons``; the reference first."""
    codec = HeatmapCodec(CODEC, SIZE, len(data.keypoint_set))
    plain = Plain(persons, data.keypoint_set)
    kept = _crops(data, persons, by_image=False, reduced=False)
    kept.cache = ImageCache(1 << 40)
    for address in _sampler(kept):
        kept.cache.read(persons[address[1]].image_path)
    fresh = {"random order": (False, False), "`by_image`": (True, False),
             "`by_image`, `reduced_decode`": (True, True)}
    passes: dict[tuple[str, str], Batches] = {
        ("plain", ""): lambda: plain_batches(plain, [index for _, index in _sampler(kept)])}
    for extent, finish in (("whole", codec), ("loader", None)):
        for name, (by_image, reduced) in fresh.items():
            passes[f"ours, {name}", extent] = partial(_fresh, data, persons, by_image, reduced, finish)
        passes["ours, images kept from an earlier epoch", extent] = partial(our_batches, kept, finish)
    return passes


def _fresh(data: PoseData, persons: list[Person], by_image: bool, reduced: bool, codec: HeatmapCodec | None
           ) -> Iterator[object]:
    return our_batches(_crops(data, persons, by_image=by_image, reduced=reduced), codec)


def _crops(data: PoseData, persons: list[Person], *, by_image: bool, reduced: bool) -> Crops:
    crops = Crops(persons, data.keypoint_set, SIZE, udp=False, augment=AUGMENT, by_image=by_image,
                  reduced_decode=reduced)
    crops.cache = ImageCache(FEW_BYTES)
    return crops


def _sampler(crops: Crops) -> EpochSampler:
    return EpochSampler(len(crops), shuffle=True, groups=crops.image_numbers() if crops.by_image else None)


def check_same_crops(data: PoseData, persons: list[Person]) -> float:
    """Mean difference of both pipelines' crops in grey levels (they differ by how a mirror image is aligned)."""
    plain = Plain(persons, data.keypoint_set)
    crops = _crops(data, persons, by_image=False, reduced=False)
    differences = []
    for index in range(min(64, len(persons))):
        restored = plain(index)[0].transpose(1, 2, 0) * IMAGENET_STD + IMAGENET_MEAN
        differences.append(float(np.abs(restored - crops[0, index]["image"]).mean()))
    return float(np.mean(differences))


def compare(data: PoseData, persons: list[Person], repeats: int) -> str:
    """Alternate the pipelines and put the medians into a table."""
    passes = pipelines(data, persons)
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in passes}
    for _ in range(repeats):
        for name, batches in passes.items():
            started = time.process_time()
            for _ in batches():
                pass
            seconds[name].append(time.process_time() - started)
    lines = ["| pipeline | extent | CPU ms per person | persons/s of one core | times the plain one (range) |",
             "|---|---|--:|--:|--:|"]
    for (name, extent), taken in seconds.items():
        ratios = [a / b for a, b in zip(seconds["plain", ""], taken, strict=True)]
        each = float(np.median(taken)) / len(persons)
        lines.append(f"| {name} | {extent} | {1e3 * each:.2f} | {1 / each:.0f} | {np.median(ratios):.2f} "
                     f"({min(ratios):.2f}–{max(ratios):.2f}) |")
    return "\n".join(lines)


def workers(data: PoseData, persons: list[Person], repeats: int) -> str:
    """Persons per second of wall clock through torch's loader, by number of worker processes."""
    crops = _crops(data, persons, by_image=True, reduced=False)
    rates: dict[int, list[float]] = {1: [], 2: []}
    loaders = {n: DataLoader(crops, BATCH, sampler=_sampler(crops), num_workers=n, persistent_workers=True)
               for n in rates}
    for loader in loaders.values():
        next(iter(loader))  # the workers start
    for _ in range(repeats):
        for count, loader in loaders.items():
            started = time.perf_counter()
            for _ in loader:
                pass
            rates[count].append(len(persons) / (time.perf_counter() - started))
    ratios = [b / a for a, b in zip(rates[1], rates[2], strict=True)]
    lines = ["| workers | persons/s |", "|--:|--:|", *(f"| {n} | {np.median(r):.0f} |" for n, r in rates.items())]
    load = f", load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    spread = f"{np.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    return "\n".join([*lines, "", f"Two workers give {spread} times what one gives{load}."])


def effect_of_reduced_decoding(persons: list[Person], image_size: tuple[int, int]) -> str:
    """How far crops from full and from reduced decoding are from the area average of the full image."""
    distance: dict[str, list[float]] = {"full": [], "reduced": []}
    for person in persons:
        view = transforms.plain_view(person, image_size)
        factor = transforms.reduction(view, image_size)
        if factor == 1:
            continue
        mat = transforms.view_matrix(view, image_size, udp=False)
        image = read_image(person.image_path)
        ideal = _area_average(image, mat, image_size)
        full = transforms.crop(image, mat, image_size)
        small, small_mat = read_image(person.image_path, factor), transforms.from_reduced(mat, factor)
        reduced = transforms.crop(small, small_mat, image_size)
        distance["full"].append(float(np.abs(full - ideal).mean()))
        distance["reduced"].append(float(np.abs(reduced - ideal).mean()))
    share = len(distance["full"]) / len(persons)
    if not share:
        return f"| {image_size[1]}×{image_size[0]} | 0 % | | |"
    return (f"| {image_size[1]}×{image_size[0]} | {share:.0%} | {np.mean(distance['full']):.2f} | "
            f"{np.mean(distance['reduced']):.2f} |")


def _area_average(image: np.ndarray, mat: np.ndarray, image_size: tuple[int, int], fine: int = 8) -> np.ndarray:
    """The crop warped ``fine`` times as large, then averaged: what a camera of that resolution would see."""
    large = np.concatenate([mat[:, :2] * fine, mat[:, 2:] * fine + (fine - 1) / 2], axis=1)
    warped = cv2.warpAffine(image, large, (image_size[0] * fine, image_size[1] * fine), flags=cv2.INTER_LINEAR)
    return cv2.resize(warped, image_size, interpolation=cv2.INTER_AREA).astype(np.float32)


def whole_images(persons: list[Person], count: int) -> list[Person]:
    """``count`` persons: of so many images that each has PER_IMAGE, by visiting some persons more than once.

    A subset of COCO may have one person per image; the crops of a person who comes again are other random crops.
    """
    by_image: dict[int, list[Person]] = {}
    for person in persons:
        by_image.setdefault(person.image_id, []).append(person)
    order = np.random.default_rng(0).permutation(sorted(by_image))
    chosen: list[Person] = []
    for image_id in order:
        if len(chosen) >= count / PER_IMAGE:
            break
        chosen += by_image[int(image_id)][:int(PER_IMAGE)]
    return [chosen[i % len(chosen)] for i in range(count)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=SHARED if (SHARED / "coco").is_dir() else None)
    parser.add_argument("--persons", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    config = DataConfig(source="disk") if arguments.data_root else DataConfig(
        embedded=EmbeddedConfig(train_images=2000, val_images=300))
    data = load(config, arguments.data_root)
    persons = whole_images(data.train.persons, arguments.persons)
    images = len({p.image_id for p in persons})
    difference = check_same_crops(data, persons)
    assert difference < 3, f"the pipelines do not make the same crops ({difference:.1f} grey levels apart)"
    text = "\n\n".join([
        "# Data pipeline",
        f"`python benchmarks/data_pipeline.py --repeats {arguments.repeats} --write`; "
        f"{date.today()}, {platform.machine()}, Python {platform.python_version()}, "
        f"OpenCV {cv2.__version__}, torch {torch.__version__}.",
        f"{len(persons)} persons in {images} images of {data.label} (as many per image as in COCO train2017); input "
        f"{SIZE[1]}×{SIZE[0]}, batches of {BATCH}, heatmaps at stride {STRIDE}; {arguments.repeats} passes each, "
        f"alternating. The crops of both agree to {difference:.2f} grey levels on average. Unless said otherwise only "
        f"the last {FEW_BYTES >> 20} MiB of decoded images are kept, as if the data were larger than memory.",
        "## One process", compare(data, persons, arguments.repeats),
        "## Workers", workers(data, persons, arguments.repeats),
        "## What decoding at reduced size does to the crop",
        "Mean distance in grey levels to the area average of the full image, over persons that are decoded smaller:",
        "| input | persons concerned | full decoding | reduced decoding |\n|---|--:|--:|--:|\n" + "\n".join(
            effect_of_reduced_decoding(persons, size) for size in (SIZE, (96, 128)))])
    print(text)
    if arguments.write:
        write_text(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
