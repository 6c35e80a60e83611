"""Poses of files: images, folders, globs and videos in; annotated pictures and COCO-format JSON out."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.loader import read_image
from flatpose.drawing import draw_poses
from flatpose.errors import DataError
from flatpose.io import read_json, write_bytes, write_json
from flatpose.predict import Pose
from flatpose.progress import Reporter

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})
FORMS = 'COCO annotations, a detector\'s [{"image_id", "bbox", "score"}], or {"name.jpg": [[left, top, width, height]]}'
RESULTS, LISTING = "predictions.json", "images.json"


@dataclass(frozen=True)
class Frame:
    """A picture (h, w, 3) RGB: ``name`` is its file's, and a video's frame has a number in it."""

    name: str
    image: NDArray[np.uint8]


def find_inputs(given: Sequence[str]) -> list[Path]:
    """Image and video files of paths, folders (their images) and globs, each once, in order.

    Raises:
        DataError: One of them names nothing, or is neither image nor video.
    """
    found: dict[Path, None] = {}
    for text in given:
        path = Path(text)
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES | VIDEOS)
        else:
            files = [path] if path.is_file() else sorted(p for p in map(Path, glob.glob(text)) if p.is_file())
        if not files:
            raise DataError("no image or video there", where=text, hint=f"files ending in {', '.join(sorted(IMAGES))}")
        found.update(dict.fromkeys(files))
    odd = next((p for p in found if p.suffix.lower() not in IMAGES | VIDEOS), None)
    if odd is not None:
        raise DataError("neither image nor video by its name", where=str(odd),
                        hint=", ".join(sorted(IMAGES | VIDEOS)))
    return list(found)


def frames(path: Path) -> Iterator[Frame]:
    """The image of a file, or every frame of a video; raises DataError when it cannot be decoded."""
    if path.suffix.lower() in IMAGES:
        yield Frame(path.name, read_image(path))
        return
    video, number = cv2.VideoCapture(str(path)), 0
    try:
        while True:
            good, image = video.read()
            if not good:
                break
            number += 1
            yield Frame(f"{path.stem}_{number:06d}.jpg", cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8))
    finally:
        video.release()
    if not number:
        raise DataError("no frame of this video can be decoded", where=str(path), hint="convert it to H.264 in .mp4")


def count_frames(path: Path) -> int:
    """How many frames a file announces, for a progress bar; 1 where it does not say."""
    if path.suffix.lower() in IMAGES:
        return 1
    video = cv2.VideoCapture(str(path))
    said = video.get(cv2.CAP_PROP_FRAME_COUNT)
    video.release()
    return int(said) if math.isfinite(said) and said > 0 else 1


class Boxes:
    """Boxes (N, 4) and their scores (N,) by picture, from a file in any of FORMS; detections below ``least`` are left.

    Pictures are found by file name, by its stem, or where the file has only ids by the number that the name is
    (COCO's ``000000000139.jpg`` is image 139).
    """

    def __init__(self, path: Path, least: float) -> None:
        self.path, self.boxes = path, {}
        content = read_json(path)
        try:
            for key, box, score in _entries(content):
                values = np.array([float(v) for v in box])
                if values.shape != (4,) or not np.isfinite(values).all():
                    raise ValueError(f"a box is four numbers, not {box!r}")
                kept = self.boxes.setdefault(str(key), [])
                if score >= least and (values[2:] > 0).all():
                    kept.append((values, score))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DataError(f"not a file of boxes ({type(error).__name__}: {str(error)[:200]})", where=str(path),
                            hint=FORMS) from None

    boxes: dict[str, list[tuple[NDArray[np.float64], float]]]

    def of(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of one picture; raises DataError when the file does not know it."""
        stem = Path(name).stem
        keys = [name, stem, *([str(int(stem))] if stem.isascii() and stem.isdecimal() else [])]
        key = next((k for k in keys if k in self.boxes), None)
        if key is None:
            raise DataError(f"no boxes for {name!r}", where=str(self.path),
                            hint="its boxes are found by file name, or by the number that the name is")
        found = self.boxes[key]
        return np.array([b for b, _ in found]).reshape(-1, 4), np.array([s for _, s in found])


def _entries(content: Any) -> Iterator[tuple[Any, Any, float]]:
    """(picture, box, score) of every entry."""
    if isinstance(content, list):
        for entry in content:
            yield entry.get("file_name", entry.get("image_id")), entry["bbox"], float(entry.get("score", 1.0))
    elif "annotations" in content:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for entry in content["annotations"]:
            yield names[entry["image_id"]], entry["bbox"], float(entry.get("score", 1.0))
    else:
        for name, boxes in content.items():
            for box in boxes:
                yield name, box, 1.0


def predict_files(pose: Pose, files: Sequence[Path], folder: Path, reporter: Reporter, *, boxes: Boxes | None = None,
                  flip_test: bool = False, batch_size: int = 32, threshold: float = 0.0) -> tuple[int, int]:
    """Write an annotated JPEG per picture, predictions.json (COCO results) and images.json.

    Returns:
        Pictures and persons.

    Raises:
        DataError: A file cannot be decoded, has no boxes, or two outputs would have one name.
    """
    results: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    ids: set[int] = set()
    names: set[str] = set()
    reporter.start("predict", sum(map(count_frames, files)))
    for frame in (frame for path in files for frame in frames(path)):
        found, box_scores = boxes.of(frame.name) if boxes else _whole(frame.image)
        keypoints, scores = pose(frame.image, found, flip_test=flip_test, batch_size=batch_size)
        target = f"{Path(frame.name).stem}.jpg"
        if target in names:
            raise DataError("two pictures of this name", where=frame.name, hint="predict each folder into its own -o")
        image_id = _image_id(frame.name, ids)
        names.add(target)
        ids.add(image_id)
        images.append({"id": image_id, "file_name": frame.name, "width": frame.image.shape[1],
                       "height": frame.image.shape[0]})
        results += [_result(image_id, *one) for one in zip(found, box_scores, keypoints, scores, strict=True)]
        picture = draw_poses(frame.image, found, keypoints, scores, pose.keypoint_set, threshold=threshold)
        write_bytes(folder / target, _jpeg(picture))
        reporter.advance()
    reporter.finish()
    names_of = pose.keypoint_set
    category = {"id": 1, "name": "person", "keypoints": list(names_of.names),
                "skeleton": [[a + 1, b + 1] for a, b in names_of.skeleton]}
    write_json(folder / LISTING, {"images": images, "categories": [category]})
    write_json(folder / RESULTS, results)
    return len(images), len(results)


def _whole(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([[0.0, 0.0, image.shape[1], image.shape[0]]]), np.ones(1)


def _image_id(name: str, taken: set[int]) -> int:
    """The number that the name is, as in COCO; else the next free one."""
    stem = Path(name).stem
    number = int(stem) if stem.isascii() and stem.isdecimal() and len(stem) < 19 else None
    return number if number is not None and number not in taken else max(taken, default=0) + 1


def _result(image_id: int, box: NDArray[np.floating], box_score: float, keypoints: NDArray[np.floating],
            scores: NDArray[np.floating]) -> dict[str, Any]:
    """One entry of COCO's results format; the person's score is box score times mean keypoint score."""
    flat = np.concatenate([keypoints, scores[:, None]], axis=1).ravel()
    return {"image_id": image_id, "category_id": 1, "bbox": [round(float(v), 2) for v in box],
            "keypoints": [round(float(v), 4) for v in flat], "score": round(float(box_score * scores.mean()), 6)}


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    good, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not good:
        raise DataError(f"a picture of {picture.shape[1]}x{picture.shape[0]} cannot be written as JPEG")
    return content.tobytes()
