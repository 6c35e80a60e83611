"""COCO's test-dev from a finished run to the zip that the server takes: detected boxes, images without truth."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from test_train import RUN
from tiny import write_coco

from flatpose.config import DataConfig, EvalConfig
from flatpose.errors import DataError
from flatpose.harness import cli
from flatpose.harness.runner import _record
from flatpose.harness.store import RunDir
from flatpose.progress import SILENT
from flatpose.testdev import DETECTOR, IMAGE_INFO, load_test_dev


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO tree whose val images also play test-dev: three images, one of them without a detected person."""
    root = write_coco(tmp_path_factory.mktemp("data"), images={"train": 6, "val": 3})
    folder = root / "coco"
    shutil.copytree(folder / "val2017", folder / "test2017")
    truth = json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text())
    info = {"images": truth["images"], "categories": truth["categories"]}
    (folder / "annotations" / IMAGE_INFO).write_text(json.dumps(info))
    found = json.loads(next((folder / "person_detection_results").glob("*val2017*")).read_text())
    kept = [d for d in found if d["image_id"] != 3]
    (folder / "person_detection_results" / DETECTOR).write_text(json.dumps([*kept, {**kept[0], "category_id": 2}]))
    return root


def test_only_detected_persons_of_listed_images_are_read(root):
    data = load_test_dev(root)
    assert {p.image_id for p in data.detections} == {1, 2} and data.val.image_ids == [1, 2, 3]
    assert all(p.box_score == 0.9 and not p.keypoints_visible.any() for p in data.detections)


def test_a_finished_run_becomes_a_submission(root, tmp_path, capfd, monkeypatch):
    run = replace(RUN, data=DataConfig(source="disk"), eval=EvalConfig(box_sources=("gt",)),
                  train=replace(RUN.train, epochs=1))
    folder = RunDir(tmp_path / "run")
    folder.path.mkdir()
    folder.save(_record(run, 0, "tiny", root, folder.path, SILENT))
    monkeypatch.setattr("sys.argv", ["flatpose-exp", "submit", "coco-test-dev", "--name", "tiny", "--run",
                                     str(folder.path), "--data-root", str(root), "--out", str(tmp_path / "out"),
                                     "--any-list"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capfd.readouterr()
    assert not stop.value.code, said.err
    with zipfile.ZipFile(said.out.strip().splitlines()[-1]) as archive:
        (name,) = archive.namelist()
        results = json.loads(archive.read(name))
    assert name == "person_keypoints_test-dev2017_tiny_results.json"
    assert {r["image_id"] for r in results} <= {1, 2} and len(results[0]["keypoints"]) == 51


def test_what_is_missing_is_named(root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "data" / "coco" / "person_detection_results" / DETECTOR).unlink()
    with pytest.raises(DataError, match="no person detections for test-dev"):
        load_test_dev(tmp_path / "data")
