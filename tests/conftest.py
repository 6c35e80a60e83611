"""Shared fixtures. The development data beside the repository is optional: a user's clone has none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data beside the checkout; skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip("needs the development data beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    """Its real images and annotations."""
    return shared / "data"


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    """Small tensors run slower on many threads than on one."""
    os.environ.setdefault("OMP_NUM_THREADS", "2")
