"""A user's own ImageNet weights as a timm backbone: ``mobilenetv2_imagenet``, for real images on CPU minutes.

The weights are a torchvision-layout MobileNetV2 trained on ImageNet whose input is (x - 127.5) / 127.5 and whose batch
statistics are rough (de-quantised from an 8-bit model). They become a state dict of timm's ``mobilenetv2_100``: the
same layers in the same order under other names, the scale of the input folded into the first convolution (its offset
is a constant that the batch norm behind it removes), and the batch statistics measured anew on training crops.

``mobilenetv2_embedded`` is the same after flatpose.pretrain went on with it on embedded people, once for all runs.

Where the file is found is the user's setting and never part of a spec: ``$FLATPOSE_WEIGHTS`` (a file or its folder),
else ``weights/`` below the data root. What is in it is part of the meaning of the name, hence the checksum.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import register_model
from torch import Tensor, nn

from flatpose.config import RunConfig
from flatpose.data import PoseData, find_root, load
from flatpose.data.loader import IMAGENET_STD, Crops, normalise
from flatpose.errors import RunError
from flatpose.progress import Reporter

NAME, EMBEDDED = "mobilenetv2_imagenet", "mobilenetv2_embedded"
FILE = "mobilenet_v2_imagenet_coral_dequant.pt"
SHA256 = "982fd200e521089d728f41b04a1657f8e3baf08cec7b212a8986afe177a543eb"
INPUT_SCALE = 127.5
CALIBRATION_CROPS = 256
BATCH = 64

_ready: dict[str, dict[str, Tensor]] = {}  # the state dict that a run of this process starts from, by backbone


def mobilenetv2_imagenet(pretrained: bool = False, **options: Any) -> nn.Module:
    """timm's mobilenetv2_100, which with ``pretrained`` starts from what :func:`prepare` made of the user's file."""
    return _network(NAME, pretrained, options)


def mobilenetv2_embedded(pretrained: bool = False, **options: Any) -> nn.Module:
    """The same after training on embedded people."""
    return _network(EMBEDDED, pretrained, options)


def _network(backbone: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    network = timm.create_model("mobilenetv2_100", pretrained=False, **options)
    if pretrained:
        if backbone not in _ready:
            raise RunError("its weights have not been prepared", where="model.backbone",
                           hint="flatpose-exp run does it; in Python call flatpose.imagenet.prepare first")
        network.load_state_dict({name: _ready[backbone][name] for name in network.state_dict()})
    return network


def register() -> None:
    """Make the names known to timm; doing it twice changes nothing."""
    if not timm.is_model(NAME):
        register_model(mobilenetv2_imagenet)
        register_model(mobilenetv2_embedded)


def start_file(run: RunConfig, folder: Path) -> Path | None:
    """Where in ``folder`` the weights lie that :func:`make_start` makes for ``run``; None when it needs none."""
    wanted = getattr(run.model, "backbone", None) == EMBEDDED and run.model.pretrained
    return folder / f"{EMBEDDED}.safetensors" if wanted else None


def make_start(path: Path, data_root: Path | None, reporter: Reporter) -> None:
    """Train the ImageNet trunk on embedded people and write it to ``path``; of several processes each has to call.

    Raises:
        RunError: The file with the ImageNet weights is missing or is another one.
    """
    from flatpose import pretrain

    register()
    _ready[NAME] = _calibrated(load(pretrain.DATA, None, reporter=reporter), pretrain.IMAGE_SIZE, data_root, udp=False)
    pretrain.go_on(NAME, path, reporter)


def prepare(run: RunConfig, data_root: Path | None, folder: Path) -> None:
    """Have ready the weights that ``run`` starts from, when they are a matter of this module.

    ImageNet's are recalibrated on the first training persons, unaugmented, at the run's input size, so the result
    depends on the run's data and configuration alone. Those of :func:`make_start` are read from ``folder``.

    Raises:
        RunError: The file is missing or is another one.
        DataError: The run's data are missing.
    """
    if getattr(run.model, "backbone", None) == NAME and run.model.pretrained:
        _ready[NAME] = _calibrated(load(run.data, data_root), run.image_size, data_root, udp=run.codec.udp)
    elif path := start_file(run, folder):
        _ready[EMBEDDED] = load_file(path)


def _calibrated(data: PoseData, image_size: tuple[int, int], data_root: Path | None, *, udp: bool) -> dict[str, Tensor]:
    """The converted weights with the batch statistics of ``data``."""
    network = timm.create_model("mobilenetv2_100", pretrained=False)
    network.load_state_dict(convert(read(_find(data_root)), network.state_dict()))
    persons = data.train.persons[:CALIBRATION_CROPS]
    recalibrate(network, Crops(persons, data.keypoint_set, image_size, udp=udp))
    return network.state_dict()


def _find(data_root: Path | None) -> Path:
    given, root = os.environ.get("FLATPOSE_WEIGHTS"), find_root(data_root)
    places = [Path(given), Path(given) / FILE] if given else [root / "weights" / FILE] if root else []
    for place in places:
        if place.is_file():
            return place
    raise RunError(f"no ImageNet weights for {NAME!r}", where=", ".join(map(str, places)) or "no data root",
                   hint=f"set FLATPOSE_WEIGHTS to the folder that holds {FILE}")


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of exactly the known content; raises RunError otherwise."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise RunError(f"not the file that {NAME!r} stands for (SHA-256 {found[:12]}…, expected {SHA256[:12]}…)",
                       where=str(path), hint="other weights are another backbone: give them a name of their own")
    return torch.load(path, map_location="cpu", weights_only=True)


def convert(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's MobileNetV2 under timm's names, for input normalised by ImageNet's mean and deviation.

    The layers come in one order in both, so names pair by position; shapes must agree but for the classifier, which
    is left as it is. Raises RunError when they do not pair.
    """
    names = [name for name in ours if not name.endswith("num_batches_tracked")]
    values = [value.float() for name, value in theirs.items() if not name.endswith("num_batches_tracked")]
    result = dict(ours)
    if len(names) != len(values):
        raise RunError(f"{len(values)} tensors, timm's network has {len(names)}", where=NAME)
    for name, value in zip(names, values, strict=True):
        if name.startswith("classifier."):
            continue
        if value.shape != ours[name].shape:
            raise RunError(f"shape {tuple(value.shape)} does not fit {tuple(ours[name].shape)}", where=name)
        result[name] = value
    result["conv_stem.weight"] = result["conv_stem.weight"] * (torch.tensor(IMAGENET_STD) / INPUT_SCALE)[:, None, None]
    return result


@torch.no_grad()
def recalibrate(network: nn.Module, crops: Crops) -> None:
    """Replace the batch statistics by the mean over the batches of ``crops``, in order; leaves evaluation mode on."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's word for the plain mean over batches
    network.train()
    for start in range(0, len(crops), BATCH):
        items = [crops[(0, index)]["image"] for index in range(start, min(start + BATCH, len(crops)))]
        network(normalise(torch.stack([torch.as_tensor(item) for item in items])))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
