"""ICA with the MLP's first layer folded into the grid, against Algorithm 1 as printed: a training step of FlatPose-B.

    python benchmarks/ica.py            # prints
    python benchmarks/ica.py --write    # and keeps benchmarks/results/ica.md

Time is that of the CPU, since other processes share the machine, and the two forms alternate. Peak memory is the most
that tensors made in the step held at once; saved memory is what the forward pass keeps for the backward pass.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn

from flatpose.config import FlatPoseConfig, SimCCCodecConfig
from flatpose.io import write_text
from flatpose.latency import peak_memory_mb
from flatpose.models import build_model

RESULTS = Path(__file__).parent / "results" / "ica.md"
FORMS = {"as printed": True, "folded": False}


def saved_mb(forward: Callable[[], Tensor]) -> float:
    """Size (2^20 bytes) of the distinct storages that autograd keeps, parameters left out."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(storages.values()) / 2**20


def measure(batch: int, repeats: int) -> list[str]:
    """One line of the table per form: forward, backward and AdamW at 256x192."""
    model = build_model(FlatPoseConfig(), SimCCCodecConfig(), (192, 256), 17, pretrained=False)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randn(batch, 3, 256, 192)

    def forward(literal: bool) -> Tensor:
        model.use_literal_ica(literal)
        return sum(logits.square().mean() for logits in model(images).values())

    def step(literal: bool) -> float:
        start = time.process_time()
        forward(literal).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.process_time() - start

    peak = {name: peak_memory_mb(lambda literal=literal: step(literal)) for name, literal in FORMS.items()}
    turns = [{name: step(literal) for name, literal in FORMS.items()} for _ in range(repeats)]
    return [f"| {name} | {min(turn[name] for turn in turns):.1f} | {peak[name]:.0f} | "
            f"{saved_mb(lambda literal=literal: forward(literal)):.0f} |" for name, literal in FORMS.items()]


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    page = "\n".join([
        "# ICA as printed and folded", "",
        f"`python benchmarks/ica.py --batch {options.batch} --repeats {options.repeats}` · {date.today()}, "
        f"{platform.machine()} CPU shared with other processes, one thread, "
        f"torch {torch.__version__.partition('+')[0]}. "
        f"A training step of FlatPose-B at 256x192, batch {options.batch}; the fastest of {options.repeats} turns.", "",
        "| bias | CPU s | peak MB | saved MB |", "|---|--:|--:|--:|", *measure(options.batch, options.repeats), ""])
    print(page)
    if options.write:
        write_text(RESULTS, page)


if __name__ == "__main__":
    main()
