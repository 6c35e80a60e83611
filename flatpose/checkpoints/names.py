"""Names in published checkpoints (official code and mmpose 1.x) and ours, as rules on the start of a name.

Both sides number layers alike, so that a system is a table of prefixes whose first match applies. An empty pattern
stands for the backbone, whose names are torchvision's or HRNet's own.
"""

from __future__ import annotations

from flatpose.config import BaselineConfig, HRNetConfig, ModelConfig, SARConfig, SimCCConfig
from flatpose.errors import FlatPoseError, nearest
from flatpose.models.backbones import is_hrnet

Rules = tuple[tuple[str, str], ...]

HEATMAP: Rules = ((r"final_layer\.", "head."),)
SIMCC: Rules = (
    (r"(deconv_head\.)?final_layer\.", "head.to_maps."),
    (r"mlp_head_x\.", "head.cls_x."),
    (r"mlp_head_y\.", "head.cls_y."),
)
SRPOSE: Rules = (
    (r"lr_head\.0\.", "coarse_heatmap."),
    (r"lr_fuse\.0\.", "fuse_heatmap."),
    (r"pre_fuse\.", "lateral."),
    (r"pre_interpolate\.", "carry."),
    (r"fuse\.", "fuse."),
    (r"post_fuse\.(\d)\.(\d)\.dwconv\.", r"blocks.\1.\2.spatial.0."),
    (r"post_fuse\.(\d)\.(\d)\.norm\.", r"blocks.\1.\2.spatial.1."),
    (r"post_fuse\.(\d)\.(\d)\.pwconv1\.", r"blocks.\1.\2.mlp.0."),
    (r"post_fuse\.(\d)\.(\d)\.pwconv2\.", r"blocks.\1.\2.mlp.2."),
    (r"kp_encoder\.(\d)\.0\.", r"heads.\1.0."),
    (r"converge\.(\d)\.conv\.", r"heads.\1.2."),
    (r"", "trunk.net."),
)
RTMPOSE: Rules = (
    (r"stem\.", "backbone.net.model.stem."),
    *((rf"stage{i + 1}\.", f"backbone.net.model.stages.{i}.") for i in range(4)),
    (r"final_layer\.", "to_maps."),
    (r"mlp\.0\.g$", "norm.gain"),
    (r"mlp\.1\.", "to_tokens."),
    (r"gau\.ln\.g$", "gau.norm.gain"),
    (r"gau\.uv\.", "gau.to_uvz."),
    (r"gau\.o\.", "gau.out."),
    (r"gau\.res_scale\.scale$", "gau.residual_scale"),
    (r"(gau\.(gamma|beta)$|cls_[xy]\.)", r"\1"),
)
_TOKENPOSE_BLOCK: Rules = (
    (r"0\.fn\.norm\.", "norm1."), (r"0\.fn\.fn\.to_qkv\.", "attn.qkv."), (r"0\.fn\.fn\.to_out\.0\.", "attn.proj."),
    (r"1\.fn\.norm\.", "norm2."), (r"1\.fn\.fn\.net\.0\.", "mlp.fc1."), (r"1\.fn\.fn\.net\.3\.", "mlp.fc2."),
)
_TOKENPOSE_GROUPS = ((r"transformer1?", 0), (r"transformer2", 1), (r"transformer3", 2))
TOKENPOSE: Rules = (
    (r"pre_feature\.", "trunk.net."),
    (r"transformer\.keypoint_token$", "keypoint_tokens"),
    (r"transformer\.pos_embedding$", "position"),
    (r"transformer\.patch_to_embedding\.", "to_tokens."),
    (r"transformer\.mlp_head\.", "head."),
    *((rf"transformer\.{name}\.layers\.(\d+)\.{theirs}", rf"groups.{group}.\1.{ours}")
      for name, group in _TOKENPOSE_GROUPS for theirs, ours in _TOKENPOSE_BLOCK),
)
VITPOSE: Rules = (
    (r"deconv_layers\.", "deconvs."),
    (r"final_layer\.", "head."),
    (r"(pos_embed$|patch_embed\.proj\.|blocks\.)", r"backbone.\1"),
    (r"(last_norm|ln1)\.", "backbone.norm."),
    (r"patch_embed\.projection\.", "backbone.patch_embed.proj."),  # from here on mmpose's names
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
FIXED = {"srpose": SRPOSE, "rtmpose": RTMPOSE, "tokenpose": TOKENPOSE, "vitpose": VITPOSE, "sharpose": SHARPOSE}


def published_names(config: ModelConfig) -> Rules:
    """The naming rules of a system; raises FlatPoseError when no published checkpoint has this network."""
    if isinstance(config, (HRNetConfig, SimCCConfig)):
        return *(SIMCC if isinstance(config, SimCCConfig) else HEATMAP), (r"", "trunk.net.")
    if isinstance(config, SARConfig):
        trunk = "trunk.net." if is_hrnet(config.backbone) else "trunk.0.net."
        return (r"deconv_layers\.", "trunk.1."), (r"(logit|offset|heatmap)_conv\.", r"\1."), (r"", trunk)
    if isinstance(config, BaselineConfig):
        if config.head == "regression" or not config.backbone.startswith("resnet"):
            raise FlatPoseError("no published checkpoint has this backbone and head", where="model",
                                hint="those of SimpleBaseline and SimCC have a ResNet and heatmaps or SimCC vectors")
        head = SIMCC if config.head == "simcc" else HEATMAP
        return (r"(deconv_head\.)?deconv_layers\.", "deconvs."), *head, (r"", "backbone.net.")
    if config.kind not in FIXED:
        raise FlatPoseError(f"no published checkpoint format is known for model {config.kind!r}",
                            hint=nearest(config.kind, ("baseline", "hrnet", "sar", "simcc", *FIXED)))
    return FIXED[config.kind]
