"""Plain vision transformers for ViTPose and SHaRPose: timm's network at any input size, and its starting weights.

Both papers start from masked autoencoders (He et al., CVPR 2022). timm has those weights for ViT-B only; the authors
of ViTPose trained their own ViT-S, so that a ViT-S here starts from timm's DINO weights, or from nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from flatpose.errors import SpecError, nearest
from flatpose.models.backbones import create_timm

PATCH = 16
# For CPU minutes: timm's class with few and narrow blocks.
SMALL_VIT: dict[str, dict[str, Any]] = {"vit_quick": {"embed_dim": 96, "depth": 4}}


def build_vit(name: str, image_size: tuple[int, int], *, num_heads: int, drop_path: float, norm_eps: float,
              position: bool = True) -> Any:
    """timm's ViT with 16-pixel patches and without class token, for inputs of ``image_size`` (width, height).

    ``position=False`` leaves the position code to the caller.

    Raises:
        SpecError: There is no such network, or its width is no multiple of ``num_heads``.
    """
    options: dict[str, Any] = {
        "img_size": image_size[::-1], "class_token": False, "global_pool": "", "num_classes": 0,
        "num_heads": num_heads, "drop_path_rate": drop_path, "norm_layer": partial(nn.LayerNorm, eps=norm_eps),
        "pos_embed": "learn" if position else "none"}
    width = _width(name)
    if width % num_heads:
        raise SpecError(f"{width} channels cannot be split into {num_heads} heads", where="model.num_heads")
    if name in SMALL_VIT:
        return VisionTransformer(**SMALL_VIT[name], **options)
    return create_timm(name, False, **options)


def _width(name: str) -> int:
    if name in SMALL_VIT:
        return SMALL_VIT[name]["embed_dim"]
    if not (name.startswith("vit_") and timm.is_model(name)):
        known = [*timm.list_models("vit_*_patch16_224"), *SMALL_VIT]
        raise SpecError(f"timm has no plain ViT {name!r}", where="model.backbone", hint=nearest(name, known))
    return {"tiny": 192, "small": 384, "base": 768, "large": 1024, "huge": 1280}[name.split("_")[1]]


def pretrained_vit(name: str) -> dict[str, Tensor]:
    """State dict of timm's network of that name and tag, for 224x224 pixels and with its class token.

    Raises:
        SpecError: The network is one of our small ones, which have no weights.
        RunError: The weights are neither on disk nor to be downloaded.
    """
    if name in SMALL_VIT:
        raise SpecError(f"{name!r} has no pretrained weights", where="model.pretrained", hint="set it to False")
    return create_timm(name, True, num_classes=0).state_dict()


def resized_position(code: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A square position code (1, 1 + n * n, D) as class slot (1, 1, D) and patches (1, height * width, D) of ``grid``.

    Args:
        code: Position code of the pretrained network, class slot first.
        grid: Patches (height, width) of the new input.
    """
    slot, patches = code[:, :1], code[:, 1:]
    side = round(patches.shape[1] ** 0.5)
    maps = patches.transpose(1, 2).unflatten(2, (side, side))
    return slot, F.interpolate(maps, grid, mode="bicubic").flatten(2).transpose(1, 2)


def grid_of(image_size: tuple[int, int], patch: int = PATCH) -> tuple[int, int]:
    """Patches (height, width) of an input (width, height); raises SpecError when a side is no multiple of a patch."""
    width, height = image_size
    if width % patch or height % patch:
        raise SpecError(f"input {width}x{height} is no multiple of {patch} pixels", where="image_size")
    return height // patch, width // patch
