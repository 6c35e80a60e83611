"""The embedded data set on disk: made on first use, checked by sizes and hashes when it is used again."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
from filelock import FileLock, Timeout

from flatpose.config import EmbeddedConfig
from flatpose.data.synthetic.formats import LAYOUTS, Layout, Records
from flatpose.data.synthetic.scene import SPLITS, VERSION, render
from flatpose.errors import DataError
from flatpose.io import read_json, write_bytes, write_json
from flatpose.progress import SILENT, Reporter

Task = Literal["coco", "crowdpose", "mpii"]
Record = dict[str, Any]
_CHUNK = 25
"""Images that a worker renders at a time."""
_MANIFEST = "manifest.json"


def root_folder(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco") -> Path:
    """Where the data set is or would be: below ``cache_dir``, else $FLATPOSE_CACHE, else ~/.cache/flatpose."""
    cache = cache_dir or Path(os.environ.get("FLATPOSE_CACHE") or Path.home() / ".cache" / "flatpose")
    kind = config.level if task == "coco" else f"{task}-{config.level}"
    return cache / f"embedded-v{VERSION}-{kind}-{config.train_images}x{config.val_images}-s{config.seed}"


def existing(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco") -> Path | None:
    """The root of a complete, undamaged data set, or None; makes nothing."""
    root = root_folder(config, cache_dir, task=task)
    return root if problem(root) is None else None


def ensure(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco", workers: int | None = None,
           reporter: Reporter = SILENT) -> Path:
    """The root folder of the data set, which is made first when it is missing, unfinished or damaged.

    Args:
        config: Level, size and seed.
        cache_dir: Parent folder; the default is that of :func:`root_folder`.
        task: Layout and keypoints; CrowdPose images show more people, closer together.
        workers: Processes that render; default one per core.
        reporter: Shows the progress.

    Raises:
        DataError: The cache folder cannot be written.
    """
    root = root_folder(config, cache_dir, task=task)
    if problem(root) is None:
        return root
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker is importing a script without a main guard. It must fail here, not wait for the lock of its parent.
        raise RuntimeError("embedded data cannot be made while a worker process starts")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root, reporter):
            damage = problem(root)
            if damage is None:
                return root
            if (root / _MANIFEST).is_file():
                reporter.message(f"the embedded data in {root} are damaged ({damage}); making them again")
                (root / _MANIFEST).unlink()
            _make(root, config, LAYOUTS[task], workers or os.cpu_count() or 1, reporter)
    except OSError as error:
        raise DataError(f"cannot write the embedded data ({error.strerror})", where=str(root),
                        hint="set FLATPOSE_CACHE to a folder with room") from error
    return root


def problem(root: Path) -> str | None:
    """What is wrong with a data set, or None, from the sizes of all files and the hashes of all but the images."""
    try:
        for name, (size, digest) in read_json(root / _MANIFEST)["files"].items():
            path = root / name
            if path.stat().st_size != size or (not name.endswith(".jpg") and _sha256(path.read_bytes()) != digest):
                return f"{name} has changed"
    except OSError as error:
        return f"{Path(error.filename or '').name} is missing"
    except (DataError, KeyError, TypeError, ValueError, AttributeError):
        return f"{_MANIFEST} is not readable"
    return None


def _make(root: Path, config: EmbeddedConfig, layout: Layout, workers: int, reporter: Reporter) -> None:
    """Render the images, then write the annotations, and the manifest last: without it the data set does not exist."""
    for folder in layout.folder.values():
        (root / folder).mkdir(parents=True, exist_ok=True)
    sizes = {"train": config.train_images, "val": config.val_images}
    images = [(split, index) for split in SPLITS for index in range(sizes[split])]
    records: dict[str, Records] = {split: [] for split in SPLITS}
    reporter.start("embedded data", len(images))
    for (split, _), record in zip(images, _rendered(partial(_store, root, config, layout), images, workers),
                                  strict=True):
        records[split].append(record)
        reporter.advance()
    reporter.finish()
    files = {record["file"]: (record["bytes"], record["sha256"]) for split in SPLITS for record in records[split]}
    for name, content in layout.files(records, config.seed).items():
        write_bytes(root / name, content)
        files[name] = (len(content), _sha256(content))
    manifest = {"version": VERSION, "config": asdict(config), "opencv": cv2.__version__, "files": files}
    write_json(root / _MANIFEST, manifest)


def _rendered(job: Callable[[tuple[str, int]], Record], images: list[tuple[str, int]], workers: int
              ) -> Iterator[Record]:
    """The record of every image, in order."""
    done = 0
    if workers > 1 and len(images) > 2 * _CHUNK:
        context = multiprocessing.get_context("spawn")
        with (contextlib.suppress(BrokenProcessPool),
              ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)) as pool):
            for record in pool.map(job, images, chunksize=_CHUNK):
                done += 1
                yield record
    # One worker, little work, or a main module that cannot be imported again (an interactive session).
    yield from map(job, images[done:])


def _store(root: Path, config: EmbeddedConfig, layout: Layout, image: tuple[str, int]) -> Record:
    """Write one image, given by split and index, and return its record."""
    split, index = image
    picture = render(index, split, config.seed, layout.levels[config.level])
    done, encoded = cv2.imencode(".jpg", picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, picture.quality])
    if not done:
        raise DataError("OpenCV cannot write JPEG files", hint="reinstall opencv-python-headless")
    content, name = encoded.tobytes(), f"{layout.folder[split]}/{layout.image_name(split, index)}"
    (root / name).write_bytes(content)
    height, width = picture.image.shape[:2]
    return {"file": name, "width": width, "height": height, "bytes": len(content), "sha256": _sha256(content),
            "truths": [asdict(truth) for truth in picture.truths]}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _lock(root: Path, reporter: Reporter) -> AbstractContextManager[Any]:
    """One process at a time makes a data set; the system releases the lock of a process that dies."""
    lock = FileLock(root / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        reporter.message(f"another process is making {root.name}; waiting for it")
        return lock.acquire()
