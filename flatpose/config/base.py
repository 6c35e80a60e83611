"""How every configuration class is declared: frozen, keyword-only, and a typo in a field is an error."""

from __future__ import annotations

from typing import Optional

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as _dataclass
from typing_extensions import dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type) -> type:
    """Class decorator: a frozen, keyword-only pydantic dataclass that refuses unknown fields and infinite numbers."""
    options = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
    return _dataclass(frozen=True, kw_only=True, config=options)(cls)


@config
class BackboneConfig:
    """What every network on a published backbone has."""

    kind: str
    backbone: str
    """timm's name, with the tag of the weights to start from where there are several; or a small one of ours."""
    pretrained: bool = True
    weights: Optional[str] = None
    """A file of start weights for the backbone, in place of those that ``pretrained`` selects.

    A path, relative ones below the data root, to a state dict of timm's network, or torchvision's for a MobileNetV2.
    The statistics of batch normalisation are estimated anew from training crops.
    """
