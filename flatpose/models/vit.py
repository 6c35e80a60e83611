"""Plain vision transformers for ViTPose and SHaRPose: timm's network at any input size, and its starting weights.

Both papers start from masked autoencoders (He et al., CVPR 2022). timm has those weights for ViT-B only; the authors
of ViTPose trained their own ViT-S, so that a ViT-S here starts from timm's DINO weights, or from nothing.
"""

from __future__ import annotations

from functools import partial
from math import isqrt
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from flatpose.errors import SpecError, nearest
from flatpose.models.backbones import create_timm, fitted, start_state
from flatpose.models.setting import Setting, Start

PATCH_PADDING = (2, 2)  # ViTPose reads its patches with two pixels of padding
SMALL_VIT: dict[str, dict[str, Any]] = {"vit_quick": {"embed_dim": 96, "depth": 4, "patch_size": 8}}
"""For CPU minutes: timm's class with few and narrow blocks. At 128x96 its patches of 8 pixels make 16x12 tokens."""


def patch_size(name: str) -> int:
    """Pixels along the side of a patch."""
    return SMALL_VIT[name]["patch_size"] if name in SMALL_VIT else 16


def build_vit(name: str, setting: Setting, *, num_heads: int, drop_path: float, norm_eps: float,
              position: bool = True) -> tuple[Any, Tensor | None]:
    """timm's plain ViT without class token for inputs of the setting's size, with its start weights.

    Args:
        name: timm's name, or a small one.
        setting: Gives the input size and where the weights start.
        num_heads: Heads of every block.
        drop_path: Stochastic depth of the last block.
        norm_eps: Epsilon of the layer norms.
        position: Whether the network has a position code (True) or leaves it to the caller.

    Returns:
        The network, and the position code of the start weights for their own input size (None without weights).

    Raises:
        SpecError: There is no such network, or its width is not a multiple of ``num_heads``.
        RunError: The start weights are missing or do not fit.
    """
    options: dict[str, Any] = {
        "img_size": setting.image_size[::-1], "class_token": False, "global_pool": "", "num_classes": 0,
        "num_heads": num_heads, "drop_path_rate": drop_path, "norm_layer": partial(nn.LayerNorm, eps=norm_eps),
        "pos_embed": "learn" if position else "none"}
    net = _without_weights(name, options)
    if not setting.start:
        return net, None
    state = _start_state(name, setting.start)
    code = state["pos_embed"]
    if position:
        slot, patches = resized_position(code, setting.grid(patch_size(name)))
        state["pos_embed"] = patches + slot
    net.load_state_dict(fitted(state, net.state_dict(), where="model.backbone"))
    return net, code


def _without_weights(name: str, options: dict[str, Any]) -> Any:
    if not (name in SMALL_VIT or (name.startswith("vit_") and timm.is_model(name))):
        known = [*timm.list_models("vit_*_patch16_224"), *SMALL_VIT]
        raise SpecError(f"timm has no plain ViT {name!r}", where="model.backbone", hint=nearest(name, known))
    try:
        small = SMALL_VIT.get(name)
        return VisionTransformer(**small, **options) if small else create_timm(name, False, **options)
    except AssertionError:  # timm's, without a message for the user
        raise SpecError(f"the channels of {name} cannot be split into {options['num_heads']} heads",
                        where="model.num_heads") from None


class ViTTrunk(nn.Module):
    """A ViT as ViTPose has it: normalised images (B, 3, H, W) -> features (B, channels, H / stride, W / stride).

    The arguments are those of :func:`build_vit`.
    """

    def __init__(self, name: str, setting: Setting, *, num_heads: int = 4, drop_path: float = 0.0) -> None:
        super().__init__()
        self.stride = patch_size(name)
        self.grid = setting.grid(self.stride)
        self.net, _ = build_vit(name, setting, num_heads=num_heads, drop_path=drop_path, norm_eps=1e-6)
        self.net.patch_embed.proj.padding = PATCH_PADDING
        self.channels: int = self.net.embed_dim

    def forward(self, images: Tensor) -> Tensor:
        """The tokens after the last norm, as a map."""
        return self.net.forward_features(images).transpose(1, 2).unflatten(2, self.grid)


def _start_state(name: str, start: Start) -> dict[str, Tensor]:
    """A file's tensors, or timm's, whose position code has a slot for the class token."""
    if isinstance(start, str) or name in SMALL_VIT:
        return start_state(name, start)
    return create_timm(name, True, num_classes=0).state_dict()


def resized_position(code: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A position code as class slot (1, 1, D) and patches (1, height * width, D) of another ``grid`` (height, width).

    Args:
        code: Position code of the pretrained network: a class slot and n x n patches, or without a slot (which is then
            zero) 4n x 3n patches, the shape of the small ViT's input.
        grid: Patches of the new input.
    """
    side = isqrt(code.shape[1] - 1)
    if side**2 == code.shape[1] - 1:
        slot, patches, rows = code[:, :1], code[:, 1:], side
    else:
        slot, patches, rows = torch.zeros_like(code[:, :1]), code, isqrt(code.shape[1] * 4 // 3)
    maps = patches.transpose(1, 2).unflatten(2, (rows, -1))
    return slot, F.interpolate(maps, grid, mode="bicubic").flatten(2).transpose(1, 2)
