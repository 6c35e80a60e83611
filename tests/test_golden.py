"""The numbers of the core, pinned: ``python tests/test_golden.py`` writes tests/golden.json anew.

Every combination of network, codec and loss that a row of an experiment has is trained for three steps on a fixed
batch, at the smallest profile. When these numbers move, so does every result: raise ``flatpose.NUMERICS``, which marks
existing records as stale, and then write the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import flatpose
from flatpose import benchmarks
from flatpose.codecs import build_codec
from flatpose.config import RunConfig, to_dict
from flatpose.data.loader import normalise
from flatpose.harness import catalog
from flatpose.harness.spec import at_profile
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.optim import build_optimizer
from flatpose.train import MovingAverage

FILE = Path(__file__).with_name("golden.json")
PERSONS, STEPS, RELATIVE = 4, 3, 1e-3
PIXELS, AGREEING = 0.05, 0.9
"""Tolerance of decoded coordinates, and the share of them it must hold for: an argmax over nearly equal values may fall
elsewhere on another CPU."""


def cases() -> dict[str, RunConfig]:
    """One run per network, codec and loss, at profile smoke, by a name that says where it was met first."""
    found: dict[str, RunConfig] = {}
    met = set()
    for experiment in map(catalog.load, catalog.ids()):
        profile = experiment.profiles.get("smoke")
        for row in experiment.rows if profile else ():
            run = at_profile(row.run, profile, source="embedded")
            key = json.dumps({name: to_dict(run)[name] for name in ("model", "codec", "loss")}, sort_keys=True)
            if row.id not in profile.left_out and key not in met:
                met.add(key)
                found[f"{experiment.id}/{row.id}"] = run
    return found


def measured(run: RunConfig) -> dict[str, Any]:
    """The loss of each step, and the points that the averaged network then finds in the first image."""
    keypoints = benchmarks.get(run.data.task).keypoints()
    width, height = run.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (PERSONS, height // 8, width // 8, 3), generator=generator, dtype=torch.uint8)
    images = normalise(images.repeat_interleave(8, 1).repeat_interleave(8, 2))
    points = torch.rand(PERSONS, len(keypoints), 2, generator=generator) * torch.tensor([width - 1.0, height - 1.0])
    weights = (torch.rand(PERSONS, len(keypoints), generator=generator) < 0.8).float()
    torch.manual_seed(0)
    model = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    codec, loss = build_codec(run.codec, run.image_size, len(keypoints)), build_loss(run.loss, run.codec, keypoints)
    optimizer, average = build_optimizer(model, run.train), MovingAverage(model, 0.9, 1.0)
    losses = []
    for step in range(STEPS):
        targets = {**codec.encode(points, weights), "progress": torch.tensor(step / STEPS)}
        value = loss(model(images), targets)
        value.backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad), "DDP reports unread parameters"
        optimizer.step()
        optimizer.zero_grad()
        average.update(step + 1)
        losses.append(value.item())
    with torch.no_grad():
        found, _ = codec.decode(average.module(images[:1]))
    return {"losses": losses, "points": found[0].flatten().tolist()}


CASES = cases()


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_file_has_every_case_and_this_version_of_the_numbers() -> None:
    golden = json.loads(FILE.read_text())
    assert golden["numerics"] == flatpose.NUMERICS, "NUMERICS was raised: python tests/test_golden.py"
    assert set(golden["cases"]) == set(CASES), "rows have changed: python tests/test_golden.py"


@pytest.mark.parametrize("name", CASES)
def test_numbers_have_not_moved(name: str) -> None:
    golden, found = json.loads(FILE.read_text())["cases"][name], measured(CASES[name])
    assert found["losses"] == pytest.approx(golden["losses"], rel=RELATIVE), "results moved: raise flatpose.NUMERICS"
    apart = [abs(a - b) for a, b in zip(found["points"], golden["points"], strict=True)]
    assert sum(d < PIXELS for d in apart) >= AGREEING * len(apart), "results moved: raise flatpose.NUMERICS"


def main() -> None:
    """Write the file anew."""
    torch.set_num_threads(1)
    fresh = {name: {key: [float(f"{value:.6g}") for value in values] for key, values in measured(run).items()}
             for name, run in CASES.items()}
    FILE.write_text(json.dumps({"numerics": flatpose.NUMERICS, "cases": fresh}, indent=None) + "\n")
    print(f"{len(fresh)} cases, NUMERICS {flatpose.NUMERICS}")


if __name__ == "__main__":
    main()
