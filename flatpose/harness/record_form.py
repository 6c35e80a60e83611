"""The form of a record, checked before anything is read out of one: records travel between machines and people."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional, Union

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

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
    bootstrap: NotRequired[dict[str, list[Number]]]


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


_DRAWING: TypeAdapter[Any] = TypeAdapter(_Drawing)
_FORM: TypeAdapter[Any] = TypeAdapter(Annotated[Union[_Failed, _Done], Field(discriminator="status")])


def problem(record: Any) -> str | None:
    """The first thing wrong with a record, as ``field: what``; None when it can be read."""
    try:
        _FORM.validate_python(record, strict=True)
    except ValidationError as error:
        return _first(error, 1)
    return None


def drawing_problem(drawing: Any) -> str | None:
    """The same for the record of a picture."""
    try:
        _DRAWING.validate_python(drawing, strict=True)
    except ValidationError as error:
        return _first(error, 0)
    keys = {measure["key"] for measure in drawing["measures"]}
    odd = next((line for line in drawing["lines"] if set(line["values"]) != keys), None)
    return odd and f"lines: {odd['row']} {odd['part']} has not the values that measures name"


def _first(error: ValidationError, skip: int) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'][skip:]) or 'record'}: {first['msg']}"
