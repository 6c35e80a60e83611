"""FlatPose: an upsampling-free transformer for human pose estimation (anonymous, under review).

    images -> backbone, stride 32 -> 3x3 conv to D (eq. 1) -> + fixed sine position (eq. 2)
           -> N coarse blocks with Implicit Coordinate Attention (eqs. 3-10)          flatpose.models.transformer, .ica
           -> M refine blocks: select K tokens, cross-attend, overwrite (eqs. 11, 12) flatpose.models.refinement
           -> CLS head: x and y classifiers (section 3.3.4)                           flatpose.models.heads

Variants are configurations: FlatPose-B is the default of ``FlatPoseConfig``; Tables 1 and 5 are in experiments/.
Everything that the paper leaves open is a field of ``FlatPoseConfig`` and a numbered entry of experiments/readings.py.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from flatpose.config import FlatPoseConfig
from flatpose.errors import SpecError
from flatpose.models.backbones import Trunk, trunk_stride
from flatpose.models.heads import build_head, deconv_stack
from flatpose.models.ica import SemanticBias
from flatpose.models.refinement import RefineBlock
from flatpose.models.setting import Setting
from flatpose.models.transformer import CoarseBlock, init_linear, sine_position_2d


class FlatPose(nn.Module):
    """The network of one FlatPoseConfig.

    Args:
        config: Variant and readings.
        setting: Input size and number of keypoints.
        backbone: Images to a map of C channels.
        head: Feature map (B, D, h, w) to the output dictionary.
    """

    def __init__(self, config: FlatPoseConfig, setting: Setting, backbone: Trunk, head: nn.Module) -> None:
        super().__init__()
        dim, grid = config.embed_dim, setting.grid(backbone.stride)
        self.backbone = backbone
        self.project = nn.Conv2d(backbone.channels, dim, 3, padding=1)
        self.register_buffer("position", sine_position_2d(*grid, dim), persistent=False)
        self.coarse = nn.ModuleList(_coarse_block(config) for _ in range(config.num_coarse_blocks))
        self.refine = nn.ModuleList(_refine_blocks(config, grid[0] * grid[1], setting.num_keypoints))
        self.rounds = config.num_refine_blocks if config.readings.share_refine else 1
        self.norm = nn.LayerNorm(dim)
        self.deconvs, _ = deconv_stack(dim, config.num_deconvs, config.deconv_dim)
        self.pool_to = grid if config.num_deconvs and config.readings.classifier == "pooled" else None
        self.head = head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) -> simcc_x (B, K, Wx) and simcc_y (B, K, Wy) logits, or coords (B, K, 2).

        What happens inside is read by forward hooks: on ``coarse[i].semantic_bias`` (tokens and bias),
        ``coarse[i].attention.softmax`` (attention weights) and ``refine[i].salience_head`` (scores).
        """
        features = self.project(self.backbone(images))  # eq. 1
        height, width = features.shape[-2:]
        tokens = features.flatten(2).transpose(1, 2) + self.position  # eq. 2
        for block in self.coarse:
            tokens = block(tokens)
        for _ in range(self.rounds):
            for block in self.refine:
                tokens = block(tokens)
        features = self.deconvs(self.norm(tokens).transpose(1, 2).unflatten(2, (height, width)))  # Table 5 row 4
        return self.head(features if self.pool_to is None else F.adaptive_avg_pool2d(features, self.pool_to))

    def use_literal_ica(self, literal: bool = True) -> None:
        """Compute the bias by Algorithm 1 as printed: same values, more work. For counting and comparing cost."""
        for module in self.modules():
            if isinstance(module, SemanticBias):
                module.literal = literal


def _coarse_block(config: FlatPoseConfig) -> CoarseBlock:
    bias, readings = None, config.readings
    if config.ica:
        bias = SemanticBias(config.embed_dim, config.num_heads, coord_dim=config.coord_dim,
                            grid_size=config.bias_grid_size, grid_dim=config.bias_dim, hidden=config.bias_hidden,
                            learnable_gamma=readings.gamma == "learnable", align_corners=readings.align_corners)
    block = CoarseBlock(config, bias)
    block.attention.apply(init_linear)
    block.feed_forward.apply(init_linear)
    return block


def _refine_blocks(config: FlatPoseConfig, num_tokens: int, num_keypoints: int) -> list[RefineBlock]:
    """M blocks; with shared weights (reading R9) one, which the forward pass repeats.

    safetensors refuses to save a module that is listed twice.
    """
    top_k = num_tokens if config.top_k == "full" else config.top_k
    if top_k > num_tokens:
        raise SpecError(f"top_k {top_k} exceeds the {num_tokens} tokens of this input", where="model.top_k",
                        hint=f'at most {num_tokens}, or "full"')
    blocks = config.num_refine_blocks
    return [RefineBlock(config, top_k, num_keypoints)
            for _ in range(min(1, blocks) if config.readings.share_refine else blocks)]


def build(config: FlatPoseConfig, setting: Setting) -> FlatPose:
    """The network of a FlatPoseConfig.

    Raises:
        SpecError: Head and codec do not fit, the size is not a multiple of the backbone's stride, or top_k is larger
            than the number of tokens.
    """
    setting.require(config.head, f"head {config.head!r}")
    stride = trunk_stride(config.backbone)
    setting.grid(stride)
    backbone = Trunk(config.backbone, setting.start, drop_path=config.readings.drop_path)
    channels = config.deconv_dim if config.num_deconvs else config.embed_dim
    finer = config.num_deconvs if config.readings.classifier == "wide" else 0
    return FlatPose(config, setting, backbone, build_head(setting, channels, stride >> finer))
