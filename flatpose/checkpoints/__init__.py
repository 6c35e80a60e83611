"""Published weights in our networks: a file of the official code or of mmpose, renamed and checked key by key."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from flatpose.checkpoints.common import State, canonical, differences, feed_bgr
from flatpose.checkpoints.convert_cnn import CNN_CONVERTERS, trained_on_bgr
from flatpose.checkpoints.convert_vit import VIT_CONVERTERS
from flatpose.checkpoints.files import load_file
from flatpose.config import ModelConfig
from flatpose.errors import FlatPoseError, nearest

__all__ = ["convert", "load_file", "load_into"]

CONVERTERS = {**CNN_CONVERTERS, **VIT_CONVERTERS}


def convert(config: ModelConfig, state: State) -> State:
    """The state dict of an official or mmpose checkpoint under our names (of the network that ``config`` builds).

    Wrappers ("state_dict", "module.", "backbone.", "head.", "keypoint_head.") are recognised and removed.

    Raises:
        FlatPoseError: There is no converter for this system, or names of the file are none of its names.
    """
    if config.kind not in CONVERTERS:
        raise FlatPoseError(f"no published checkpoint format is known for model {config.kind!r}",
                            hint=nearest(config.kind, CONVERTERS))
    return CONVERTERS[config.kind](config, canonical(state).state)


def load_into(model: nn.Module, config: ModelConfig, path: Path) -> str:
    """Load a checkpoint file (ours, official or mmpose) into ``model``; returns what was recognised, for the record.

    Weights that were trained on BGR images make the network swap its input channels.

    Raises:
        FlatPoseError: The file is damaged or unsafe, or does not fit; the message says which keys differ.
    """
    loaded = load_file(path)
    found = canonical(loaded)
    state, note = found.unwrapped, "our own names"
    if differences(model, state):
        state, note = convert(config, loaded), f"{found.flavour} names"
        problem = differences(model, state)
        if problem:
            raise FlatPoseError(f"the checkpoint does not fit model {config.kind!r}\n{problem}", where=str(path),
                                hint="is it of another system, input size or number of keypoints?")
        if trained_on_bgr(config, found.flavour):
            feed_bgr(model)
            note += ", BGR input"
    model.load_state_dict(state, strict=False)  # what may be absent, the batch counters, was checked above
    return note
