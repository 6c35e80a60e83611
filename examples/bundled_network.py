"""The network that ``predict`` uses without a checkpoint, trained from nothing by this program.

    python -m flatpose.pretrain resnet_quick_os16 --level wild --images 20000 --epochs 10 \
        --out DATA/weights/resnet_quick_wild.safetensors
    flatpose-exp run examples/bundled_network.py --data-root DATA
    flatpose-exp pack examples/bundled_network.py/simcc -o flatpose/weights --data-root DATA --calibrate --half

The first command trains the trunk on embedded people at level `wild`, the second the whole network on the COCO persons
below DATA. They took 48 and 37 minutes of one core.
"""

from __future__ import annotations

from flatpose.config import (
    AugmentConfig,
    BaselineConfig,
    DataConfig,
    EvalConfig,
    LossConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
)
from flatpose.harness.spec import Experiment, Profile, Row

SIMCC = RunConfig(
    data=DataConfig(source="disk"),
    image_size=(96, 128),
    model=BaselineConfig(backbone="resnet_quick_os16", num_deconvs=1, deconv_dim=96, head="simcc",
                         weights="weights/resnet_quick_wild.safetensors"),
    codec=SimCCCodecConfig(split_ratio=4.0, sigma=6.0),
    loss=LossConfig(kind="kl"),
    augment=AugmentConfig(rotation=40.0, scale=0.35, half_body=0.3, brightness=0.3, cutout=0.3, hsv=(10.0, 30.0, 30.0)),
    train=TrainConfig(epochs=150, batch_size=32, lr=1e-3, warmup_epochs=2, ema_decay=0.998, ema_gamma=100.0,
                      eval_every=15),
    eval=EvalConfig(box_sources=("gt", "det")),
)

EXPERIMENT = Experiment(
    id="bundled_network",
    title="The bundled network",
    source="our own network",
    question="How well does a network of 1.7 M parameters, trained from nothing, find the keypoints of real people?",
    rows=(Row(id="simcc", label="ResNet, SimCC", run=SIMCC),),
    profiles={"quick": Profile(name="quick", description="the row as it is written")},
)
