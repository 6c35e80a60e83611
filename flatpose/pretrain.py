"""Start weights from embedded people: ``python -m flatpose.pretrain resnet_quick_os16`` writes models/weights.

The paper's networks start from ImageNet. A run of CPU minutes needs a start even more: a trunk is trained under a
heatmap head and a SimCC head at once (or one of them, for controls), on embedded images of another seed than any
experiment's. Only the trunk is kept, with a card of how it was made. Training resumes after every epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from safetensors.torch import save
from torch import Tensor, nn

from flatpose.codecs import Codec, Outputs, build_codec
from flatpose.config import (
    AugmentConfig,
    CodecConfig,
    DataConfig,
    EmbeddedConfig,
    EvalConfig,
    HeatmapCodecConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
)
from flatpose.data import PoseData, load
from flatpose.data.images import ImageCache
from flatpose.data.loader import Crops
from flatpose.errors import FlatPoseError, RunError
from flatpose.evaluate import main_metric
from flatpose.io import read_json, write_bytes, write_json
from flatpose.losses import Loss, all_keypoints, joints_mse, simcc_kl
from flatpose.models.backbones import Trunk, start_file
from flatpose.models.heads import build_head, deconv_stack, heatmap_conv
from flatpose.models.setting import Setting, Start
from flatpose.models.vit import SMALL_VIT, ViTTrunk
from flatpose.progress import SILENT, Reporter
from flatpose.train import Trained, Trainer, build_accelerator

IMAGE_SIZE = (96, 128)
DATA = EmbeddedConfig(train_images=12000, val_images=300, seed=1000)
TRAIN = TrainConfig(epochs=12, batch_size=32, lr=2e-3, warmup_epochs=0.2, ema_decay=0.999, ema_gamma=200.0,
                    precision="no", eval_every=1)
AUGMENT = AugmentConfig(rotation=20.0, scale=0.2, half_body=0.1, brightness=0.2)
SIMCC = SimCCCodecConfig(split_ratio=4.0, sigma=6.0)
STRAIGHT = EvalConfig(flip_test=False)
HEATMAP_STRIDE, HEATMAP_CELLS = 8, (IMAGE_SIZE[0] // 8) * (IMAGE_SIZE[1] // 8)
TRUNK = "trunk.net."
CACHE_BYTES = 4 << 30  # every decoded image


class TwoHeads(nn.Module):
    """One trunk under both paradigms: heatmaps of stride 8 (a finer trunk's own), and SimCC on the trunk's own map."""

    def __init__(self, backbone: str, setting: Setting) -> None:
        super().__init__()
        self.trunk: Trunk | ViTTrunk = (ViTTrunk(backbone, setting) if backbone in SMALL_VIT
                                        else Trunk(backbone, setting.start))
        channels, stride = self.trunk.channels, self.trunk.stride
        steps = max(0, (stride // HEATMAP_STRIDE).bit_length() - 1)
        self.heatmap_stride = stride >> steps
        self.deconvs, fine = deconv_stack(channels, steps, 48)
        self.heatmap = heatmap_conv(fine, setting.num_keypoints)
        self.simcc = build_head(setting, channels, stride)

    def forward(self, images: Tensor) -> Outputs:
        """heatmap, simcc_x and simcc_y of the same features."""
        features = self.trunk(images)
        return {"heatmap": self.heatmap(self.deconvs(features)), **self.simcc(features)}


class TwoCodecs:
    """Targets of both paradigms, under the last codec's keypoint weights.

    The codecs' weights differ at most in a cell along the border.
    """

    def __init__(self, codecs: dict[str, Codec]) -> None:
        self.codecs = codecs

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """The union of the codecs' targets."""
        encoded = (codec.encode(keypoints, weights) for codec in self.codecs.values())
        return {name: target for targets in encoded for name, target in targets.items()}


def heatmap_loss(outputs: Outputs, targets: Outputs) -> tuple[Tensor]:
    """The heatmap's loss as a sum over cells in units of a stride-8 map's mean."""
    cells = outputs["heatmap"].shape[-2] * outputs["heatmap"].shape[-1]
    return (cells / HEATMAP_CELLS * joints_mse(outputs, targets)[0],)


def both_losses(outputs: Outputs, targets: Outputs) -> tuple[Tensor]:
    """SimCC's loss plus the heatmap's."""
    return (simcc_kl(outputs, targets)[0] + heatmap_loss(outputs, targets)[0],)


LOSSES = {"both": both_losses, "heatmap": heatmap_loss, "simcc": simcc_kl}
"""By the heads that train the trunk."""


def pretrain(backbone: str, work_dir: Path, target: Path, *, heads: str = "both", start: Start = False,
             embedded: EmbeddedConfig = DATA, recipe: TrainConfig = TRAIN, reporter: Reporter = SILENT) -> Path:
    """Train a trunk, resuming from ``work_dir``, and write its averaged weights to ``target`` and a card beside it.

    Args:
        backbone: A small backbone, or any name that ``Trunk`` knows.
        work_dir: Checkpoints, the log and the best weights.
        target: The safetensors file; it holds the trunk in half precision, under the names of timm's network.
        heads: Of :data:`LOSSES`, those that train the trunk.
        start: Where the trunk itself starts.
        embedded: Images to train and to validate on.
        recipe: Optimiser and schedule; ``eval_every=1`` gives the card its curve.
        reporter: Told about progress.

    Raises RunError where ``work_dir`` holds a training of other settings.
    """
    _check_settings(work_dir, {"backbone": backbone, "heads": heads, "start": str(start), "data": asdict(embedded),
                               "recipe": asdict(recipe)})
    data = load(DataConfig(embedded=embedded), None, reporter=reporter)
    accelerator, _ = build_accelerator(recipe)
    set_seed(0)
    model = TwoHeads(backbone, Setting(SIMCC, IMAGE_SIZE, len(data.keypoint_set), start))
    known: dict[str, CodecConfig] = {"heatmap": HeatmapCodecConfig(stride=model.heatmap_stride), "simcc": SIMCC}
    chosen = {name: config for name, config in known.items() if heads in (name, "both")}
    codecs = {name: build_codec(config, IMAGE_SIZE, len(data.keypoint_set)) for name, config in chosen.items()}
    crops = Crops(data.train.persons, data.keypoint_set, IMAGE_SIZE, udp=False, augment=AUGMENT)
    crops.cache = ImageCache(CACHE_BYTES)

    def validation_ap(network: nn.Module) -> dict[str, float]:
        """AP of each head on the validation images: true boxes, no flip test."""
        return {name: main_metric(network, run=RunConfig(image_size=IMAGE_SIZE, codec=config, eval=STRAIGHT), data=data,
                                  codec=codecs[name], accelerator=accelerator, reporter=reporter)
                for name, config in chosen.items()}

    def judge(network: nn.Module) -> float:
        return sum(validation_ap(network).values()) / len(chosen)

    loss = Loss(LOSSES[heads], all_keypoints)
    trained = Trainer(recipe, crops, TwoCodecs(codecs), loss, model, accelerator, work_dir, 0, reporter, judge).run()
    write_bytes(target, save(_trunk_state(trained.best)))
    write_json(target.with_suffix(".json"), {
        "command": " ".join(["python -m flatpose.pretrain", *sys.argv[1:]]), "start": start, "epochs": recipe.epochs,
        "image_size": IMAGE_SIZE, "torch": torch.__version__, **_data_facts(data, embedded), **_curve(trained),
        "validation_ap": {name: round(value, 4) for name, value in validation_ap(trained.best).items()}})
    return target


def _trunk_state(network: nn.Module) -> dict[str, Tensor]:
    """The trunk's tensors in half precision, under the names of timm's network."""
    state = {name.removeprefix(TRUNK): value for name, value in network.state_dict().items() if name.startswith(TRUNK)}
    return {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state.items()}


def _data_facts(data: PoseData, embedded: EmbeddedConfig) -> dict[str, Any]:
    return {"data": data.label, "data_id": data.data_id, "data_seed": embedded.seed,
            "persons": len(data.train.persons)}


def _curve(trained: Trained) -> dict[str, Any]:
    """Seconds, loss and mean AP of the heads by epoch, for the card."""
    return {"seconds": round(sum(row["seconds"] for row in trained.log)),
            "train_loss": [round(row["loss"], 5) for row in trained.log],
            "validation_mean_ap": [round(row["metric"], 4) for row in trained.log if "metric" in row]}


def _check_settings(work_dir: Path, settings: dict[str, Any]) -> None:
    """Keep the settings beside the checkpoints; raises RunError where those of another training are there."""
    kept = work_dir / "settings.json"
    if not kept.exists():
        write_json(kept, settings)
        return
    other = read_json(kept)
    differing = [name for name, value in json.loads(json.dumps(settings)).items() if other.get(name) != value]
    if differing:
        raise RunError(f"belongs to a training with other {' and '.join(differing)}", where=str(work_dir),
                       hint="choose another --work-dir, or delete this one")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flatpose.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("backbone", help="resnet_quick_os16, convnext_quick_os16, convnext_quick_deep_os16, "
                                         "hrnet_quick, vit_quick, or another backbone, such as mobilenetv2_100_os16")
    parser.add_argument("--heads", choices=LOSSES, default="both", help="that train the trunk")
    parser.add_argument("--epochs", type=int, default=TRAIN.epochs)
    parser.add_argument("--images", type=int, default=DATA.train_images, help="embedded training images")
    parser.add_argument("--level", choices=("plain", "wild"), default=DATA.level, help="of the embedded people")
    parser.add_argument("--start", help="a file of weights that the trunk starts from, or timm (its ImageNet weights)")
    parser.add_argument("--work-dir", type=Path, help="checkpoints and log (default: below runs/pretrain)")
    parser.add_argument("--out", type=Path, help="the weights (default: in flatpose/models/weights)")
    given: Any = parser.parse_args(arguments)
    if given.start not in (None, "timm") and not Path(given.start).is_file():
        parser.error(f"--start: no file {given.start}")
    folder = "-".join([given.backbone, *(x for x in (given.heads, given.level) if x not in ("both", DATA.level))])
    try:
        print(pretrain(given.backbone, given.work_dir or Path("runs") / "pretrain" / folder,
                       given.out or start_file(given.backbone, True),
                       heads=given.heads, start=given.start == "timm" or given.start or False,
                       embedded=replace(DATA, level=given.level, train_images=given.images),
                       recipe=replace(TRAIN, epochs=given.epochs)))
    except FlatPoseError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
