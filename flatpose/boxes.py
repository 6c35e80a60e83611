"""Where the persons are: boxes from a file, matched to pictures by name or id, or from a torchvision detector."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatpose.data.annotations import id_or_none, person_category
from flatpose.errors import DataError, FlatPoseError, nearest
from flatpose.io import read_json

FORMS = 'COCO annotations, a detector\'s [{"image_id", "bbox", "score"}], or {"name.jpg": [[left, top, width, height]]}'
DETECTORS = ("fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2",
             "retinanet_resnet50_fpn_v2", "ssdlite320_mobilenet_v3_large")
WITHOUT = "give --boxes FILE, --detector-weights FILE, or --whole-image where one person fills the picture"
PERSON = 1
"""Label of a person in torchvision's COCO models."""
Array = NDArray[np.float64]


class BoxFile:
    """Boxes (N, 4) xywh and their scores (N,) by picture, from a file in one of FORMS.

    Detections that score below ``least`` are dropped, and those whose intersection over union with a better one
    exceeds ``overlap``, because detectors list most people more than once. Only persons count: other categories and
    annotated crowds are ignored.
    """

    def __init__(self, path: Path, least: float, overlap: float = 0.6) -> None:
        content = read_json(path)
        self.path, self.detections, self.used = path, isinstance(content, list), 0
        self.overlap = overlap if self.detections else 1.0  # annotated boxes are persons, however close
        try:
            images = _images(content)
            self.names = {_normal(image["file_name"]): key for key, image in images.items()}
            if len(self.names) < len(images):
                raise ValueError("two images have the same file_name")
            self.sizes = {key: (int(i["width"]), int(i["height"])) for key, i in images.items() if "width" in i}
            self.boxes: dict[Any, list[tuple[Array, float]]] = {key: [] for key in images}
            for key, box, score in _entries(content, path):
                values = np.array([float(v) for v in box])
                if values.shape != (4,) or not np.isfinite(values).all():
                    raise ValueError(f"a box is four numbers, not {box!r}")
                if not self.detections and key not in self.boxes:
                    raise ValueError(f"image_id {key!r} is not among the images")
                if self.detections and isinstance(key, str):
                    self.names[key] = key
                kept = self.boxes.setdefault(key, [])
                if score >= least and (values[2:] > 0).all():
                    kept.append((values, score))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DataError(f"not a file of boxes ({type(error).__name__}: {str(error)[:200]})", where=str(path),
                            hint=FORMS) from None

    def of(self, name: str, *, frame: bool = False) -> tuple[Any, Array, Array]:
        """Image id in the file, boxes and scores of one picture.

        A picture is found by as much of its path as the file states, by its stem, or by its number (:func:`number_of`).
        A picture without a person needs no entry in a list of detections, where its number identifies it, nor in a file
        that names the frames of a video (``frame``).

        Raises:
            DataError: The file does not know the picture.
        """
        import torch
        from torchvision.ops import nms

        path = PurePosixPath(_normal(name))
        key, number = self._find(path), number_of(path.stem)
        if key is None and not frame and (not self.detections or number is None):
            raise DataError(f"no boxes for {path.name!r}", where=str(self.path),
                            hint="boxes are found by file name, or by the number that the name is")
        known = self.boxes.get(key, [])
        self.used += key is not None
        boxes, scores = np.array([box for box, _ in known]).reshape(-1, 4), np.array([score for _, score in known])
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        kept = sorted(nms(torch.from_numpy(corners), torch.from_numpy(scores), self.overlap).tolist())
        return number if key is None else key, boxes[kept], scores[kept]

    def size(self, name: str) -> tuple[int, int] | None:
        """Width and height of a picture as the file states them."""
        return self.sizes.get(self._find(PurePosixPath(_normal(name))))

    def _find(self, path: PurePosixPath) -> Any:
        """The picture's key in ``boxes``; None when the file does not know it."""
        number = number_of(path.stem)
        if self.detections and number in self.boxes:
            return number
        for depth in range(len(path.parts)):
            tail = "/".join(path.parts[depth:])
            if tail in self.names:
                return self.names[tail]
        names = [(PurePosixPath(name), key) for name, key in self.names.items()]
        same = [key for name, key in names if name.name == path.name] or [
            key for name, key in names if self.detections and name.name == path.stem] or [
            key for name, key in names if number is not None and number_of(name.stem) == number]
        if len(same) > 1:
            raise DataError(f"{len(same)} images of this file are named {path.name!r}", where=str(self.path),
                            hint="keep the sub-folders that the file states")
        return same[0] if same else None


def number_of(stem: str) -> int | None:
    """COCO's image id in a file name: 139 for 000000000139 and for COCO_val2014_000000000139."""
    found = re.fullmatch(r"(?:COCO_[a-z]+\d{4}_)?(\d{1,18})", stem, re.ASCII)
    return int(found[1]) if found else None


def _normal(name: Any) -> str:
    """"./part//a.jpg" as "part/a.jpg"."""
    return PurePosixPath(str(name).replace("\\", "/")).as_posix()


def _key(value: Any) -> Any:
    """An image id as an int where it is one (139, 139.0 or "139"), else a name."""
    number = id_or_none(value)
    return (_normal(value) if isinstance(value, str) else value) if number is None else number


def _images(content: Any) -> dict[Any, dict[str, Any]]:
    """The images that a file names, by the key of their boxes; none in a list of detections."""
    if isinstance(content, list):
        return {}
    if "annotations" in content:
        images = {_key(image["id"]): image for image in content["images"]}
        if len(images) < len(content["images"]):
            raise ValueError("two images have the same id")
        return images
    return {_normal(name): {"file_name": name} for name in content}


def _entries(content: Any, path: Path) -> Iterator[tuple[Any, Any, float]]:
    """(key, box, score) of every person."""
    if isinstance(content, dict) and "annotations" not in content:
        yield from ((_normal(name), box, 1.0) for name, boxes in content.items() for box in boxes)
        return
    entries = content["annotations"] if isinstance(content, dict) else content
    person = _person_category(content, entries, path)
    for entry in entries:
        if _key(entry.get("category_id", person)) == person and not entry.get("iscrowd"):
            key = _key(entry["image_id"]) if "image_id" in entry else _normal(entry["file_name"])
            yield key, entry["bbox"], float(entry.get("score", 1.0))


def _person_category(content: Any, entries: list[dict[str, Any]], path: Path) -> int:
    """The rule of annotation files; a list of detections names no category, so that COCO's 1 counts, or only 0."""
    if isinstance(content, dict) and content.get("categories"):
        return int(person_category(content["categories"], str(path))["id"])
    found = {_key(entry.get("category_id", 1)) for entry in entries}
    if found and found != {0} and (1 not in found or 0 in found):  # COCO counts from 1, YOLO from 0
        listed = ", ".join(sorted(map(str, found)))
        raise DataError(f"which category is the person? The detections have {listed}", where=str(path),
                        hint="keep the persons and number them 1, or give COCO annotations, which name categories")
    return 0 if found == {0} else 1


class Detector:
    """A torchvision detection model, one of DETECTORS, that finds the persons of a picture.

    ``weights`` is a state dict of that model; None downloads torchvision's COCO weights or uses its cache. Detections
    that score below ``least`` are dropped.
    """

    def __init__(self, name: str, weights: Path | None, least: float, device: str = "cpu") -> None:
        import torch
        from torchvision.models import get_model

        from flatpose.checkpoints.files import read_weights

        if name not in DETECTORS:
            raise FlatPoseError(f"no detector {name!r}", where="--detector", hint=nearest(name, DETECTORS))
        self.least, self.device = least, torch.device(device)
        try:
            self.model = get_model(name, weights=None if weights else "DEFAULT", weights_backbone=None)
            if weights:
                self.model.load_state_dict(read_weights(weights).state)
        except (OSError, RuntimeError) as error:  # urllib's errors are the former, a damaged download the latter
            if weights is None or isinstance(error, OSError):
                raise FlatPoseError(f"no weights of {name} here, and the download failed ({str(error)[:100]})",
                                    where="--detector", hint=WITHOUT) from None
            raise FlatPoseError(f"not the weights of {name} ({str(error).splitlines()[-1].strip()[:200]})",
                                where=str(weights), hint="--detector NAME names the model they belong to") from None
        self.model.to(self.device).eval()

    def __call__(self, image: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Boxes (N, 4) xywh in pixels and scores (N,) of the persons in an (h, w, 3) RGB image, best first."""
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(image.copy()).to(self.device).permute(2, 0, 1).float() / 255
            found = {key: value.cpu().double().numpy() for key, value in self.model([pixels])[0].items()}
        corners, scores = found["boxes"], found["scores"]
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        kept = (found["labels"] == PERSON) & (scores >= self.least) & (boxes[:, 2:] > 0).all(1)
        return boxes[kept], scores[kept]
