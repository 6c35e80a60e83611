"""What each way of running the training step is worth on this processor.

    python -m benchmarks.step            # prints
    python -m benchmarks.step --write    # and keeps benchmarks/results/step.md

Forward, backward, optimiser step of the five small networks on a batch that is in memory, one thread. The first column
is the step as ``run`` does it at ``quick``: channels last, fused AdamW, float32, not compiled. Every other column
changes one of these. The two alternate in one process and CPU time is counted, so other processes on the machine matter
little.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timm.optim import create_optimizer_v2

from benchmarks.engine import CASES, compare, resident_batch, run_of, seconds
from flatpose.codecs import build_codec
from flatpose.data.loader import normalise
from flatpose.harness.runner import _keep_freed_memory as keep_freed_memory
from flatpose.io import write_text
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import build_model

RESULTS = Path(__file__).parent / "results" / "step.md"
WAYS: dict[str, dict[str, bool]] = {
    "channels first": {"channels_last": False}, "AdamW over lists of tensors": {"fused": False},
    "bfloat16": {"bf16": True}, "compiled": {"compile": True}, "bfloat16, compiled": {"bf16": True, "compile": True},
}


def step_of(name: str, *, channels_last: bool = True, fused: bool = True, bf16: bool = False, compile: bool = False
            ) -> Callable[[], None]:
    """One training step of a case of benchmarks/engine.py, run in that way."""
    run = run_of(name)
    codec, loss = build_codec(run.codec, run.image_size, len(COCO17)), build_loss(run.loss, run.codec, COCO17)
    batch = resident_batch(run, torch.device("cpu"))
    torch.manual_seed(0)
    model = build_model(run.model, run.codec, run.image_size, len(COCO17)).train()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(model, opt=run.train.optimizer, lr=run.train.lr, fused=fused,
                                    foreach=None if fused else True, weight_decay=run.train.weight_decay)
    net = torch.compile(model) if compile else model
    images, targets = normalise(batch["image"]), codec.encode(batch["keypoints"], batch["weights"])
    targets["progress"] = torch.tensor(0.0)
    if not channels_last:
        images = images.contiguous()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            outputs = net(images)
        loss({key: value.float() for key, value in outputs.items()}, targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def row(name: str, repeats: int) -> str:
    """A line of the table: milliseconds of today's step, and what each other way changes."""
    usual, cells, times = step_of(name), [], []
    for way in WAYS.values():
        other = step_of(name, **way)
        before, _, ratios = compare(partial(seconds, usual), partial(seconds, other), repeats)
        times.append(before)
        cells.append(f"{100 * (np.median(ratios) - 1):+.0f} % ({100 * (min(ratios) - 1):+.0f} to "
                     f"{100 * (max(ratios) - 1):+.0f})")
        print(name, cells[-1], file=sys.stderr)
    size, median = run_of(name).train.batch_size, float(np.median(times))
    return f"| {name}, batch {size} | {1e3 * median:.0f} | {size / median:.0f} | {' | '.join(cells)} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = [row(name, arguments.repeats) for name in CASES]
    text = "\n\n".join([
        "# Ways of running the training step",
        f"`python -m benchmarks.step --repeats {arguments.repeats} --write`; {date.today()}, {platform.machine()}, "
        f"one thread, torch {torch.__version__}. Change of the step's CPU time (range over {arguments.repeats} pairs).",
        "\n".join([f"| network | step, ms | images/s | {' | '.join(WAYS)} |", "|---|--:|--:|" + "--:|" * len(WAYS),
                   *rows])])
    print(text)
    if arguments.write:
        write_text(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
