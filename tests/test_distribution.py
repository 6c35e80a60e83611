"""Wheel and sdist work without the repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import cv2
import pytest
import tiny_pose

import flatpose

ROOT = Path(__file__).resolve().parents[1]


def call(*words: object, folder: Path) -> str:
    """Standard output of a command that does not see the repository."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FLATPOSE"))}
    environment |= {"FLATPOSE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, words)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "-o", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def scripts(dist) -> Path:
    """The programs of a new environment that holds the wheel; the packages that it needs are those of this one."""
    home = dist / "venv"
    venv.create(home, with_pip=False)
    names = {"base": str(home), "platbase": str(home)}
    packages = Path(sysconfig.get_path("purelib", "venv", names))
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index")
    program = Path(sysconfig.get_path("scripts", "venv", names))
    call(*pip[:3], "--python", program / "python", *pip[3:], next(dist.glob("*.whl")), folder=dist)
    (packages / "needed.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
    return program


def test_one_version():
    """CITATION.cff cannot read the version of the package, so it is compared."""
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == flatpose.__version__


@pytest.mark.slow
def test_the_wheel_works_without_the_repository(scripts, tmp_path):
    """`list`, `predict` with the bundled network, and one run of an experiment by its id."""
    program = scripts / "flatpose-exp"
    assert Path(call(scripts / "python", "-c", "import flatpose; print(flatpose.__file__)",
                     folder=tmp_path)).is_relative_to(scripts.parent)
    assert call(program, "--version", folder=tmp_path).strip() == flatpose.__version__
    assert "fig1" in call(program, "list", folder=tmp_path)
    cv2.imwrite(str(tmp_path / "photo.png"), tiny_pose.IMAGE)
    (tmp_path / "boxes.json").write_text(json.dumps({"photo.png": [[10, 5, 60, 80]]}))
    call(program, "predict", "photo.png", "--boxes", "boxes.json", folder=tmp_path)
    assert len(json.loads((tmp_path / "poses" / "predictions.json").read_text())) == 1
    call(program, "run", "fig1", "--profile", "smoke", "--row", "simcc_s32", "--seeds", "0", folder=tmp_path)
    assert len(list(tmp_path.glob("runs/*/seed0/*/record.json"))) == 1
    assert (tmp_path / "reports" / "fig1.md").exists()
