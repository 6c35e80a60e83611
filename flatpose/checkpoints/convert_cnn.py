"""Names of the convolutional systems: official code (HRNet's, SimCC's, SRPose's repositories) and mmpose 1.x to ours.

Both sides number layers alike, so a converter is a table of prefixes; the last line is the trunk, whose names are
torchvision's or HRNet's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flatpose.checkpoints.common import Flavour, Rules, State, renamed
from flatpose.config import BaselineConfig, HRNetConfig, ModelConfig, SARConfig, SimCCConfig
from flatpose.errors import FlatPoseError
from flatpose.models.hrnet import is_hrnet

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


def _hrnet(config: HRNetConfig, state: State) -> State:
    return renamed(state, ((r"final_layer\.", "head."), (r"", "trunk.net.")))


def _simcc(config: SimCCConfig, state: State) -> State:
    return renamed(state, (*SIMCC, (r"", "trunk.net.")))


def _baseline(config: BaselineConfig, state: State) -> State:
    if config.head == "regression" or not config.backbone.startswith("resnet"):
        raise FlatPoseError("no published checkpoint has this backbone and head", where="model",
                            hint="SimpleBaseline's and SimCC's ResNets have")
    head: Rules = SIMCC if config.head == "simcc" else ((r"final_layer\.", "head."),)
    return renamed(state, ((r"(deconv_head\.)?deconv_layers\.", "deconvs."), *head, (r"", "backbone.net.")))


def _sar(config: SARConfig, state: State) -> State:
    trunk = "trunk.net." if is_hrnet(config.backbone) else "trunk.0.net."
    return renamed(state, ((r"deconv_layers\.", "trunk.1."), (r"(logit|offset|heatmap)_conv\.", r"\1."), (r"", trunk)))


CNN_CONVERTERS: dict[str, Callable[[Any, State], State]] = {
    "hrnet": _hrnet, "simcc": _simcc, "baseline": _baseline, "sar": _sar,
    "srpose": lambda config, state: renamed(state, SRPOSE),
    "rtmpose": lambda config, state: renamed(state, RTMPOSE),
}


def trained_on_bgr(config: ModelConfig, flavour: Flavour) -> bool:
    """The ResNets of the HRNet, SimpleBaseline and SimCC repositories read images as BGR (COLOR_RGB: false)."""
    resnet = isinstance(config, (BaselineConfig, SimCCConfig)) and config.backbone.startswith("resnet")
    return resnet and flavour == "official"
