"""Reading COCO trees: both layouts, what is left out, images and crops."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import annotations, edit, write_coco
from torch import Tensor
from torch.utils.data import DataLoader

from flatpose import benchmarks
from flatpose.benchmarks import COCO
from flatpose.config import AugmentConfig, DataConfig
from flatpose.data import identity, images, load
from flatpose.data.images import ImageCache
from flatpose.data.instances import Person
from flatpose.data.loader import Crops, EpochSampler, PackedPersons
from flatpose.keypoints import COCO17


@pytest.mark.parametrize("nested", [False, True])
def test_both_layouts_give_the_same_persons(tmp_path, nested):
    data = COCO.load(write_coco(tmp_path, nested=nested))
    assert len(data.train.persons) == 9 and len(data.detections) == 5
    assert all(p.image_path.is_file() for p in [*data.train.persons, *data.detections])
    assert data.label == "COCO subset (6/3 images)"


def test_identity_is_the_loaded_id_and_changes_with_the_annotations(tmp_path):
    root, config = write_coco(tmp_path), DataConfig(source="disk")
    before = load(config, root).data_id
    assert identity(config, root) == (before, None)
    edit(annotations(root), lambda c: c["annotations"].pop())
    assert identity(config, root)[0] not in (before, None)
    data_id, reason = identity(config, tmp_path / "empty")
    assert data_id is None and str(tmp_path / "empty" / "coco") in reason


def test_a_cut_data_set_is_not_called_whole(tmp_path, monkeypatch):
    """The label decides whether a number is compared with the paper's."""
    write_coco(tmp_path)
    whole = COCO.load(tmp_path)
    official = (len(whole.train.image_ids), len(whole.val.image_ids))
    monkeypatch.setitem(benchmarks.BENCHMARKS, "coco", replace(COCO, official=official))
    config = DataConfig(source="disk")
    assert load(config, tmp_path).label == load(replace(config, max_val_images=99), tmp_path).label == "COCO 2017"
    assert load(replace(config, max_val_images=1), tmp_path).label == "COCO 2017, first 1 validation images"
    assert load(replace(config, max_train_persons=2), tmp_path).label == "COCO 2017, first 2 training persons"


def test_persons_that_cannot_be_learned_from_are_left_out(tmp_path):
    root = write_coco(tmp_path)
    edit(annotations(root, "train"), lambda c: [person.update(change) for person, change in zip(
        c["annotations"], ({"bbox": [10, 10, 0, 20]}, {"keypoints": [0] * 51}, {"iscrowd": 1}), strict=False)])
    assert len(COCO.load(root).train.persons) == 9 - 3


def test_boxes_are_cut_to_the_image(tmp_path):
    root = write_coco(tmp_path)
    edit(annotations(root, "train"), lambda c: c["annotations"][0].update(bbox=[-20.0, 100.0, 500.0, 500.0]))
    box = COCO.load(root).train.persons[0].bbox_xywh
    assert box.tolist() == [0.0, 100.0, 159.0, 19.0]


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


def test_crops_depend_on_seed_epoch_and_index_alone(tmp_path):
    persons = COCO.load(write_coco(tmp_path)).train.persons

    augment = AugmentConfig(brightness=0.3, cutout=0.5)
    first, again, other = (Crops(persons, COCO17, (48, 64), udp=False, augment=augment, seed=s) for s in (0, 0, 1))
    for index in (3, 0, 7):
        again[(5, index)]
    for index in range(4):
        a, b = first[(2, index)], again[(2, index)]
        assert np.array_equal(a["image"], b["image"]) and np.array_equal(a["keypoints"], b["keypoints"])
        assert not np.array_equal(a["keypoints"], first[(3, index)]["keypoints"])
        assert not np.array_equal(a["keypoints"], other[(2, index)]["keypoints"])


def test_batches_are_equal_to_the_bit_for_any_number_of_workers(tmp_path):
    persons = COCO.load(write_coco(tmp_path)).train.persons

    def batches(workers: int) -> list[dict[str, Tensor]]:
        sampler = EpochSampler(len(persons), shuffle=True, seed=3)
        sampler.epoch = 2
        crops = Crops(persons, COCO17, (48, 64), udp=False, augment=AugmentConfig(), seed=3)
        return list(DataLoader(crops, 4, sampler=sampler, num_workers=workers))

    alone, shared = batches(0), batches(2)
    assert len(alone) == len(shared) > 1
    assert all(torch.equal(a[name], b[name]) for a, b in zip(alone, shared, strict=True) for name in a)


def test_persons_are_packed_and_come_back_equal(tmp_path):
    persons = COCO.load(write_coco(tmp_path)).train.persons
    persons[2] = replace(persons[2], area=0.1 + 0.2, image_path=Path(os.fsdecode(b"/a/\xff\xc3\xa9.jpg")))
    packed = PackedPersons(persons)
    assert len(packed) == len(list(packed)) == len(persons) and list(PackedPersons([])) == []
    assert {type(part) for part in vars(packed).values()} == {np.ndarray}, "a fork that only reads copies no memory"
    for a, b in zip(persons, packed, strict=True):
        assert all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Person))
