"""The truth of the rendered images written as COCO, CrowdPose or MPII files in the layouts users have on disk."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.detector import detections
from flatpose.data.synthetic.scene import SPLITS, VERSION
from flatpose.data.synthetic.skeleton import LABELLED
from flatpose.keypoints import COCO17, CROWDPOSE14, MPII16, KeypointSet

Records = list[dict[str, Any]]
"""Per image: width, height, and ``truths``: dicts of joints (21, 3), bbox, area, head and height (see scene.Truth)."""
_ALIASES = {"upper_neck": "neck"}
_MPII_SHORT = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho",
               "lsho", "lelb", "lwri")


@dataclass(frozen=True)
class Layout:
    """Where the images of a split go, how they are called, and what files describe them.

    ``files(records by split, seed)`` returns path relative to the root -> content.
    """

    folder: dict[str, str]
    first_id: dict[str, int]
    digits: int
    crowd: bool
    files: Callable[[dict[str, Records], int], dict[str, bytes]]

    def image_name(self, split: str, index: int) -> str:
        """File name of image ``index`` of a split."""
        return f"{self.first_id[split] + index:0{self.digits}d}.jpg"


def _select(names: KeypointSet) -> list[int]:
    return [LABELLED.index(_ALIASES.get(name, name)) for name in names.names]


def annotation(truth: dict[str, Any], keypoint_set: KeypointSet, image_id: int, person_id: int) -> dict[str, Any]:
    """One person in COCO's form with the keypoints of ``keypoint_set``."""
    joints = [truth["joints"][i] for i in _select(keypoint_set)]
    flat = [value if i < 2 else int(value) for joint in joints for i, value in enumerate(joint)]
    return {"id": person_id, "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": truth["bbox"],
            "area": truth["area"], "keypoints": flat, "num_keypoints": sum(v > 0 for v in flat[2::3])}


def _coco_like(layout: Layout, records: Records, split: str, seed: int, keypoint_set: KeypointSet) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, record in enumerate(records):
        image_id = layout.first_id[split] + index
        images.append({"id": image_id, "file_name": layout.image_name(split, index), "width": record["width"],
                       "height": record["height"]})
        for truth in record["truths"]:
            annotations.append(annotation(truth, keypoint_set, image_id, len(annotations) + 1))
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(keypoint_set.names),
                "skeleton": [[a + 1, b + 1] for a, b in keypoint_set.skeleton]}
    return {"info": {"description": "flatpose embedded data: generated people", "version": VERSION, "seed": seed,
                     "split": split},
            "licenses": [], "images": images, "annotations": annotations, "categories": [category]}


def _coco_files(records: dict[str, Records], seed: int) -> dict[str, bytes]:
    files = {split: _coco_like(COCO, records[split], split, seed, COCO17) for split in SPLITS}
    out = {f"coco/annotations/person_keypoints_{split}2017.json": _json(content) for split, content in files.items()}
    out["coco/person_detection_results/embedded_val2017_detections.json"] = _json(_detect(files["val"], seed))
    return out


def _crowdpose_files(records: dict[str, Records], seed: int) -> dict[str, bytes]:
    out = {}
    for split, name in (("train", "trainval"), ("val", "test")):
        content = _coco_like(CROWDPOSE, records[split], split, seed, CROWDPOSE14)
        by_image: dict[int, list] = {image["id"]: [] for image in content["images"]}
        for person in content["annotations"]:
            by_image[person["image_id"]].append(person)
            del person["area"]
        for image in content["images"]:
            image["crowdIndex"] = crowd_index(by_image[image["id"]])
        out[f"crowdpose/json/crowdpose_{name}.json"] = _json(content)
        if name == "test":
            out["crowdpose/json/embedded_test_detections.json"] = _json(_detect(content, seed))
    return out


def crowd_index(persons: list[dict[str, Any]]) -> float:
    """Mean over persons of (others' joints inside the person's box) / (own joints), at most 1 (CrowdPose, eq. 1)."""
    joints = [np.array(p["keypoints"], dtype=np.float64).reshape(-1, 3) for p in persons]
    joints = [j[j[:, 2] > 0, :2] for j in joints]
    ratios = []
    for i, person in enumerate(persons):
        low = np.array(person["bbox"][:2])
        high = low + person["bbox"][2:]
        others = np.concatenate([j for k, j in enumerate(joints) if k != i] or [np.zeros((0, 2))])
        if len(joints[i]):
            ratios.append(((others >= low) & (others <= high)).all(axis=1).sum() / len(joints[i]))
    return round(float(min(1.0, np.mean(ratios))), 2) if ratios else 0.0


def _detect(content: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    by_image: dict[int, list] = {}
    for person in content["annotations"]:
        by_image.setdefault(person["image_id"], []).append(person)
    return [d for image in content["images"]
            for d in detections((VERSION, seed), image["id"], by_image.get(image["id"], []),
                                (image["width"], image["height"]))]


def _mpii_files(records: dict[str, Records], seed: int) -> dict[str, bytes]:
    """HRNet's ``annot`` folder: 1-based pixels, scale = upright height / 200, centre before HRNet's shift down.

    As there, ``joints_vis`` of train marks every labelled joint and that of valid only the ones seen; persons whose
    head or most of whose body is outside are left out.
    """
    out, kept = {}, []
    for split, name in (("train", "train"), ("val", "valid")):
        rows = []
        for index, record in enumerate(records[split]):
            for truth in record["truths"]:
                joints = np.array(truth["joints"])[_select(MPII16)]
                labelled = joints[:, 2] > 0
                if labelled.sum() < 6 or not (labelled[8] and labelled[9]):
                    continue
                shown = joints[labelled, :2] + 1
                scale = truth["height"] / 200
                center = (shown.min(axis=0) + shown.max(axis=0)) / 2 - [0, 15 * scale]
                joints[labelled, :2] += 1
                rows.append({"image": MPII.image_name(split, index), "center": center.round(2).tolist(),
                             "scale": round(scale, 6), "joints": joints[:, :2].round(2).tolist(),
                             "joints_vis": (joints[:, 2] > (1 if name == "valid" else 0)).astype(int).tolist()})
                if name == "valid":
                    kept.append((joints, np.array(truth["head"]).reshape(2, 2) + 1))
        out[f"mpii/annot/{name}.json"] = _json(rows)
    out["mpii/annot/gt_valid.mat"] = _gt_valid(kept)
    return out


def _gt_valid(persons: list[tuple[NDArray, NDArray]]) -> bytes:
    from scipy.io import savemat

    joints = np.stack([p[0] for p in persons], axis=-1) if persons else np.zeros((16, 3, 0))
    heads = np.stack([p[1] for p in persons], axis=-1) if persons else np.zeros((2, 2, 0))
    names = np.empty((1, 16), dtype=object)
    names[0] = _MPII_SHORT
    buffer = io.BytesIO()
    savemat(buffer, {"dataset_joints": names, "jnt_missing": (joints[:, 2] == 0).astype(np.uint8),
                     "pos_gt_src": joints[:, :2], "headboxes_src": heads})
    # The first 116 bytes are a free text in which scipy puts the time of day.
    return b"MATLAB 5.0 MAT-file, flatpose embedded data".ljust(116) + buffer.getvalue()[116:]


def _json(value: Any) -> bytes:
    return (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode()


COCO = Layout({"train": "coco/train2017", "val": "coco/val2017"}, {"train": 1, "val": 1}, 12, False, _coco_files)
CROWDPOSE = Layout(dict.fromkeys(SPLITS, "crowdpose/images"), {"train": 100001, "val": 500001}, 6, True,
                   _crowdpose_files)
MPII = Layout(dict.fromkeys(SPLITS, "mpii/images"), {"train": 1, "val": 500000001}, 9, False, _mpii_files)
LAYOUTS = {"coco": COCO, "crowdpose": CROWDPOSE, "mpii": MPII}
