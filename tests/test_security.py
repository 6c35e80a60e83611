"""What a stranger's file can do: be refused. Names in files stay in their folder, and nothing in a file is executed."""

from __future__ import annotations

import ast
import json
import os
import pickle
import sys
import zlib
from pathlib import Path

import hostile
import pytest
from fake_runs import Cli
from test_faults import PIPELINE, REAL
from tiny import write_coco

from flatpose.data.subset import make_subset
from flatpose.errors import DataError
from flatpose.io import write_json

ROOT = Path(__file__).parents[1]
# Reads that can run code or write outside their folder, and where one of them is meant.
FORBIDDEN = {"pickle.load", "pickle.loads", "eval", "exec", "os.system", "shutil.unpack_archive", "joblib.load",
             "yaml.load", "marshal.loads", "np.load", "numpy.load", "runpy.run_path"}
FORBIDDEN_METHODS = {"extractall", "extract", "exec_module"}
MEANT = {("harness/catalog.py", "exec_module"), ("harness/ceilings.py", "exec_module")}  # specs that are Python


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def test_nothing_in_the_program_reads_code_or_unpacks_archives():
    found = set()
    for path in sorted((ROOT / "flatpose").rglob("*.py")):
        name = path.relative_to(ROOT / "flatpose").as_posix()
        for call in calls(path):
            function = ast.unparse(call.func)
            options = {k.arg: ast.unparse(k.value) for k in call.keywords}
            if function in FORBIDDEN or options.get("shell") == "True" or options.get("allow_pickle") == "True":
                found.add((name, function))
            if function.split(".")[-1] in FORBIDDEN_METHODS and "." in function:
                found.add((name, function.split(".")[-1]))
            if function == "torch.load" and options.get("weights_only") != "True":
                found.add((name, function))
    assert found == MEANT


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_in_a_runs_folder_runs_no_code(tmp_path, monkeypatch, capsys):
    """Although its check sums are right: whoever writes the file writes them too."""
    cli = Cli(tmp_path, monkeypatch, capsys)
    monkeypatch.delitem(sys.modules, PIPELINE)
    cli.spec = cli.write("real.py", REAL)
    assert cli.run("--row", "tame").code == 0
    (record,) = tmp_path.glob("runs/*/*/*/record.json")
    folder, trap = record.parent / "checkpoint", tmp_path / "trap"
    record.unlink()
    content = pickle.dumps(_Trap(trap))
    (folder / "custom_checkpoint_0.pkl").write_bytes(content)
    state = json.loads((folder / "state.json").read_text())
    write_json(folder / "state.json", {**state, "files": {**state["files"], "custom_checkpoint_0.pkl":
                                                         zlib.crc32(content)}})
    answer = cli.run("--row", "tame")
    assert not trap.exists() and answer.code == 0
    assert "was not to be trusted" in answer.err and "this run starts afresh" in answer.err
    assert json.loads(record.read_text())["status"] == "done" and (folder / "state.json").is_file()


@pytest.mark.parametrize("name", ["../../../escaped.jpg", "/etc/hostname", "a/../../../escaped.jpg"])
def test_a_subset_writes_nothing_outside_its_folder(tmp_path, name):
    root = write_coco(tmp_path / "data")
    path = root / "coco" / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    before = {p for p in tmp_path.rglob("*") if "subset" not in p.name and "subset" not in str(p)}
    with pytest.raises(DataError, match="leave the image folder"):
        make_subset(root, tmp_path / "subset", {"train": 3, "val": 3})
    assert {p for p in tmp_path.rglob("*") if "subset" not in str(p)} == before and not (tmp_path / "subset").exists()


def test_a_subset_of_annotations_that_are_no_objects(tmp_path):
    """Found by benchmarks/fuzz.py."""
    root = write_coco(tmp_path / "data")
    path = root / "coco" / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "annotations": [*content["annotations"], 22.0]}))
    with pytest.raises(DataError, match="are not objects"):
        make_subset(root, tmp_path / "subset", {"train": 3, "val": 3})


def test_a_subset_of_images_in_folders_and_of_odd_crowds(tmp_path):
    """Crowd entries are not looked at closely by training, so nothing may be taken for granted in them here."""
    root = write_coco(tmp_path / "data")
    folder = root / "coco" / "val2017"
    path = root / "coco" / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(path.read_text())
    (folder / "deep").mkdir()
    (folder / content["images"][0]["file_name"]).rename(folder / "deep" / "x.jpg")
    content["images"][0]["file_name"] = "deep/x.jpg"
    content["annotations"] += [{"id": 91, "iscrowd": 1, "image_id": 1, "bbox": [0, 0, 9, 9]},
                               {"id": 92, "category_id": 2, "image_id": {}}]
    path.write_text(json.dumps(content))
    boxes = next((root / "coco" / "person_detection_results").iterdir())
    boxes.write_text(json.dumps([*json.loads(boxes.read_text()), {"category_id": 3}]))
    made = make_subset(root, tmp_path / "subset", {"train": 3, "val": 3})
    assert (made / "coco" / "val2017" / "deep" / "x.jpg").is_file()


@pytest.mark.parametrize("content", [5, {"images": 1}, {"images": [{"id": [], "file_name": "a.jpg"}]},
                                     {"images": [{"id": 1, "file_name": "../a.jpg"}]}, {"images": [{"id": 1}]}])
def test_the_image_list_of_test_dev(tmp_path, content):
    from flatpose import testdev

    root = write_coco(tmp_path)
    (root / "coco" / "test2017").mkdir()
    folder = root / "coco"
    (folder / "annotations" / testdev.IMAGE_INFO).write_text(json.dumps(content))
    (folder / "person_detection_results" / testdev.DETECTOR).write_text(json.dumps(hostile.boxes()))
    with pytest.raises(DataError, match="no list 'images'"):
        testdev.load_test_dev(root)


@pytest.mark.parametrize("place, value", [(place, value) for place, values in hostile.BOXES.items()
                                          for value in values if place != (0, "category_id")])
def test_the_detections_for_test_dev(tmp_path, place, value):
    from flatpose.data.detections import read_detections

    path = tmp_path / "boxes.json"
    path.write_bytes(hostile.changed(hostile.boxes(), place, value))
    with pytest.raises(DataError):
        read_detections(path, {i: {"id": i, "file_name": f"{i}.jpg"} for i in (1, 2)}, Path(), 17, 1)


@pytest.mark.parametrize("points", [[{"id": 16}], [{"id": -1}], [{"id": "x"}], [{}], [{"id": 1, "x": "a", "y": 2}]])
def test_joints_of_the_official_mpii_file(points):
    from flatpose.data.convert import _joints

    with pytest.raises((KeyError, ValueError)):
        _joints([{"x": 1.0, "y": 2.0, **p} for p in points])
