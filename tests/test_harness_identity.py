from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from flatpose.config import BaselineConfig, RunConfig
from flatpose.harness import identity, provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the program whose code may be changed; ``edit`` returns the new hash."""
    copy = tmp_path / "flatpose"
    shutil.copytree(identity.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "PACKAGE", copy)

    def edit(name: str = "", old: str = "", new: str = "") -> str:
        if name:
            text = (copy / name).read_text()
            assert old in text
            (copy / name).write_text(text.replace(old, new))
        for cached in (identity._hash_from, identity._imports, identity._tree):
            cached.cache_clear()
        return identity.code_hash(RunConfig(model=BaselineConfig()))

    yield edit
    for cached in (identity._hash_from, identity._imports, identity._tree):
        cached.cache_clear()


def test_only_what_can_move_a_number_changes_the_code_hash(package):
    before = package()
    assert re.fullmatch("[0-9a-f]{12}", before)
    assert package("train.py", "from __future__", "# a comment\nfrom __future__") == before
    assert package("geometry.py", '"""Boxes', '"""Other words: boxes') == before
    assert package("harness/store.py", "SCHEMA_VERSION = 1", "SCHEMA_VERSION = 2") == before
    assert package("models/hrnet.py", "import", "import os\nimport") == before, "another model's file"
    assert package("geometry.py", "1.25", "1.26") != before


@pytest.mark.parametrize("name", ["pipeline.py", "train.py", "evaluate.py", "losses.py", "models/baseline.py",
                                  "models/backbones.py", "codecs/simcc.py", "data/transforms.py", "metrics/coco.py"])
def test_every_part_of_a_run_is_in_the_code_hash(package, name):
    before = package()
    assert package(name, "from __future__ import annotations", "from __future__ import annotations\nNEW = 1") != before


def test_models_have_hashes_of_their_own():
    from flatpose.config import FlatPoseConfig

    run = RunConfig(model=BaselineConfig())
    assert identity.code_hash(run) != identity.code_hash(replace(run, model=FlatPoseConfig()))


def test_the_syntax_tree_reads_the_same_on_every_python(tmp_path):
    (tmp_path / "code.py").write_text('def f(x: int = 1, *y: str, **z: float) -> None:\n    "words"\n'
                                      '    return [f"{x!r:>{y}}" "é", None, 0.1, lambda: ...]  # why\n')
    assert identity._tree(tmp_path / "code.py") == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x',annotation=Name(id='int'))],"
        "vararg=arg(arg='y',annotation=Name(id='str')),kwarg=arg(arg='z',annotation=Name(id='float')),"
        "defaults=[Constant(value=1)]),body=[Return(value=List(elts=[JoinedStr(values=[FormattedValue("
        "value=Name(id='x'),conversion=114,format_spec=JoinedStr(values=[Constant(value='>'),FormattedValue("
        "value=Name(id='y'),conversion=-1)])),Constant(value='\\xe9')]),Constant(),Constant(value=0.1),"
        "Lambda(args=arguments(),body=Constant(value=Ellipsis))]))],returns=Constant())])")


def test_the_command_is_kept_without_folders(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "run", "/home/me/my.py", "--data-root=/mnt/a/coco", "--row", "a/b", "../d"])
    assert provenance._command() == "flatpose-exp run my.py --data-root=coco --row a/b ../d"


def test_git_is_asked_only_in_a_checkout_of_ours(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "lib" / "site-packages")
    assert provenance._git("rev-parse", "--show-toplevel") is None and provenance._dirty_hash() is None
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance._git("rev-parse", "--show-toplevel") == str(tmp_path.resolve())
    monkeypatch.setenv("PATH", "")
    assert provenance._git("rev-parse", "--show-toplevel") is None


def test_provenance_is_complete():
    found = provenance.describe("2031-01-01T00:00:00Z", 1.23)
    assert {"git_sha", "dirty_diff_hash", "versions", "platform", "device", "cpu", "threads", "command", "started",
            "ended", "seconds", "host_class"} == set(found)
    assert found["versions"]["torch"] and found["seconds"] == 1.2
