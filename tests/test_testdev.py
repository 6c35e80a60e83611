"""COCO's test-dev from a finished run to the zip that the server takes: detected boxes, images without truth."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import RUN, annotations, write, write_coco

from flatpose.config import EvalConfig
from flatpose.errors import DataError
from flatpose.models import build_model
from flatpose.testdev import DETECTOR, IMAGE_INFO, coco_test_dev, load_test_dev, results_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO tree whose val images also play test-dev: three images, one of them without a detected person."""
    root = write_coco(tmp_path_factory.mktemp("data"), images={"train": 6, "val": 3})
    folder = root / "coco"
    shutil.copytree(folder / "val2017", folder / "test2017")
    truth = json.loads(annotations(root).read_text())
    write(folder / "annotations" / IMAGE_INFO, {"images": truth["images"], "categories": truth["categories"]})
    found = json.loads(next((folder / "person_detection_results").glob("*val2017*")).read_text())
    kept = [d for d in found if d["image_id"] != 3]
    write(folder / "person_detection_results" / DETECTOR, [*kept, {**kept[0], "category_id": 2}])
    return root


def test_only_detected_persons_of_listed_images_are_read(root, tmp_path):
    data = load_test_dev(root)
    assert {p.image_id for p in data.detections} == {1, 2} and data.val.image_ids == [1, 2, 3]
    assert all(p.box_score == 0.9 and not p.keypoints_visible.any() for p in data.detections)
    shutil.copytree(root, tmp_path / "data", ignore=lambda *_: {DETECTOR})
    with pytest.raises(DataError, match="no person detections for test-dev"):
        load_test_dev(tmp_path / "data")


def test_a_networks_weights_become_a_submission(root, tmp_path):
    run = replace(RUN, eval=EvalConfig(box_sources=("gt",), nms="none"))
    network, data = build_model(run.model, run.codec, run.image_size, 17), load_test_dev(root)
    path = coco_test_dev(results_of(network, run, data), data.val.annotation_file, tmp_path, "tiny", any_list=True)
    with zipfile.ZipFile(path) as archive:
        found = json.loads(archive.read("person_keypoints_test-dev2017_tiny_results.json"))
    assert len(found) == len(data.detections) and {r["image_id"] for r in found} == {1, 2}
    assert len(found[0]["keypoints"]) == 51
