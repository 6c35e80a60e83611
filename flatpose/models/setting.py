"""What a network is built for, and the checks that every system shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from flatpose.codecs.simcc import simcc_bins
from flatpose.config import CodecConfig, SimCCCodecConfig
from flatpose.errors import SpecError

Start = Union[bool, str]
"""Where weights start: False at random, True from those published under the network's name, a str from that file."""


@dataclass(frozen=True)
class Setting:
    """Everything outside its own configuration that a network depends on.

    Args:
        codec: Decides the form and the size of the output.
        image_size: Input (width, height) in pixels.
        num_keypoints: K.
        start: Where the weights of the backbone start.
    """

    codec: CodecConfig
    image_size: tuple[int, int]
    num_keypoints: int
    start: Start = False

    def grid(self, stride: int) -> tuple[int, int]:
        """Cells (height, width) of a map of that stride; raises SpecError when a side is no multiple of it."""
        width, height = self.image_size
        if width % stride or height % stride:
            raise SpecError(f"the input {width}x{height} is not a multiple of {stride} pixels", where="image_size")
        return height // stride, width // stride

    def require(self, kind: str, system: str, stride: int | None = None) -> None:
        """Raise SpecError unless the codec is of that kind and, where ``system`` gives a map, of that stride."""
        if self.codec.kind != kind:
            raise SpecError(f"{system} needs codec {kind!r}, not {self.codec.kind!r}", where="codec.kind")
        given = getattr(self.codec, "stride", stride)
        if stride is not None and given != stride:
            raise SpecError(f"{system} gives maps of stride {stride} here, the codec says {given}",
                            where="codec.stride", hint=f"set codec.stride={stride}")

    def bins(self) -> tuple[int, int]:
        """Bins over x and over y of a SimCC codec."""
        assert isinstance(self.codec, SimCCCodecConfig)
        return simcc_bins(self.image_size, self.codec.split_ratio)
