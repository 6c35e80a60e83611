"""The two levels of difficulty of the embedded data, as settings of one generator.

``plain`` makes recognising a person easy, so that localising the joints is what a network has to learn within minutes
on a CPU. ``wild`` has the poses, occlusion, clutter and image quality of photographs taken anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Level:
    """What the images of a level may show."""

    code: int  # keeps the random streams of the levels apart
    sizes: tuple[tuple[int, int], ...]  # image sizes (width, height), equally likely
    headcount: tuple[float, ...]  # probabilities of 1, 2, 3, ... people
    lower: tuple[str, ...] = ()  # lower-body templates of poses.py; empty for all
    upper: tuple[str, ...] = ()  # upper-body templates; empty for all
    facing: float = 0.5  # share of people who face the camera, yaw N(0, 0.5) rad; the others face anywhere
    framings: tuple[tuple[float, float], ...] = (*[(0.5, 0.95)] * 3, (0.25, 0.5), *[(0.95, 1.7)] * 2)
    # ranges of the height of the first person (of the whole group if ``whole``) / image height, equally likely
    whole: bool = False
    steep: float = 0.1  # probability of a camera that looks down steeply
    spacing: tuple[float, float] = (0.3, 1.5)  # metres between people, across the view
    depth: float = 1.5  # standard deviation of the distance behind the first person, metres
    objects: float = 0.7  # mean number of objects among and in front of the people
    hats: float = 0.2  # share of people
    packs: float = 0.12  # share of people with a backpack
    patterned: float = 0.65  # share of garments with a pattern
    photographic: bool = True  # cluttered, unevenly lit backdrop and a simulated camera, instead of one colour
    qualities: tuple[int, ...] = (30, 50, 65, 75, 85, 92)  # of the JPEG, equally likely


WILD = Level(
    code=0,
    sizes=((320, 240), (240, 320), (256, 256), (288, 224), (224, 288), (320, 256), (256, 320)),
    headcount=(0.4, 0.25, 0.15, 0.1, 0.06, 0.04))
PLAIN = Level(
    code=1, sizes=((176, 224), (192, 224), (208, 208)), headcount=(0.8, 0.2),
    lower=("stand", "weight on one leg", "walk", "run", "straddle", "lunge", "kick"),
    upper=("hang", "swing", "one up", "both up", "hands on hips", "arms out", "carry", "throw"),
    facing=1.0, framings=((0.5, 0.95),), whole=True, steep=0.0, spacing=(0.6, 1.1), depth=0.15,
    objects=0.0, hats=0.0, packs=0.0, patterned=0.0, photographic=False, qualities=(92,))

LEVELS = {"plain": PLAIN, "wild": WILD}
# With more people, closer together, for the CrowdPose form.
CROWDED = {
    "plain": replace(PLAIN, code=3, sizes=((256, 192), (240, 208)), headcount=(0, 0.35, 0.4, 0.25),
                     spacing=(0.2, 0.75)),
    "wild": replace(WILD, code=2, headcount=(0, 0.2, 0.2, 0.2, 0.2, 0.2), spacing=(0.25, 0.9))}
