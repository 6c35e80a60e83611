"""About sixty malformed inputs, each answered by one message and exit code 2; then random ones."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_runs
import hostile
import pytest
from fake_runs import SPEC, Answer, Cli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import annotations, write

from flatpose.config import RunConfig, to_dict
from flatpose.data.images import read_image

MESSAGE = re.compile(r"^(error: |Error: |blocked, )", re.MULTILINE)
LARGEST_MESSAGE = 1500


@pytest.fixture
def cli(cli) -> Cli:
    for split in ("train", "val"):
        write(annotations(cli.data, split), hostile.truth())
    write(detections(cli), hostile.boxes())
    return cli


def detections(cli: Cli) -> Path:
    return next((cli.data / "coco" / "person_detection_results").iterdir())


def refused(answer: Answer) -> str | None:
    """What is wrong with the answer to a malformed input; None when it is one short message and exit code 2."""
    said = answer.err + answer.out
    if answer.code != 2 or "Traceback" in said or len(said) > LARGEST_MESSAGE or len(MESSAGE.findall(said)) != 1:
        return f"exit code {answer.code}: {said[-300:]}"
    return None


def run(cli: Cli, path: Path, content: bytes, spec: str = "") -> Answer:
    path.write_bytes(content)
    return cli("--quiet", "run", spec or cli.spec, "--row", "one", "--no-report", "--jobs", "1", "--data-root",
               str(cli.data))


def score(cli: Cli, truth: bytes, found: bytes) -> Answer:
    (cli.root / "truth.json").write_bytes(truth)
    (cli.root / "found.json").write_bytes(found)
    return cli("score", "--task", "coco", "--annotations", str(cli.root / "truth.json"), "--predictions",
               str(cli.root / "found.json"))


def report(cli: Cli, content: bytes) -> Answer:
    path = cli.root / "runs" / "0123456789ab" / "seed0" / "ba9876543210" / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return cli("report", cli.spec)


def own_keypoints(cli: Cli, content: bytes) -> Answer:
    spec = cli.write("own.py", SPEC.replace('source="disk"', 'source="disk", task="custom"'))
    return run(cli, cli.data / "keypoints.json", content, spec)


def json_spec(cli: Cli, content: bytes) -> Answer:
    """``validate`` prints a line per defect, of which there may be several: they count as one message."""
    (cli.root / "spec.json").write_bytes(content)
    answer = cli("validate", str(cli.root / "spec.json"))
    return answer._replace(err=f"error: {answer.err}" if answer.err else "")


TRUTH, RESULTS = (json.dumps(make()).encode() for make in (hostile.truth, hostile.results))
KINDS: dict[str, tuple[Callable[[Cli, bytes], Answer], Any, hostile.Wrong]] = {
    "training annotations": (lambda cli, c: run(cli, annotations(cli.data, "train"), c), hostile.truth(),
                             hostile.ANNOTATIONS),
    "detections": (lambda cli, c: run(cli, detections(cli), c), hostile.boxes(), hostile.BOXES),
    "annotations to score against": (lambda cli, c: score(cli, c, RESULTS), hostile.truth(), {}),
    "results": (lambda cli, c: score(cli, TRUTH, c), hostile.results(), hostile.RESULTS),
    "record": (report, hostile.record(), hostile.RECORD),
    "keypoint set": (own_keypoints, hostile.keypoint_set(), {}),
    "JSON spec": (json_spec, to_dict(RunConfig()), hostile.SPEC)}


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_json(cli, kind):
    answer, good, wrong = KINDS[kind]
    problems = {label: found for label, content in hostile.cases(good, wrong, raw=kind in ("results", "JSON spec"))
                if (found := refused(answer(cli, content)))}
    assert not problems, json.dumps(problems, indent=1)[:3000]
    assert answer(cli, json.dumps(good).encode()).code == 0, "or the rest would show nothing"


def pictures() -> Iterator[tuple[str, bytes]]:
    """Images that would fill the memory (test_data_check.py has the damaged ones)."""
    import cv2
    import numpy as np

    jpeg = cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    at = jpeg.index(b"\xff\xc0")
    yield "JPEG of 65500 x 65500", jpeg[:at + 5] + struct.pack(">HH", 65500, 65500) + jpeg[at + 9:]
    header = struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0)
    chunks = b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                      for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 20))), (b"IEND", b"")))
    yield "PNG of 2^40 pixels", b"\x89PNG\r\n\x1a\n" + chunks


def test_images(cli):
    """Met in training: the run is blocked, the image is named, nothing is recorded."""
    path = cli.root / "picture.jpg"
    fake_runs.install(execute=lambda run, **_: read_image(path))
    for label, content in pictures():
        answer = run(cli, path, content)
        assert refused(answer) is None and path.name in answer.err, (label, answer)
    assert not cli.records()


def test_checkpoints_from_anybody(cli):
    """None is loaded, and no code in one is run."""
    import torch

    trap = cli.root / "trap"
    contents = {"code.pth": {"state_dict": {"a": torch.zeros(1)}, "meta": hostile.Trap(trap)}, "none.pth": {"a": 1},
                "list.pth": [torch.zeros(1)], "cut.pth": {"a": torch.zeros(4000)}}
    for name, content in contents.items():
        torch.save(content, cli.root / name)
    os.truncate(cli.root / "cut.pth", 5000)
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    files = {"pickle.pth": pickle.dumps(hostile.Trap(trap)), "text.pth": b"AP = 0.9", "empty.pth": b"",
             "absurd.safetensors": struct.pack("<Q", len(header)) + header + bytes(16), "cut.safetensors": b"\1"}
    for name, content in files.items():
        (cli.root / name).write_bytes(content)
    for name in (*contents, *files, "absent.pth"):
        answer = cli("run", "table5", "--row", "simplebaseline", "--profile", "smoke", "--no-report", "--checkpoint",
                     str(cli.root / name))
        assert refused(answer) is None and not trap.exists(), (name, answer)


def test_arguments(cli):
    (cli.root / "data").rename(cli.root / "other")
    for line in ("lst", "run", "run fig1 fig2", "plan ../fig1", "plan fig1 --seeds -1", "plan fig1 --rerun often",
                 "run fig1 --launcher cloud", "run fig1 --checkpoint x.pth", "plan .py", "score --task coco",
                 "score --task pose --annotations a --predictions b", "compare fig1 --against /no/such",
                 "data check --data-root . --task pose", "data convert --task pose . --out x", "cost no_such",
                 "data subset x --train 0", "pack fig1/simcc_s8 -o x",
                 "predict x.jpg --checkpoint y.pth", "submit coco-test-dev --name a", "ceilings --data-root /no/such"):
        answer = cli(*line.split())
        said = answer.err + answer.out
        assert answer.code == 2 and "Traceback" not in said and said.strip(), (line, answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
        ["../../x.jpg", 2**63, 10**40, 1e16, -0.0, "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document; of a list the first three entries."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_changes_are_understood_or_refused(cli, kind, data):
    """Any value at any place: exit code 0, or 2 with one message; never a traceback, never anything else."""
    answer, good, _ = KINDS[kind]
    place = data.draw(st.sampled_from(list(places(good))))
    found = answer(cli, hostile.changed(good, place, data.draw(st.just(hostile.ABSENT) | json_values if place
                                                               else json_values)))
    shutil.rmtree(cli.root / "runs", ignore_errors=True)
    assert found.code == 0 or refused(found) is None, found
