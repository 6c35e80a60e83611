"""The same work on many things, in as many processes as there are cores."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(work: Callable[[T], R], things: Sequence[T], jobs: int | None = None) -> Iterator[tuple[T, R]]:
    """Every thing with its result, as it is finished; ``work`` is a function of a module, and has one thread of torch.

    With one job (the default is one per core), or a single thing, the work is done here.
    """
    jobs = min(jobs or cores(), len(things))
    if jobs < 2:
        yield from ((thing, work(thing)) for thing in things)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _one_thread) as pool:
        running = {pool.submit(work, thing): thing for thing in things}
        try:
            yield from ((running[done], done.result()) for done in as_completed(running))
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of libraries; they would tear the parent's progress bar
