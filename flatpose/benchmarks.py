"""The benchmarks: COCO, CrowdPose, MPII and a user's own keypoints. The only module that knows the four names.

All other modules use the object that :func:`get` returns. A fifth benchmark is one more object here (and a loader,
unless its files have COCO's form). Nothing here imports torch; evaluators are imported when something is measured.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import flatpose.data.mpii as mpii
from flatpose.data.annotations import Annotations, read, read_truth
from flatpose.data.coco import NoDetection, fingerprint, read_detections, split_of
from flatpose.data.findings import Finding, checked, said
from flatpose.data.instances import PoseData, Split
from flatpose.data.layouts import Layout, Tree
from flatpose.errors import DataError, SpecError, nearest
from flatpose.keypoints import COCO17, CROWDPOSE14, KEYPOINTS_FILE, MPII16, KeypointSet, find_keypoint_set
from flatpose.progress import SILENT, Reporter


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark whose files have COCO's form; MPII and own keypoints refine it.

    Args:
        name: Key in specs, records and the command line.
        label: Name in tables of the whole official data; a part is called a subset, with its numbers of images.
        layout: Where the files lie.
        official: Numbers of (train, val) images (MPII: persons) of the whole data.
        keypoint_set: None where it lies with the data; use :meth:`keypoints`.
        metrics: Names in the order in which they are printed.
        main_metric: The one of them that chooses the best epoch and ranks rows.
        embedded: Whether generated data come in this form.
        crowd: CrowdPose's evaluator: images have a crowdIndex, the scale of OKS is 0.53 times the box's area.
    """

    name: str
    label: str
    layout: Layout
    official: tuple[int, int] | None = None
    keypoint_set: KeypointSet | None = None
    metrics: tuple[str, ...] = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
    main_metric: str = "AP"
    embedded: bool = True
    crowd: bool = False

    def keypoints(self, place: Path | None = None) -> KeypointSet:
        """What the keypoints mean; ``place`` is a folder of the data, needed where these name their own."""
        assert self.keypoint_set is not None
        return self.keypoint_set

    def load(self, root: Path, embedded_label: str | None = None) -> PoseData:
        """Both splits below a data root, checked and labelled; ``embedded_label`` names generated data.

        Raises:
            DataError: A file is missing, damaged, or would give a wrong number; the message names it and the fix.
        """
        data = self._load(self.layout.find(root), root)
        whole = embedded_label is None and self.official == (self._count(data.train), self._count(data.val))
        counts = f"{len(data.train.image_ids)}/{len(data.val.image_ids)} images"
        return replace(data, label=self.label if whole else f"{embedded_label or self._part(data)} ({counts})")

    def validation(self, root: Path) -> PoseData:
        """The evaluated split alone, from its annotation file; images need not be there, nor a training file."""
        path = self.layout.val_file(root)
        split = self._split(path, path.parent, scored=True)
        data_id = fingerprint([path, *self._beside(path)])
        data = PoseData(self.name, "", data_id, self.keypoints(path.parent), split, split, root)
        name = self.label if self.official and self.official[1] == self._count(split) else self._part(data)
        counts = f"{len(split.image_ids)} images, {len(split.persons)} persons"
        return replace(data, label=f"{name}, {path.stem.removeprefix('person_keypoints_')} ({counts})")

    def identity_files(self, root: Path) -> list[Path]:
        """The files below a data root whose bytes identify the data."""
        tree = self.layout.find(root)
        return [tree.train, tree.val, *([tree.detector] if tree.detector else [])]

    def _beside(self, path: Path) -> list[Path]:
        """Files beside an annotation file of the evaluated split that its numbers depend on too."""
        return []

    def metric(self, wanted: str) -> str:
        """``wanted`` where this benchmark has it, else its main metric: a table of AP shows PCKh for MPII."""
        return wanted if wanted in self.metrics else self.main_metric

    def truth(self, annotation_file: Path, keypoint_set: KeypointSet) -> Annotations:
        """A checked annotation file to evaluate on; raises DataError."""
        return read_truth(annotation_file, keypoint_set, crowd=self.crowd)

    def check(self, root: Path) -> list[Finding]:
        """Everything that can be said about the data below ``root``; damaged data never raise."""
        if not root.is_dir():
            hint = f"give the folder that holds {self.layout.folder}/"
            return [Finding("error", str(root), "no such folder", hint)]
        return checked(str(root), lambda: self._check(root))

    def convert(self, source: Path, out: Path) -> list[Path]:
        """Write the COCO-like form of ``source`` to ``out``; returns the files written."""
        from flatpose.data.convert import convert_crowdpose

        if not self.crowd:
            raise DataError(f"nothing to convert for {self.name!r}", where="--task", hint="mpii or crowdpose")
        files = [source] if source.is_file() else self.layout.find(source).present
        return [convert_crowdpose(path, out) for path in files]

    def measure(self, predictions: Any, annotation_file: Path, *, keypoint_set: KeypointSet, image_ids: list[int],
                **rule: Any) -> dict[str, Any]:
        """One result as a record stores it: score_rule, images, predictions (after suppression), metrics, bootstrap.

        The metrics are those of :meth:`score` and, for files of COCO's form, of :func:`flatpose.metrics.oks.closeness`.

        ``predictions`` are :class:`flatpose.metrics.Predictions` in image pixels; only images of ``image_ids`` count.
        ``rule`` holds rescore, score_threshold, nms and nms_threshold of :func:`flatpose.metrics.to_results`.
        """
        from flatpose.metrics import closeness, to_results

        sigmas = np.array(keypoint_set.sigmas)
        results, said = to_results(predictions, sigmas=sigmas, **rule)
        measured = self._evaluate(annotation_file, results, keypoint_set, image_ids)
        measured["metrics"] |= closeness(self.truth(annotation_file, keypoint_set), results, sigmas, image_ids)
        return {"score_rule": said, "images": len(image_ids), "predictions": len(results), **measured}

    def score(self, annotations: Path, predictions: Path, reporter: Reporter = SILENT) -> dict[str, float]:
        """The benchmark's numbers, in 0..1, of a results file; nothing is rescored or suppressed.

        Raises:
            DataError: A file is missing, damaged or in another form; the message names file, item and field.
        """
        from flatpose.metrics.results import read_results

        keypoint_set = self.keypoints(annotations.parent)
        found, note = read_results(predictions, self.truth(annotations, keypoint_set), keypoint_set)
        reporter.message(note)
        return self._evaluate(annotations, found, keypoint_set, None)["metrics"]

    def _load(self, tree: Tree, root: Path) -> PoseData:
        keypoint_set = self.keypoints(root)
        data = PoseData(self.name, "", fingerprint(self.identity_files(root)), keypoint_set,
                        self._split(tree.train, tree.images("train"), scored=False),
                        self._split(tree.val, tree.images("val"), scored=True), root)
        if tree.detector is None:
            return data
        truth = self.truth(tree.val, keypoint_set)
        try:
            found, note = read_detections(tree.detector, truth.images, tree.images("val"), len(keypoint_set),
                                          truth.category["id"])
        except NoDetection as error:  # only runs on detected boxes are refused
            return replace(data, detector_file=tree.detector, notes=(str(error),))
        notes = (f"{tree.detector.name}: {note}",) if note != said(Counter(), len(found), "detections") else ()
        return replace(data, detections=found, detector_file=tree.detector, notes=notes)

    def _split(self, path: Path, images: Path, *, scored: bool) -> Split:
        keypoint_set = self.keypoints(path.parent)
        return split_of(self.truth(path, keypoint_set) if scored else
                        read(path, keypoint_set, scored=False, crowd=self.crowd), images)

    def _count(self, split: Split) -> int:
        """What ``official`` counts."""
        return len(split.image_ids)

    def _part(self, data: PoseData) -> str:
        """The name of data that are not the whole official ones."""
        return f"{self.label.removesuffix(' 2017')} subset"

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import coco_tree

        return coco_tree(self.layout.closest(root), self.keypoints(root), crowd=self.crowd)

    def _evaluate(self, annotation_file: Path, results: list[dict[str, Any]], keypoint_set: KeypointSet,
                  image_ids: list[int] | None) -> dict[str, Any]:
        from flatpose.metrics import coco, crowdpose_metrics

        if self.crowd:
            return {"metrics": crowdpose_metrics(annotation_file, results, keypoint_set=keypoint_set,
                                                 image_ids=image_ids)}
        evaluation = coco.evaluate(annotation_file, results, keypoint_set, image_ids)
        return {"metrics": coco.summary(evaluation), "bootstrap": coco.interval(evaluation)}


class Custom(Benchmark):
    """A COCO-like tree with its own keypoints, which ``ROOT/keypoints.json`` names (docs/own-data.md)."""

    def keypoints(self, place: Path | None = None) -> KeypointSet:
        """From keypoints.json in ``place`` or up to three folders above it."""
        return find_keypoint_set(place)

    def identity_files(self, root: Path) -> list[Path]:
        return [*super().identity_files(root), root / KEYPOINTS_FILE]

    def _load(self, tree: Tree, root: Path) -> PoseData:
        data = super()._load(tree, root)
        lost = ", ".join(data.keypoint_set.unpaired)
        note = f"mirror images are not used: {lost} name sides but are in no flip_pairs of {KEYPOINTS_FILE}"
        return replace(data, notes=(*data.notes, note)) if lost else data

    def _part(self, data: PoseData) -> str:
        return data.keypoint_set.name

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import keypoint_file

        return [*keypoint_file(root / KEYPOINTS_FILE, self.keypoints(root)), *super()._check(root)]


class Mpii(Benchmark):
    """PCKh of the annotated person of each box: no person score, no suppression, no detector."""

    def identity_files(self, root: Path) -> list[Path]:
        tree = self.layout.find(root)
        return [tree.train, tree.val, mpii.truth_path(tree.val)]

    def _beside(self, path: Path) -> list[Path]:
        return [mpii.truth_path(path)]

    def convert(self, source: Path, out: Path) -> list[Path]:
        from flatpose.data.convert import convert_mpii, convert_official

        if source.suffix == ".mat":
            return convert_official(source, out)
        if source.is_file():
            return [convert_mpii(source, out, source.resolve().parents[1] / "images")]
        tree = self.layout.find(source)
        return [convert_mpii(path, out, tree.folder / "images") for path in tree.present]

    def measure(self, predictions: Any, annotation_file: Path, *, keypoint_set: KeypointSet, image_ids: list[int],
                **rule: Any) -> dict[str, Any]:
        from flatpose.metrics.mpii import pckh

        truth = mpii.read_truth(annotation_file).take(predictions.person_id)
        return {"score_rule": "one prediction per person, no score", "images": len(image_ids),
                "predictions": len(predictions.image_id), "metrics": pckh(predictions.keypoints, truth)}

    def score(self, annotations: Path, predictions: Path, reporter: Reporter = SILENT) -> dict[str, float]:
        from flatpose.metrics import mpii_metrics
        from flatpose.metrics.results import read_mpii_results

        rows = len(mpii.read_truth(annotations).joints)
        return mpii_metrics(annotations, read_mpii_results(predictions, rows))

    def _split(self, path: Path, images: Path, *, scored: bool) -> Split:
        if scored:
            mpii.read_truth(path)  # raises DataError now, not after a training
        return mpii.load_split(path, images)

    def _count(self, split: Split) -> int:
        return len(mpii.read_entries(split.annotation_file))

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import mpii_tree

        return mpii_tree(self.layout.closest(root))


COCO_LAYOUT = Layout(
    folder="coco", images=("{}2017", "images/{}2017", "images/{}", "{}"),
    annotations=(("annotations/person_keypoints_train2017.json", "annotations/person_keypoints_val2017.json"),
                 ("annotations/train.json", "annotations/val.json")),
    detections=("person_detection_results/*val2017*AP_H_56*.json", "person_detection_results/*val2017*.json"))
COCO = Benchmark(name="coco", label="COCO 2017", layout=COCO_LAYOUT, official=(118287, 5000), keypoint_set=COCO17)
CROWDPOSE = Benchmark(
    name="crowdpose", label="CrowdPose", official=(12000, 8000), keypoint_set=CROWDPOSE14, crowd=True,
    metrics=("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"),
    layout=Layout(
        folder="crowdpose", images=("images",),
        annotations=tuple((pattern.format("trainval"), pattern.format("test")) for pattern in (
            "json/crowdpose_{}.json", "annotations/mmpose_crowdpose_{}.json", "annotations/crowdpose_{}.json")),
        detections=("annotations/det_for_crowd_test_0.1_0.5.json", "json/det_for_crowd_test_0.1_0.5.json",
                    "json/embedded_test_detections.json"),
        val_only=("json/crowdpose_val.json", "annotations/mmpose_crowdpose_val.json",
                  "annotations/crowdpose_val.json")))
MPII = Mpii(
    name="mpii", label="MPII", official=(22246, 2958), keypoint_set=MPII16, main_metric="PCKh@0.5",
    metrics=("PCKh@0.5", "PCKh@0.1", "head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    layout=Layout(folder="mpii", images=("images",), annotations=(
        ("annot/train.json", "annot/valid.json"), ("annotations/mpii_train.json", "annotations/mpii_val.json"))))
CUSTOM = Custom(name="custom", label="own keypoints", layout=COCO_LAYOUT, embedded=False)
BENCHMARKS: dict[str, Benchmark] = {b.name: b for b in (COCO, CROWDPOSE, MPII, CUSTOM)}


def get(task: str) -> Benchmark:
    """The benchmark of a name; raises SpecError with the nearest valid one."""
    if task not in BENCHMARKS:
        raise SpecError(f"unknown task {task!r}", where="--task", hint=nearest(task, BENCHMARKS))
    return BENCHMARKS[task]


def found_in(root: Path) -> list[str]:
    """The benchmarks that a data root seems to hold: those with a folder; own keypoints where keypoints.json is."""
    if (root / KEYPOINTS_FILE).is_file():
        return [CUSTOM.name]
    return [name for name in BENCHMARKS if (root / name).is_dir()] or [COCO.name]
