"""An experiment of one's own: two heads on the beetles of examples/own_data.py.

    flatpose-exp run examples/own_experiment.py --data-root beetles
"""

from __future__ import annotations

from flatpose.config import (
    BaselineConfig,
    DataConfig,
    EvalConfig,
    HeatmapCodecConfig,
    LossConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
)
from flatpose.harness.spec import Experiment, Profile, Row

COMMON = {
    "data": DataConfig(task="custom", source="disk"),  # keypoints.json below the data root says which keypoints
    "image_size": (64, 64),
    "eval": EvalConfig(box_sources=("gt",)),
    "train": TrainConfig(epochs=12, batch_size=16, lr=2e-3, warmup_epochs=1, ema_decay=None),
}
HEATMAP = RunConfig(model=BaselineConfig(backbone="resnet_quick", num_deconvs=2, deconv_dim=32),
                    codec=HeatmapCodecConfig(stride=8, sigma=1.0), **COMMON)
SIMCC = RunConfig(model=BaselineConfig(backbone="resnet_quick", num_deconvs=2, deconv_dim=32, head="simcc"),
                  codec=SimCCCodecConfig(), loss=LossConfig(kind="kl"), **COMMON)

EXPERIMENT = Experiment(
    id="own_experiment",
    title="Beetles",
    source="our own data",
    question="Which head finds a beetle's feet?",
    rows=(Row(id="heatmap", label="ResNet, heatmap", run=HEATMAP), Row(id="simcc", label="ResNet, SimCC", run=SIMCC)),
    profiles={"quick": Profile(name="quick", description="the rows as they are written")},
)
