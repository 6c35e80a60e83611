"""Commands around data and results files as a user types them: data check, data convert, submit, ceilings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flatpose.harness import catalog, report


@pytest.fixture
def everything(cli, crowdpose_tree, mpii_tree) -> Path:
    """One data root with all three benchmarks."""
    shutil.copytree(crowdpose_tree / "crowdpose", cli.data / "crowdpose")
    shutil.copytree(mpii_tree / "mpii", cli.data / "mpii")
    return cli.data


def test_check_looks_at_every_benchmark_that_is_there(cli, everything):
    found = cli("data", "check", "--data-root", str(everything), "--json")
    assert found.code == 0 and {f["task"] for f in found.json} == {"coco", "crowdpose", "mpii"}
    one = cli("data", "check", "--data-root", str(everything), "--task", "mpii", "--json")
    assert {f["task"] for f in one.json} == {"mpii"}
    (everything / "mpii" / "annot" / "gt_valid.mat").unlink()
    broken = cli("data", "check", "--data-root", str(everything))
    assert broken.code == 2 and "gt_valid.mat" in broken.out and "head boxes" in broken.out


def test_convert_writes_the_coco_like_form_of_both(cli, everything, tmp_path):
    answer = cli("data", "convert", "--task", "crowdpose", str(everything), "--out", str(tmp_path / "c"))
    assert answer.code == 0 and answer.out.split() == [str(tmp_path / "c" / f"crowdpose_{name}.json")
                                                       for name in ("trainval", "test")]
    wrong = cli("data", "convert", "--task", "coco", str(everything), "--out", str(tmp_path / "x"))
    assert wrong.code == 2 and "nothing to convert" in wrong.err and not (tmp_path / "x").exists()


def test_ceilings_says_what_it_left_out(cli, monkeypatch):
    row = next(r for r in catalog.entries("ceilings") if r.x is not None and r.tasks == ("coco", "crowdpose"))
    monkeypatch.setattr(catalog, "entries", lambda _: (row,))
    monkeypatch.setattr(report, "write", lambda *_, **__: [])  # of the pages
    answer = cli("ceilings", "--data-root", str(cli.data))
    assert answer.code == 0 and answer.out == "" and "left out: no crowdpose annotations" in answer.err
    nothing = cli("ceilings", "--data-root", str(cli.data / "coco" / "val2017"))
    assert nothing.code == 2 and "no annotations of coco, crowdpose" in nothing.err
