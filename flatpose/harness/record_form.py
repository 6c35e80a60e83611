"""The form of a record, checked before anything is read out of one: records travel between machines and people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from flatpose.errors import DataError

Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=64, pattern=r"^[\w.-]+$")]
"""Part of a run's path, so no separator."""


class _Result(TypedDict):
    kind: Literal["trained", "ceiling"]
    weights: Optional[str]
    box_source: str
    flip_test: bool
    score_rule: str
    metrics: dict[str, Number]
    images: int
    predictions: int
    bootstrap: NotRequired[dict[str, Annotated[list[Number], Field(min_length=2, max_length=2)]]]


class _Data(TypedDict):
    label: str
    task: Literal["coco", "crowdpose", "mpii", "custom"]
    source: Literal["embedded", "disk"]


class _Provenance(TypedDict, total=False):
    ended: Optional[str]
    seconds: Number
    versions: dict[str, str]


class _Any(TypedDict):
    spec_hash: Name
    seed: Annotated[int, Field(ge=0)]
    data_id: Optional[Name]
    code_hash: NotRequired[Optional[str]]
    profile: NotRequired[str]
    spec: NotRequired[dict[str, Any]]
    provenance: NotRequired[Optional[_Provenance]]


class _Failed(_Any):
    status: Literal["failed"]
    reason: NotRequired[Optional[str]]


class _Done(_Any):
    status: Literal["done"]
    data: NotRequired[_Data]
    train: NotRequired[Optional[dict[str, Any]]]
    cost: NotRequired[Optional[dict[str, Optional[Number]]]]
    results: NotRequired[list[_Result]]


class _Cost(TypedDict):
    row: str
    input_hw: NotRequired[list[int]]
    params_m: NotRequired[Number]
    params_leaf_m: NotRequired[Number]
    table6: NotRequired[dict[str, Union[Number, list[Number]]]]
    gflops: NotRequired[Number]
    gflops_hrnet_tool: NotRequired[Optional[Number]]


class _File(TypedDict):
    file: str
    sha256: str
    names: str


class _Measured(TypedDict):
    box_source: str
    metrics: dict[str, Number]


class _Named(TypedDict):
    label: str


class _Kind(TypedDict):
    kind: str


class _OfModel(TypedDict):
    model: _Kind


class _Ended(TypedDict):
    ended: str


class _Checkpoint(TypedDict):
    row: str
    spec_hash: Name
    data_id: Name
    checkpoint: _File
    spec: _OfModel
    data: _Named
    results: list[_Measured]
    provenance: _Ended


class _Timing(TypedDict):
    batch: int
    compiled: bool
    ms: Annotated[Number, Field(gt=0)]
    peak_memory_mb: Number
    ratio_reference: Number
    ratio_flatpose_b: Annotated[Number, Field(gt=0)]
    range_flatpose_b: Annotated[list[Number], Field(min_length=2, max_length=2)]
    device: str
    threads: int


class _Latency(TypedDict):
    row: str
    latency: Annotated[list[_Timing], Field(min_length=1)]
    cpu: str
    ended: str
    torch: Optional[str]


class _Measure(TypedDict):
    key: str
    title: str
    unit: str
    decimals: Annotated[int, Field(ge=0)]
    direction: Literal["higher", "lower", ""]


class _Line(TypedDict):
    row: str
    seed: Annotated[int, Field(ge=0)]
    part: str
    values: dict[str, Optional[Number]]


class _Network(TypedDict):
    row: str
    seed: Annotated[int, Field(ge=0)]
    spec_hash: Name
    data_id: Name
    code_hash: Optional[str]
    git_sha: Optional[str]
    metrics: dict[str, Number]


class _Drawing(TypedDict):
    profile: str
    data_id: Name
    code_hash: str
    data: dict[Literal["label", "source", "val_persons"], Union[str, int]]
    file: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    persons: list[dict[Literal["image", "person"], int]]
    measured_on: Annotated[int, Field(ge=1)]
    measures: Annotated[list[_Measure], Field(min_length=1)]
    lines: Annotated[list[_Line], Field(min_length=1)]
    networks: Annotated[list[_Network], Field(min_length=1)]
    provenance: _Provenance


_PARTS: dict[str, TypeAdapter[Any]] = {
    "costs": TypeAdapter(list[_Cost]), "checkpoints": TypeAdapter(list[_Checkpoint]),
    "latencies": TypeAdapter(list[_Latency]), "drawings": TypeAdapter(list[_Drawing])}
_FORM: TypeAdapter[Any] = TypeAdapter(Annotated[Union[_Failed, _Done], Field(discriminator="status")])


def problem(record: Any) -> str | None:
    """The first thing wrong with a record, as ``field: what``; None when it can be read."""
    return _first(_FORM, record, 1) or (None if _finite(record) else "record: a number in it is not finite")


def _finite(value: Any) -> bool:
    """Whether it can be written as JSON again: the form leaves some fields open, and Python reads NaN."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def checked(part: str, entries: Any, path: Path) -> list[dict[str, Any]]:
    """The same for what stands beside the records of runs: "costs", "checkpoints", "latencies" or "drawings".

    Raises:
        DataError: They are damaged.
    """
    wrong = _first(_PARTS[part], entries, 0) or (None if _finite(entries) else "a number in it is not finite")
    if wrong is None and part == "drawings":
        wrong = _odd_line(entries)
    if wrong:
        raise DataError(f"{part} are damaged: {wrong}", where=str(path), hint="delete it or restore it")
    return entries


def _first(form: TypeAdapter[Any], value: Any, skip: int) -> str | None:
    """``skip``: leading parts of the place that say nothing (which member of a union it was)."""
    try:
        form.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'][skip:]) or 'record'}: {first['msg']}"
    return None


def _odd_line(drawings: list[dict[str, Any]]) -> str | None:
    """The first line of a picture's table that has other values than its measures name."""
    for drawing in drawings:
        keys = {measure["key"] for measure in drawing["measures"]}
        for line in drawing["lines"]:
            if set(line["values"]) != keys:
                return f"lines: {line['row']} {line['part']} has not the values that measures name"
    return None
