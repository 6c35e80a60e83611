"""The embedded data set on disk: made on first use, resumed after a kill, checked by hash on reuse."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.config import EmbeddedConfig
from flatpose.data.synthetic.formats import LAYOUTS, annotation
from flatpose.data.synthetic.scene import SPLITS, VERSION, Truth, render_picture
from flatpose.errors import DataError
from flatpose.io import read_json, write_bytes, write_json
from flatpose.keypoints import COCO17
from flatpose.progress import SILENT, Reporter

Task = Literal["coco", "crowdpose", "mpii"]
_CHUNK = 25
_MANIFEST = "manifest.json"


def render(index: int, split: str, seed: int) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """Image ``index`` of a split before JPEG, (h, w, 3) RGB, and its COCO annotations: a pure function."""
    picture = render_picture(index, split, seed)
    return picture.image, [annotation(_plain(t), COCO17, index + 1, i + 1) for i, t in enumerate(picture.truths)]


def root_folder(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco") -> Path:
    """Where the data set is or would be: below ``cache_dir``, else $FLATPOSE_CACHE, else ~/.cache/flatpose."""
    cache = cache_dir or Path(os.environ.get("FLATPOSE_CACHE") or Path.home() / ".cache" / "flatpose")
    middle = "" if task == "coco" else f"{task}-"
    return cache / f"embedded-{middle}v{VERSION}-{config.train_images}x{config.val_images}-s{config.seed}"


def existing(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco") -> Path | None:
    """The root of a complete, undamaged data set, or None; makes nothing."""
    root = root_folder(config, cache_dir, task=task)
    return root if (root / _MANIFEST).is_file() and problem(root) is None else None


def ensure(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco", workers: int | None = None,
           reporter: Reporter = SILENT, verify: bool = False) -> Path:
    """The root folder of the data set, which is made first where it is missing, unfinished or damaged.

    Args:
        config: Size and seed.
        cache_dir: Parent folder; default see :func:`root_folder`.
        task: Whose layout and keypoints; CrowdPose images are drawn more crowded.
        workers: Processes that render; default one per core.
        reporter: Told about progress.
        verify: Also hash every image (otherwise their number and sizes are compared).

    Raises:
        DataError: The cache folder cannot be written.
    """
    root = root_folder(config, cache_dir, task=task)
    if (root / _MANIFEST).is_file() and problem(root, verify=verify) is None:
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root, reporter):
            damage = problem(root, verify=verify) if (root / _MANIFEST).is_file() else "unfinished"
            if damage is None:
                return root
            if damage != "unfinished":
                reporter.message(f"embedded data in {root} is damaged ({damage}); making it again")
                (root / _MANIFEST).unlink()
                shutil.rmtree(root / ".partial", ignore_errors=True)
            _make(_Job(root, config, task), workers or os.cpu_count() or 1, reporter)
    except OSError as error:
        raise DataError(f"cannot write the embedded data ({error.strerror})", where=str(root),
                        hint="set FLATPOSE_CACHE to a folder with room") from error
    return root


def problem(root: Path, *, verify: bool = False) -> str | None:
    """What is wrong with a finished data set, or None: hashes of its files, number and sizes of its images."""
    try:
        manifest = read_json(root / _MANIFEST)
        for name, expected in manifest["files"].items():
            if _sha256(root / name) != expected:
                return f"{name} has changed"
        for folder, expected in manifest["images"].items():
            names = sorted(n for n in os.listdir(root / folder) if n.endswith(".jpg"))
            found = {"count": len(names), "bytes": sum((root / folder / n).stat().st_size for n in names)}
            if verify:
                found["sha256"] = _combined(_sha256(root / folder / n) for n in names)
            if any(expected[key] != value for key, value in found.items()):
                return f"the images in {folder} have changed"
    except OSError as error:
        return f"{Path(error.filename or '').name} is missing"
    except (DataError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} is not readable"
    return None


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know; picklable."""

    root: Path
    config: EmbeddedConfig
    task: Task

    def chunks(self) -> list[tuple[str, int, int]]:
        """(split, first, end) of every unit of work."""
        sizes = {"train": self.config.train_images, "val": self.config.val_images}
        return [(split, first, min(first + _CHUNK, sizes[split]))
                for split in SPLITS for first in range(0, sizes[split], _CHUNK)]

    def image(self, split: str, index: int) -> Path:
        layout = LAYOUTS[self.task]
        return self.root / layout.folder[split] / layout.image_name(split, index)

    def journal(self, chunk: tuple[str, int, int]) -> Path:
        """Written when all images of a chunk are in place: their truth, sizes and hashes."""
        return self.root / ".partial" / f"{chunk[0]}-{chunk[1]:06d}.json"

    def finished(self, chunk: tuple[str, int, int]) -> list[dict[str, Any]] | None:
        """The records of a chunk made earlier, or None when it has to be made."""
        split, first, end = chunk
        try:
            records = json.loads(self.journal(chunk).read_bytes())
            sizes = [self.image(split, i).stat().st_size for i in range(first, end)]
        except (OSError, ValueError):
            return None
        return records if [r["bytes"] for r in records] == sizes else None


def _make(job: _Job, workers: int, reporter: Reporter) -> None:
    """Render what is missing, then write annotations, then the manifest."""
    chunks = job.chunks()
    done = {chunk: records for chunk in chunks if (records := job.finished(chunk)) is not None}
    for folder in LAYOUTS[job.task].folder.values():
        (job.root / folder).mkdir(parents=True, exist_ok=True)
    (job.root / ".partial").mkdir(exist_ok=True)
    reporter.start("embedded data", sum(end - first for _, first, end in chunks))
    for _, first, end in done:
        reporter.advance(end - first)
    for chunk, records in _rendered(job, [c for c in chunks if c not in done], workers):
        done[chunk] = records
        reporter.advance(chunk[2] - chunk[1])
    reporter.finish()
    _finish(job, {split: [r for c in chunks if c[0] == split for r in done[c]] for split in SPLITS})


def _rendered(job: _Job, chunks: list[tuple[str, int, int]], workers: int) -> Iterator[tuple[tuple, list]]:
    """(chunk, records) as they are finished, in any order."""
    left = dict.fromkeys(chunks)
    if workers > 1 and len(chunks) > 2:
        context = multiprocessing.get_context("spawn")
        with (contextlib.suppress(BrokenProcessPool),
              ProcessPoolExecutor(min(workers, len(chunks)), context, cv2.setNumThreads, (1,)) as pool):
            futures = {pool.submit(_render_chunk, job, chunk): chunk for chunk in chunks}
            try:
                for future in as_completed(futures):
                    records = future.result()
                    del left[futures[future]]
                    yield futures[future], records
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    # One worker, little work, or a main module that cannot be started again (an interactive session).
    for chunk in list(left):
        yield chunk, _render_chunk(job, chunk)


def _render_chunk(job: _Job, chunk: tuple[str, int, int]) -> list[dict[str, Any]]:
    """Render and store the images of one chunk; the journal is written last."""
    split, first, end = chunk
    records = [_store(job, split, index) for index in range(first, end)]
    write_json(job.journal(chunk), records, indent=None)
    return records


def _store(job: _Job, split: str, index: int) -> dict[str, Any]:
    picture = render_picture(index, split, job.config.seed, crowd=LAYOUTS[job.task].crowd)
    done, encoded = cv2.imencode(".jpg", picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, picture.quality])
    if not done:
        raise DataError("OpenCV cannot write JPEG files", hint="reinstall opencv-python-headless")
    content = encoded.tobytes()
    target = job.image(split, index)
    # Renamed into place like every file, but not forced to the disk one by one: the hashes find what a crash loses.
    temporary = job.root / ".partial" / f"{split}-{target.name}"
    temporary.write_bytes(content)
    os.replace(temporary, target)
    height, width = picture.image.shape[:2]
    return {"width": width, "height": height, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
            "truths": [_plain(t) for t in picture.truths]}


def _plain(truth: Truth) -> dict[str, Any]:
    return {"joints": truth.joints.tolist(), "bbox": truth.bbox_xywh.tolist(), "area": truth.area,
            "head": truth.head.tolist(), "height": truth.height}


def _finish(job: _Job, records: dict[str, list[dict[str, Any]]]) -> None:
    layout = LAYOUTS[job.task]
    files = layout.files(records, job.config.seed)
    for name, content in files.items():
        write_bytes(job.root / name, content)
    images: dict[str, dict[str, Any]] = {}
    for folder in dict.fromkeys(layout.folder.values()):
        inside = [r for split in SPLITS if layout.folder[split] == folder for r in records[split]]
        images[folder] = {"count": len(inside), "bytes": sum(r["bytes"] for r in inside),
                          "sha256": _combined(r["sha256"] for r in inside)}
    config = {name: getattr(job.config, name) for name in ("train_images", "val_images", "seed")}
    write_json(job.root / _MANIFEST, {
        "version": VERSION, "task": job.task, "config": config, "opencv": cv2.__version__, "images": images,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "images_sha256": _combined(i["sha256"] for i in images.values())})
    shutil.rmtree(job.root / ".partial", ignore_errors=True)


def _combined(hashes: Any) -> str:
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def _lock(root: Path, reporter: Reporter) -> Iterator[None]:
    """One maker at a time; the system frees the lock of a process that dies.

    Without it (Windows) two makers do the work twice, which is harmless: they rename identical files into place.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(root / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.message(f"another process is making {root.name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
