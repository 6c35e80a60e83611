"""Commands around data and results files as a user types them: data check, data convert, submit, ceilings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fake_runs import Cli
from test_crowdpose import embedded as crowdpose_tree  # noqa: F401
from test_metrics import as_result, person, write_truth
from test_mpii import embedded as mpii_tree  # noqa: F401

from flatpose.harness import catalog


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.fixture
def everything(cli, crowdpose_tree, mpii_tree) -> Path:  # noqa: F811
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
    answer = cli("data", "convert", "--task", "mpii", str(everything), "--out", str(tmp_path / "m"))
    files = [Path(line) for line in answer.out.split()]
    assert [f.name for f in files] == ["mpii_train.json", "mpii_valid.json"]
    wrong = cli("data", "convert", "--task", "coco", str(everything), "--out", str(tmp_path / "x"))
    assert wrong.code == 2 and "nothing to convert" in wrong.err and not (tmp_path / "x").exists()


def test_ceilings_says_what_it_left_out(cli, monkeypatch):
    row = next(r for r in catalog.entries("ceilings") if r.x is not None and r.tasks == ("coco", "crowdpose"))
    monkeypatch.setattr(catalog, "entries", lambda _: (row,))
    answer = cli("ceilings", "--data-root", str(cli.data))
    assert answer.code == 0 and answer.out == "" and "left out: no crowdpose annotations" in answer.err
    nothing = cli("ceilings", "--data-root", str(cli.data / "coco" / "val2017"))
    assert nothing.code == 2 and "no annotations of coco, crowdpose" in nothing.err


def test_score_prints_one_json_document_and_exits_2_on_a_malformed_file(cli, tmp_path):
    people = [person(1, 0), person(2, 20)]
    truth, found = write_truth(tmp_path / "truth.json", people), tmp_path / "found.json"
    found.write_text(json.dumps([as_result(p, 0.9) for p in people]))
    files = "--annotations", str(truth), "--predictions", str(found)
    assert cli("score", "--task", "coco", *files).json["AP"] == pytest.approx(1)
    assert cli("score", "--task", "crowd-pose", *files).code == 2
    found.write_text("[]")
    bad = cli("score", "--task", "coco", *files)
    assert bad.code == 2 and bad.out == ""
