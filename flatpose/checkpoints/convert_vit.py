"""Names of the transformer-based systems: official code and, for ViTPose, mmpose 1.x to ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flatpose.checkpoints.common import Rules, State, renamed
from flatpose.config.vit_peers import SHaRPoseConfig, TokenPoseConfig, ViTPoseConfig

_BLOCK: Rules = (
    (r"0\.fn\.norm\.", "norm1."), (r"0\.fn\.fn\.to_qkv\.", "attn.qkv."), (r"0\.fn\.fn\.to_out\.0\.", "attn.proj."),
    (r"1\.fn\.norm\.", "norm2."), (r"1\.fn\.fn\.net\.0\.", "mlp.fc1."), (r"1\.fn\.fn\.net\.3\.", "mlp.fc2."),
)
_GROUPS = ((r"transformer1?", 0), (r"transformer2", 1), (r"transformer3", 2))
TOKENPOSE: Rules = (
    (r"pre_feature\.", "trunk.net."),
    (r"transformer\.keypoint_token$", "keypoint_tokens"),
    (r"transformer\.pos_embedding$", "position"),
    (r"transformer\.patch_to_embedding\.", "to_tokens."),
    (r"transformer\.mlp_head\.", "head."),
    *((rf"transformer\.{name}\.layers\.(\d+)\.{theirs}", rf"groups.{group}.\1.{ours}")
      for name, group in _GROUPS for theirs, ours in _BLOCK),
)
VITPOSE: Rules = (
    (r"deconv_layers\.", "deconvs."),
    (r"final_layer\.", "head."),
    (r"(pos_embed$|patch_embed\.proj\.|blocks\.)", r"backbone.\1"),
    (r"(last_norm|ln1)\.", "backbone.norm."),
    (r"patch_embed\.projection\.", "backbone.patch_embed.proj."),  # from here on mmpose
    (r"layers\.(\d+)\.ln([12])\.", r"backbone.blocks.\1.norm\2."),
    (r"layers\.(\d+)\.attn\.", r"backbone.blocks.\1.attn."),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"backbone.blocks.\1.mlp.fc1."),
    (r"layers\.(\d+)\.ffn\.layers\.1\.", r"backbone.blocks.\1.mlp.fc2."),
)
SHARPOSE: Rules = (
    (r"((keypoint_tokens|quality_token)$|blocks\.|norm\.)", r"\1"),
    (r"patch_embed\.proj\.", "patches."),
    (r"pos_embed_list\.", "positions."),
    (r"reuse_block\.0\.", "reuse.0."),
    (r"reuse_block\.1\.fc1\.", "reuse.1."),
    (r"reuse_block\.1\.fc2\.", "reuse.3."),
    (r"quality_predictor\.norm\.", "quality.0."),
    (r"quality_predictor\.mlp\.0\.", "quality.1."),
    (r"quality_predictor\.mlp\.3\.", "quality.3."),
    (r"quality_predictor\.mlp\.6\.", "quality.5."),
    (r"heatmap_mlp\.", "head."),
)


def _tokenpose(config: TokenPoseConfig, state: State) -> State:
    return renamed(state, TOKENPOSE)


def _vitpose(config: ViTPoseConfig, state: State) -> State:
    """The official code keeps the class token's position and adds it to every patch; mmpose and we store the sum."""
    official = "last_norm.weight" in state
    ours = renamed(state, VITPOSE)
    if official:
        code = ours["backbone.pos_embed"]
        ours["backbone.pos_embed"] = code[:, 1:] + code[:, :1]
    return ours


def _sharpose(config: SHaRPoseConfig, state: State) -> State:
    return renamed(state, SHARPOSE)


VIT_CONVERTERS: dict[str, Callable[[Any, State], State]] = {
    "tokenpose": _tokenpose, "vitpose": _vitpose, "sharpose": _sharpose,
}
