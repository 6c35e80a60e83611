"""What the training loop costs beside forward, backward and optimiser step.

    python benchmarks/engine.py            # prints
    python benchmarks/engine.py --write    # and keeps benchmarks/results/engine.md

The bare step is written out by hand on a batch that is normalised and encoded already. The loop is the trainer's own
epoch over the same batch as it comes from the loader: normalising, targets, accelerate, the check for NaN, schedule,
average of the weights, progress. Both alternate in one process on one thread, CPU time is counted (wall clock and
synchronised on a GPU), and each ratio is of neighbours in time.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import flatpose.train as engine
from flatpose.codecs import build_codec
from flatpose.config import BaselineConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.data.instances import Person
from flatpose.data.loader import Crops, normalise
from flatpose.io import write_text
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.optim import build_optimizer
from flatpose.progress import SILENT

RESULTS = Path(__file__).parent / "results" / "engine.md"
TRAIN = TrainConfig(epochs=10_000, batch_size=16, ema_decay=0.998, warmup_epochs=0.0, clip_grad=None)
CASES = {
    "quick (small ResNet, 128×96, batch 16)": RunConfig(
        image_size=(96, 128), train=TRAIN, codec=HeatmapCodecConfig(stride=8),
        model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=2, deconv_dim=48)),
    "ResNet-50, 128×96, batch 16": RunConfig(
        image_size=(96, 128), train=TRAIN, model=BaselineConfig(backbone="resnet50", pretrained=False)),
}


@dataclass(frozen=True)
class Case:
    """One step by hand, and one epoch of a single batch by the trainer."""

    bare: Callable[[], None]
    loop: Callable[[], None]


def resident_batch(run: RunConfig, device: torch.device) -> dict[str, Tensor]:
    """A batch as the loader gives it, on the device."""
    generator = torch.Generator().manual_seed(0)
    size, (width, height) = run.train.batch_size, run.image_size
    points = torch.rand(size, len(COCO17), 2, generator=generator) * torch.tensor([width, height])
    batch = {"image": torch.randint(0, 256, (size, height, width, 3), generator=generator, dtype=torch.uint8),
             "keypoints": points, "weights": torch.ones(size, len(COCO17)), "index": torch.zeros(size).long()}
    return {name: value.to(device) for name, value in batch.items()}


class OneBatch(list[dict[str, Tensor]]):
    """Stands in for the loader."""


def build(run: RunConfig) -> Case:
    """Both networks start from the same weights."""
    accelerator, _ = engine.build_accelerator(run.train)
    codec, loss = build_codec(run.codec, run.image_size, len(COCO17)), build_loss(run.loss, run.codec, COCO17)
    batch = resident_batch(run, accelerator.device)
    nobody = Person(1, Path("none.jpg"), 1, np.ones(4), np.zeros((17, 2)), np.zeros(17), 1.0)  # never looked at
    crops = Crops([nobody] * run.train.batch_size, COCO17, run.image_size, udp=False)
    torch.manual_seed(0)
    trained = build_model(run.model, run.codec, run.image_size, len(COCO17))
    loop = engine._prepare(run.train, crops, codec, loss, trained, accelerator, 0)
    loop = replace(loop, loader=OneBatch([batch]))  # type: ignore[arg-type]

    torch.manual_seed(0)
    model = build_model(run.model, run.codec, run.image_size, len(COCO17))
    model = model.to(accelerator.device, memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, run.train)
    images, targets = normalise(batch["image"]), codec.encode(batch["keypoints"], batch["weights"])
    targets["progress"] = torch.tensor(0.0)

    def bare() -> None:
        with accelerator.autocast():
            outputs = model(images)
        loss(outputs, targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return Case(bare, lambda: _discard(engine._epoch(loop, 0, SILENT)))


def _discard(_: Any) -> None:
    """An epoch returns its row of the log."""


def seconds(action: Callable[[], None], steps: int) -> float:
    """CPU seconds of ``steps`` calls; of the wall on a GPU."""
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.synchronize()
    started = clock()
    for _ in range(steps):
        action()
    if cuda:
        torch.cuda.synchronize()
    return clock() - started


def measure(run: RunConfig, repeats: int, steps: int) -> tuple[float, float, list[float]]:
    """Median seconds of a bare step and of a step of the loop, and every ratio of the loop to the bare step."""
    case = build(run)
    for action in (case.bare, case.loop):
        seconds(action, 2)
    bare, loop = [], []
    for _ in range(repeats):
        bare.append(seconds(case.bare, steps) / steps)
        loop.append(seconds(case.loop, steps) / steps)
    return float(np.median(bare)), float(np.median(loop)), [b / a for a, b in zip(bare, loop, strict=True)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many networks")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {platform.machine()}, one thread"
    lines = ["| network | bare step, ms | step of the loop, ms | overhead (range) |", "|---|--:|--:|--:|"]
    for name, run in list(CASES.items())[:arguments.cases]:
        bare, loop, ratios = measure(run, arguments.repeats, arguments.steps)
        overhead = [100 * (ratio - 1) for ratio in ratios]
        lines.append(f"| {name} | {1e3 * bare:.1f} | {1e3 * loop:.1f} | {np.median(overhead):.1f} % "
                     f"({min(overhead):.1f}–{max(overhead):.1f}) |")
    text = "\n\n".join([
        "# Engine overhead", f"`python benchmarks/engine.py --cases {arguments.cases} --repeats {arguments.repeats} "
        f"--steps {arguments.steps} --write`; {device}, torch {torch.__version__}; {arguments.repeats} turns of "
        f"{arguments.steps} steps each, alternating, with EMA.", "\n".join(lines),
        "The overhead is everything that the loop does beside forward, backward and optimiser step on a batch that is "
        "in memory: normalising, targets, accelerate, the check for NaN, schedule, EMA, log."])
    print(text)
    if arguments.write:
        write_text(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
