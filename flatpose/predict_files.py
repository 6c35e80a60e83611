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

from flatpose.data.images import read_image
from flatpose.drawing import draw_poses
from flatpose.errors import DataError
from flatpose.geometry import box_to_center_scale
from flatpose.io import read_json, write_bytes, write_json
from flatpose.keypoints import KeypointSet
from flatpose.metrics import Predictions
from flatpose.metrics.oks import oks_matrix, oks_nms, soft_oks_nms
from flatpose.metrics.oks import person_scores as score_persons
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
    """Boxes (N, 4) and their scores (N,) by picture, from a file in any of FORMS.

    Left out are detections that score below ``least``, and those whose overlap (intersection over union) with a better
    one exceeds ``overlap``: detectors list most people more than once.

    Pictures are found by file name, by its stem, or where the file has only ids by the number that the name is
    (COCO's ``000000000139.jpg`` is image 139).
    """

    def __init__(self, path: Path, least: float, overlap: float = 0.6) -> None:
        self.path, self.boxes = path, {}
        content = read_json(path)
        self.overlap = overlap if isinstance(content, list) else 1.0  # annotated boxes are persons, however close
        try:
            self.boxes.update({str(name): [] for name in _pictures(content)})
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
        boxes = np.array([box for box, _ in self.boxes[key]]).reshape(-1, 4)
        scores = np.array([score for _, score in self.boxes[key]])
        kept = _apart(boxes, scores, self.overlap)
        return boxes[kept], scores[kept]


def _apart(boxes: NDArray[np.float64], scores: NDArray[np.float64], most: float) -> list[int]:
    """Indices of the boxes that overlap no better one by more than ``most``, in their own order."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    shared = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None).prod(-1)
    area = boxes[:, 2:].prod(-1)
    return sorted(oks_nms(shared / (area[:, None] + area - shared), scores, most))


def _pictures(content: Any) -> Iterator[Any]:
    """Those that a file knows even where it has no box for them."""
    if isinstance(content, dict):
        yield from (image["file_name"] for image in content["images"]) if "annotations" in content else content


def _entries(content: Any) -> Iterator[tuple[Any, Any, float]]:
    """(picture, box, score) of every person; other categories of a detector and annotated crowds are none."""
    if isinstance(content, list):
        for entry in (e for e in content if e.get("category_id", 1) == 1):
            yield entry.get("file_name", entry.get("image_id")), entry["bbox"], float(entry.get("score", 1.0))
    elif "annotations" in content:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for entry in (e for e in content["annotations"] if not e.get("iscrowd")):
            yield names[entry["image_id"]], entry["bbox"], float(entry.get("score", 1.0))
    else:
        for name, boxes in content.items():
            for box in boxes:
                yield name, box, 1.0


@dataclass(frozen=True)
class Predicted:
    """What became of some files: pictures and persons written, and why the others were left out."""

    pictures: int
    persons: int
    left_out: list[DataError]


def predict_files(pose: Pose, files: Sequence[Path], folder: Path, reporter: Reporter, *, boxes: Boxes | None = None,
                  flip_test: bool = False, batch_size: int = 32, threshold: float = 0.0) -> Predicted:
    """Write an annotated JPEG per picture, predictions.json (COCO results) and images.json.

    A file that cannot be decoded, has no boxes, or would get the name of another's picture is left out.

    Raises:
        DataError: No picture could be used; the message is about the first of them.
    """
    results: list[dict[str, Any]] = []
    images: dict[str, dict[str, Any]] = {}
    ids: set[int] = set()
    left_out: list[DataError] = []
    reporter.start("predict", sum(map(count_frames, files)))
    for frame in _read(files, left_out):
        target = f"{Path(frame.name).stem}.jpg"
        try:
            if target in images:
                raise DataError("two pictures of this name", where=frame.name,
                                hint="predict each folder into its own -o")
            persons = _persons(pose, frame, boxes, flip_test, batch_size)
            picture = draw_poses(frame.image, persons.boxes, persons.keypoints, persons.scores, pose.keypoint_set,
                                 threshold=threshold)
            write_bytes(folder / target, _jpeg(picture))
        except DataError as error:
            left_out.append(error)
        else:
            height, width = frame.image.shape[:2]
            number = _image_id(frame.name, ids)
            ids.add(number)
            images[target] = {"id": number, "file_name": frame.name, "width": width, "height": height}
            results += persons.results(number)
        reporter.advance()
    reporter.finish()
    if not images:
        raise left_out[0]
    write_json(folder / LISTING, {"images": list(images.values()), "categories": [_category(pose.keypoint_set)]})
    write_json(folder / RESULTS, results)
    return Predicted(len(images), len(results), left_out)


def _read(files: Sequence[Path], left_out: list[DataError]) -> Iterator[Frame]:
    """The frames of all files; what cannot be decoded goes to ``left_out``."""
    for path in files:
        try:
            yield from frames(path)
        except DataError as error:
            left_out.append(error)


@dataclass(frozen=True)
class _Persons:
    """The N persons of a picture: boxes (N, 4), keypoints (N, K, 2) in pixels, their scores (N, K), its own (N,)."""

    boxes: NDArray[np.floating]
    keypoints: NDArray[np.floating]
    scores: NDArray[np.floating]
    person_scores: NDArray[np.floating]

    def results(self, image_id: int) -> list[dict[str, Any]]:
        """Entries of COCO's results format."""
        flat = np.concatenate([self.keypoints, self.scores[..., None]], axis=2).reshape(len(self.boxes), -1)
        return [{"image_id": image_id, "category_id": 1, "bbox": [round(float(v), 2) for v in box],
                 "keypoints": [round(float(v), 4) for v in points], "score": round(float(score), 6)}
                for box, points, score in zip(self.boxes, flat, self.person_scores, strict=True)]


def _persons(pose: Pose, frame: Frame, known: Boxes | None, flip_test: bool, batch_size: int) -> _Persons:
    """Predicted, scored and freed of duplicates as the network's own evaluation does it (docs/evaluation.md)."""
    boxes, box_scores = known.of(frame.name) if known else _whole(frame.image)
    keypoints, scores = pose(frame.image, boxes, flip_test=flip_test, batch_size=batch_size)
    rules, count = pose.checkpoint.run.eval, len(boxes)
    area = box_to_center_scale(boxes, pose.image_size)[1].prod(-1)
    found = Predictions(np.zeros(count, int), np.zeros(count, int), keypoints, scores, box_scores, area)
    person_scores = score_persons(found, rules.rescore, pose.checkpoint.run.codec.score_threshold)
    kept = np.arange(count)
    if rules.nms != "none":
        similarity = oks_matrix(keypoints, area, np.array(pose.keypoint_set.sigmas))
        suppress = oks_nms if rules.nms == "oks" else soft_oks_nms
        kept = np.array(sorted(suppress(similarity, person_scores, rules.nms_threshold)), dtype=int)
    return _Persons(boxes[kept], keypoints[kept], scores[kept], person_scores[kept])


def _whole(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([[0.0, 0.0, image.shape[1], image.shape[0]]]), np.ones(1)


def _image_id(name: str, taken: set[int]) -> int:
    """The number that the name is, as in COCO; else the next free one."""
    stem = Path(name).stem
    number = int(stem) if stem.isascii() and stem.isdecimal() and len(stem) < 19 else None
    return number if number is not None and number not in taken else max(taken, default=0) + 1


def _category(keypoint_set: KeypointSet) -> dict[str, Any]:
    return {"id": 1, "name": "person", "keypoints": list(keypoint_set.names),
            "skeleton": [[a + 1, b + 1] for a, b in keypoint_set.skeleton]}


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    good, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not good:
        raise DataError(f"a picture of {picture.shape[1]}x{picture.shape[0]} cannot be written as JPEG")
    return content.tobytes()
