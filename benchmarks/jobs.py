"""What ``run --jobs`` gives: one run with all cores against one single-threaded run per core.

    python benchmarks/jobs.py --write      # keeps benchmarks/results/jobs.md; the machine must be idle otherwise

The trainer's own loop runs for a while in processes of their own, on idle cores and on cores that as many other
processes keep busy. The images of all runs together count, over the wall clock.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch
from engine import build, run_of

from flatpose.io import write_text
from flatpose.parallel import cores

RESULTS = Path(__file__).parent / "results" / "jobs.md"
STEPS = 2
CONTEXT: Any = multiprocessing.get_context("spawn")


def train(name: str, threads: int, seconds: float, ready: Any, rates: Any) -> None:
    """Images per second of a network that is trained for ``seconds``, once every run is ready."""
    torch.set_num_threads(threads)
    run = run_of(name)
    case, images = build(run, STEPS), 0
    case.loop()
    ready.wait()
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        case.loop()
        images += STEPS * run.train.batch_size
    rates.put(images / (time.perf_counter() - started))


def spin() -> None:
    """A process that keeps one core busy."""
    while True:
        pass


def throughput(name: str, runs: int, threads: int, seconds: float, busy: int) -> float:
    """Images per second of ``runs`` runs together, beside ``busy`` other processes."""
    others = [CONTEXT.Process(target=spin, daemon=True) for _ in range(busy)]
    ready, rates = CONTEXT.Barrier(runs), CONTEXT.Queue()
    trained = [CONTEXT.Process(target=train, args=(name, threads, seconds, ready, rates)) for _ in range(runs)]
    for process in (*others, *trained):
        process.start()
    found = sum(rates.get() for _ in trained)
    for process in trained:
        process.join()
    for process in others:
        process.kill()
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--networks", nargs="+", default=["small ResNet, SimCC", "small ConvNeXt, FlatPose"])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    count, lines = cores(), []
    for name in given.networks:
        for busy in (0, count):
            one, many = (throughput(name, runs, count // runs, given.seconds, busy) for runs in (1, count))
            lines.append(f"| {name} | {busy} | {one:.1f} | {many:.1f} | {many / one:.2f} |")
    command = "python benchmarks/jobs.py --write"
    head = f"one run on {count} threads, images/s | {count} runs on one thread each, images/s together"
    text = "\n\n".join([
        "# Runs side by side", f"`{command}`; {date.today()}, CPU, {platform.machine()}, {count} cores, torch "
        f"{torch.__version__}; {given.seconds:.0f} s of training each.",
        "\n".join([f"| network | other busy processes | {head} | ratio |", "|---|--:|--:|--:|--:|", *lines]),
        "On idle cores two threads of one run lose little to each other; beside other processes they wait for each "
        "other at every operation, and runs on one thread do not."])
    print(text)
    if given.write:
        write_text(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
