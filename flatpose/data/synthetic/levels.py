"""The two levels of difficulty of the embedded data, as settings of one generator.

``plain`` makes recognising a person easy, so that localising the joints is what a network has to learn within minutes
on a CPU. ``wild`` has the poses, occlusion, clutter and image quality of photographs taken anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Sizes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Level:
    """What the images of a level may show.

    Attributes:
        code: Number that keeps the random streams of the levels apart.
        sizes: Image sizes (width, height) in pixels, equally likely.
        headcount: Probabilities of 1, 2, 3, ... people in an image.
        lower: Names of the lower-body templates of ``poses.py``; empty for all.
        upper: Names of the upper-body templates; empty for all.
        facing: Probability that a person faces the camera, with yaw N(0, 0.5) rad; other people face anywhere.
        framing: Range of the height of the whole group as a share of the image height. None: people may be small or cut
            off by the border.
        steep: Probability that the camera looks down steeply.
        spacing: Range of the distance in metres between neighbours who stand side by side. None: people stand anywhere.
        closeness: Without ``spacing``: probability that a person stands next to an earlier one.
        gap: Without ``spacing``: least distance in metres across the view, where six tries find a place.
        objects: Mean number of objects among and in front of the people.
        hats: Share of people with a hat.
        packs: Share of people with a backpack.
        patterned: Share of garments with a pattern.
        photographic: Draw a cluttered, unevenly lit backdrop and simulate the camera; otherwise one colour, no noise.
        qualities: JPEG qualities, equally likely.
    """

    code: int
    sizes: Sizes
    headcount: tuple[float, ...]
    lower: tuple[str, ...] = ()
    upper: tuple[str, ...] = ()
    facing: float = 0.5
    framing: tuple[float, float] | None = None
    steep: float = 0.1
    spacing: tuple[float, float] | None = None
    closeness: float = 0.4
    gap: float = 0.6
    objects: float = 0.7
    hats: float = 0.2
    packs: float = 0.12
    patterned: float = 0.65
    photographic: bool = True
    qualities: tuple[int, ...] = (30, 50, 65, 75, 85, 92)


WILD = Level(
    code=0,
    sizes=((320, 240), (240, 320), (256, 256), (288, 224), (224, 288), (320, 256), (256, 320)),
    headcount=(0.4, 0.25, 0.15, 0.1, 0.06, 0.04))
PLAIN = Level(
    code=1, sizes=((176, 224), (192, 224), (208, 208)), headcount=(0.8, 0.2),
    lower=("stand", "weight on one leg", "walk", "run", "straddle", "lunge", "kick"),
    upper=("hang", "swing", "one up", "both up", "hands on hips", "arms out", "carry", "throw"),
    facing=1.0, framing=(0.5, 0.95), steep=0.0, spacing=(0.6, 1.1), objects=0.0, hats=0.0, packs=0.0, patterned=0.0,
    photographic=False, qualities=(92,))

LEVELS = {"plain": PLAIN, "wild": WILD}
CROWDED = {
    "plain": replace(PLAIN, code=3, sizes=((256, 192), (240, 208)), headcount=(0, 0.35, 0.4, 0.25), spacing=(0.3, 0.8)),
    "wild": replace(WILD, code=2, headcount=(0, 0.2, 0.2, 0.2, 0.2, 0.2), gap=0.3),
}
"""The same levels with more people closer together, for the CrowdPose form."""
