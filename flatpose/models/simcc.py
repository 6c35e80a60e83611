"""SimCC: Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022.

A trunk, one or more maps per keypoint, and two linear layers, shared over keypoints, that classify x and y bins.
Two published variants live here: HRNet-W48, whose stride-4 map is flattened (one map per keypoint), and the
upsample-free ResNet-50, whose stride-32 map is flattened as it is (28 maps per keypoint). ResNet-50 with
deconvolutions is flatpose.models.baseline with a SimCC head.
"""

from __future__ import annotations

from torch import Tensor, nn

from flatpose.config import CodecConfig, SimCCCodecConfig
from flatpose.config.cnn_peers import SimCCConfig
from flatpose.errors import SpecError
from flatpose.models.backbones import Start
from flatpose.models.heads import SimCCHead
from flatpose.models.hrnet import build_trunk, trunk_stride


class SimCC(nn.Module):
    """Trunk and coordinate classifiers."""

    def __init__(self, trunk: nn.Module, head: SimCCHead) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> logits simcc_x (B, K, Wx), simcc_y (B, K, Wy)."""
        return self.head(self.trunk(images))


def build(config: SimCCConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int,
          start: Start) -> SimCC:
    """SimCC for one input size; raises SpecError for a codec other than SimCC's."""
    if not isinstance(codec, SimCCCodecConfig):
        raise SpecError("SimCC classifies coordinates", where="codec", hint="use SimCCCodecConfig")
    trunk, channels = build_trunk(config.backbone, start)
    stride = trunk_stride(config.backbone)
    cells = (image_size[0] // stride) * (image_size[1] // stride)
    head = SimCCHead(channels, cells, num_keypoints, image_size, codec.split_ratio, config.maps_per_keypoint)
    return SimCC(trunk, head)
