"""Time and peak memory of a forward pass here and now, always beside a fixed reference network.

Milliseconds do not travel between machines; the ratio to a ResNet-50 trunk, timed alternately in the same process,
travels better.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import timm
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

REFERENCE, REFERENCE_SIZE = "resnet50", (192, 256)
"""One input size for every model: ratios of different inputs must be comparable."""


def latency(model: nn.Module, image_size: tuple[int, int], *, batch: int, compiled: bool = False,
            repeats: int = 5) -> dict[str, float | int | bool | str]:
    """Median time of a forward pass of ``batch`` images, its ratio to the reference trunk at 256x192, and peak memory.

    Args:
        model: Moved to the GPU where there is one.
        image_size: (width, height).
        batch: Images per pass.
        compiled: Both networks through torch.compile.
        repeats: Timed passes, model and reference in turn, after one of each to warm up.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reference = timm.create_model(REFERENCE, pretrained=False, features_only=True, out_indices=(-1,))
    passes = [_forward(network.to(device).eval(), torch.randn(batch, 3, height, width, device=device), compiled)
              for network, (width, height) in ((model, image_size), (reference, REFERENCE_SIZE))]
    for run in passes:
        run()
    pairs = [[_seconds(run, device) for run in passes] for _ in range(repeats)]
    return {"batch": batch, "compiled": compiled, "device": _device_name(device), "threads": torch.get_num_threads(),
            "ms": 1e3 * median(p[0] for p in pairs), "reference_ms": 1e3 * median(p[1] for p in pairs),
            "ratio": median(p[0] / p[1] for p in pairs), "peak_memory_mb": peak_memory_mb(passes[0])}


def _forward(model: nn.Module, images: Tensor, compiled: bool) -> Callable[[], object]:
    call = torch.compile(model) if compiled else model

    def run() -> object:
        with torch.no_grad():
            return call(images)

    return run


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"


def peak_memory_mb(run: Callable[[], object]) -> float:
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
