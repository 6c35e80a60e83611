"""The benchmarks: COCO, CrowdPose, MPII and a user's own keypoints. The only module that knows the four names.

Everything else asks the object that :func:`get` returns. A fifth benchmark is one more class here and a loader in
``flatpose.data``. Nothing here imports torch, and evaluators are imported when something is measured.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import flatpose.data.coco as coco
import flatpose.data.crowdpose as crowdpose
import flatpose.data.mpii as mpii
from flatpose.data.annotations import Annotations, read
from flatpose.data.findings import Finding, checked
from flatpose.data.instances import PoseData, Split
from flatpose.data.layouts import first_file
from flatpose.errors import DataError, SpecError, nearest
from flatpose.keypoints import COCO17, CROWDPOSE14, MPII16, KeypointSet
from flatpose.keypoints_file import find_keypoint_set
from flatpose.progress import SILENT, Reporter

AP_METRICS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")


class Benchmark:
    """COCO, and what the other benchmarks inherit of it.

    Attributes:
        name: Key in specs, records and the command line.
        folder: Below the data root, where the data are not in the root itself.
        label: Name of the whole official data in tables; any other data are labelled with their number of images.
        keypoint_set: None where it lies with the data; ask :meth:`keypoints`.
        main_metric: Chooses the best epoch and ranks rows; one of ``metrics``.
        metrics: In the order in which they are printed.
        box_sources: Where boxes may come from: "gt" annotated, "det" a detector's file.
        embedded: Whether generated data come in this benchmark's form.
    """

    name = folder = "coco"
    label = "COCO 2017"
    subset = "COCO subset"
    keypoint_set: KeypointSet | None = COCO17
    main_metric = "AP"
    metrics: tuple[str, ...] = AP_METRICS
    box_sources: tuple[str, ...] = ("gt", "det")
    embedded = True
    use_area, crowd_index = True, False

    def keypoints(self, place: Path | None = None) -> KeypointSet:
        """What the keypoints mean. ``place``: a folder of the data, which names them where the benchmark does not."""
        assert self.keypoint_set is not None
        return self.keypoint_set

    def load(self, root: Path, embedded_label: str | None = None) -> PoseData:
        """Both splits below a data root, checked and labelled.

        Raises:
            DataError: A file is missing, damaged, or would give a wrong number; the message names it and the fix.
        """
        data = self._load(root)
        counts = len(data.train.image_ids), len(data.val.image_ids)
        official = embedded_label is None and self._official(data)
        label = self.label if official else f"{embedded_label or self.subset} ({counts[0]}/{counts[1]} images)"
        return replace(data, task=self.name, label=label)

    def validation(self, root: Path) -> PoseData:
        """The evaluated split alone, from its annotation file; images may be missing (they are not opened)."""
        path = first_file([folder / name for folder in (root / self.folder, root) for name in self._val_names()],
                          f"{self.name} annotations", root)
        split = self._val_split(path)
        data = PoseData(self.name, "", coco.fingerprint([path]), self.keypoints(root), split, split, root)
        name = self._val_label(data, path)
        return replace(data, label=f"{name} ({len(split.image_ids)} images, {len(split.persons)} persons)")

    def identity_files(self, root: Path) -> list[Path]:
        """The files below a data root whose bytes identify the data."""
        return coco.identity_files(coco.coco_folder(root))

    def check(self, root: Path) -> list[Finding]:
        """Everything that can be said about the data below ``root``; damaged data never raise."""
        if not root.is_dir():
            hint = f"give the folder that holds {self.folder}/"
            return [Finding("error", str(root), "no such folder", hint)]
        return checked(str(root), lambda: self._check(root))

    def convert(self, source: Path, out: Path) -> list[Path]:
        """Write the COCO-like form of ``source`` to ``out``; returns the files written."""
        raise DataError(f"nothing to convert for {self.name!r}", where="--task", hint="mpii or crowdpose")

    def measure(self, predictions: Any, annotation_file: Path, *, keypoint_set: KeypointSet, image_ids: list[int],
                rescore: Any = "box_keypoint", score_threshold: float = 0.2, nms: Any = "oks",
                nms_threshold: float = 0.9) -> dict[str, Any]:
        """One result as a record stores it: score_rule, images, predictions (after suppression), metrics, bootstrap.

        Args:
            predictions: :class:`flatpose.metrics.Predictions` in image pixels.
            annotation_file: The truth.
            keypoint_set: Gives the OKS sigmas.
            image_ids: Evaluate these images only.
            rescore, score_threshold, nms, nms_threshold: See :func:`flatpose.metrics.oks.to_results`.
        """
        from flatpose.metrics.oks import to_results

        results, rule = to_results(predictions, rescore=rescore, score_threshold=score_threshold, nms=nms,
                                   nms_threshold=nms_threshold, sigmas=np.array(keypoint_set.sigmas))
        return {"score_rule": rule, "images": len(image_ids), "predictions": len(results),
                **self._evaluate(annotation_file, results, keypoint_set, image_ids)}

    def score(self, annotations: Path, predictions: Path, reporter: Reporter = SILENT) -> dict[str, float]:
        """The benchmark's numbers, in 0..1, of a results file; nothing is rescored or suppressed.

        Raises:
            DataError: A file is missing, damaged or in another form; the message names file, item and field.
        """
        from flatpose.metrics.results import read_results

        keypoint_set = self.keypoints(annotations.parent)
        truth = self.truth(annotations, keypoint_set)
        found, note = read_results(predictions, truth, keypoint_set)
        reporter.message(note)
        return self._evaluate(annotations, found, keypoint_set, None)["metrics"]

    def truth(self, annotation_file: Path, keypoint_set: KeypointSet) -> Annotations:
        """A checked annotation file to evaluate on."""
        return read(annotation_file, keypoint_set, use_area=self.use_area, crowd_index=self.crowd_index)

    def _load(self, root: Path) -> PoseData:
        return coco.load_tree(self.name, coco.coco_folder(root), self.keypoints(root), root)

    def _official(self, data: PoseData) -> bool:
        return {"train": len(data.train.image_ids), "val": len(data.val.image_ids)} == coco.OFFICIAL_IMAGES

    def _val_names(self) -> list[str]:
        return ["annotations/person_keypoints_val2017.json", "annotations/val.json"]

    def _val_split(self, path: Path) -> Split:
        keypoint_set = self.keypoints(path.parent)
        return coco.split_of(self.truth(path, keypoint_set), path.parent, keypoint_set)

    def _val_label(self, data: PoseData, path: Path) -> str:
        return "COCO val2017" if len(data.val.image_ids) == coco.OFFICIAL_IMAGES["val"] else f"{self.subset}, val"

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import coco_tree

        return coco_tree(root, self.keypoints(root))

    def _evaluate(self, annotation_file: Path, results: list[dict[str, Any]], keypoint_set: KeypointSet,
                  image_ids: list[int] | None) -> dict[str, Any]:
        from flatpose.metrics.coco import evaluate, interval, summary

        evaluation = evaluate(annotation_file, results, keypoint_set, image_ids)
        return {"metrics": summary(evaluation), "bootstrap": interval(evaluation)}


class Custom(Benchmark):
    """A COCO-like tree with its own keypoints, which ``ROOT/keypoints.json`` names (docs/own-data.md)."""

    name, label, keypoint_set, embedded = "custom", "own data", None, False

    def keypoints(self, place: Path | None = None) -> KeypointSet:
        """From keypoints.json in ``place`` or up to three folders above it."""
        return find_keypoint_set(place)

    def load(self, root: Path, embedded_label: str | None = None) -> PoseData:
        """As for COCO; labelled with the name of the keypoint set."""
        data = super().load(root)
        return replace(data, label=data.label.replace(self.subset, data.keypoint_set.name))

    def identity_files(self, root: Path) -> list[Path]:
        return [*super().identity_files(root), root / "keypoints.json"]

    def _load(self, root: Path) -> PoseData:
        data = super()._load(root)
        lost = data.keypoint_set.unpaired
        notes = (f"mirror images are not used: {', '.join(lost)} name sides but are in no flip_pairs of "
                 "keypoints.json",) if lost else ()
        return replace(data, data_id=coco.fingerprint(self.identity_files(root)), notes=(*data.notes, *notes))

    def _official(self, data: PoseData) -> bool:
        return False

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import custom_tree

        return custom_tree(root, self.keypoints(root))


class CrowdPose(Benchmark):
    """Trained on trainval, tested on test; the scale of OKS is 0.53 times the box's area."""

    name = folder = "crowdpose"
    label, subset, keypoint_set = "CrowdPose", "CrowdPose subset", CROWDPOSE14
    metrics = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")
    use_area, crowd_index = False, True

    def identity_files(self, root: Path) -> list[Path]:
        return crowdpose.identity_files(root)

    def convert(self, source: Path, out: Path) -> list[Path]:
        from flatpose.data.convert import convert_crowdpose

        return convert_crowdpose(source, out)

    def _load(self, root: Path) -> PoseData:
        return crowdpose.load_crowdpose(root)

    def _official(self, data: PoseData) -> bool:
        return {"train": len(data.train.image_ids), "val": len(data.val.image_ids)} == crowdpose.OFFICIAL_IMAGES

    def _val_names(self) -> list[str]:
        return [pattern.format(name) for name in ("test", "val") for pattern in crowdpose.PATTERNS]

    def _val_split(self, path: Path) -> Split:
        return crowdpose.with_area(super()._val_split(path))

    def _val_label(self, data: PoseData, path: Path) -> str:
        return f"CrowdPose {path.stem.rpartition('_')[2]}"

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import crowdpose_tree

        return crowdpose_tree(root)

    def _evaluate(self, annotation_file: Path, results: list[dict[str, Any]], keypoint_set: KeypointSet,
                  image_ids: list[int] | None) -> dict[str, Any]:
        from flatpose.metrics.crowdpose import crowdpose_metrics

        return {"metrics": crowdpose_metrics(annotation_file, results, keypoint_set=keypoint_set,
                                             image_ids=image_ids)}


class Mpii(Benchmark):
    """PCKh at the person whom a box belongs to: no person score, no suppression, no detector."""

    name = folder = "mpii"
    label, subset, keypoint_set = "MPII", "MPII subset", MPII16
    main_metric, box_sources = "PCKh@0.5", ("gt",)
    metrics = ("PCKh@0.5", "PCKh@0.1", "head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")

    def identity_files(self, root: Path) -> list[Path]:
        return mpii.identity_files(root)

    def convert(self, source: Path, out: Path) -> list[Path]:
        from flatpose.data.convert import convert_mpii

        return convert_mpii(source, out)

    def measure(self, predictions: Any, annotation_file: Path, *, keypoint_set: KeypointSet, image_ids: list[int],
                **_: Any) -> dict[str, Any]:
        """As for COCO, without rescoring, suppression and bootstrap."""
        from flatpose.metrics.mpii import mpii_metrics, mpii_results

        return {"score_rule": "one prediction per person, no score", "images": len(image_ids),
                "predictions": len(predictions.image_id),
                "metrics": mpii_metrics(annotation_file, mpii_results(predictions))}

    def score(self, annotations: Path, predictions: Path, reporter: Reporter = SILENT) -> dict[str, float]:
        """PCKh of a list of {"id": row, "keypoints": [x, y, score] * 16}, 0-based pixels; every row needs one."""
        from flatpose.metrics.mpii import mpii_metrics
        from flatpose.metrics.results import read_mpii_results

        rows = len(mpii.read_truth(annotations).joints)
        return mpii_metrics(annotations, read_mpii_results(predictions, rows))

    def _load(self, root: Path) -> PoseData:
        return mpii.load_mpii(root)

    def _official(self, data: PoseData) -> bool:
        return tuple(len(mpii.read_entries(s.annotation_file)) for s in (data.train, data.val)) == mpii.OFFICIAL_PERSONS

    def _val_names(self) -> list[str]:
        return [f"{inner}/{names[1]}" for inner, names in mpii.LAYOUTS.items()]

    def _val_split(self, path: Path) -> Split:
        return mpii.load_split(path, path.parent, mpii.read_truth(path).head_size)

    def _val_label(self, data: PoseData, path: Path) -> str:
        return "MPII val"

    def _check(self, root: Path) -> list[Finding]:
        from flatpose.data.check import mpii_tree

        return mpii_tree(root)


COCO = Benchmark()
BENCHMARKS: dict[str, Benchmark] = {b.name: b for b in (COCO, CrowdPose(), Mpii(), Custom())}


def get(task: str) -> Benchmark:
    """The benchmark of a name; raises SpecError with the nearest valid one."""
    if task not in BENCHMARKS:
        raise SpecError(f"unknown task {task!r}", where="--task", hint=nearest(task, BENCHMARKS))
    return BENCHMARKS[task]


def found_in(root: Path) -> list[str]:
    """The benchmarks that a data root seems to hold: those with a folder; own keypoints where keypoints.json is."""
    if (root / "keypoints.json").is_file():
        return [Custom.name]
    return [name for name in BENCHMARKS if (root / name).is_dir()] or [Benchmark.name]
