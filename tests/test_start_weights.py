"""Start weights: a user's file, a timm or torchvision state dict, and what flatpose.pretrain makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from flatpose import pipeline, pretrain
from flatpose.config import (
    BaselineConfig,
    DataConfig,
    EmbeddedConfig,
    HeatmapCodecConfig,
    HRNetConfig,
    LossConfig,
    RunConfig,
    SimCCCodecConfig,
    TokenPoseConfig,
    TrainConfig,
    ViTPoseConfig,
)
from flatpose.errors import RunError
from flatpose.io import read_json
from flatpose.models import build_model
from flatpose.models.backbones import Trunk, fitted
from flatpose.progress import SILENT

MOBILENET = "mobilenet_v2_imagenet_coral_dequant.pt"
RUN = RunConfig(
    image_size=(64, 64), codec=SimCCCodecConfig(), loss=LossConfig(kind="kl"),
    data=DataConfig(embedded=EmbeddedConfig(train_images=12, val_images=8)),
    train=TrainConfig(epochs=1, batch_size=16, warmup_epochs=0.0),
    model=BaselineConfig(backbone="mobilenetv2_100_os16", num_deconvs=0, head="simcc"))


def test_torchvision_mobilenet_starts_a_run(shared: Path, tmp_path: Path) -> None:
    """The tensors pair by position, a 1001-class classifier is left out, and the run states what it started from."""
    run = replace(RUN, model=replace(RUN.model, weights=f"weights/{MOBILENET}"))
    found = pipeline.execute(run, seed=0, data_root=shared / "data", work_dir=tmp_path, reporter=SILENT)
    assert found["start"]["weights"] == MOBILENET and len(found["start"]["sha256"]) == 64
    theirs = torch.load(shared / "data/weights" / MOBILENET, weights_only=True)
    ours = Trunk("mobilenetv2_100_os16", str(shared / "data/weights" / MOBILENET)).net.state_dict()
    assert torch.equal(ours["conv_stem.weight"], theirs["features.0.0.weight"].float())
    last = [key for key in ours if key.endswith("conv_pwl.weight")][-1]
    assert torch.equal(ours[last], theirs["features.17.conv.2.weight"].float())


def test_full_networks_names_fit_a_feature_extractor() -> None:
    options = {"dims": (8, 8, 8, 8), "depths": (1, 1, 1, 1)}
    full = timm.create_model("test_convnext2", **options).state_dict()
    network = timm.create_model("test_convnext2", features_only=True, out_indices=(-1,), **options)
    state = fitted(full, network.state_dict(), where="here")
    assert torch.equal(state["stages_0.blocks.0.conv_dw.weight"], full["stages.0.blocks.0.conv_dw.weight"])
    del full["stages.0.blocks.0.conv_dw.weight"]
    with pytest.raises(RunError, match=r"conv_dw\.weight is missing"):
        fitted(full, network.state_dict(), where="here")


def test_a_file_that_is_missing_or_of_no_or_other_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_bytes(b"not weights")
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for name, message in (("none.pt", r"none\.pt"), ("text.pt", r"text\.pt"), ("other.safetensors", "do not fit")):
        with pytest.raises(RunError, match=message):
            Trunk("resnet_quick", str(tmp_path / name))


def test_recalibrated_statistics_are_those_of_the_crops() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    images = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    pipeline.recalibrate(model, {(0, i): {"image": image} for i, image in enumerate(images)})  # type: ignore[arg-type]
    expected = pipeline.normalise(images).mean((0, 2, 3))
    torch.testing.assert_close(model[0].running_mean, expected)
    assert model[0].momentum == 0.1


def _pretrained(backbone: str, folder: Path, epochs: int, heads: str = "both") -> Path:
    return pretrain.pretrain(backbone, folder / "work", folder / "w.safetensors", heads=heads, reporter=SILENT,
                             embedded=EmbeddedConfig(train_images=6, val_images=3, seed=7),
                             recipe=replace(pretrain.TRAIN, epochs=epochs, batch_size=8))


def test_pretraining_writes_a_trunk_and_its_card(tmp_path: Path) -> None:
    path = _pretrained("resnet_quick", tmp_path, 2)
    card = read_json(path.with_suffix(".json"))
    assert card["epochs"] == 2 and len(card["train_loss"]) == len(card["validation_mean_ap"]) == 2
    assert set(card["validation_ap"]) == {"heatmap", "simcc"}
    trunk = Trunk("resnet_quick", str(path)).net.state_dict()
    assert trunk["layer4.0.conv1.weight"].dtype == torch.float32
    state = load_file(path)
    assert state["layer4.0.conv1.weight"].dtype == torch.float16 and not any("head" in name for name in state)


def test_the_head_that_does_not_train_has_no_part_in_the_trunk(tmp_path: Path, monkeypatch: Any) -> None:
    alone = load_file(_pretrained("resnet_quick", tmp_path / "a", 1, heads="heatmap"))
    assert read_json(tmp_path / "a" / "w.json")["validation_ap"].keys() == {"heatmap"}
    monkeypatch.setattr(pretrain, "simcc_kl", None)  # not even called
    again = load_file(_pretrained("resnet_quick", tmp_path / "b", 1, heads="heatmap"))
    assert all(torch.equal(alone[name], again[name]) for name in alone)


def test_another_trainings_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    first = _pretrained("resnet_quick", tmp_path, 1, heads="simcc").read_bytes()
    assert read_json(tmp_path / "w.json")["validation_ap"].keys() == {"simcc"}
    with pytest.raises(RunError, match="other heads and recipe"):
        _pretrained("resnet_quick", tmp_path, 2, heads="heatmap")
    assert _pretrained("resnet_quick", tmp_path, 1, heads="simcc").read_bytes() == first


@pytest.mark.parametrize(("backbone", "configs"), [
    ("hrnet_quick", (HRNetConfig(backbone="hrnet_quick"),
                     TokenPoseConfig(backbone="hrnet_quick", embed_dim=48, depth=2, num_heads=4))),
    ("vit_quick", (ViTPoseConfig(backbone="vit_quick", num_heads=4, drop_path=0.0),)),
])
def test_every_kind_of_trunk_starts_from_its_file(tmp_path: Path, backbone: str, configs: tuple) -> None:
    path = _pretrained(backbone, tmp_path, 1)
    codec = HeatmapCodecConfig(stride=2)
    for config in configs:
        model = build_model(replace(config, weights=str(path)), codec, (96, 128), 17)
        state = load_file(path)
        name = next(n for n in state if n.endswith(("stage2.0.branches.0.0.conv1.weight", "blocks.1.mlp.fc1.weight")))
        found = [value for key, value in model.state_dict().items() if key.endswith(name)]
        assert len(found) == 1 and torch.equal(found[0], state[name].float())
