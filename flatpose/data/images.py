"""Image files: decoded, compared with the size that an annotation file gives, kept while there is room."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flatpose.errors import DataError

CACHE_BYTES = 1 << 30
EXIF_ORIENTATION = 0x0112
Size = tuple[int, int]


class ImageCache:
    """Decoded images, so that the persons of one image share one decode.

    When the cache is full it evicts the most recently inserted image. Every epoch reads every image once, in another
    order: the oldest are as likely to be read next as any, and evicting them would keep few until they are needed.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self.max_bytes, self.bytes = max_bytes, 0
        self.images: dict[Path, np.ndarray] = {}

    def read(self, path: Path, size: Size | None = None) -> np.ndarray:
        """The image as :func:`read_image` gives it; raises its DataError."""
        image = self.images.get(path)
        if image is None:
            image = read_image(path, size)
            while self.images and self.bytes + image.nbytes > self.max_bytes:
                self.bytes -= self.images.popitem()[1].nbytes
            self.images[path] = image
            self.bytes += image.nbytes
        return image


def read_image(path: Path, size: Size | None = None) -> np.ndarray:
    """Decode an image file, turned upright by its EXIF orientation.

    Args:
        path: JPEG, PNG or whatever else OpenCV decodes.
        size: Annotated width and height in pixels, which the file must have.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        DataError: It is missing, cannot be decoded, is cut off or has another size; the message names the file.
    """
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"image cannot be read ({reason})", where=str(path),
                        hint="flatpose-exp data check --data-root DIR lists every missing image") from None
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if encoded.size else None
    except cv2.error as error:
        reason = str(error).strip().splitlines()[-1].split("error: ", 1)[-1][:200]
        raise DataError(f"image is refused by OpenCV ({reason})", where=str(path),
                        hint="it claims to be huge, or is damaged: replace it") from None
    if image is None or _cut_off(encoded.tobytes()):
        raise DataError("image cannot be decoded", where=str(path), hint="replace the file; it may be cut off")
    if size is not None and image.shape[1::-1] != size:
        facts = image_facts(path)
        rotated = f" (its EXIF orientation is {facts.orientation})" if facts and facts.orientation != 1 else ""
        raise DataError(f"the image has {image.shape[1]} x {image.shape[0]} pixels{rotated}, the annotation file says "
                        f"{size[0]} x {size[1]}", where=str(path),
                        hint="restore the original image; flatpose-exp data check lists every such file")
    return image


@dataclass(frozen=True)
class ImageFacts:
    """Width and height in pixels once upright, EXIF orientation (1: as stored), and whether the file is whole."""

    width: int
    height: int
    orientation: int
    whole: bool


def image_facts(path: Path) -> ImageFacts | None:
    """What the headers of an image file say, without decoding it; None when it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            orientation = int(image.getexif().get(EXIF_ORIENTATION, 1))
            width, height = image.size
            turned = image.format == "TIFF"  # Pillow gives the upright size of these alone
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            whole = not _cut_off(content)
    except Exception:  # Pillow raises a different type for every way in which a file can be damaged
        return None
    if 5 <= orientation <= 8 and not turned:  # a quarter turn
        width, height = height, width
    return ImageFacts(width, height, orientation if 1 <= orientation <= 8 else 1, whole)


def _cut_off(content: bytes | mmap.mmap) -> bool:
    """Whether a JPEG's pixel data have no end marker: OpenCV then fills the missing part with grey without an error.

    Segments before the pixel data are skipped by their length: an EXIF thumbnail has an end marker of its own.
    """
    if content[:2] != b"\xff\xd8":
        return False
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xDA:  # start of scan; inside pixel data the bytes FF D9 can only be the end marker
            return content.rfind(b"\xff\xd9", position) < 0
        alone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8  # fill bytes and markers without a length
        position += (1 if marker == 0xFF else 2) if alone else 2 + int.from_bytes(content[position + 2:position + 4],
                                                                                  "big")
    return True
