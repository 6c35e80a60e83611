"""A trained network and what it makes of persons: the crops it sees and everything it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flatpose.codecs import Codec, build_codec
from flatpose.config import RunConfig
from flatpose.data.instances import Person, PoseData
from flatpose.data.loader import Crops, normalise
from flatpose.errors import DataError, SpecError
from flatpose.keypoints import KeypointSet
from flatpose.models import build_model
from flatpose.models.flatpose import STRIDE, FlatPose

MEASURED = 512
"""Persons that the table beside a picture is measured on, at most: evenly spaced over the validation split."""
ENOUGH = 10
"""Labelled keypoints of a person that is worth showing."""
BATCH = 64
T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """A row's network: its run, the seed of that run and the file of its trained weights."""

    row: str
    label: str
    run: RunConfig
    seed: int
    weights: Path


@dataclass(frozen=True)
class Measure:
    """A column of the table beside a picture; ``direction`` is "higher" or "lower" where one is better."""

    key: str
    title: str
    unit: str = "%"
    decimals: int = 1
    direction: str = ""


@dataclass(frozen=True)
class Line:
    """What was measured on one network (or ``part`` of it): values by ``Measure.key``, None where there is none."""

    row: str
    seed: int
    part: str
    values: dict[str, float | None]


@dataclass(frozen=True)
class Drawing:
    """A PNG, the persons on it, and a table measured on ``measured_on`` persons."""

    png: bytes
    persons: list[Person]
    measures: tuple[Measure, ...]
    lines: list[Line]
    measured_on: int


@dataclass(frozen=True)
class Sight:
    """Crops (N, H, W, 3) uint8, keypoints (N, K, 2) in crop pixels, labelled (N, K) bool, decoded likewise, outputs.

    ``explained`` are the intermediate tensors of FlatPose, blocks first: see ``FlatPose.forward``.
    """

    crops: np.ndarray
    keypoints: Tensor
    labelled: Tensor
    decoded: Tensor
    outputs: dict[str, Tensor]
    explained: dict[str, Tensor]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a crop."""
        return self.crops.shape[2], self.crops.shape[1]

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of tokens."""
        return self.size[0] // STRIDE, self.size[1] // STRIDE

    def occupied(self) -> Tensor:
        """(N, L): tokens whose cell holds a labelled keypoint."""
        columns, rows = self.grid
        cell = (self.keypoints / STRIDE).floor().long()
        inside = self.labelled & (cell >= 0).all(-1) & (cell[..., 0] < columns) & (cell[..., 1] < rows)
        number = (cell[..., 1] * columns + cell[..., 0]).clamp(0, columns * rows - 1)
        return torch.zeros(len(cell), columns * rows).scatter_add(1, number, inside.float()) > 0


    def extremity(self) -> Tensor:
        """(N,) number of the labelled keypoint inside the crop that is farthest from the middle of the others.

        A hand or a foot, mostly: what is hardest to place, chosen without looking. 0 where none is labelled.
        """
        size = torch.tensor(self.size)
        inside = self.labelled & (self.keypoints >= 0).all(-1) & (self.keypoints < size).all(-1)
        count = inside.sum(1).clamp(min=1)[:, None]
        middle = (self.keypoints * inside[..., None]).sum(1) / count
        distance = (self.keypoints - middle[:, None]).norm(dim=-1)
        return torch.where(inside, distance, -1.0).argmax(1)


def first_seed(networks: Sequence[Network]) -> list[Network]:
    """One network per row, of the first seed: those that the picture shows."""
    return [network for network in networks if network.seed == networks[0].seed]


def spread(items: Sequence[T], count: int) -> list[T]:
    """``count`` items evenly spaced from first to last; all of them when there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def measured_persons(data: PoseData) -> list[Person]:
    """The validation persons of the table."""
    return spread([p for p in data.val.persons if p.keypoints_visible.any()], MEASURED)


def shown_persons(data: PoseData, count: int) -> list[Person]:
    """The persons of the picture: of those with many labelled keypoints every n-th, so that nobody picked them.

    Raises:
        DataError: Nobody is labelled.
    """
    labelled = [p for p in data.val.persons if p.keypoints_visible.any()]
    clear = [p for p in labelled if (p.keypoints_visible > 0).sum() >= ENOUGH] or labelled
    if not clear:
        raise DataError("no labelled person to show", where=str(data.val.annotation_file))
    return spread(clear, count)


def open_network(network: Network, keypoint_set: KeypointSet) -> tuple[nn.Module, Codec]:
    """The built network with its trained weights, for evaluation, and its codec.

    Raises:
        DataError: The weights are of another network.
    """
    run = network.run
    module = build_model(run.model, run.codec, run.image_size, len(keypoint_set), pretrained=False)
    try:
        module.load_state_dict(load_file(network.weights))
    except Exception as error:
        raise DataError(f"not the weights of row {network.row} ({type(error).__name__})", where=str(network.weights),
                        hint="flatpose-exp run ID --rerun all trains it anew") from error
    return module.eval(), build_codec(run.codec, run.image_size, len(keypoint_set))


@torch.inference_mode()
def look(network: Network, persons: list[Person], data: PoseData) -> Sight:
    """Everything that a network answers about persons in their ground-truth boxes, without flip test."""
    module, codec = open_network(network, data.keypoint_set)
    crops = Crops(persons, data.keypoint_set, network.run.image_size, udp=network.run.codec.udp)
    items: list[dict[str, Any]] = [crops[0, i] for i in range(len(crops))]
    images = np.stack([item["image"] for item in items])
    options = {"explain": True} if isinstance(module, FlatPose) else {}
    parts = [module(normalise(torch.from_numpy(images[i:i + BATCH])), **options) for i in range(0, len(items), BATCH)]
    inside = ("attention", "attn_bias", "semantic_coords", "salience", "selected")
    joined = {name: torch.cat([part[name] for part in parts], dim=int(name in inside)) for name in parts[0]}
    outputs = {name: value for name, value in joined.items() if name not in inside}
    return Sight(images, torch.from_numpy(np.stack([i["keypoints"] for i in items])).float(),
                 torch.from_numpy(np.stack([i["weights"] for i in items])) > 0, codec.decode(outputs)[0].float(),
                 outputs, {name: joined[name] for name in inside if name in joined})


def needs(sight: Sight, name: str, network: Network) -> Tensor:
    """An intermediate tensor; raises SpecError when the network has no such thing."""
    if name not in sight.explained:
        raise SpecError(f"its network has no {name} to draw", where=f"row {network.row}")
    return sight.explained[name]
