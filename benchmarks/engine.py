"""What the training loop costs beside forward, backward and optimiser step.

    python benchmarks/engine.py            # prints
    python benchmarks/engine.py --write    # and keeps benchmarks/results/engine.md

The bare step is written out by hand on a batch that is normalised and encoded already. The loop is the trainer's own
epoch over the same batch as it comes from the loader: normalising, targets, accelerate, the check for NaN, schedule,
average of the weights, progress. Both alternate in one process on one thread, CPU time is counted (wall clock and
synchronised on a GPU), and each ratio is of neighbours in time. The second table has the loop with glibc's own handling
of freed memory, and as `run` sets it (flatpose.harness.memory).
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import flatpose.train as engine
from flatpose.codecs import build_codec
from flatpose.config import RunConfig
from flatpose.data.instances import Person
from flatpose.data.loader import Crops, normalise
from flatpose.harness import catalog
from flatpose.harness.runner import _keep_freed_memory as keep_freed_memory
from flatpose.harness.spec import at_profile
from flatpose.io import write_text
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.optim import build_optimizer

RESULTS = Path(__file__).parent / "results" / "engine.md"
CASES = {"small ResNet, SimCC": ("fig1", "simcc_s32", "quick"),
         "small ConvNeXt, FlatPose": ("table5", "ours", "quick"),
         "small HRNet, heatmap": ("table2", "hrnet_w48", "quick"),
         "small ViT, ViTPose": ("table2", "vitpose_s", "quick"),
         "MobileNetV2, SimCC": ("fig1", "simcc_s32", "coco_mini")}
"""Experiment, row and profile of the five small networks."""


def run_of(name: str) -> RunConfig:
    """The configuration of a case, with random weights and no end in sight."""
    experiment_id, row, profile = CASES[name]
    experiment = catalog.load(experiment_id)
    run = at_profile(catalog.find_row(experiment, row).run, experiment.profiles[profile])
    model: Any = run.model
    return replace(run, model=replace(model, pretrained=False, weights=None),
                   train=replace(run.train, epochs=10_000, accumulate=1))


@dataclass(frozen=True)
class Case:
    """The same number of steps by hand, and as an epoch of the trainer."""

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


_OWN: list[Case] = []
"""The loop of a child process."""


def build(run: RunConfig, steps: int) -> Case:
    """Both networks start from the same weights."""
    accelerator, _ = engine.build_accelerator(run.train)
    codec, loss = build_codec(run.codec, run.image_size, len(COCO17)), build_loss(run.loss, run.codec, COCO17)
    batch = resident_batch(run, accelerator.device)
    nobody = Person(1, Path("none.jpg"), 1, np.ones(4), np.zeros((17, 2)), np.zeros(17), 1.0)  # never looked at
    crops = Crops([nobody] * run.train.batch_size, COCO17, run.image_size, udp=False)
    torch.manual_seed(0)
    trained = build_model(run.model, run.codec, run.image_size, len(COCO17))
    trainer = engine.Trainer(run.train, crops, codec, loss, trained, accelerator, Path("unused"), 0)
    trainer.loader, trainer.updates_per_epoch = [batch] * steps, steps  # type: ignore[assignment]

    torch.manual_seed(0)
    model = build_model(run.model, run.codec, run.image_size, len(COCO17))
    model = model.to(accelerator.device).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, run.train)
    images, targets = normalise(batch["image"]), codec.encode(batch["keypoints"], batch["weights"])
    targets["progress"] = torch.tensor(0.0)

    def bare() -> None:
        for _ in range(steps):
            with accelerator.autocast():
                outputs = model(images)
            loss(outputs, targets).backward()
            optimizer.step()
            optimizer.zero_grad()

    return Case(bare, lambda: _discard(trainer._epoch(0)))


def _discard(_: Any) -> None:
    """An epoch returns its row of the log."""


def seconds(action: Callable[[], None]) -> float:
    """CPU seconds of a call; of the wall on a GPU."""
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.synchronize()
    started = clock()
    action()
    if cuda:
        torch.cuda.synchronize()
    return clock() - started


def compare(first: Callable[[], float], second: Callable[[], float], repeats: int) -> tuple[float, float, list[float]]:
    """Median of each, called in turn, and every ratio of the second to the first; one call of each to warm up."""
    first(), second()
    turns = [(first(), second()) for _ in range(repeats)]
    before, after = (float(np.median(values)) for values in zip(*turns, strict=True))
    return before, after, [b / a for a, b in turns]


def overhead(case: Case, repeats: int) -> tuple[float, float, list[float]]:
    """The loop against bare steps."""
    return compare(lambda: seconds(case.bare), lambda: seconds(case.loop), repeats)


def memory(name: str, repeats: int, steps: int) -> tuple[float, float, list[float]]:
    """The loop that keeps freed memory against one that does not: two processes, since there is no way back."""
    with _loop_of(name, steps, kept=False) as usual, _loop_of(name, steps, kept=True) as kept:
        return compare(lambda: usual.submit(_epoch).result(), lambda: kept.submit(_epoch).result(), repeats)


def _loop_of(name: str, steps: int, *, kept: bool) -> ProcessPoolExecutor:
    """A process of its own with the trainer's loop in it."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=(name, steps, kept))


def _begin(name: str, steps: int, kept: bool) -> None:
    torch.set_num_threads(1)
    if kept:
        keep_freed_memory()
    _OWN.append(build(run_of(name), steps))


def _epoch() -> float:
    return seconds(_OWN[0].loop)


def row(name: str, found: tuple[float, float, list[float]], steps: int) -> str:
    """A line of either table."""
    changes, size = [100 * (ratio - 1) for ratio in found[2]], run_of(name).train.batch_size
    cells = " | ".join(f"{1e3 * s / steps:.1f} | {size * steps / s:.0f}" for s in found[:2])
    return f"| {name}, batch {size} | {cells} | {np.median(changes):.1f} % ({min(changes):.1f} to {max(changes):.1f}) |"


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
    names, repeats, steps = list(CASES)[:arguments.cases], arguments.repeats, arguments.steps
    freed = [row(name, memory(name, repeats, steps), steps) for name in names]
    keep_freed_memory()
    loops = [row(name, overhead(build(run_of(name), steps), repeats), steps) for name in names]
    text = "\n\n".join([
        "# Engine overhead", f"`python benchmarks/engine.py --cases {arguments.cases} --repeats {arguments.repeats} "
        f"--steps {arguments.steps} --write`; {date.today()}, {device}, torch {torch.__version__}; {arguments.repeats} "
        f"turns of {arguments.steps} steps each, alternating, with EMA.",
        "\n".join(["| network | bare step, ms | images/s | step of the loop, ms | images/s | overhead (range) |",
                   "|---|--:|--:|--:|--:|--:|",
                   *loops]),
        "The overhead is everything that the loop does beside forward, backward and optimiser step on a batch that is "
        "in memory: normalising, targets, accelerate, the check for NaN, schedule, EMA, log.",
        "## Freed memory",
        "\n".join(["| network | step of the loop, ms | images/s | freed memory kept, ms | images/s | change (range) |",
                   "|---|--:|--:|--:|--:|--:|", *freed]),
        "What a step frees the next one needs again; `run` tells glibc to keep it, where there is glibc."])
    print(text)
    if arguments.write:
        write_text(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
