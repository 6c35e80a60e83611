"""From a trained network to predictions in image pixels and to the numbers of the benchmark."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from flatpose import benchmarks
from flatpose.codecs import Codec
from flatpose.config import EvalConfig, RunConfig
from flatpose.data.images import ImageCache
from flatpose.data.instances import Person, PoseData
from flatpose.data.loader import Crops, EpochSampler, normalise
from flatpose.errors import DataError
from flatpose.metrics import Predictions
from flatpose.progress import Reporter
from flatpose.train import loader_options


def evaluate(run: RunConfig, data: PoseData, codec: Codec, networks: dict[str, nn.Module], accelerator: Accelerator,
             reporter: Reporter) -> list[dict[str, Any]]:
    """One result per network ("ema", "raw") and box source, as a record stores them.

    The first network is evaluated on every box source, the others on the first one only: they show the effect of
    averaging the weights.
    """
    results = []
    for number, source in enumerate(box_sources(run.eval, data)):
        persons, name = boxes(data, source)
        for weights, network in list(networks.items())[:1 if number else None]:
            predictions = predict(network, codec, persons, data, run, accelerator, reporter)
            results.append({"kind": "trained", "weights": weights, "box_source": name,
                            "flip_test": run.eval.flip_test and data.keypoint_set.can_flip,
                            **score(predictions, data, run.eval, run.codec)})
    return results


def main_metric(network: nn.Module, *, run: RunConfig, data: PoseData, codec: Codec, accelerator: Accelerator,
                reporter: Reporter) -> float:
    """The benchmark's main metric (0 to 1) of one network on the first box source."""
    persons, _ = boxes(data, box_sources(run.eval, data)[0])
    predictions = predict(network, codec, persons, data, run, accelerator, reporter)
    return float(score(predictions, data, run.eval, run.codec)["metrics"][benchmarks.get(data.task).main_metric])


def boxes(data: PoseData, source: str) -> tuple[list[Person], str]:
    """The persons to run on, and the box source's name for the tables: ``gt`` or ``det:<file>``."""
    if source == "gt":
        return data.val.persons, "gt"
    return data.detections, f"det:{data.detector_file.name if data.detector_file else 'none'}"


def box_sources(config: EvalConfig, data: PoseData) -> list[str]:
    """The box sources to evaluate on: ground truth alone where there is no detector's file.

    Raises:
        DataError: The detector's file has no usable detection, or it is missing and ground truth is no box source.
    """
    sources: list[str] = [s for s in config.box_sources if s == "gt" or data.detector_file] or [*config.box_sources]
    if "det" in sources and not data.detections:
        raise DataError("no detected persons to evaluate on", where=str(data.detector_file or data.root),
                        hint=data.notes[0] if data.notes else "docs/evaluation.md says where a detector's file belongs")
    return sources


def data_facts(run: RunConfig, data: PoseData) -> dict[str, Any]:
    """The part of a record that describes the data that a network was evaluated on."""
    return {"label": data.label, "task": data.task, "source": run.data.source,
            "val_images": len(data.val.image_ids), "val_persons": len(data.val.persons),
            "detector_file": data.detector_file.name if data.detector_file else None}


def score(predictions: Predictions, data: PoseData, config: EvalConfig, codec: Any) -> dict[str, Any]:
    """The benchmark's numbers: score rule, metrics, a bootstrap interval over images, and counts."""
    return benchmarks.get(data.task).measure(
        predictions, data.val.annotation_file, keypoint_set=data.keypoint_set, image_ids=data.val.image_ids,
        rescore=config.rescore, score_threshold=codec.score_threshold, nms=config.nms,
        nms_threshold=config.nms_threshold)


@torch.no_grad()  # inference_mode would leave buffers that cannot be trained further
def predict(network: nn.Module, codec: Codec, persons: list[Person], data: PoseData, run: RunConfig,
            accelerator: Accelerator, reporter: Reporter) -> Predictions:
    """Keypoints of every person in image pixels; over several processes each person is predicted once."""
    crops = Crops(persons, data.keypoint_set, run.image_size, udp=run.codec.udp)
    processes = accelerator.num_processes  # each takes an equal part of a batch
    batch_size = math.ceil(run.eval.batch_size / processes) * processes
    options = {**loader_options(), "persistent_workers": False}  # the loader is used once
    loader = DataLoader(crops, batch_size, sampler=EpochSampler(len(crops), shuffle=False), **options)
    loader = accelerator.prepare(loader)
    flip_index = torch.as_tensor(data.keypoint_set.flip_index, device=accelerator.device)
    flip = run.eval.flip_test and data.keypoint_set.can_flip
    network = network.to(accelerator.device).eval()
    keypoints = np.zeros((len(persons), len(data.keypoint_set), 2))
    scores = np.zeros((len(persons), len(data.keypoint_set)))
    reporter.start("evaluate", len(loader))
    for batch in loader:
        with accelerator.autocast():
            found = codec.predict(network, normalise(batch["image"]), flip_index if flip else None)
        index, points, confidence = accelerator.gather_for_metrics((batch["index"], *found))
        keypoints[index.cpu()], scores[index.cpu()] = points.cpu().double(), confidence.cpu().double()
        reporter.advance()
    crops.cache = ImageCache()  # accelerate keeps the loader, and with it every decoded image
    reporter.finish()
    return Predictions.of_crops(persons, keypoints, scores, run.image_size, udp=run.codec.udp)
