"""Map a function over items in a process pool."""

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


def each(work: Callable[[T], R], items: Sequence[T], jobs: int | None = None) -> Iterator[tuple[T, R]]:
    """Yield (item, result) as results arrive; each worker uses one torch thread.

    ``work`` is a function that can be imported. With one job (the default is one per core), or a single item, it runs
    in this process.
    """
    jobs = min(jobs or cores(), len(items))
    if jobs < 2:
        yield from ((item, work(item)) for item in items)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _one_thread) as pool:
        running = {pool.submit(work, item): item for item in items}
        try:
            yield from ((running[done], done.result()) for done in as_completed(running))
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of libraries; they would tear the parent's progress bar
