"""People as solids: which limb lies between which joints, how thick it is, and what it wears.

Left and right can be told by shape alone: face, feet, chest and back. Colours are drawn per garment, so they are the
same on both sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import Camera
from flatpose.data.synthetic.levels import Level
from flatpose.data.synthetic.poses import sample_poses
from flatpose.data.synthetic.skeleton import INDEX, Bodies, pose_joints, sample_bodies
from flatpose.data.synthetic.solids import SOLID
from flatpose.data.synthetic.textures import cloth_bank

Array = NDArray[np.float64]

# Garments; the first three are cloth and may have a pattern.
_SLOTS = ("shirt", "trousers", "pack", "shoe", "skin", "feature", "eye", "mouth", "hair", "hat")
_SLOT = {name: i for i, name in enumerate(_SLOTS)}
_CLOTH = 3
_FRAMES = ("root", "chest", "head")
_SCALES = ("one", "girth", "head")

# name, from, to, half axes at both ends (x, y, z: across, along, front) in statures, frame, roundness, slot, scaled by
_TRUNK = (
    ("hips", "pelvis", "waist", (.110, .060, .082), (.098, .035, .074), "root", .35, "trousers", "girth"),
    ("chest", "waist", "thorax", (.098, .035, .074), (.112, .020, .074), "chest", .30, "shirt", "girth"),
    ("yoke", "left_shoulder", "right_shoulder", (.048, .046, .048), (.048, .046, .048), "chest", .35, "shirt", "girth"),
    ("neck", "thorax", "neck", (.038, .015, .038), (.034, .015, .034), "chest", .1, "skin", "head"),
    ("skull", "skull_lo", "skull_hi", (.045, .043, .056), (.057, .058, .068), "head", .97, "skin", "head"),
    ("nose", "bridge", "nose", (.005, .005, .005), (.010, .010, .010), "head", .5, "feature", "head"),
    ("mouth", "left_mouth", "right_mouth", (.005, .005, .005), (.005, .005, .005), "head", .2, "mouth", "head"),
    ("left_eye", "left_eye", "left_eye", (.009, .007, .006), (.009, .007, .006), "head", .5, "eye", "head"),
    ("right_eye", "right_eye", "right_eye", (.009, .007, .006), (.009, .007, .006), "head", .5, "eye", "head"),
    ("left_ear", "left_ear", "left_ear", (.007, .018, .012), (.007, .018, .012), "head", .5, "feature", "head"),
    ("right_ear", "right_ear", "right_ear", (.007, .018, .012), (.007, .018, .012), "head", .5, "feature", "head"),
    ("long_hair", "skull_hi", "hair_lo", (.056, .03, .045), (.050, .02, .028), "head", .3, "hair", "head"),
    ("brim", "brim_in", "brim_out", (.050, .006, .03), (.040, .005, .02), "head", .2, "hat", "head"),
    ("pack", "pack_hi", "pack_lo", (.090, .030, .046), (.100, .030, .056), "chest", .3, "pack", "girth"),
)
# name, from, to, radius at both ends, slot, scaled by; once per side
_LIMBS = (
    ("upper_arm", "shoulder", "elbow", .050, .041, "shirt", "girth"),
    ("lower_arm", "elbow", "wrist", .041, .028, "shirt", "girth"),
    ("hand", "wrist", "hand", .026, .027, "skin", "girth"),
    ("thigh", "hip", "knee", .082, .060, "trousers", "girth"),
    ("shin", "knee", "ankle", .060, .041, "trousers", "girth"),
    ("foot", "heel", "toe", .036, .030, "shoe", "one"),
)
_PARTS: tuple[tuple, ...] = (*_TRUNK, *(
    (f"{side}_{name}", f"{side}_{a}", f"{side}_{b}", (radius_a,) * 3, (radius_b,) * 3, "root", .3, slot, scale)
    for side in ("left", "right") for name, a, b, radius_a, radius_b, slot, scale in _LIMBS))
_PART = {part[0]: i for i, part in enumerate(_PARTS)}
_A, _B = (np.array([INDEX[p[i]] for p in _PARTS]) for i in (1, 2))
_RADII_A, _RADII_B = (np.array([p[i] for p in _PARTS]) for i in (3, 4))
_FRAME = np.array([_FRAMES.index(p[5]) for p in _PARTS])
_ROUNDNESS = np.array([p[6] for p in _PARTS])
_PART_SLOT = np.array([_SLOT[p[7]] for p in _PARTS])
_SCALE = np.array([_SCALES.index(p[8]) for p in _PARTS])

_SKIN = np.array([(255, 219, 190), (241, 194, 155), (224, 172, 125), (190, 135, 95), (141, 90, 60),
                  (84, 54, 40)], float)
_HAIR = np.array([(30, 24, 22), (60, 40, 28), (105, 70, 40), (190, 150, 90), (150, 70, 35), (170, 170, 172)], float)


class People:
    """N people before they are placed.

    Attributes:
        bodies: Proportions.
        joints: (N, J, 3) in metres, each person standing at its own origin.
    """

    def __init__(self, rng: np.random.Generator, count: int, level: Level) -> None:
        self.bodies: Bodies = sample_bodies(rng, count)
        self.joints, frames = pose_joints(self.bodies, sample_poses(rng, count, level))
        self._frames = np.stack([frames[name] for name in _FRAMES], axis=1)
        self._present = np.ones((count, len(_PARTS)), bool)
        for name, probability in (("long_hair", 0.35), ("brim", level.hats), ("pack", level.packs)):
            self._present[:, _PART[name]] = rng.random(count) < probability
        self._colours, self._texture, self._texels = _dress(rng, count, level)
        self._painted_slot, self._paint = _paint_parts(rng, self._present[:, _PART["brim"]])

    def solids(self, camera: Camera, places: Array) -> NDArray[np.void]:
        """The solids of the people standing at ``places`` (N, 3), in the camera frame."""
        view = camera.view(self.joints + places[:, None])
        person, part = np.nonzero(self._present)
        scale = np.stack([np.ones_like(self.bodies.girth), self.bodies.girth, self.bodies.head], axis=1)
        scale = (scale * self.bodies.stature[:, None])[person, _SCALE[part], None]
        slot, painted = _PART_SLOT[part], self._painted_slot[person, part]
        rule = self._paint[person, part]
        out = np.zeros(len(part), SOLID)
        out["a"], out["b"] = view[person, _A[part]], view[person, _B[part]]
        out["radii_a"], out["radii_b"] = _RADII_A[part] * scale, _RADII_B[part] * scale
        out["frame"] = (camera.rotation @ self._frames)[person, _FRAME[part]]
        out["owner"], out["roundness"] = person, _ROUNDNESS[part]
        out["colours"][:, :2] = self._colours[person, slot]
        out["colours"][:, 2] = self._colours[person, painted, 0]
        out["texture"], out["texels"] = self._texture[person, slot], self._texels[person, slot]
        out["paint_axis"] = (out["frame"] @ rule[:, :3, None])[..., 0]
        out["paint_slope"], out["paint_level"] = rule[:, 3], rule[:, 4]
        return out


def _paint_parts(rng: np.random.Generator, hat: NDArray[np.bool_]) -> tuple[NDArray, Array]:
    """The second garment (N, P) of each part and where it shows (N, P, 5): axis in the part's frame, slope, level."""
    count = len(hat)
    slot = np.tile(_PART_SLOT, (count, 1))
    rule = np.tile(np.array([0.0, 0, 0, 0, 9]), (count, len(_PARTS), 1))
    # Lengths of sleeves and trouser legs: 0 none, 1 to the elbow or knee, 2 to the wrist or ankle.
    sleeves = np.where(rng.random(count) < 0.5, 1.92, rng.uniform(-0.3, 1.4, count))
    legs = np.where(rng.random(count) < 0.65, 1.93, rng.uniform(0.35, 1.6, count))
    for name, level in (("upper_arm", sleeves), ("lower_arm", sleeves - 1), ("thigh", legs), ("shin", legs - 1)):
        for side in ("left", "right"):
            part = _PART[f"{side}_{name}"]
            slot[:, part] = _SLOT["skin"]
            rule[:, part, 3], rule[:, part, 4] = 1, np.where(level <= 0.02, -9, level)
    # A tilted plane cuts the hair off the skull; a hat sits higher at the back.
    skull = _PART["skull"]
    slot[:, skull] = np.where(hat, _SLOT["hat"], _SLOT["hair"])
    rule[:, skull, 1:3] = np.where(hat[:, None], (0.97, -0.25), (0.72, -0.7))
    rule[:, skull, 4] = np.where(hat, 0.3, rng.choice([0.12, 0.2, 0.3, 0.95], count, p=[0.4, 0.3, 0.2, 0.1]))
    # The shirt ends somewhere on the hips, and its front shows a neckline, a placket or an open jacket.
    hips, chest = _PART["hips"], _PART["chest"]
    slot[:, hips] = _SLOT["shirt"]
    rule[:, hips, 3], rule[:, hips, 4] = 1, rng.uniform(-0.2, 0.95, count)
    style = rng.choice(3, count, p=[0.5, 0.2, 0.3])
    slot[:, chest] = np.array([_SLOT["skin"], _SLOT["feature"], _SLOT["pack"]])[style]
    rule[:, chest, 2] = 1
    rule[:, chest, 3] = np.where(style == 0, rng.uniform(0.4, 0.8, count), 0.0)
    rule[:, chest, 4] = np.where(style == 0, 0.72 + rule[:, chest, 3], np.where(style == 1, 0.985, 0.9))
    return slot, rule


def random_colours(rng: np.random.Generator, shape: tuple[int, ...], vivid: float = 1.0) -> Array:
    """RGB (..., 3) in 0..255 from near grey to saturated."""
    grey = rng.uniform(15, 240, (*shape, 1))
    return (grey + rng.normal(0, 1, (*shape, 3)) * rng.uniform(3, 75 * vivid, (*shape, 1))).clip(4, 252)


def _between(rng: np.random.Generator, palette: Array, count: int) -> Array:
    """(count, 3) RGB between neighbouring tones of a palette, lighter or darker."""
    position = rng.random(count) * (len(palette) - 1.001)
    low = position.astype(int)
    weight = (position - low)[:, None]
    tones = palette[low] * (1 - weight) + palette[low + 1] * weight
    return (tones * rng.uniform(0.85, 1.1, (count, 1))).clip(4, 250)


def _dress(rng: np.random.Generator, count: int, level: Level) -> tuple[Array, NDArray[np.int64], Array]:
    """Colours (N, slots, 2 colours, 3), pattern index (N, slots) and texels per metre (N, slots)."""
    colours = random_colours(rng, (count, len(_SLOTS), 2))
    texture = np.zeros((count, len(_SLOTS)), np.int64)
    texture[:, :_CLOTH] = rng.integers(0, len(cloth_bank()), (count, _CLOTH))
    texture[:, :_CLOTH] *= rng.random((count, _CLOTH)) < level.patterned
    skin = _between(rng, _SKIN, count)
    for slot, tone in (("skin", skin), ("feature", skin * [0.9, 0.74, 0.7]), ("mouth", skin * [0.75, 0.42, 0.42]),
                       ("eye", rng.uniform(10, 55, (count, 3))), ("hair", _between(rng, _HAIR, count))):
        colours[:, _SLOT[slot]] = tone[:, None]
    texels = np.where(np.arange(len(_SLOTS)) < _CLOTH, rng.uniform(60, 220, (count, len(_SLOTS))), 40.0)
    return colours, texture, texels
