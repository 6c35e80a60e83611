"""Body proportions and forward kinematics: joint angles of N people -> 3-D joint positions.

Frames are right-handed. Body: x to the person's own LEFT, y up along the trunk, z to the front. World: y up, ground at
y = 0, metres. All constants below are fractions of the stature of an adult.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatpose.keypoints import COCO17

Array = NDArray[np.float64]
Joints = dict[str, Array]

LABELLED = (*COCO17.names, "head_top", "neck", "thorax", "pelvis")
"""Joints that some benchmark annotates: COCO's 17, and those that only MPII and CrowdPose need."""
JOINTS = (*LABELLED, "waist", "skull_lo", "skull_hi", "bridge", "left_mouth", "right_mouth", "hair_lo", "brim_in",
          "brim_out", "pack_hi", "pack_lo", "left_hand", "right_hand", "left_heel", "right_heel", "left_toe",
          "right_toe")
INDEX = {name: i for i, name in enumerate(JOINTS)}
# Relative to the upper end of the neck, in the head's frame. The joints of the face lie on the surface of the skull, so
# that turning the head hides them.
_HEAD = {"neck": (0, 0, 0), "head_top": (0, .132, 0), "skull_lo": (0, .047, .012), "skull_hi": (0, .078, .004),
         "nose": (0, .050, .078), "bridge": (0, .069, .066), "hair_lo": (0, -.015, -.05), "brim_in": (0, .092, .045),
         "brim_out": (0, .086, .100), "left_eye": (.021, .068, .063), "right_eye": (-.021, .068, .063),
         "left_ear": (.053, .058, -.002), "right_ear": (-.053, .058, -.002), "left_mouth": (.013, .030, .062),
         "right_mouth": (-.013, .030, .062)}


@dataclass(frozen=True)
class Bodies:
    """Proportions of N people; every field is (N,).

    ``stature`` in metres also scales the thickness. ``head`` multiplies the size of the head (children), ``girth`` all
    widths, ``legs`` and ``arms`` the length of the limbs; ``shoulders`` and ``hips`` are half widths in statures.
    """

    stature: Array
    girth: Array
    head: Array
    legs: Array
    arms: Array
    shoulders: Array
    hips: Array


def sample_bodies(rng: np.random.Generator, count: int) -> Bodies:
    """Children to adults, thin to wide."""
    child = rng.random(count) < 0.2
    stature = np.where(child, rng.uniform(0.9, 1.5, count), rng.normal(1.7, 0.1, count).clip(1.45, 2.0))
    youth = ((1.6 - stature) / 0.7).clip(0, 1)
    girth = rng.normal(1.1, 0.16, count).clip(0.8, 1.6) * (1 + 0.15 * youth)
    return Bodies(
        stature=stature, girth=girth, head=(1 + 0.4 * youth) * rng.normal(1, 0.05, count),
        legs=(1 - 0.14 * youth) * rng.normal(1, 0.05, count), arms=(1 - 0.06 * youth) * rng.normal(1, 0.05, count),
        shoulders=0.112 * rng.normal(1, 0.08, count) * girth**0.4, hips=0.066 * rng.normal(1, 0.08, count) * girth**0.5)


def rotation(axis: str, angle: Array | float) -> Array:
    """Rotation matrices (..., 3, 3) about "x" (up towards front), "y" (front towards left) or "z" (left towards up)."""
    k = "xyz".index(axis)
    i, j = (k + 1) % 3, (k + 2) % 3
    cos, sin = np.cos(angle), np.sin(angle)
    out = np.zeros((*np.shape(angle), 3, 3))
    out[..., k, k] = 1
    out[..., i, i] = out[..., j, j] = cos
    out[..., j, i], out[..., i, j] = sin, -sin
    return out


def swing(elevation: Array, azimuth: Array, twist: Array) -> Array:
    """Ball joint of both sides: (N, 2) angles [left, right] -> (N, 2, 3, 3).

    ``elevation`` lifts the limb from hanging (0) through level (90 degrees) to overhead (180) in the vertical plane
    ``azimuth`` (0 front, 90 outward, negative across the body); ``twist`` turns the hinge below it, outward positive.
    """
    side = np.array([1.0, -1.0])
    return rotation("y", side * azimuth) @ rotation("x", -elevation) @ rotation("y", side * (twist - azimuth))


def pose_joints(body: Bodies, pose: Joints) -> tuple[Array, Joints]:
    """Joint positions (N, len(JOINTS), 3) with the lowest point on the ground, and rotations (N, 3, 3) of the trunk.

    Args:
        body: Proportions.
        pose: Joint angles in radians as sampled by :func:`flatpose.data.synthetic.poses.sample_poses`.
    """
    root = rotation("y", pose["yaw"]) @ rotation("x", pose["pitch"]) @ rotation("z", pose["roll"]) @ rotation(
        "y", pose["spin"])
    chest = root @ rotation("x", pose["spine"]) @ rotation("z", pose["spine_side"]) @ rotation("y", pose["spine_twist"])
    head = chest @ rotation("y", pose["head_yaw"]) @ rotation("x", pose["neck"]) @ rotation("z", pose["head_tilt"])
    waist = _offset(root, 0, 0.105, 0)
    thorax = waist + _offset(chest, 0, 0.185, 0)
    neck = thorax + _offset(0.5 * (chest + head), 0, 0.045, 0.005)
    behind = -0.075 * body.girth
    face = neck[:, None] + body.head[:, None, None] * (np.array(list(_HEAD.values())) @ head.swapaxes(1, 2))
    at = {"pelvis": np.zeros_like(waist), "waist": waist, "thorax": thorax,
          "pack_hi": waist + _offset(chest, 0, 0.15, behind - 0.02),
          "pack_lo": waist + _offset(chest, 0, 0.0, behind - 0.03),
          **{name: face[:, i] for i, name in enumerate(_HEAD)},
          **_sides(_arms(body, pose, chest, waist)), **_sides(_legs(body, pose, root))}
    joints = np.stack([at[name] for name in JOINTS], axis=1) * body.stature[:, None, None]
    lowest = joints[..., 1].min(axis=1) - 0.015 * body.stature
    joints[..., 1] += (pose["lift"] - lowest)[:, None]
    return joints, {"root": root, "chest": chest, "head": head}


def _offset(frame: Array, x: Array | float, y: Array | float, z: Array | float) -> Array:
    """``frame @ (x, y, z)`` for broadcastable x, y, z."""
    x, y, z = (np.asarray(v)[..., None] for v in (x, y, z))
    return frame[..., 0] * x + frame[..., 1] * y + frame[..., 2] * z


def _sides(both: Joints) -> Joints:
    """(N, 2, 3) per joint -> the left and the right one."""
    return {f"{side}_{name}": joint[:, i] for name, joint in both.items() for i, side in enumerate(("left", "right"))}


def _arms(body: Bodies, pose: Joints, chest: Array, waist: Array) -> Joints:
    """Raising an arm above the shoulder line lifts the shoulder with it."""
    upper = chest[:, None] @ swing(pose["arm"], pose["arm_azimuth"], pose["arm_twist"])
    lower = upper @ rotation("x", -pose["elbow"])
    shrug = 0.03 * ((pose["arm"] - 1.0) / 2).clip(0, 1)
    half = body.shoulders[:, None] * np.array([1.0, -1.0])
    length = body.arms[:, None]
    shoulder = waist[:, None] + _offset(chest[:, None], half * (1 - 2 * shrug), 0.172 + shrug, 0)
    elbow = shoulder + _offset(upper, 0, -0.172 * length, 0)
    wrist = elbow + _offset(lower, 0, -0.148 * length, 0)
    hand = wrist + _offset(lower @ rotation("x", -pose["wrist"]), 0, -0.07 * length, 0)
    return {"shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hand": hand}


def _legs(body: Bodies, pose: Joints, root: Array) -> Joints:
    thigh = root[:, None] @ swing(pose["hip"], pose["hip_azimuth"], pose["hip_twist"])
    shin = thigh @ rotation("x", pose["knee"])
    foot = shin @ rotation("x", pose["ankle"])
    half = body.hips[:, None] * np.array([1.0, -1.0])
    length = body.legs[:, None]
    hip = _offset(root[:, None], half, -0.01, 0)
    knee = hip + _offset(thigh, 0, -0.238 * length, 0)
    ankle = knee + _offset(shin, 0, -0.236 * length, 0)
    return {"hip": hip, "knee": knee, "ankle": ankle, "heel": ankle + _offset(foot, 0, -0.022, -0.018),
            "toe": ankle + _offset(foot, 0, -0.03, 0.095)}
