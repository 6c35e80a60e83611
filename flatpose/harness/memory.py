"""Memory that a training step frees and the next one needs again stays with the process."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's numbers for mallopt(3)."""
LARGEST = (1 << 30, 1 << 25)
"""Bytes; older releases refuse more than the second."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks, however large, instead of giving each back to the system; True where it listens.

    A step on a CPU allocates the same tensors as the one before. glibc takes large ones from the system and returns
    them, and every page of each is then zeroed anew by the kernel: a fifth of the time of a small network
    (benchmarks/results/engine.md). No number changes; the process holds on to the most it ever needed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = [any(mallopt(what, size) for size in LARGEST) for what in (MMAP_THRESHOLD, TRIM_THRESHOLD)]
    return all(kept)
