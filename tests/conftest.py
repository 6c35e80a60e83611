"""Shared fixtures. The development data beside the repository is optional: a user's clone has none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import fake_reports
import pytest
from fake_runs import Cli

from flatpose import parallel
from flatpose.config import EmbeddedConfig
from flatpose.data import synthetic
from flatpose.harness.spec import Experiment

os.environ.setdefault("OMP_NUM_THREADS", "1")  # `make test` runs two processes; threads that wait spin
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


@pytest.fixture
def compare(shared: Path, monkeypatch) -> ModuleType:
    """The comparison script of the parity packs."""
    monkeypatch.syspath_prepend(shared / "peers")
    return importlib.import_module("compare")


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    """The command line in a project of its own, with a stand-in for the pipeline."""
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def mine(tmp_path_factory) -> Experiment:
    """An experiment that somebody made up."""
    return fake_reports.experiment(tmp_path_factory.mktemp("spec"))


@pytest.fixture(scope="session")
def crowdpose_tree(tmp_path_factory) -> Path:
    """A small generated CrowdPose tree."""
    return synthetic.ensure(EmbeddedConfig(train_images=6, val_images=20), tmp_path_factory.mktemp("embedded"),
                            task="crowdpose", workers=1)


@pytest.fixture(scope="session")
def mpii_tree(tmp_path_factory) -> Path:
    """A small generated MPII tree."""
    return synthetic.ensure(EmbeddedConfig(train_images=8, val_images=12), tmp_path_factory.mktemp("embedded"),
                            task="mpii", workers=1)


@pytest.fixture(autouse=True, scope="session")
def _one_process() -> Iterator[None]:
    """Work is shared among processes, which take seconds to start, only where a test asks for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "cores", lambda: 1)
        yield
