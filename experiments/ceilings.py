"""Codec ceilings: what a perfect network would score through each codec, on real annotations.

Source: section 1, Fig. 1(b) and appendix A, which argues about quantisation and never measures it. Command:
``flatpose-exp ceilings --data-root DIR``; nothing is trained. Cost: half an hour on one CPU core.
"""

from __future__ import annotations

from flatpose.config import CodecConfig, HeatmapCodecConfig, RegressionCodecConfig, SARCodecConfig, SimCCCodecConfig
from flatpose.studies.ceilings import Ceiling

LOW, HIGH, SQUARE = (192, 256), (288, 384), (256, 256)
MAPS = {LOW: (4, 8, 16, 32), HIGH: (6, 12, 24, 48), SQUARE: (4, 8, 16, 32)}
"""Pixels per cell that give maps of 64x48, 32x24, 16x12 and 8x6 cells (MPII: 64x64 to 8x8)."""
NATIVE = (4, 8, 16, 32)
"""What a network of these strides has at 384x288: maps of 96x72, 48x36, 24x18, 12x9."""
RATIOS = (4.0, 3.0, 2.0, 1.5, 1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
SIGMA_PIXELS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
SIGMA_RATIOS = (2.0, 1.0, 1 / 4)


HEATMAP, FINE, DARK, TOKENPOSE, UDP = ("heatmap as in HRNet", "heatmap, unrounded, quarter step", "heatmap, DARK",
                                       "heatmap, DARK, UDP", "heatmap, UDP's own step")
PER_CELL = "SimCC, one bin per cell"


def _gridded(stride: int) -> dict[str, CodecConfig]:
    """Every codec whose precision is that of its cells."""
    return {
        HEATMAP: HeatmapCodecConfig(stride=stride),
        FINE: HeatmapCodecConfig(stride=stride, encode="exact"),
        DARK: HeatmapCodecConfig(stride=stride, encode="exact", decode="dark"),
        TOKENPOSE: HeatmapCodecConfig(stride=stride, encode="exact", decode="dark", udp=True),
        UDP: HeatmapCodecConfig(stride=stride, encode="exact", decode="dark_udp", udp=True),
        PER_CELL: SimCCCodecConfig(split_ratio=1 / stride, sigma=1.0),
    }


FREE: dict[str, CodecConfig] = {
    "SimCC, 2 bins per pixel": SimCCCodecConfig(split_ratio=2.0, sigma=6.0),
    "SimCC as in RTMPose": SimCCCodecConfig(split_ratio=2.0, sigma=(4.9, 5.66), label="peak", centre="rounded"),
    "regression": RegressionCodecConfig(),
    "SAR": SARCodecConfig(),
}
"""Codecs whose precision has nothing to do with the feature map."""


def _name(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _maps(size: tuple[int, int], strides: tuple[int, ...], tasks: dict[str, tuple[str, ...]]) -> list[Ceiling]:
    """``tasks``: benchmark -> the codecs measured on it."""
    return [Ceiling(id=f"{_name(size)}, {stride} pixels per cell, {series}", series=series, part="map", codec=codec,
                    image_size=size, tasks=chosen, x=stride)
            for stride in strides for series, codec in _gridded(stride).items()
            if (chosen := tuple(task for task, codecs in tasks.items() if series in codecs))]


def _free(size: tuple[int, int], tasks: tuple[str, ...]) -> list[Ceiling]:
    return [Ceiling(id=f"{_name(size)}, {series}", series=series, part="map", codec=codec, image_size=size,
                    tasks=tasks) for series, codec in FREE.items()]


def _ratios() -> list[Ceiling]:
    return [Ceiling(id=f"{ratio:.5g} bins per pixel, {decode}", series=decode, part="ratio", image_size=LOW, x=ratio,
                    codec=SimCCCodecConfig(split_ratio=ratio, sigma=max(3 * ratio, 0.5), decode=decode))
            for decode in ("argmax", "expectation") for ratio in RATIOS]


def _sigmas() -> list[Ceiling]:
    return [Ceiling(id=f"sigma {sigma:g} pixels, {ratio:g} bins per pixel, {decode}", part="sigma", image_size=LOW,
                    series=f"{decode}, {ratio:g} bins per pixel", x=sigma,
                    codec=SimCCCodecConfig(split_ratio=ratio, sigma=sigma * ratio, decode=decode))
            for decode, ratios in (("argmax", SIGMA_RATIOS[:1]), ("expectation", SIGMA_RATIOS)) for ratio in ratios
            for sigma in SIGMA_PIXELS]


EVERY = (HEATMAP, FINE, DARK, TOKENPOSE, UDP, PER_CELL)
BOTH = {"coco": EVERY, "crowdpose": EVERY}
CEILINGS = (
    *_maps(LOW, MAPS[LOW], BOTH), *_free(LOW, tuple(BOTH)),
    *_maps(HIGH, MAPS[HIGH], BOTH), *_maps(HIGH, NATIVE, BOTH), *_free(HIGH, tuple(BOTH)),
    *_maps(SQUARE, MAPS[SQUARE], {"mpii": EVERY}), *_free(SQUARE, ("mpii",)),
    *_ratios(), *_sigmas(),
)
