"""A trained network's answers on persons, with the inner tensors that a figure shows, read by forward hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from flatpose.checkpoints.described import load_checkpoint
from flatpose.codecs import build_codec
from flatpose.config import RunConfig
from flatpose.data.instances import Person, PoseData
from flatpose.data.loader import Crops, normalise
from flatpose.errors import DataError, FlatPoseError, SpecError

ENOUGH = 10
"""Labelled keypoints of a person that is worth showing."""
T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """A row's trained network: its run and the file of its weights."""

    row: str
    label: str
    run: RunConfig
    weights: Path


@dataclass(frozen=True)
class Sight:
    """Crops (N, H, W, 3) uint8, keypoints (N, K, 2) in crop pixels, labelled (N, K) bool, decoded like keypoints.

    ``outputs`` are the network's. ``inner`` has a list with one tensor per block: attention and attn_bias
    (N, heads, L, L) of coarse blocks, salience (N, L) and selected (N, top_k) of refine blocks.
    """

    network: Network
    crops: np.ndarray
    keypoints: Tensor
    labelled: Tensor
    decoded: Tensor
    outputs: dict[str, Tensor]
    inner: dict[str, list[Tensor]]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a crop."""
        return self.crops.shape[2], self.crops.shape[1]

    @property
    def stride(self) -> int:
        """Pixels per token, of a network that has tokens."""
        tokens = (self.inner["attention"] or self.blocks("salience"))[0].shape[-1]
        return round((self.size[0] * self.size[1] / tokens) ** 0.5)

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of tokens."""
        return self.size[0] // self.stride, self.size[1] // self.stride

    def blocks(self, name: str) -> list[Tensor]:
        """An inner tensor per block; raises SpecError when the network has no such thing."""
        if not self.inner.get(name):
            raise SpecError(f"its network has no {name} to draw", where=f"row {self.network.row}")
        return self.inner[name]

    def extremity(self) -> Tensor:
        """(N,) number of the labelled keypoint inside the crop that is farthest from the middle of the others.

        It is mostly a hand or a foot, which is hardest to localise, and is chosen without looking at predictions.
        """
        inside = self.labelled & (self.keypoints >= 0).all(-1) & (self.keypoints < torch.tensor(self.size)).all(-1)
        count = inside.sum(1).clamp(min=1)[:, None]
        middle = (self.keypoints * inside[..., None]).sum(1) / count
        distance = (self.keypoints - middle[:, None]).norm(dim=-1)
        return torch.where(inside, distance, -1.0).argmax(1)


def spread(items: Sequence[T], count: int) -> list[T]:
    """``count`` items evenly spaced from first to last; all of them when there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def shown_persons(data: PoseData, count: int) -> list[Person]:
    """Persons evenly spaced over those with many labelled keypoints; raises DataError where no person is labelled."""
    labelled = [p for p in data.val.persons if p.keypoints_visible.any()]
    clear = [p for p in labelled if (p.keypoints_visible > 0).sum() >= ENOUGH] or labelled
    if not clear:
        raise DataError("no labelled person to show", where=str(data.val.annotation_file))
    return spread(clear, count)


@torch.inference_mode()
def look(network: Network, persons: list[Person], data: PoseData) -> Sight:
    """Run a network on persons in their ground-truth boxes, without flip test.

    Raises DataError where the weights are of another network.
    """
    run = network.run
    try:
        module = load_checkpoint(network.weights, system=run, keypoint_set=data.keypoint_set).network
    except FlatPoseError as error:
        raise DataError(f"not the weights of row {network.row} ({error.what})", where=str(network.weights),
                        hint="flatpose-exp run ID --rerun all trains it again") from None
    crops = Crops(persons, data.keypoint_set, run.image_size, udp=run.codec.udp)
    batch = default_collate([crops[0, i] for i in range(len(crops))])
    inner = watch(module)
    outputs = module(normalise(batch["image"]))
    decoded = build_codec(run.codec, run.image_size, len(data.keypoint_set)).decode(outputs)[0].float()
    return Sight(network, batch["image"].numpy(), batch["keypoints"].float(), batch["weights"] > 0, decoded, outputs,
                 inner)


def watch(module: nn.Module) -> dict[str, list[Tensor]]:
    """Lists that every later forward pass of a FlatPose appends its inner tensors to (see :class:`Sight`)."""
    found: dict[str, list[Tensor]] = {name: [] for name in ("attention", "attn_bias", "salience", "selected")}

    def salience(top_k: int, _: nn.Module, __: Any, scores: Tensor) -> None:
        best = scores.amax(-1)
        found["salience"].append(best)
        found["selected"].append(best.topk(top_k, dim=-1).indices)

    for block in getattr(module, "coarse", ()):
        block.attention.softmax.register_forward_hook(lambda _, __, weights: found["attention"].append(weights))
        if block.semantic_bias is not None:
            block.semantic_bias.register_forward_hook(lambda _, __, bias: found["attn_bias"].append(bias))
    for block in getattr(module, "refine", ()):
        block.salience_head.register_forward_hook(partial(salience, block.top_k))
    return found
