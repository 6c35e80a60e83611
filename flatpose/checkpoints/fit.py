"""Which naming of a checkpoint fits a network, and one report of what differs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor, nn

from flatpose.checkpoints.files import SHOWN, State, Weights, read_weights, some, unique
from flatpose.checkpoints.names import published_names
from flatpose.config import BaselineConfig, ModelConfig, SimCCConfig
from flatpose.data.loader import IMAGENET_MEAN, IMAGENET_STD
from flatpose.errors import FlatPoseError


@dataclass(frozen=True)
class Fit:
    """A state dict under one naming: "our own", "official" or "mmpose".

    ``bgr``: the weights expect BGR images. ``taken``: which of several weights in the file these are.
    """

    naming: str
    state: State
    bgr: bool = False
    taken: str = ""

    @property
    def note(self) -> str:
        """What was recognised, as a record stores it: "official names, BGR input"."""
        return ", ".join(filter(None, (f"{self.naming} names", "BGR input" if self.bgr else "", self.taken)))

    def differences(self, model: nn.Module) -> dict[str, list[str]]:
        """Entries that differ from the network's, by kind of difference; batch counters are ignored."""
        expected, found = _without_counters(model.state_dict()), _without_counters(self.state)
        return {"missing": sorted(expected.keys() - found.keys()),
                "another shape": [f"{key} {tuple(found[key].shape)} in the file, {tuple(expected[key].shape)} in the "
                                  "network" for key in sorted(expected.keys() & found.keys())
                                  if found[key].shape != expected[key].shape],
                "unknown": sorted(found.keys() - expected.keys())}


def _without_counters(state: Mapping[str, Tensor]) -> State:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def _report(differences: dict[str, list[str]], entries: int) -> str:
    """One line per kind of difference with its first names; the unknown ones have the nearest missing name."""
    lines = []
    for kind, names in differences.items():
        shown = list(names)
        if kind == "unknown":
            shown[:SHOWN] = [_with_nearest(name, differences["missing"]) for name in names[:SHOWN]]
        if names:
            lines.append(f"  {kind} ({len(names)} of {entries}): {some(shown)}")
    return "\n".join(lines)


def _with_nearest(name: str, missing: list[str]) -> str:
    close = get_close_matches(name, missing[:2000], n=1)
    return f"{name} (near: {close[0]})" if close else name


def load_into(model: nn.Module, config: ModelConfig, path: Path, weights: Weights | None = None) -> Fit:
    """Load a checkpoint file (ours, official or mmpose) into ``model``; its ``note`` says what was recognised.

    A network whose weights were trained on BGR images swaps its input channels from then on. ``weights`` are those of
    the file, where it has been read already.

    Raises:
        FlatPoseError: The file is damaged or unsafe, or does not fit; the message lists the differences under the
            naming that fits best.
    """
    found = weights or read_weights(path)
    fits = [Fit("our own", found.state, taken=found.taken)]
    with suppress(FlatPoseError):  # there may be no published naming to compare with
        fits.append(replace(published(config, found.state), taken=found.taken))
    compared = [(fit, fit.differences(model)) for fit in fits]
    best, differences = min(compared, key=lambda pair: sum(map(len, pair[1].values())))
    if any(differences.values()):
        raise FlatPoseError(f"the weights do not fit model {config.kind!r} under {best.naming} names, which fit best\n"
                            f"{_report(differences, len(best.state))}", where=str(path),
                            hint="is it of another system, input size or number of keypoints?")
    model.load_state_dict(best.state, strict=False)  # only batch counters may be absent
    if best.bgr:
        feed_bgr(model)
    return best


def published(config: ModelConfig, state: State) -> Fit:
    """The weights of an official or mmpose checkpoint under our names; a name that no rule knows stays as it is.

    Raises:
        FlatPoseError: No published format is known for this system, or two entries get the same name.
    """
    mmpose = any(key.startswith("backbone.") for key in state)
    short = unique((re.sub(r"^(backbone|head|keypoint_head)\.", "", key), value) for key, value in state.items()
                   if not key.startswith("data_preprocessor."))
    rules, entries = published_names(config), []
    for key, value in short.items():
        pattern, new = next((rule for rule in rules if re.match(rule[0], key)), ("", ""))
        entries.append((re.sub("^" + pattern, new, key, count=1), value))
    ours = unique(entries)
    if config.kind == "vitpose" and "last_norm.weight" in short:
        # The official code stores the class token's position and adds it to every patch; mmpose and we store the sum.
        code = ours["backbone.pos_embed"]
        ours["backbone.pos_embed"] = code[:, 1:] + code[:, :1]
    resnet = isinstance(config, (BaselineConfig, SimCCConfig)) and config.backbone.startswith("resnet")
    return Fit("mmpose" if mmpose else "official", ours, bgr=resnet and not mmpose)


def feed_bgr(model: nn.Module) -> None:
    """Convert our input for a network whose weights expect BGR images normalised with the constants in RGB order.

    The ResNets of the HRNet, SimpleBaseline and SimCC repositories read images that way (COLOR_RGB: false).
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

    def swap(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        images = inputs[0]
        m, s = mean.to(images), std.to(images)
        return (((images * s + m).flip(1) - m) / s,)

    model.register_forward_pre_hook(swap)
