"""What is wrong with data files: the rules, and how often and where each was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flatpose.errors import DataError

EXAMPLES = 3
RULES: dict[str, tuple[str, str, str]] = {
    "not an object": ("error", "entries are not objects with an id that is a whole number",
                      "write each as a JSON object with its own id"),
    "duplicate id": ("error", "ids occur twice", "number images and annotations anew, each from 1"),
    "image size": ("error", "images have no positive width and height", "write the size in pixels of the image file"),
    "file name": ("error", "file names are empty or leave the image folder", "use plain relative names"),
    "image missing": ("error", "images are not on disk", "is the folder unpacked completely?"),
    "image damaged": ("error", "image files are empty, cut off or cannot be read", "copy or download them again"),
    "image differs": ("error", "image files have another size than the annotation file says (EXIF rotation applied)",
                      "boxes and keypoints are pixels of the annotated size: restore the original images, or save the "
                      "rotated pixels without the EXIF tag"),
    "image rotated": ("warning", "image files carry an EXIF rotation that does not change their size",
                      "the pixels are turned as viewers turn them; save them without the tag if the annotation "
                      "was made on the stored pixels"),
    "crowd index": ("error", "images have no number crowdIndex, which defines easy, medium and hard",
                    "use the official file; is this a COCO file (--task coco)?"),
    "unknown image": ("error", "annotations belong to images that are not in the file",
                      "image_id must be the id of one of the images; was the file cut to a part?"),
    "keypoint count": ("error", "annotations do not have {k} keypoints (x, y, visible) of finite numbers",
                       "is this the file of another benchmark? see --task"),
    "bad box": ("error", "boxes are not four finite numbers", "left, top, width, height"),
    "visibility": ("error", "annotations have visibility flags other than 0, 1 and 2",
                   "0 not labelled, 1 labelled and hidden, 2 visible"),
    "bad crowd": ("error", "annotations have an iscrowd other than 0 and 1", "1 marks a region with many persons"),
    "bad area": ("error", "areas are not numbers of at least 0", "square pixels of the mask, or 0.53 x the box's"),
    "no area": ("error", "persons with keypoints have no area, which is the scale of OKS",
                "write the mask's area in square pixels, or 0.53 x the box's as CrowdPose does"),
    "no area to train": ("warning", "persons with keypoints have no area", "training takes the area of the box"),
    "nobody counts": ("error", "persons have num_keypoints 0 although keypoints are labelled, and no other is left to "
                               "evaluate", "write the number of labelled keypoints, or leave the field out"),
    "id zero": ("info", "annotations have id 0", "harmless here (ids are counted anew), but pycocotools takes 0 for "
                                                 "'not matched'"),
    "zero box": ("warning", "boxes have no width or height", "these persons are left out of training"),
    "box outside": ("warning", "boxes lie outside their image, at least in part", "they are cut to the image"),
    "point outside": ("warning", "persons have labelled keypoints outside their image",
                      "a few are usual; if many, are x and y swapped, or width and height?"),
    "num_keypoints": ("warning", "num_keypoints is not the number of labelled keypoints",
                      "the evaluator ignores persons where it is 0"),
    "no keypoint": ("info", "persons have no labelled keypoint", "usual; they are not trained on"),
    "other category": ("info", "annotations are of other categories than the person's", "they are left out"),
    "no place": ("info", "rows have no centre, scale or visible joint", "they are left out"),
}


@dataclass(frozen=True)
class Finding:
    """One line of ``data check``. Severity: ok, info, warning, or error (the data cannot be used as they are)."""

    severity: str
    where: str
    what: str
    hint: str | None = None


@dataclass
class Broken:
    """Rules broken within one file, with the places where they were."""

    where: str
    keypoints: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, rule: str, place: object) -> None:
        self.places.setdefault(rule, []).append(str(place))

    def findings(self) -> list[Finding]:
        """One per broken rule: how often, and the first places."""
        out = []
        for rule, places in self.places.items():
            severity, text, hint = RULES[rule]
            first = ", ".join(places[:EXAMPLES]) + (", …" if len(places) > EXAMPLES else "")
            out.append(Finding(severity, self.where, f"{len(places)} {text.format(k=self.keypoints)}: {first}", hint))
        return out


def refuse(findings: Iterable[Finding]) -> None:
    """Raise DataError for the first finding that is an error."""
    error = next((f for f in findings if f.severity == "error"), None)
    if error is not None:
        raise DataError(error.what, where=error.where, hint=error.hint)


def checked(where: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of ``look``; a DataError becomes one."""
    try:
        return look()
    except DataError as error:
        hint = error.hint if error.hint and "data check" not in error.hint else None
        return [Finding("error", error.where or where, error.what, hint)]


def said(counts: Counter[str], used: int, what: str) -> str:
    """``5 of 9 detections used (4 of other categories)``."""
    total = used + sum(counts.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    return f"{used} of {total} {what} used" + (f" ({reasons})" if reasons else "")
