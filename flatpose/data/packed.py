"""Persons as a few large arrays: what data-loading processes share with their parent instead of copying it.

Python keeps its reference counts inside the objects, so a forked process that only reads 150,000 Person objects
copies them all, page by page. The contents of a numpy array are not touched by reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from flatpose.data.instances import Person


class PackedPersons(Sequence[Person]):
    """A sequence whose items are made anew on each access: bit-equal Persons on views of the arrays.

    Args:
        persons: All with the same number of keypoints.
    """

    def __init__(self, persons: Sequence[Person]) -> None:
        self._size = len(persons)
        paths = {path: number for number, path in enumerate(dict.fromkeys(p.image_path for p in persons))}
        names = [os.fsencode(path) for path in paths]
        self._names, self._bounds = b"".join(names), np.cumsum([0, *map(len, names)])
        self._path_of = np.array([paths[p.image_path] for p in persons], dtype=np.int64)
        self._ids = np.array([(p.image_id, p.person_id) for p in persons], dtype=np.int64).reshape(-1, 2)
        self._arrays = [np.stack([getattr(p, name) for p in persons]) if persons else np.zeros(0)
                        for name in ("bbox_xywh", "keypoints", "keypoints_visible")]
        self._numbers = np.array([(p.area, p.box_score, np.nan if p.head_size is None else p.head_size)
                                  for p in persons], dtype=np.float64).reshape(-1, 3)
        self._sizes = np.array([p.image_size or (0, 0) for p in persons], dtype=np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Person: ...
    @overload
    def __getitem__(self, index: slice) -> list[Person]: ...

    def __getitem__(self, index: int | slice) -> Person | list[Person]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._size))]
        image_id, person_id = self._ids[index].tolist()
        area, score, head = self._numbers[index].tolist()
        bbox, keypoints, visible = (array[index] for array in self._arrays)
        first = self._path_of[index]
        name = self._names[self._bounds[first]:self._bounds[first + 1]]
        width, height = self._sizes[index].tolist()
        return Person(image_id, Path(os.fsdecode(name)), person_id, bbox, keypoints, visible, area, score,
                      None if head != head else head, (width, height) if width else None)

    def __iter__(self) -> Iterator[Person]:
        return (self[i] for i in range(self._size))
