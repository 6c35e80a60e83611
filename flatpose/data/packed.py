"""Persons as a few large arrays, which data-loading processes share with their parent instead of copying them.

Python keeps its reference counts inside the objects, so a forked process that only reads 150,000 Person objects
copies them all, page by page. The contents of a numpy array are not touched by reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from flatpose.data.instances import Person


class PackedPersons:
    """A read-only sequence whose items are made on access: Persons equal to the bit, on views of the arrays.

    Args:
        persons: All with the same number of keypoints.
    """

    def __init__(self, persons: Sequence[Person]) -> None:
        paths = {path: number for number, path in enumerate(dict.fromkeys(p.image_path for p in persons))}
        names = [os.fsencode(path) for path in paths]
        self._names, self._bounds = b"".join(names), np.cumsum([0, *map(len, names)])
        self._integers = np.array([(p.image_id, p.person_id, paths[p.image_path], *(p.image_size or (0, 0)))
                                   for p in persons], dtype=np.int64).reshape(-1, 5)
        self._floats = np.array([(p.area, p.box_score, np.nan if p.head_size is None else p.head_size)
                                 for p in persons], dtype=np.float64).reshape(-1, 3)
        self._arrays = [np.stack([getattr(p, name) for p in persons]) if persons else np.zeros(0)
                        for name in ("bbox_xywh", "keypoints", "keypoints_visible")]

    def __len__(self) -> int:
        return len(self._integers)

    def __getitem__(self, index: int) -> Person:
        image_id, person_id, path, width, height = self._integers[index].tolist()
        area, score, head = self._floats[index].tolist()
        name = self._names[self._bounds[path]:self._bounds[path + 1]]
        bbox, keypoints, visible = (array[index] for array in self._arrays)
        return Person(image_id, Path(os.fsdecode(name)), person_id, bbox, keypoints, visible, area, score,
                      None if head != head else head, (width, height) if width else None)

    def __iter__(self) -> Iterator[Person]:
        return (self[i] for i in range(len(self)))
