"""A subset is deterministic, nested, complete and usable."""

from __future__ import annotations

import pytest
from tiny import annotations, edit, write_coco

from flatpose.benchmarks import COCO
from flatpose.data.subset import make_subset
from flatpose.errors import DataError


@pytest.mark.parametrize("nested", [False, True])
def test_a_subset_loads_and_is_the_same_every_time(tmp_path, nested):
    root = write_coco(tmp_path / "whole", images={"train": 8, "val": 5}, nested=nested)
    data = COCO.load(make_subset(root, tmp_path / "a", {"train": 3, "val": 2}))
    again = COCO.load(make_subset(root, tmp_path / "b", {"train": 3, "val": 2}))
    assert (len(data.train.image_ids), len(data.val.image_ids)) == (3, 2)
    assert data.data_id == again.data_id
    assert {p.image_id for p in data.detections} <= set(data.val.image_ids) and data.detections
    assert all(p.image_path.is_file() for p in [*data.train.persons, *data.val.persons])


def test_a_larger_subset_contains_the_smaller_and_the_whole_is_the_limit(tmp_path):
    root = write_coco(tmp_path / "whole", images={"train": 8, "val": 5})
    small, large = (COCO.load(make_subset(root, tmp_path / str(n), {"train": n, "val": n})) for n in (2, 100))
    assert set(small.train.image_ids) < set(large.train.image_ids)
    assert (len(large.train.image_ids), len(large.val.image_ids)) == (8, 5)


def test_an_existing_folder_is_left_alone_and_nobody_to_train_on_is_refused(tmp_path):
    root = write_coco(tmp_path / "whole")
    with pytest.raises(DataError, match="exists already"):
        make_subset(root, root, {"train": 1, "val": 1})
    edit(annotations(root, "train"), lambda c: c.update(annotations=[]))
    with pytest.raises(DataError, match="no person with a labelled keypoint"):
        make_subset(root, tmp_path / "a", {"train": 1, "val": 1})


def test_ids_written_as_floats_are_the_same_images(tmp_path):
    """JSON from pandas has 139.0 for 139; nothing may be lost without an error."""
    root = write_coco(tmp_path / "whole", images={"train": 8, "val": 5})
    plain = COCO.load(make_subset(root, tmp_path / "a", {"train": 3, "val": 2}))
    for path in root.rglob("*.json"):
        edit(path, lambda c: [entry.update({k: float(entry[k]) for k in ("id", "image_id") if k in entry}) for entry in
                              (c["images"] + c["annotations"] if isinstance(c, dict) else c)])
    floats = COCO.load(make_subset(root, tmp_path / "b", {"train": 3, "val": 2}))
    for name in ("train", "val"):
        a, b = getattr(plain, name), getattr(floats, name)
        assert a.image_ids == b.image_ids and len(a.persons) == len(b.persons) > 0
    assert len(plain.detections) == len(floats.detections) > 0
