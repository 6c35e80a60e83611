"""Figs. 3 to 6: what trained networks look at and answer, drawn on persons of the validation split, and measured.

A picture shows a few persons and proves nothing; every drawing therefore comes with a table over many of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Literal

from flatpose.data.instances import PoseData
from flatpose.figures.sight import Drawing, Line, Measure, Network

Kind = Literal["tokens", "attention", "heatmaps", "poses"]

__all__ = ["Drawing", "Kind", "Line", "Measure", "Network", "draw"]


def draw(kind: Kind, networks: Sequence[Network], data: PoseData, persons: int) -> Drawing:
    """The picture of that kind: ``persons`` of them shown, from trained networks.

    Raises:
        SpecError: A network has nothing of the kind to show (attention of a network without tokens).
    """
    return import_module(f"flatpose.figures.{kind}").draw(networks, data, persons)
