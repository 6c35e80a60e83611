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


_FORM: TypeAdapter[Any] = TypeAdapter(Annotated[Union[_Failed, _Done], Field(discriminator="status")])


def problem(record: Any) -> str | None:
    """The first thing wrong with a record, as ``field: what``; None when it can be read."""
    try:
        _FORM.validate_python(record, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'][1:]) or 'record'}: {first['msg']}"
    return None
