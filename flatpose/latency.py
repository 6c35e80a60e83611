"""Time and peak memory of a forward pass, interleaved with reference models.

Milliseconds cannot be compared between machines, nor between two hours of a shared one; the ratio to a pass that is
timed in turn with it in the same process can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import timm
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

REFERENCE, REFERENCE_SIZE = "resnet50", (192, 256)
"""One input size for every model, so that ratios are comparable."""
COMPILED_FORMS = 256
"""torch.compile's limit of compiled forms of one ``forward``; beyond the default of 8 it runs eagerly, in silence."""
Pass = Callable[[], object]


def forward_pass(model: nn.Module, image_size: tuple[int, int], *, batch: int, compiled: bool = False) -> Pass:
    """A forward pass of ``batch`` random images (width, height), on the GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
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


def time_beside(run: Pass, references: Mapping[str, Pass], *, repeats: int = 5) -> dict[str, Any]:
    """Median time of ``run`` and its ratios to ``references`` timed in turn with it, and the memory it holds.

    After one turn to warm up there are ``repeats``.

    Returns:
        "ms", "peak_memory_mb", "device", "threads", and per reference "NAME_ms", "ratio_NAME" (the median over turns)
        and "range_NAME" (lowest and highest ratio).
    """
    passes = [run, *references.values()]
    for each in passes:
        each()
    seconds = np.array([[_seconds(each) for each in passes] for _ in range(repeats)])
    ratios, milliseconds = seconds[:, :1] / seconds, 1e3 * np.median(seconds, axis=0)
    found = {"ms": float(milliseconds[0]), "threads": torch.get_num_threads(), "peak_memory_mb": peak_memory_mb(run),
             "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"}
    for i, name in enumerate(references, start=1):
        found |= {f"{name}_ms": float(milliseconds[i]), f"ratio_{name}": float(np.median(ratios[:, i])),
                  f"range_{name}": [float(ratios[:, i].min()), float(ratios[:, i].max())]}
    return found


def _seconds(run: Pass) -> float:
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


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
    changes = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [change.nbytes() for change in sorted(changes, key=lambda e: e.start_ns())]
    return max(0, *accumulate(sizes)) / 2**20
