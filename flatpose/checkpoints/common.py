"""What all converters share: wrappers off, names by rule, a readable list of differences, and channel order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flatpose.errors import FlatPoseError

State = dict[str, Tensor]
Rules = tuple[tuple[str, str], ...]
Flavour = Literal["official", "mmpose"]

WRAPPERS = ("state_dict", "model")  # some files hold a mere name under "model": only a dict of tensors counts
SHOWN = 4
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Found:
    """A checkpoint without its wrapping. ``state`` has the prefixes of backbone and head removed as well."""

    unwrapped: State
    state: State
    flavour: Flavour


def canonical(content: Mapping[str, Any]) -> Found:
    """Unwrap a checkpoint; raises FlatPoseError when there are no tensors in it, or two entries get one name."""
    for wrapper in WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            content = inner
            break
    tensors = {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise FlatPoseError("there are no tensors in the checkpoint",
                            hint=f"expected a state dict, or one under {' or '.join(map(repr, WRAPPERS))}")
    state = _unique((re.sub(r"^(backbone|head|keypoint_head)\.", "", key), value) for key, value in tensors.items()
                    if not key.startswith("data_preprocessor."))
    mmpose = any(key.startswith("backbone.") for key in tensors)
    return Found(tensors, state, "mmpose" if mmpose else "official")


def _unique(entries: Iterable[tuple[str, Tensor]]) -> State:
    state: State = {}
    for name, value in entries:
        if name in state:
            raise FlatPoseError(f"two entries of the checkpoint are {name!r}", hint="is it of another system?")
        state[name] = value
    return state


def renamed(state: State, rules: Rules) -> State:
    """Every key rewritten by the first rule whose pattern matches at its start.

    Raises:
        FlatPoseError: No rule matches some keys, or two keys get the same name.
    """
    def rename(key: str) -> str:
        return next((re.sub("^" + pattern, new, key, count=1) for pattern, new in rules if re.match(pattern, key)), "")

    names = {key: rename(key) for key in state}
    unknown = [key for key, name in names.items() if not name]
    if unknown:
        raise FlatPoseError(f"{len(unknown)} of {len(state)} entries have unknown names: {_some(unknown)}",
                            hint="is it a checkpoint of another system?")
    return _unique((names[key], value) for key, value in state.items())


def differences(model: nn.Module, state: State) -> str:
    """Missing, unknown and differently shaped entries as text; empty when the state fits (batch counters aside)."""
    expected = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    found = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    reshaped = [f"{key} {tuple(found[key].shape)} in the file, {tuple(expected[key].shape)} in the network"
                for key in sorted(expected.keys() & found.keys()) if found[key].shape != expected[key].shape]
    parts = [(f"missing ({len(missing)} of {len(expected)})", missing),
             (f"unknown ({len(unknown)} of {len(found)})", [_with_nearest(key, missing) for key in unknown[:SHOWN]]
              + unknown[SHOWN:]), (f"another shape ({len(reshaped)})", reshaped)]
    return "\n".join(f"  {title}: {_some(names)}" for title, names in parts if names)


def _with_nearest(key: str, missing: Iterable[str]) -> str:
    close = get_close_matches(key, list(missing)[:2000], n=1)
    return f"{key} (near: {close[0]})" if close else key


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", … and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def feed_bgr(model: nn.Module) -> None:
    """Let a network whose weights expect BGR images, normalised with the RGB constants in RGB order, take ours."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

    def swap(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        images = inputs[0]
        m, s = mean.to(images), std.to(images)
        return (((images * s + m).flip(1) - m) / s,)

    model.register_forward_pre_hook(swap)
