"""What boxes alone do to AP, AP50 and AR at the accuracy of Table 2: simulated networks on real boxes (reading 10).

A simulated network finds the person of its box with an error that does not depend on the box; its scores know that
error more or less well. So all that differs between the two columns is which boxes there are. ``python -m
flatpose.harness.boxes_simulated DATA_ROOT`` measures (two minutes on one core) and writes reports/boxes_simulated.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data import load_coco
from flatpose.data.instances import Person, PoseData
from flatpose.geometry import box_to_center_scale
from flatpose.harness.render import pipe
from flatpose.io import read_json, write_json, write_text
from flatpose.metrics import Predictions, coco_metrics, to_results

SPREADS, TAILS, KNOWLEDGE = (0.22, 0.27, 0.32), (0.6, 0.9), (1.0, 0.75, 0.5)
MIN_IOU = 0.2
"""Below this overlap with every annotated person a box shows nobody."""
DATA, PAGE = Path("data") / "boxes_simulated.json", "boxes_simulated.md"
METRICS = ("AP", "AP50", "AR")
PUBLISHED = (("FlatPose-B 256×192", 75.4, 93.6, 78.4), ("FlatPose-L 256×192", 77.4, 93.6, 80.2),
             ("FlatPose-L 384×288", 78.2, 93.7, 80.9), ("HRNet-W48 256×192", 75.1, 90.6, 80.4),
             ("ViTPose-B 256×192", 75.7, 90.5, 80.9), ("SHaRPose-Base 256×192", 75.5, 90.6, 80.8),
             ("TokenPose-L/D24 256×192", 75.8, 90.3, 80.9), ("SHaRPose-Base 384×288", 77.4, 91.0, 82.4))
"""Rows of Table 2: AP, AP50, AR."""


@dataclass(frozen=True)
class Network:
    """A made-up network.

    Args:
        spread: Median error of a person's keypoints, in units of the OKS scale (1 gives an OKS of about 0.5).
        tail: Standard deviation of the logarithm of that error over persons.
        knowledge: Share of the error that the keypoint scores know about; the rest is as large and unrelated.
    """

    spread: float
    tail: float
    knowledge: float


def targets(persons: Sequence[Person], data: PoseData) -> list[Person | None]:
    """The annotated person with keypoints whom each box shows, or None."""
    content = read_json(data.val.annotation_file)["annotations"]
    known = {p.person_id: p for p in data.val.persons}
    boxes: dict[int, list[tuple[np.ndarray, int]]] = {}
    for entry in content:
        boxes.setdefault(entry["image_id"], []).append((np.array(entry["bbox"], dtype=np.float64), entry["id"]))
    found: list[Person | None] = []
    for person in persons:
        overlaps = [(overlap(person.bbox_xywh, box), name) for box, name in boxes.get(person.image_id, [])]
        best, name = max(overlaps, default=(0.0, 0))
        found.append(known.get(person.person_id) or (known.get(name) if best > MIN_IOU else None))
    return found


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    size = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(size, 0.0)))
    return shared / (float(a[2] * a[3] + b[2] * b[3]) - shared + 1e-9)


def predict(network: Network, persons: Sequence[Person], shown: Sequence[Person | None], data: PoseData,
            seed: int = 0) -> Predictions:
    """What the network says about every box; where nobody is shown, scattered keypoints with low scores."""
    rng, count = np.random.default_rng(seed), len(data.keypoint_set)
    sigmas = 2 * np.array(data.keypoint_set.sigmas)[:, None]
    errors = {p.person_id: _draw(rng, network) for p in data.val.persons}
    center, scale = box_to_center_scale(np.stack([p.bbox_xywh for p in persons]), (192, 256))
    points, scores = np.zeros((len(persons), count, 2)), np.zeros((len(persons), count))
    for i, person in enumerate(shown):
        if person is None:
            points[i] = center[i] + rng.uniform(-0.4, 0.4, (count, 2)) * scale[i]
            scores[i] = rng.uniform(0.05, 0.5, count)
            continue
        error = errors[person.person_id]
        noise = rng.normal(0, 1, (count, 2)) * sigmas * np.sqrt(person.area) * error
        points[i] = np.clip(person.keypoints + noise, center[i] - scale[i] / 2, center[i] + scale[i] / 2)
        guess = network.knowledge * error + (1 - network.knowledge) * _draw(rng, network)
        scores[i] = np.clip(np.exp(-0.5 * guess) * rng.uniform(0.85, 1.15, count), 0, 1)
    return Predictions(np.array([p.image_id for p in persons]), np.zeros(len(persons), dtype=np.int64), points, scores,
                       np.array([p.box_score for p in persons]), scale.prod(-1))


def _draw(rng: np.random.Generator, network: Network) -> float:
    return float(network.spread * np.exp(rng.normal(0, network.tail)))


def measure(root: Path) -> dict[str, Any]:
    """Every made-up network on both sets of boxes of a COCO tree with a detector file."""
    data, rows = load_coco(root), []
    sources = {"gt": data.val.persons, "det": data.detections}
    shown = {name: targets(persons, data) for name, persons in sources.items()}
    for spread, tail, knowledge in itertools.product(SPREADS, TAILS, KNOWLEDGE):
        row: dict[str, Any] = {"spread": spread, "tail": tail, "knowledge": knowledge}
        for name, persons in sources.items():
            results, _ = to_results(predict(Network(spread, tail, knowledge), persons, shown[name], data), nms="oks",
                                    rescore="box_keypoint", score_threshold=0.2, nms_threshold=0.9,
                                    sigmas=np.array(data.keypoint_set.sigmas))
            found = coco_metrics(data.val.annotation_file, results, keypoint_set=data.keypoint_set,
                                 image_ids=data.val.image_ids)
            row[name] = {metric: found[metric] for metric in METRICS}
        rows.append(row)
    file = data.detector_file.name if data.detector_file else "none"
    return {"schema_version": 1, "data": data.label, "data_id": data.data_id, "detector_file": file, "rows": rows}


def page(found: dict[str, Any]) -> str:
    """The page as markdown, from the data alone."""
    rows = found["rows"]
    gaps = {s: [100 * (r[s]["AR"] - r[s]["AP"]) for r in rows] for s in ("gt", "det")}
    loss = [100 * (r["gt"]["AP"] - r["det"]["AP"]) for r in rows]
    paper = [ar - ap for name, ap, _, ar in PUBLISHED if name.startswith("FlatPose")]
    range_ = f"FlatPose's rows of Table 2 have {min(paper):.1f} to {max(paper):.1f}"
    apart = max(paper) < min(gaps["det"]) and max(paper) <= max(gaps["gt"])
    verdict = (f"{range_}: below every simulated network with detector boxes, inside the range with ground-truth boxes."
               if apart else f"{range_}; this alone does not decide.")
    head = [
        "# boxes_simulated: what boxes alone do at the accuracy of Table 2", "",
        "**Question.** Could the FlatPose rows of Table 2 have been measured with detector boxes (reading 10)?", "",
        f"**Method.** {len(rows)} made-up networks on {found['data']}: keypoints off by a random multiple of the OKS "
        "scale, the same whichever box shows the person (only cut to its crop), so that the column \"det\" holds only "
        f"what the boxes do: missed persons, false alarms, duplicates, box scores (`{found['detector_file']}`). "
        "*Spread* is the median error, *tail* how much it varies between persons, *knowledge* how well scores know it. "
        "No network was trained or run; box score × mean keypoint score > 0.2, OKS-NMS 0.9.", "",
        f"**Finding.** Detector boxes cost {min(loss):.1f} to {max(loss):.1f} AP and raise AR − AP from "
        f"{min(gaps['gt']):.1f}–{max(gaps['gt']):.1f} to {min(gaps['det']):.1f}–{max(gaps['det']):.1f}. {verdict} This "
        "is a simulation on a part of val2017: evidence, not proof. A real network also suffers from crops that fit "
        "badly, so its loss is larger.", "",
        pipe(["spread", "tail", "knowledge", "AP, gt", "AP, det", "gt − det", "AP50, gt", "AP50, det", "AR − AP, gt",
              "AR − AP, det"]), pipe(["--:"] * 10)]
    for row, gt_gap, det_gap, lost in zip(rows, gaps["gt"], gaps["det"], loss, strict=True):
        gt, det = row["gt"], row["det"]
        head.append(pipe([f"{row['spread']:g}", f"{row['tail']:g}", f"{row['knowledge']:g}", *(
            f"{v:.1f}" for v in (100 * gt["AP"], 100 * det["AP"], lost, 100 * gt["AP50"], 100 * det["AP50"], gt_gap,
                                 det_gap))]))
    published = [pipe([name, f"{ap}", f"{ap50}", f"{ar - ap:.1f}"]) for name, ap, ap50, ar in PUBLISHED]
    return "\n".join([*head, "", "## Table 2 of the paper", "", pipe(["row", "AP", "AP50", "AR − AP"]),
                      pipe(["---", "--:", "--:", "--:"]), *published, "", "## Reproduce", "", "```bash",
                      "python -m flatpose.harness.boxes_simulated DATA_ROOT", "```", "",
                      "Data: [data/boxes_simulated.json](data/boxes_simulated.json). What trained networks show: "
                      "[boxes](boxes.md).", ""])


def write(data_root: Path, reports: Path) -> None:
    """Measure, and write the data and the page below ``reports``."""
    write_json(reports / DATA, measure(data_root))
    write_text(reports / PAGE, page(read_json(reports / DATA)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_root", type=Path)
    write(parser.parse_args().data_root, Path(__file__).resolve().parents[2] / "reports")
