"""Fast against literal ICA, side by side: bias forward and backward, a training step, and the tabulated bias.

    python benchmarks/ica.py            # prints
    python benchmarks/ica.py --write    # and keeps benchmarks/results/ica.md

Each pair of timings alternates in one process, so that a busy machine slows both. Peak memory is what the tensors made
between input and gradients held at once, saved memory what the forward pass leaves for the backward pass.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from flatpose.config import FlatPoseConfig, SimCCCodecConfig
from flatpose.io import write_text
from flatpose.latency import peak_memory_mb
from flatpose.models import build_model
from flatpose.models.ica import SemanticBias

RESULTS = Path(__file__).parent / "results" / "ica.md"
FORMS = (("literal", True), ("fast", False))


def saved_mb(forward: Callable[[], Tensor]) -> float:
    """Bytes (2^20) of distinct storages that autograd keeps for the backward pass, parameters left out."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(storages.values()) / 2**20


def alternated(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Fewest seconds of each run, taken in turn after one warm-up round: other processes can only add time."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if index:
                seconds[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in seconds.items()}


def bias_line(tokens: int, batch: int, repeats: int) -> str:
    """The bias alone, coordinates to bias and back, all parameters and coordinates with gradients."""
    torch.manual_seed(0)
    forms = {name: SemanticBias(256, 8) for name, _ in FORMS}
    coords = torch.tanh(0.3 * torch.randn(batch, tokens, 2)).requires_grad_()
    upstream = torch.randn(batch, 8, tokens, tokens)
    for name, literal in FORMS:
        forms[name].literal = literal
        forms[name].coordinates = lambda _: coords

    def step(form: SemanticBias) -> None:
        form(coords).backward(upstream)

    runs = {name: lambda form=form: step(form) for name, form in forms.items()}
    seconds = alternated(runs, repeats)
    peak = {name: peak_memory_mb(run) for name, run in runs.items()}
    saved = {name: saved_mb(lambda form=form: form(coords)) for name, form in forms.items()}
    return _line(f"bias, L={tokens}, batch {batch}", seconds, peak, saved)


def step_line(batch: int, repeats: int) -> str:
    """A training step of FlatPose-B at 256x192: forward, backward, AdamW."""
    model = build_model(FlatPoseConfig(), SimCCCodecConfig(), (192, 256), 17, pretrained=False)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randn(batch, 3, 256, 192)

    def forward(literal: bool) -> Tensor:
        model.use_literal_ica(literal)
        return sum(logits.square().mean() for logits in model(images).values())

    def step(literal: bool) -> None:
        forward(literal).backward()
        optimizer.step()
        optimizer.zero_grad()

    runs = {name: lambda literal=literal: step(literal) for name, literal in FORMS}
    seconds = alternated(runs, repeats)
    peak = {name: peak_memory_mb(run) for name, run in runs.items()}
    saved = {name: saved_mb(lambda literal=literal: forward(literal)) for name, literal in FORMS}
    return _line(f"training step, FlatPose-B, batch {batch}", seconds, peak, saved)


def _line(what: str, seconds: dict[str, float], peak: dict[str, float], saved: dict[str, float]) -> str:
    cells = [f"{m['literal']:.{digits}f} / {m['fast']:.{digits}f} | **{m['literal'] / m['fast']:.1f}x**"
             for m, digits in (({k: 1e3 * v for k, v in seconds.items()}, 0), (peak, 0), (saved, 1))]
    return f"| {what} | {' | '.join(cells)} |"


@torch.no_grad()
def table_lines(tokens: int = 48, batch: int = 64) -> list[str]:
    """Tabulated bias in inference: time, and the error as a share of the spread of the bias, at a harsh grid."""
    torch.manual_seed(0)
    form = SemanticBias(256, 8).eval()
    form.grid.normal_()  # a grid fifty times rougher than at the start of training
    inputs = torch.randn(batch, tokens, 256)
    exact = form(inputs)
    lines = []
    for per_cell in (4, 8, 16, 32):
        form.tabulate(per_cell)
        error = (form(inputs) - exact).abs().max() / exact.std()
        table = form.table
        runs = {"exact": lambda: _with(form, None, inputs), "table": lambda kept=table: _with(form, kept, inputs)}
        seconds = alternated(runs, 5)
        lines.append(f"| {per_cell} | {table.numel() * 4 / 2**20:.2f} | {error:.1e} | {1e3 * seconds['exact']:.0f} / "
                     f"{1e3 * seconds['table']:.0f} |")
    return lines


def _with(form: SemanticBias, table: Tensor | None, inputs: Tensor) -> Tensor:
    form.table = table
    return form(inputs)


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    command = f"python benchmarks/ica.py --threads {options.threads} --repeats {options.repeats}"
    page = "\n".join([
        "# Fast against literal ICA", "",
        f"`{command}` · {platform.machine()} CPU, {options.threads} thread(s), "
        f"torch {torch.__version__.partition(chr(43))[0]}. Forward and backward, fastest repeat, literal / fast; "
        "target for the bias: 4x or more in time and peak memory.", "",
        "| | ms | | peak MB | | saved MB | |", "|---|--:|--:|--:|--:|--:|--:|",
        bias_line(48, 64, options.repeats), bias_line(108, 32, options.repeats), step_line(16, options.repeats), "",
        "Tabulated bias in inference (off by default), L=48, batch 64, random rough grid; largest error over the "
        "standard deviation of the bias.", "",
        "| samples per cell | table MB | error | ms, exact / table |", "|--:|--:|--:|--:|", *table_lines(), ""])
    print(page)
    if options.write:
        write_text(RESULTS, page)


if __name__ == "__main__":
    main()
