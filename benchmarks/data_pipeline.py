"""Our data pipeline against a plain one of the same stages, on the same JPEGs, crops and augmentations.

    python benchmarks/data_pipeline.py [--data-root DIR] [--write]    # benchmarks/results/data_pipeline.md

The plain pipeline is what top-down code bases do for every person by itself: read and decode the image, mirror it,
warp it, shift its colours, normalise to float32 in channel order, and draw one Gaussian per keypoint with numpy.
"Whole": both end in batches of network input and targets, on the CPU. "Loader": ours ends in the uint8 crops and
keypoints that a data-loading process hands over, the rest being done on the device, as in training; the plain one has
done everything there. One process, one thread; the pipelines alternate, CPU time is counted, and each ratio is of
neighbours in time.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import default_collate

from flatpose.codecs import HeatmapCodec
from flatpose.config import AugmentConfig, DataConfig, EmbeddedConfig, HeatmapCodecConfig
from flatpose.data import PoseData, load, transforms
from flatpose.data.images import ImageCache
from flatpose.data.instances import Person
from flatpose.data.loader import IMAGENET_MEAN, IMAGENET_STD, Crops, EpochSampler, normalise
from flatpose.io import write_text
from flatpose.keypoints import KeypointSet

RESULTS = Path(__file__).parent / "results" / "data_pipeline.md"
SHARED = Path(__file__).resolve().parents[2] / "shared/data"
SIZE, BATCH, STRIDE, SIGMA = (192, 256), 32, 4, 2.0
AUGMENT = AugmentConfig(hsv=(5.0, 30.0, 30.0))
FEW_BYTES = 4 << 20  # room for the last few images only: the data are larger than memory
PER_IMAGE = 149_813 / 56_599  # persons with keypoints per image that has any, in COCO train2017


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
        mat = transforms.view_matrix(transforms.View(center, view.scale, rotation), SIZE, udp=False)
        pixels = self.colours(cv2.warpAffine(image, mat, SIZE, flags=cv2.INTER_LINEAR), rng)
        pixels = (pixels.astype(np.float32) - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
        heatmaps, weights = _gaussians(keypoints @ mat[:, :2].T + mat[:, 2], (visible > 0).astype(np.float32))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)), heatmaps, weights

    @staticmethod
    def colours(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same random shifts of hue, saturation and value, in 16-bit arithmetic over the whole crop."""
        rng.random(7)  # the draws of stages that are switched off
        shift = (np.array(AUGMENT.hsv) * (2 * rng.random(3) - 1) * (rng.random(3) < 0.5)).astype(np.int16)
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV).astype(np.int16) + shift
        hsv[..., 0] %= 180
        return cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)


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


def _crops(data: PoseData, persons: list[Person], room: int, *, by_image: bool = False) -> Crops:
    crops = Crops(persons, data.keypoint_set, SIZE, udp=False, augment=AUGMENT, by_image=by_image)
    crops.cache = ImageCache(room)
    return crops


def pipelines(data: PoseData, persons: list[Person]) -> dict[tuple[str, str], Callable[[], Iterator[object]]]:
    """(name, extent) -> one pass over ``persons``, batch by batch; the reference first."""
    codec = HeatmapCodec(HeatmapCodecConfig(stride=STRIDE, sigma=SIGMA), SIZE, len(data.keypoint_set))
    plain, kept = Plain(persons, data.keypoint_set), _crops(data, persons, 1 << 40)
    for person in persons:
        kept.cache.read(person.image_path)

    def plain_batches() -> Iterator[object]:
        order = [index for _, index in EpochSampler(len(persons), shuffle=True)]
        for start in range(0, len(order), BATCH):
            yield default_collate([plain(index) for index in order[start:start + BATCH]])

    def our_batches(finish: bool, room: int | None, by_image: bool = False) -> Iterator[object]:
        crops = _crops(data, persons, room, by_image=by_image) if room else kept
        order = list(EpochSampler(len(crops), shuffle=True, groups=crops.image_numbers() if crops.by_image else None))
        for start in range(0, len(order), BATCH):
            batch = default_collate([crops[address] for address in order[start:start + BATCH]])
            yield (normalise(batch["image"]), codec.encode(batch["keypoints"], batch["weights"])) if finish else batch

    passes: dict[tuple[str, str], Callable[[], Iterator[object]]] = {("plain", ""): plain_batches}
    for extent in ("whole", "loader"):
        finish = extent == "whole"
        passes["ours, random order", extent] = partial(our_batches, finish, FEW_BYTES)
        passes["ours, `by_image`", extent] = partial(our_batches, finish, FEW_BYTES, by_image=True)
        passes["ours, images kept from an earlier epoch", extent] = partial(our_batches, finish, None)
    return passes


def compare(data: PoseData, persons: list[Person], repeats: int) -> str:
    """Alternate the pipelines and put the medians into a table."""
    passes, seconds = pipelines(data, persons), pd.DataFrame(index=range(repeats))
    for repeat in range(repeats):
        for name, batches in passes.items():
            started = time.process_time()
            for _ in batches():
                pass
            seconds.loc[repeat, "|".join(name)] = time.process_time() - started
    ratios, each = seconds[["plain|"]].to_numpy() / seconds, seconds.median() / len(persons)
    spread = [f"{r.median():.2f} ({r.min():.2f}–{r.max():.2f})" for _, r in ratios.items()]
    return pd.DataFrame({
        "pipeline": [name for name, _ in passes], "extent": [extent for _, extent in passes],
        "CPU ms per person": each.mul(1e3).map("{:.2f}".format).to_numpy(),
        "persons/s of one core": (1 / each).map("{:.0f}".format).to_numpy(),
        "times the plain one (range)": spread}).to_markdown(index=False, disable_numparse=True)


def whole_images(persons: list[Person], count: int) -> list[Person]:
    """``count`` persons: of so many images that each has PER_IMAGE, by visiting some persons more than once.

    A subset of COCO may have one person per image; the crops of a person who comes again are other random crops.
    """
    images = np.random.default_rng(0).permutation(np.unique([p.image_id for p in persons]))
    kept = set(images[:int(count / PER_IMAGE)].tolist())
    chosen = [p for p in persons if p.image_id in kept]
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
    config = DataConfig(source="disk") if arguments.data_root else DataConfig(
        embedded=EmbeddedConfig(train_images=2000, val_images=300))
    data = load(config, arguments.data_root)
    persons = whole_images(data.train.persons, arguments.persons)
    text = "\n\n".join([
        "# Data pipeline",
        f"`python benchmarks/data_pipeline.py --repeats {arguments.repeats} --write`; {date.today()}, "
        f"{platform.machine()}, OpenCV {cv2.__version__}, torch {torch.__version__}.",
        f"{len(persons)} persons in {len({p.image_id for p in persons})} images of {data.label} (as many per image as "
        f"in COCO train2017); input {SIZE[1]}×{SIZE[0]}, batches of {BATCH}, heatmaps at stride {STRIDE}; "
        f"{arguments.repeats} passes each, alternating. Unless said otherwise only the last {FEW_BYTES >> 20} MiB of "
        "decoded images are kept, as if the data were larger than memory.", compare(data, persons, arguments.repeats)])
    print(text)
    if arguments.write:
        write_text(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
