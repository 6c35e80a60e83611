"""How every configuration class is declared: frozen, keyword-only, and a typo in a field is an error."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as _dataclass
from typing_extensions import dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type) -> type:
    """Class decorator: a frozen, keyword-only pydantic dataclass that refuses unknown fields and infinite numbers."""
    options = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
    return _dataclass(frozen=True, kw_only=True, config=options)(cls)
