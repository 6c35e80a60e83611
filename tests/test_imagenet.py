"""A user's ImageNet weights as a backbone: converted without loss, refused when they are others, trained on once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from flatpose import imagenet, pretrain
from flatpose.config import (
    BaselineConfig,
    DataConfig,
    EmbeddedConfig,
    LossConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
)
from flatpose.data.loader import IMAGENET_MEAN, IMAGENET_STD
from flatpose.errors import RunError
from flatpose.harness import identity, runner
from flatpose.models import build_model
from flatpose.progress import SILENT

RUN = RunConfig(
    image_size=(64, 64), codec=SimCCCodecConfig(), loss=LossConfig(kind="kl"),
    data=DataConfig(embedded=EmbeddedConfig(train_images=12, val_images=8)),
    train=TrainConfig(epochs=1, batch_size=16, warmup_epochs=0.0),
    model=BaselineConfig(backbone=imagenet.EMBEDDED, num_deconvs=0, head="simcc"))


def torchvision_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors in the same order under names that are not timm's."""
    return {f"layer{number}.{name.rsplit('.', 1)[1]}": value for number, (name, value) in enumerate(state.items())}


def test_the_first_layer_takes_our_input_for_the_files(shared: Path) -> None:
    """The file's own input is (x - 127.5) / 127.5, ours ImageNet's: both give the same up to an offset.

    The offset of the input is a constant before the first batch norm; it is undone here by hand.
    """
    weights = shared / "data/weights" / imagenet.FILE
    network = timm.create_model("mobilenetv2_100", pretrained=False)
    state = imagenet.convert(imagenet.read(weights), network.state_dict())
    network.load_state_dict(state)
    theirs = next(iter(imagenet.read(weights).values())).float()
    pixels = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # zero padding means another grey at the border
    ours = network.conv_stem((pixels - mean) / std)[inner]
    file = torch.nn.functional.conv2d((pixels - 127.5) / 127.5, theirs, stride=2, padding=1)[inner]
    offset = (ours - file).mean((0, 2, 3), keepdim=True)
    torch.testing.assert_close(ours - offset, file, atol=1e-4, rtol=1e-4)


def test_tensors_pair_by_position_and_a_wrong_shape_names_its_layer() -> None:
    ours = timm.create_model("mobilenetv2_100", pretrained=False).state_dict()
    other = {name: torch.rand_like(value) if value.is_floating_point() else value for name, value in ours.items()}
    found = imagenet.convert(torchvision_names(other), ours)
    assert torch.equal(found["blocks.3.2.conv_dw.weight"], other["blocks.3.2.conv_dw.weight"])
    assert torch.equal(found["classifier.weight"], ours["classifier.weight"])  # 1001 classes in the file
    other["blocks.0.0.conv_dw.weight"] = torch.zeros(3, 3)
    with pytest.raises(RunError, match="does not fit") as error:
        imagenet.convert(torchvision_names(other), ours)
    assert error.value.where == "blocks.0.0.conv_dw.weight"


def test_another_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / imagenet.FILE).write_bytes(b"not torch at all")
    with pytest.raises(RunError, match="SHA-256"):
        imagenet.read(tmp_path / imagenet.FILE)


def test_without_weights_the_message_says_where_they_were_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                     ) -> None:
    monkeypatch.setenv("FLATPOSE_WEIGHTS", str(tmp_path))
    with pytest.raises(RunError, match="no ImageNet weights") as error:
        imagenet.prepare(replace(RUN, model=replace(RUN.model, backbone=imagenet.NAME)), None, tmp_path)
    assert str(tmp_path / imagenet.FILE) in str(error.value)


def test_start_weights_are_trained_once_and_named_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                ) -> None:
    """The first run trains the trunk on embedded people; the second finds it, and both start from the same bytes."""
    monkeypatch.setenv("FLATPOSE_RUNS", str(tmp_path))
    state = timm.create_model("mobilenetv2_100", pretrained=False).state_dict()
    monkeypatch.setattr(imagenet, "_find", lambda root: tmp_path)
    monkeypatch.setattr(imagenet, "read", lambda path: torchvision_names(state))
    monkeypatch.setattr(pretrain, "DATA", replace(RUN.data, embedded=replace(RUN.data.embedded, seed=1000)))
    monkeypatch.setattr(pretrain, "EPOCHS", {imagenet.NAME: 1})
    first = runner.measure(RUN, 0, None, tmp_path / "a", SILENT)
    (file,) = tmp_path.glob("start/*/*.safetensors")
    facts = json.loads(file.with_suffix(".json").read_text())
    assert facts["started_from"] == imagenet.NAME and facts["epochs"] == 1 and facts["loss"] > 0
    assert not torch.equal(load_file(file)["conv_stem.weight"], imagenet.convert(torchvision_names(state), state)[
        "conv_stem.weight"])  # it was trained

    monkeypatch.setattr(imagenet, "make_start", lambda *_: pytest.fail("made a second time"))
    second = runner.measure(RUN, 0, None, tmp_path / "b", SILENT)
    assert first["start"] == second["start"] and first["results"] == second["results"]


def test_a_run_begins_with_the_start_weights(tmp_path: Path) -> None:
    names = timm.create_model("mobilenetv2_100", pretrained=False).state_dict()
    save_file({name: torch.full_like(value, 2) for name, value in names.items()},
              tmp_path / f"{imagenet.EMBEDDED}.safetensors")
    imagenet.prepare(RUN, None, tmp_path)
    model = build_model(RUN.model, RUN.codec, RUN.image_size, 17)
    assert bool((model.backbone.net.conv_stem.weight == 2).all())


def test_how_the_start_weights_are_made_belongs_to_the_code_of_their_runs() -> None:
    plain = replace(RUN, model=replace(RUN.model, backbone=imagenet.NAME))
    assert identity.code_hash(RUN) != identity.code_hash(plain)
    assert identity.PACKAGE / "pretrain.py" in identity._closure((identity.PACKAGE / "imagenet.py",))
