"""Throughput on one GPU: training and inference of six systems in bfloat16, and the ICA bias, eager and compiled.

    python benchmarks/gpu.py --write        # under eight minutes; keeps benchmarks/results/gpu.md
    python benchmarks/gpu.py --batch 2 --seconds 0.1   # on a CPU: shows that the script runs

Every system is a row of Table 2 at 256x192. A training step is forward, the row's own loss, backward and its optimiser
on a batch that lies in the device's memory; inference is a forward pass. The share of peak counts 2 operations per
multiply-add, three times as many for a training step, against a bfloat16 matrix product on the same device.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from flatpose.codecs import build_codec
from flatpose.complexity import measure
from flatpose.config import RunConfig
from flatpose.harness import catalog
from flatpose.io import write_text
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import untrained
from flatpose.models.ica import SemanticBias
from flatpose.optim import build_optimizer

RESULTS = Path(__file__).parent / "results" / "gpu.md"
ROWS = ("flatpose_b", "flatpose_l", "rtmpose_l", "vitpose_b", "hrnet_w48", "simplebaseline")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOKENS, DIM, HEADS = 48, 384, 8


def rate(action: Callable[[], object], seconds: float) -> float:
    """Calls per second, after two calls to warm up."""
    for _ in range(2):
        action()
    count, started = 0, _now()
    while count < 2 or _now() - started < seconds:
        action()
        count += 1
    return count / (_now() - started)


def _now() -> float:
    """The clock, once the device has finished its work."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak(seconds: float) -> float:
    """Operations per second of a square matrix product in bfloat16."""
    size = 8192 if DEVICE.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 * rate(lambda: a @ b, seconds)


def system(run: RunConfig, batch: int, seconds: float, best: float) -> dict[str, str]:
    """Images per second and share of the peak of one row."""
    (width, height), keypoints = run.image_size, len(COCO17)
    model = untrained(run, keypoints)
    operations = 2e9 * measure(model, run.image_size).gflops
    model = model.to(DEVICE).to(memory_format=torch.channels_last).train()
    codec, loss = build_codec(run.codec, run.image_size, keypoints), build_loss(run.loss, run.codec, COCO17)
    images = torch.randn(batch, 3, height, width, device=DEVICE).to(memory_format=torch.channels_last)
    points = torch.rand(batch, keypoints, 2, device=DEVICE) * torch.tensor([width, height], device=DEVICE)
    targets = {**codec.encode(points, torch.ones(batch, keypoints, device=DEVICE)), "progress": torch.tensor(0.0)}
    optimizer = build_optimizer(model, replace(run.train, layer_decay=None))

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            outputs = model(images)
        loss(outputs, targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.no_grad()
    def infer() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            model(images)

    trained = batch * rate(step, seconds)
    model.eval()
    inferred = batch * rate(infer, seconds)
    return {"training, images/s": f"{trained:,.0f}", "of peak": f"{300 * trained * operations / best:.0f} %",
            "inference, images/s": f"{inferred:,.0f}", "of peak ": f"{100 * inferred * operations / best:.0f} %"}


def bias(batch: int, seconds: float) -> pd.DataFrame:
    """Milliseconds of forward and backward of the ICA bias, by form and by how it is run."""
    module = SemanticBias(DIM, HEADS).to(DEVICE)
    tokens = torch.randn(batch, TOKENS, DIM, device=DEVICE, requires_grad=True)

    def milliseconds(call: Callable[[Tensor], Tensor], literal: bool) -> float:
        module.literal = literal
        return 1e3 / rate(lambda: call(tokens).square().mean().backward(), seconds)

    lines = []
    for how, compiled in {"eager": False, "compiled": True}.items():
        torch.compiler.reset()
        call = torch.compile(module) if compiled else module
        times = {name: milliseconds(call, literal) for name, literal in {"as printed": True, "folded": False}.items()}
        lines.append({"bias": how, **{f"{name}, ms": f"{value:.2f}" for name, value in times.items()},
                      "ratio": f"{times['as printed'] / times['folded']:.2f}"})
    return pd.DataFrame(lines)


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each timing")
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    best = peak(options.seconds)
    rows = {row.id: row for row in catalog.load("table2").rows}
    lines = [{"system": rows[name].label, **system(rows[name].run, options.batch, options.seconds, best)}
             for name in ROWS]
    page = "\n\n".join([
        "# One GPU", f"`python benchmarks/gpu.py --batch {options.batch} --seconds {options.seconds:g}`; "
        f"{date.today()}, {device}, torch {torch.__version__}. Input 256×192, bfloat16; a matrix product reaches "
        f"{best / 1e12:.3g} TFLOP/s.", str(pd.DataFrame(lines).to_markdown(index=False)),
        f"ICA bias, forward and backward, {TOKENS} tokens, batch {options.batch}, float32:",
        str(bias(options.batch, options.seconds).to_markdown(index=False))]) + "\n"
    print(page)
    if options.write:
        write_text(RESULTS, page)


if __name__ == "__main__":
    main()
