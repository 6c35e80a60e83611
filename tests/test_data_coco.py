"""Reading COCO trees: both layouts, what is left out, images and crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import write_coco

from flatpose.config import DataConfig
from flatpose.data import identity, images, load, load_coco
from flatpose.data.images import ImageCache, read_image
from flatpose.data.loader import Crops, EpochSampler
from flatpose.errors import DataError
from flatpose.keypoints import COCO17


def annotations(root: Path, split: str = "train") -> Path:
    return root / "coco" / "annotations" / f"person_keypoints_{split}2017.json"


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("nested", [False, True])
def test_both_layouts_give_the_same_persons(tmp_path, nested):
    data = load_coco(write_coco(tmp_path, nested=nested))
    assert len(data.train.persons) == 9 and len(data.detections) == 5
    assert all(p.image_path.is_file() for p in [*data.train.persons, *data.detections])
    assert data.label == "COCO subset (6/3 images)"


def test_identity_is_the_loaded_id_and_changes_with_the_annotations(tmp_path):
    root = write_coco(tmp_path)
    config = DataConfig(source="disk")
    before = load(config, root).data_id
    assert identity(config, root) == (before, None)
    edit(annotations(root, "val"), lambda c: c["annotations"].pop())
    assert identity(config, root)[0] not in (before, None)


def test_identity_names_what_is_missing(tmp_path):
    data_id, reason = identity(DataConfig(source="disk"), tmp_path)
    assert data_id is None and str(tmp_path / "coco") in reason


def test_persons_that_cannot_be_learned_from_are_left_out(tmp_path):
    root = write_coco(tmp_path)

    def damage(content):
        content["annotations"][0]["bbox"] = [10, 10, 0, 20]
        content["annotations"][1]["keypoints"] = [0] * 51
        content["annotations"][2]["iscrowd"] = 1

    edit(annotations(root), damage)
    assert len(load_coco(root).train.persons) == 9 - 3


def test_boxes_are_cut_to_the_image(tmp_path):
    root = write_coco(tmp_path)
    edit(annotations(root), lambda c: c["annotations"][0].update(bbox=[-20.0, 100.0, 500.0, 500.0]))
    box = load_coco(root).train.persons[0].bbox_xywh
    assert box.tolist() == [0.0, 100.0, 159.0, 19.0]


def test_missing_and_undecodable_images_are_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "no.jpg")
    for content in (b"", b"not a picture"):
        (tmp_path / "bad.jpg").write_bytes(content)
        with pytest.raises(DataError, match="cannot be decoded"):
            read_image(tmp_path / "bad.jpg")


@pytest.fixture
def decodes(monkeypatch) -> list[Path]:
    """Every image that is decoded; each has 100 bytes."""
    seen: list[Path] = []
    monkeypatch.setattr(images, "read_image", lambda path, *_: seen.append(path) or np.zeros(100, np.uint8))
    return seen


def test_images_beyond_the_room_leave_the_others_in_the_cache(decodes):
    """With room for 70 of 100 about 70 are found in each later epoch; throwing out the least recently used gives 35."""
    cache, sampler = ImageCache(7000), EpochSampler(100, shuffle=True)
    for sampler.epoch in range(11):
        for _, index in sampler:
            cache.read(Path(str(index)))
            assert cache.bytes == 100 * len(cache.images) <= 7000
    assert len(decodes) <= 100 + 10 * 31


def test_the_last_image_is_kept_also_when_the_cache_is_full(decodes):
    """`by_image`: persons of one image follow each other."""
    cache = ImageCache(300)
    for name in "abcdeddef":
        cache.read(Path(name))
    assert "".join(map(str, decodes)) == "abcdedef", "d is found twice running, a and b are still there"
    assert {path.name for path, _ in cache.images} == {"a", "b", "f"}
    cache.read(Path("g"))
    assert len(decodes) == 9


def test_crops_depend_on_seed_epoch_and_index_alone(tmp_path):
    persons = load_coco(write_coco(tmp_path)).train.persons

    def crops(seed):
        from flatpose.config import AugmentConfig
        return Crops(persons, COCO17, (48, 64), udp=False, augment=AugmentConfig(brightness=0.3, cutout=0.5), seed=seed)

    first, again, other = crops(0), crops(0), crops(1)
    for index in (3, 0, 7):
        again[(5, index)]
    for index in range(4):
        a, b = first[(2, index)], again[(2, index)]
        assert np.array_equal(a["image"], b["image"]) and np.array_equal(a["keypoints"], b["keypoints"])
        assert not np.array_equal(a["keypoints"], first[(3, index)]["keypoints"])
        assert not np.array_equal(a["keypoints"], other[(2, index)]["keypoints"])
