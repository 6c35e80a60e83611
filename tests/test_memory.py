"""Freed memory stays with the process: a tensor that is made again and again costs its pages once."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from flatpose.harness.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(12):
    torch.ones(12 << 20)  # 48 MiB, 12288 pages
    before, after = globals().get("after", 0), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(after - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's setting")
def test_a_tensor_made_again_faults_in_no_page() -> None:
    usual, kept = (int(subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True,
                                      timeout=120).stdout) for mode in ("usual", "kept"))
    assert kept < 100 < usual


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from flatpose.harness import memory

    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("musl", "1.2"))
    assert memory.keep_freed_memory() is False
