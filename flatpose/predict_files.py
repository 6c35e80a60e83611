"""Poses of files: images, folders, globs and videos in; annotated pictures, videos and COCO-format JSON out."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.boxes import BoxFile, number_of
from flatpose.data.images import read_image
from flatpose.errors import DataError
from flatpose.geometry import crop_matrices
from flatpose.io import write_bytes, write_json
from flatpose.metrics import Predictions
from flatpose.metrics.oks import person_scores, survivors
from flatpose.predict import Pose
from flatpose.progress import Reporter

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})
RESULTS, LISTING = "predictions.json", "images.json"
Found = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""(h, w, 3) RGB -> boxes (N, 4) xywh and scores (N,)."""


def whole_image(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One box that is the image."""
    return np.array([[0.0, 0.0, image.shape[1], image.shape[0]]]), np.ones(1)


def find_inputs(given: Sequence[str]) -> list[Path]:
    """Image and video files of paths, folders (their own files) and globs, each once, in order.

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


@dataclass
class Job:
    """What is done with every picture, and what has been found so far."""

    pose: Pose
    folder: Path
    """Receives pictures, videos, predictions.json (COCO results) and images.json."""
    boxes: BoxFile | Found = whole_image
    """A file of boxes, or a function that finds them in a picture."""
    flip_test: bool = False
    batch_size: int = 32
    threshold: float = 0.3
    """Keypoints whose score (0..1) is below are not drawn."""
    every: int = 1
    """Use every so many frames of a video."""
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    """Image ids given so far."""
    left_out: list[DataError] = field(default_factory=list)

    def run(self, files: Sequence[Path], reporter: Reporter) -> Job:
        """Predict every file. ``left_out`` gets those that cannot be decoded, that the boxes file does not know, or at
        which Ctrl-C stopped; what was predicted before is kept.

        A picture without a person is written without a pose.

        Raises:
            DataError: No picture could be used; the message is about the first of them.
        """
        reporter.start("predict", len(files))
        for number, path in enumerate(files):
            try:
                self._video(path) if path.suffix.lower() in VIDEOS else self._image(path)
            except DataError as error:
                self.left_out.append(error)
            except KeyboardInterrupt:
                self.left_out.append(DataError(f"stopped, and {len(files) - number - 1} more", where=str(path)))
                break
            reporter.advance()
        reporter.finish()
        if not self.images:
            raise self.left_out[0]
        if isinstance(self.boxes, BoxFile) and not self.boxes.used:
            raise DataError(f"has boxes for none of the {len(self.images)} pictures", where=str(self.boxes.path),
                            hint="its image ids or file names must be those of the pictures")
        write_json(self.folder / LISTING, {"images": list(self.images.values()),
                                           "categories": [self.pose.keypoint_set.category()]})
        write_json(self.folder / RESULTS, self.results)
        return self

    def _image(self, path: Path) -> None:
        target = f"{path.stem}.jpg"
        path = path.resolve()
        size = self.boxes.size(str(path)) if isinstance(self.boxes, BoxFile) else None
        picture = self._picture(read_image(path, size=size), path, target)
        good, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        if not good:
            raise DataError(f"a picture of {picture.shape[1]}x{picture.shape[0]} cannot be written as JPEG",
                            where=str(path))
        write_bytes(self.folder / target, content.tobytes())

    def _video(self, path: Path) -> None:
        """One mp4 per video, upright, at the rate of the frames used; a frame is named STEM_000001.jpg."""
        writer: cv2.VideoWriter | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            unfinished = str(Path(scratch, "video.mp4"))
            for number, rate, frame in frames(path, self.every):
                name = f"{path.stem}_{number:06d}.jpg"
                picture = self._picture(frame, path.resolve().parent / name, name, frame=True)
                size = picture.shape[1::-1]
                writer = writer or cv2.VideoWriter(unfinished, cv2.VideoWriter.fourcc(*"mp4v"), rate / self.every, size)
                writer.write(picture[..., ::-1])
            if writer is not None:
                writer.release()
            os.replace(unfinished, self.folder / f"{path.stem}.mp4")

    def _picture(self, image: NDArray[np.uint8], path: Path, target: str, *, frame: bool = False
                 ) -> NDArray[np.uint8]:
        """The picture with its poses, which are added to the results; raises DataError where another has its name."""
        if target in self.images:
            raise DataError("two pictures of this name", where=str(path), hint="predict each folder into its own -o")
        known, boxes, scores = self.boxes.of(str(path), frame=frame) if isinstance(self.boxes, BoxFile) else (
            number_of(path.stem), *self.boxes(image))
        number = known if isinstance(known, int) and known not in self.numbers else max(self.numbers, default=0) + 1
        self.numbers.add(number)
        keypoints, raw = self.pose.raw(image, boxes, flip_test=self.flip_test, batch_size=self.batch_size)
        persons, kept = self._persons(keypoints, raw, boxes, scores)
        confidence = self.pose.confidence(raw)
        if self.pose.checkpoint.run.eval.rescore != "box":
            persons = self.pose.relative(persons)
        self.images[target] = {"id": number, "file_name": path.name, "width": image.shape[1],
                               "height": image.shape[0]}
        for i in kept:
            triples = np.column_stack([keypoints[i].round(2), confidence[i].round(4)])
            self.results.append({"image_id": number, "category_id": 1, "bbox": boxes[i].round(2).tolist(),
                                 "keypoints": triples.ravel().tolist(), "score": round(float(persons[i]), 6)})
        return self.pose.draw(image, keypoints[kept], confidence[kept], boxes[kept], threshold=self.threshold)

    def _persons(self, keypoints: NDArray[np.floating], scores: NDArray[np.floating], boxes: NDArray[np.floating],
                 box_scores: NDArray[np.floating]) -> tuple[NDArray[np.floating], list[int]]:
        """Scores of the persons (N,) and those that suppression keeps, as in evaluation (docs/evaluation.md)."""
        run, count = self.pose.checkpoint.run, len(boxes)
        area = crop_matrices(boxes, self.pose.image_size, udp=run.codec.udp)[1]
        found = Predictions(np.zeros(count, int), np.zeros(count, int), keypoints, scores, box_scores, area)
        persons = person_scores(found, run.eval.rescore, run.codec.score_threshold)
        return persons, sorted(survivors(found, persons, np.array(self.pose.keypoint_set.sigmas), run.eval.nms,
                                         run.eval.nms_threshold))


def frames(path: Path, every: int = 1) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """(number from 1, frames per second, upright RGB image) of every n-th frame of a video.

    Raises:
        DataError: No frame can be decoded.
    """
    video, number = cv2.VideoCapture(str(path)), 0
    video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    rate = video.get(cv2.CAP_PROP_FPS)
    rate = rate if 0 < rate < 1000 else 25.0
    try:
        while (frame := video.read())[0]:
            number += 1
            if (number - 1) % every == 0:
                yield number, rate, np.ascontiguousarray(frame[1][..., ::-1])
    finally:
        video.release()
    if not number:
        raise DataError("no frame of this video can be decoded", where=str(path), hint="convert it to H.264 in .mp4")
