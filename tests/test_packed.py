"""Persons as shared arrays: equal to the list they were made of, and not copied by the processes that read them."""

from __future__ import annotations

import os
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from tiny import write_coco

from flatpose.data import load_coco
from flatpose.data.instances import Person
from flatpose.data.packed import PackedPersons


def same(a: Person, b: Person) -> bool:
    """Equal in value and in kind."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Person)]
    return all(type(x) is type(y) and (x.dtype == y.dtype and np.array_equal(x, y) if isinstance(x, np.ndarray)
                                       else x == y) for x, y in pairs)


def test_every_person_comes_back_to_the_bit(tmp_path):
    persons = load_coco(write_coco(tmp_path)).train.persons
    persons[2] = replace(persons[2], head_size=0.1 + 0.2, image_path=Path(os.fsdecode(b"/a/\xff\xc3\xa9.jpg")))
    packed = PackedPersons(persons)
    assert len(packed) == len(persons) and all(map(same, packed, persons)) and same(packed[-1], persons[-1])
    with pytest.raises(IndexError):
        packed[len(persons)]


def test_no_persons():
    assert list(PackedPersons([])) == []


def _private() -> int:
    """KiB of memory that this process shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux how much memory a process owns")
def test_a_process_that_reads_all_persons_copies_hardly_any(tmp_path):
    one = load_coco(write_coco(tmp_path)).train.persons[0]
    packed = PackedPersons([replace(one, image_id=i, keypoints=one.keypoints + i) for i in range(20000)])
    read, write = os.pipe()
    if os.fork() == 0:
        before = _private()
        for person in packed:
            person.keypoints.sum()
        os.write(write, str(_private() - before).encode())
        os._exit(0)
    os.wait()
    assert int(os.read(read, 100)) < 4000, "the keypoints alone are 5 MB, the persons as objects over 16 MB"
