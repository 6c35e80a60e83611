"""Starting weights made on embedded people: ``python -m flatpose.pretrain resnet_quick``, and profile mini_pretrained.

The paper's networks start from ImageNet. A run of CPU minutes needs such a start even more, and it must not favour one
side of the comparison: the trunk is trained under a heatmap head at stride 8 and a SimCC head at stride 32 at once,
on embedded images of another seed than any experiment's. Only the trunk is kept, with its provenance beside it. The
quick backbones' are committed; those that begin with a user's own ImageNet weights are made on the user's machine.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from safetensors.torch import load_file, save
from torch import Tensor, nn

from flatpose.codecs import HeatmapCodec, Outputs, SimCCCodec
from flatpose.config import AugmentConfig, DataConfig, EmbeddedConfig, HeatmapCodecConfig, SimCCCodecConfig, TrainConfig
from flatpose.data import load
from flatpose.data.loader import Crops, ImageCache
from flatpose.io import write_bytes, write_json
from flatpose.losses import joints_mse, simcc_kl
from flatpose.models.backbones import WEIGHTS, build_backbone
from flatpose.models.heads import SimCCHead, deconv_stack, heatmap_conv
from flatpose.progress import SILENT, Reporter
from flatpose.train import build_accelerator, train

IMAGE_SIZE = (96, 128)
DATA = DataConfig(embedded=EmbeddedConfig(train_images=12000, val_images=50, seed=1000))
EPOCHS = {"resnet_quick": 12, "convnext_quick": 6, "mobilenetv2_imagenet": 4}
GROWN = {"convnext_quick_deep": "convnext_quick"}  # a deeper trunk that starts as the same function
TRAIN = TrainConfig(batch_size=32, lr=2e-3, warmup_epochs=0.2, ema_decay=0.999, precision="bf16")
AUGMENT = AugmentConfig(rotation=30.0, scale=0.3, half_body=0.1, brightness=0.2)
HEATMAP, SIMCC = HeatmapCodecConfig(stride=8), SimCCCodecConfig(sigma=6.0)
TRUNK = "backbone.net."
CACHE_BYTES = 4 << 30  # every decoded image: this job is worth the memory


class TwoHeads(nn.Module):
    """One trunk under both paradigms."""

    def __init__(self, backbone: str, num_keypoints: int, *, pretrained: bool) -> None:
        super().__init__()
        self.backbone, channels = build_backbone(backbone, pretrained)
        self.deconvs, fine = deconv_stack(channels, 2, 48)
        self.heatmap = heatmap_conv(fine, num_keypoints)
        cells = (IMAGE_SIZE[0] // 32) * (IMAGE_SIZE[1] // 32)
        self.simcc = SimCCHead(channels, cells, num_keypoints, IMAGE_SIZE, SIMCC.split_ratio)

    def forward(self, images: Tensor) -> Outputs:
        """heatmap, simcc_x and simcc_y of the same features."""
        features = self.backbone(images)
        return {"heatmap": self.heatmap(self.deconvs(features)), **self.simcc(features)}


class TwoCodecs:
    """Targets of both paradigms; nothing is decoded here."""

    def __init__(self, num_keypoints: int) -> None:
        self.heatmap = HeatmapCodec(HEATMAP, IMAGE_SIZE, num_keypoints)
        self.simcc = SimCCCodec(SIMCC, IMAGE_SIZE, num_keypoints)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Union of both codecs' targets; their weights agree but for a border cell."""
        return {**self.heatmap.encode(keypoints, weights), **self.simcc.encode(keypoints, weights)}


def pretrain(backbone: str, work_dir: Path, reporter: Reporter = SILENT) -> Path:
    """Train a quick backbone (resuming from ``work_dir``) and write its averaged trunk to flatpose/models/weights."""
    state, facts = _train(backbone, replace(TRAIN, epochs=EPOCHS[backbone]), work_dir, reporter, pretrained=False)
    target = WEIGHTS / f"{backbone}.safetensors"
    write_bytes(target, save({name: value.half() if value.is_floating_point() else value
                              for name, value in state.items()}))
    write_json(target.with_suffix(".json"), {"made_by": f"python -m flatpose.pretrain {backbone}", **facts})
    return target


def go_on(backbone: str, target: Path, reporter: Reporter = SILENT) -> None:
    """Train a backbone that has weights already, and write its averaged trunk to ``target``, facts beside it.

    Of several processes each has to call this. Resumes from the folder named like ``target``.
    """
    recipe = replace(TRAIN, epochs=EPOCHS[backbone], precision="no")
    state, facts = _train(backbone, recipe, target.with_suffix(""), reporter, pretrained=True)
    if PartialState().is_main_process:
        write_json(target.with_suffix(".json"), {"started_from": backbone, **facts})
        write_bytes(target, save(state))
    PartialState().wait_for_everyone()


def _train(backbone: str, recipe: TrainConfig, work_dir: Path, reporter: Reporter, *, pretrained: bool
           ) -> tuple[Outputs, dict[str, Any]]:
    """The averaged trunk's state, and what it was made from."""
    data = load(DATA, None, reporter=reporter)
    accelerator, _ = build_accelerator(recipe)
    set_seed(0)
    model = TwoHeads(backbone, len(data.keypoint_set), pretrained=pretrained)
    crops = Crops(data.train.persons, data.keypoint_set, IMAGE_SIZE, udp=False, augment=AUGMENT)
    crops.cache = ImageCache(CACHE_BYTES)
    codecs = TwoCodecs(len(data.keypoint_set))
    trained = train(recipe, crops, codecs, lambda o, t: joints_mse(o, t) + simcc_kl(o, t), model, accelerator, work_dir,
                    0, reporter)
    state = {name.removeprefix(TRUNK): value.contiguous()
             for name, value in (trained.ema or trained.model).state_dict().items() if name.startswith(TRUNK)}
    return state, {
        "data": data.label, "data_id": data.data_id, "data_seed": DATA.embedded.seed, "image_size": IMAGE_SIZE,
        "epochs": recipe.epochs, "persons": len(data.train.persons), "torch": torch.__version__,
        "loss": trained.log[-1]["loss"], "seconds": round(sum(row["seconds"] for row in trained.log))}


def grow(backbone: str) -> Path:
    """The weights of a shallower trunk in a deeper one, whose additional residual blocks add nothing yet."""
    shallow = load_file(WEIGHTS / f"{GROWN[backbone]}.safetensors")
    set_seed(0)
    trunk = build_backbone(backbone, pretrained=False)[0].state_dict()
    deep = {name.removeprefix("net."): value for name, value in trunk.items()}
    added = {name for name in deep if name not in shallow}
    still = {name: torch.zeros_like(deep[name]) for name in added if ".mlp.fc2." in name}
    state = {name: value.half().contiguous() for name, value in {**deep, **still, **shallow}.items()}
    target = WEIGHTS / f"{backbone}.safetensors"
    write_bytes(target, save(state))
    write_json(target.with_suffix(".json"), {"made_by": f"python -m flatpose.pretrain {backbone}",
                                             "grown_from": GROWN[backbone], "added": sorted(added)})
    return target


if __name__ == "__main__":
    name = sys.argv[1]
    print(grow(name) if name in GROWN else pretrain(name, Path("runs") / "pretrain" / name))
