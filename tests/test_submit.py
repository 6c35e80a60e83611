"""The test-dev zip: one file at the root, the right name, the same bytes again, nothing that the server refuses."""

from __future__ import annotations

import json
import zipfile

import pytest
from tiny import write

from flatpose.errors import DataError
from flatpose.testdev import coco_test_dev

NAME = "person_keypoints_test-dev2017_flatpose-b_results"


@pytest.fixture
def info(tmp_path):
    return write(tmp_path / "image_info_test-dev2017.json", {"images": [{"id": 7}, {"id": 9}], "categories": []})


def submission(results, info, out, name="a"):
    """With the two images of the test's list, which is not test-dev's."""
    return coco_test_dev(results, info, out, name, any_list=True)


def result(**changes) -> dict:
    return {"image_id": 7, "category_id": 1, "keypoints": [1.23456] * 51, "score": 0.5, "center": [1, 2], **changes}


def test_the_zip_holds_one_file_at_its_root(tmp_path, info):
    path = submission([result(), result(image_id=9)], info, tmp_path / "new" / "folder", "flatpose-b")
    assert path.name == f"{NAME}.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"{NAME}.json"] and archive.testzip() is None
        found = json.loads(archive.read(f"{NAME}.json"))
    assert [r["image_id"] for r in found] == [7, 9]
    assert found[0].keys() == {"image_id", "category_id", "keypoints", "score"}
    assert found[0]["keypoints"][:3] == [1.23, 1.23, 1.2346]
    again = submission(write(tmp_path / "found.json", [result(), result(image_id=9)]), info, tmp_path, "flatpose-b")
    assert again.read_bytes() == path.read_bytes(), "the same results give the same bytes"


@pytest.mark.parametrize("results, images, name, message", [
    ([result(), 3], {"images": [{"id": 7}]}, "a", r"results: \[1\]: 3, expected an object"),
    ([result(image_id=8)], {"images": [{"id": 7}]}, "a", r"\[0\].image_id: 8 is not among the images"),
    ([result(category_id=3)], {"images": [{"id": 7}]}, "a", r"\[0\].category_id: 3, expected 1"),
    ([result()], {"images": [{"id": 7}]}, "../x", "letters, digits"),
    ([], {"images": [{"id": 7}]}, "a", "at least one result"), ([result()], [], "a", "no list 'images'"),
    ([result()], {"images": []}, "a", "is empty")])
def test_what_the_server_would_refuse(tmp_path, info, results, images, name, message):
    write(info, images)
    with pytest.raises(DataError, match=message):
        submission(results, info, tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count, said", [
    (20_287, "20,287 images; test-dev2017 has 20,288"),
    (40_670, "40,670 images, which is test2017's list; test-dev2017 has 20,288"),
])
def test_the_list_of_another_set_is_refused(tmp_path, info, count, said):
    write(info, {"images": [{"id": i} for i in range(count)]})
    with pytest.raises(DataError, match=said):
        coco_test_dev([result()], info, tmp_path / "out", "a")
    assert not (tmp_path / "out").exists()
    assert submission([result()], info, tmp_path / "out").is_file()
