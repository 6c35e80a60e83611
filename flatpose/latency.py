"""Time and peak memory of a forward pass, interleaved with reference models.

Milliseconds cannot be compared between machines, nor between two hours of a shared one; the ratio to a pass that is
timed in turn with it in the same process can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import timm
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

REFERENCE, REFERENCE_SIZE = "resnet50", (192, 256)
"""One input size for every model, so that ratios are comparable."""
COMPILED_FORMS = 256
"""torch.compile keeps 8 compiled forms of one ``forward`` and silently runs further networks eagerly."""
Pass = Callable[[], object]


def forward_pass(model: nn.Module, image_size: tuple[int, int], *, batch: int, compiled: bool = False) -> Pass:
    """A forward pass of ``batch`` random images (width, height), on the GPU where there is one."""
    device = _device()
    width, height = image_size
    images = torch.randn(batch, 3, height, width, device=device)
    model = model.to(device).eval()
    if compiled:
        torch._dynamo.config.recompile_limit = COMPILED_FORMS
    call = torch.compile(model, dynamic=False) if compiled else model

    def run() -> object:
        with torch.no_grad():
            return call(images)

    return run


def reference_pass(*, batch: int, compiled: bool = False) -> Pass:
    """The same for the reference backbone at 256x192."""
    trunk = timm.create_model(REFERENCE, pretrained=False, features_only=True, out_indices=(-1,))
    return forward_pass(trunk, REFERENCE_SIZE, batch=batch, compiled=compiled)


def time_beside(run: Pass, rivals: Mapping[str, Pass], *, repeats: int = 5) -> dict[str, Any]:
    """Median time of ``run`` and its ratios to passes that are timed in turn with it, and the memory it holds.

    Args:
        run: What is timed.
        rivals: Name -> another pass.
        repeats: Turns, after one to warm up.

    Returns:
        "ms", "peak_memory_mb", "device", "threads", and per rival "NAME_ms", "ratio_NAME" (the median over turns) and
        "range_NAME" (lowest and highest ratio).
    """
    passes = {"": run, **rivals}
    for each in passes.values():
        each()
    turns = [{name: _seconds(each) for name, each in passes.items()} for _ in range(repeats)]
    ratios = {name: [turn[""] / turn[name] for turn in turns] for name in rivals}
    return {"ms": _milliseconds(turns, ""), "device": _device_name(), "threads": torch.get_num_threads(),
            "peak_memory_mb": peak_memory_mb(run),
            **{f"{name}_ms": _milliseconds(turns, name) for name in rivals},
            **{f"ratio_{name}": median(found) for name, found in ratios.items()},
            **{f"range_{name}": [min(found), max(found)] for name, found in ratios.items()}}


def _milliseconds(turns: list[dict[str, float]], name: str) -> float:
    return 1e3 * median(turn[name] for turn in turns)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _seconds(run: Pass) -> float:
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def peak_memory_mb(run: Pass) -> float:
    """The most memory (2^20 bytes) that tensors made by ``run`` held at once, inputs and weights not counted."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    held = peak = 0
    changes = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    for change in sorted(changes, key=lambda e: e.start_ns()):
        held += change.nbytes()
        peak = max(peak, held)
    return peak / 2**20
