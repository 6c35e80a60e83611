"""A user's own keypoint set: ``keypoints.json`` beside a COCO-like tree says what its keypoints mean."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flatpose.errors import DataError, nearest
from flatpose.io import read_json
from flatpose.keypoints import KeypointSet

KEYPOINTS_FILE = "keypoints.json"
DEFAULT_SIGMA = 0.05  # between COCO's values for facial keypoints and wrists
Name = Annotated[str, Field(min_length=1, max_length=64)]
Pair = Annotated[list[Name], Field(min_length=2, max_length=2)]


class _File(BaseModel):
    """The form of the file; everything refers to keypoints by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    keypoints: Annotated[list[Name], Field(min_length=1, max_length=1000)]
    flip_pairs: list[Pair] = []
    skeleton: list[Pair] = []
    upper_body: list[Name] = []
    sigmas: list[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]] | None = None


def find_keypoint_set(place: Path | None) -> KeypointSet:
    """The set of keypoints.json in a folder or up to three folders above it; raises DataError when there is none."""
    if place is None:
        raise DataError("own keypoints are described by a file beside the data", where="task custom",
                        hint=f"give --data-root DIR with DIR/{KEYPOINTS_FILE}")
    files = [folder / KEYPOINTS_FILE for folder in (place, *place.resolve().parents[:3])]
    return read_keypoint_set(next((file for file in files if file.is_file()), files[0]))


def read_keypoint_set(path: Path) -> KeypointSet:
    """The set that a file describes:

    ``{"name": "dog6", "keypoints": [names], "flip_pairs": [[left, right], ...], "skeleton": [[a, b], ...],
    "sigmas": [one per keypoint], "upper_body": [names]}``; all but the first two may be left out. Without sigmas
    every keypoint has 0.05 (in units of the square root of the object's area).

    Raises:
        DataError: The file is missing, is not JSON, has another form, or names keypoints that it does not list.
    """
    if not path.is_file():
        raise DataError("no keypoint set for custom data", where=str(path),
                        hint='write {"name": ..., "keypoints": [...], "flip_pairs": [...], "sigmas": [...]}')
    try:
        found = _File.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole file"
        known = nearest(str(first["loc"][-1]), _File.model_fields) if first["type"] == "extra_forbidden" else None
        raise DataError(f"not a keypoint set: {field}: {first['msg']}", where=str(path), hint=known) from None
    return _resolve(found, path)


def _resolve(found: _File, path: Path) -> KeypointSet:
    """Names to indices, with every rule that the form alone cannot say."""
    names = found.keypoints

    def indices(field: str, wanted: list[str]) -> tuple[int, ...]:
        unknown = next((name for name in wanted if name not in names), None)
        if unknown is not None:
            raise DataError(f"{field}: {unknown!r} is not among the keypoints", where=str(path),
                            hint=nearest(unknown, names))
        return tuple(map(names.index, wanted))

    def pairs(field: str, wanted: list[list[str]]) -> tuple[tuple[int, int], ...]:
        flat = indices(field, [name for pair in wanted for name in pair])
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    if double := _repeated(names):
        raise DataError(f"keypoints: {double!r} is named twice", where=str(path))
    if found.sigmas is not None and len(found.sigmas) != len(names):
        raise DataError(f"sigmas: {len(found.sigmas)} values for {len(names)} keypoints", where=str(path))
    if twice := _repeated([name for pair in found.flip_pairs for name in pair]):
        raise DataError(f"flip_pairs: {twice!r} stands in two places", where=str(path),
                        hint="a keypoint has one mirror image, and none when it lies in the middle")
    return KeypointSet(name=found.name, names=tuple(names), flip_pairs=pairs("flip_pairs", found.flip_pairs),
                       sigmas=tuple(found.sigmas or [DEFAULT_SIGMA] * len(names)),
                       skeleton=pairs("skeleton", found.skeleton), upper_body=indices("upper_body", found.upper_body))


def _repeated(names: list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
