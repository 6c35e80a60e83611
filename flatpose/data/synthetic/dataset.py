"""The embedded data set on disk: made on first use, resumed after a kill, checked by hash when it is used again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
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
Chunk = tuple[str, int, int]
"""Split, first image and end of a unit of work."""
_CHUNK_SIZE = 25
_MANIFEST = "manifest.json"


def root_folder(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco") -> Path:
    """Where the data set is or would be: below ``cache_dir``, else $FLATPOSE_CACHE, else ~/.cache/flatpose."""
    cache = cache_dir or Path(os.environ.get("FLATPOSE_CACHE") or Path.home() / ".cache" / "flatpose")
    middle = "" if task == "coco" else f"{task}-"
    return cache / (f"embedded-{middle}v{VERSION}-{config.level}-{config.train_images}x{config.val_images}"
                    f"-s{config.seed}")


def existing(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco") -> Path | None:
    """The root of a complete, undamaged data set, or None; makes nothing."""
    root = root_folder(config, cache_dir, task=task)
    return root if problem(root) is None else None


def ensure(config: EmbeddedConfig, cache_dir: Path | None = None, *, task: Task = "coco", workers: int | None = None,
           reporter: Reporter = SILENT, verify: bool = False) -> Path:
    """The root folder of the data set, which is made first when it is missing, unfinished or damaged.

    Args:
        config: Level, size and seed.
        cache_dir: Parent folder; the default is that of :func:`root_folder`.
        task: Layout and keypoints; CrowdPose images show more people, closer together.
        workers: Processes that render; default one per core.
        reporter: Shows the progress.
        verify: Hash every image; by default only their number and sizes are compared.

    Raises:
        DataError: The cache folder cannot be written.
    """
    root = root_folder(config, cache_dir, task=task)
    if problem(root, verify=verify) is None:
        return root
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker is importing a script without a main guard. It must fail here, not wait for the lock of its parent.
        raise RuntimeError("embedded data cannot be made while a worker process starts")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root, reporter):
            damage = problem(root, verify=verify)
            if damage is None:
                return root
            if (root / _MANIFEST).is_file():
                reporter.message(f"the embedded data in {root} are damaged ({damage}); making them again")
                (root / _MANIFEST).unlink()
                shutil.rmtree(root / ".partial", ignore_errors=True)
            _make(_Job(root, config, task), workers or os.cpu_count() or 1, reporter)
    except OSError as error:
        raise DataError(f"cannot write the embedded data ({error.strerror})", where=str(root),
                        hint="set FLATPOSE_CACHE to a folder with room") from error
    return root


def problem(root: Path, *, verify: bool = False) -> str | None:
    """What is wrong with a data set, or None: hashes of its files, number and sizes (or hashes) of its images."""
    try:
        manifest = read_json(root / _MANIFEST)
        for name, expected in manifest["files"].items():
            if _sha256((root / name).read_bytes()) != expected:
                return f"{name} has changed"
        for folder, expected in manifest["images"].items():
            paths = sorted((root / folder).glob("*.jpg"))
            found: dict[str, Any] = {"count": len(paths), "bytes": sum(p.stat().st_size for p in paths)}
            if verify:
                found["sha256"] = _combined(_sha256(p.read_bytes()) for p in paths)
            if any(expected[key] != value for key, value in found.items()):
                return f"the images in {folder} have changed"
    except OSError as error:
        return f"{Path(error.filename or '').name} is missing"
    except (DataError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} is not readable"
    return None


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know; picklable."""

    root: Path
    config: EmbeddedConfig
    task: Task

    @property
    def layout(self) -> Layout:
        return LAYOUTS[self.task]

    def chunks(self) -> list[Chunk]:
        sizes = {"train": self.config.train_images, "val": self.config.val_images}
        return [(split, first, min(first + _CHUNK_SIZE, sizes[split]))
                for split in SPLITS for first in range(0, sizes[split], _CHUNK_SIZE)]

    def image(self, split: str, index: int) -> Path:
        return self.root / self.layout.folder[split] / self.layout.image_name(split, index)

    def journal(self, chunk: Chunk) -> Path:
        """Truth, sizes and hashes of the images of a chunk, written when all of them are in place."""
        return self.root / ".partial" / f"{chunk[0]}-{chunk[1]:06d}.json"

    def finished(self, chunk: Chunk) -> Records | None:
        """The records of a chunk made earlier, or None when it has to be made."""
        split, first, end = chunk
        try:
            records = json.loads(self.journal(chunk).read_bytes())
            sizes = [self.image(split, i).stat().st_size for i in range(first, end)]
        except (OSError, ValueError):
            return None
        return records if [r["bytes"] for r in records] == sizes else None


def _make(job: _Job, workers: int, reporter: Reporter) -> None:
    """Render what is missing, then write the annotations, and the manifest last."""
    chunks = job.chunks()
    for folder in (*job.layout.folder.values(), ".partial"):
        (job.root / folder).mkdir(parents=True, exist_ok=True)
    done = {chunk: records for chunk in chunks if (records := job.finished(chunk)) is not None}
    reporter.start("embedded data", chunks[-1][2] + max(c[2] for c in chunks if c[0] == "train"))
    reporter.advance(sum(map(len, done.values())))
    for chunk, records in _rendered(job, [c for c in chunks if c not in done], workers):
        done[chunk] = records
        reporter.advance(len(records))
    reporter.finish()
    _finish(job, {split: [r for c in chunks if c[0] == split for r in done[c]] for split in SPLITS})


def _rendered(job: _Job, chunks: list[Chunk], workers: int) -> Iterator[tuple[Chunk, Records]]:
    """Chunks with their records as they are finished, in any order."""
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
    for chunk in left:
        yield chunk, _render_chunk(job, chunk)


def _render_chunk(job: _Job, chunk: Chunk) -> Records:
    """Render and store the images of one chunk; its journal is written last."""
    split, first, end = chunk
    records = [_store(job, split, index) for index in range(first, end)]
    write_json(job.journal(chunk), records, indent=None)
    return records


def _store(job: _Job, split: str, index: int) -> dict[str, Any]:
    """Write one image and return its record."""
    picture = render(index, split, job.config.seed, job.layout.levels[job.config.level])
    done, encoded = cv2.imencode(".jpg", picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, picture.quality])
    if not done:
        raise DataError("OpenCV cannot write JPEG files", hint="reinstall opencv-python-headless")
    content = encoded.tobytes()
    target = job.image(split, index)
    # Renamed into place, but not synchronised one by one: the hashes show what a crash has lost.
    temporary = job.root / ".partial" / f"{split}-{target.name}"
    temporary.write_bytes(content)
    os.replace(temporary, target)
    height, width = picture.image.shape[:2]
    return {"width": width, "height": height, "bytes": len(content), "sha256": _sha256(content),
            "truths": [asdict(truth) for truth in picture.truths]}


def _finish(job: _Job, records: dict[str, Records]) -> None:
    files = job.layout.files(records, job.config.seed)
    for name, content in files.items():
        write_bytes(job.root / name, content)
    images: dict[str, dict[str, Any]] = {}
    for folder in dict.fromkeys(job.layout.folder.values()):
        inside = [r for split in SPLITS if job.layout.folder[split] == folder for r in records[split]]
        images[folder] = {"count": len(inside), "bytes": sum(r["bytes"] for r in inside),
                          "sha256": _combined(r["sha256"] for r in inside)}
    write_json(job.root / _MANIFEST, {
        "version": VERSION, "task": job.task, "config": asdict(job.config), "opencv": cv2.__version__, "images": images,
        "files": {name: _sha256(content) for name, content in files.items()}})
    shutil.rmtree(job.root / ".partial", ignore_errors=True)


def _combined(hashes: Iterable[str]) -> str:
    return _sha256("\n".join(hashes).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def _lock(root: Path, reporter: Reporter) -> Iterator[None]:
    """One process at a time makes a data set; the lock of a process that dies is released by the system."""
    lock = FileLock(root / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.message(f"another process is making {root.name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
