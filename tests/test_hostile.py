"""At least 300 different malformed inputs, each answered by one message and exit code 2; then random ones."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import struct
import sys
import types
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile
import pytest
from fake_runs import SPEC, Answer, Cli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flatpose.config import RunConfig, to_dict
from flatpose.data.loader import read_image

MESSAGE = re.compile(r"^(error: |Error: |blocked, )", re.MULTILINE)
LARGEST_MESSAGE = 1500


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    made = Cli(tmp_path, monkeypatch, capsys)
    made.one = made.write("tiny.py", SPEC)
    annotations = made.data / "coco" / "annotations"
    for split in ("train", "val"):
        (annotations / f"person_keypoints_{split}2017.json").write_text(json.dumps(hostile.truth()))
    next((made.data / "coco" / "person_detection_results").iterdir()).write_text(json.dumps(hostile.boxes()))
    monkeypatch.setenv("FAKE", "")
    return made


def refused(answer: Answer) -> str | None:
    """What is wrong with the answer to a malformed input; None when it is one short message and exit code 2."""
    said = answer.err + answer.out
    if answer.code != 2:
        return f"exit code {answer.code}: {said[-300:]}"
    if "Traceback" in said or len(said) > LARGEST_MESSAGE:
        return f"traceback or {len(said)} characters: {said[-300:]}"
    return None if len(MESSAGE.findall(said)) == 1 else f"not one message: {said[-300:]}"


def annotation_file(split: str) -> Callable[[Cli, bytes], Answer]:
    def answer(cli: Cli, content: bytes) -> Answer:
        path = cli.data / "coco" / "annotations" / f"person_keypoints_{split}2017.json"
        path.write_bytes(content)
        return cli("--quiet", "run", cli.spec, "--row", "one", "--no-report", "--data-root", str(cli.data))
    return answer


def detector_file(cli: Cli, content: bytes) -> Answer:
    next((cli.data / "coco" / "person_detection_results").iterdir()).write_bytes(content)
    return cli("--quiet", "run", cli.spec, "--row", "one", "--no-report", "--data-root", str(cli.data))


def score(truth: bytes, found: bytes, cli: Cli) -> Answer:
    (cli.root / "truth.json").write_bytes(truth)
    (cli.root / "found.json").write_bytes(found)
    return cli("score", "--task", "coco", "--annotations", str(cli.root / "truth.json"), "--predictions",
               str(cli.root / "found.json"))


def results_file(cli: Cli, content: bytes) -> Answer:
    return score(json.dumps(hostile.truth()).encode(), content, cli)


def truth_file(cli: Cli, content: bytes) -> Answer:
    return score(content, json.dumps(hostile.results()).encode(), cli)


def placed(name: str) -> Callable[[Cli, bytes], Answer]:
    """``report`` with such a file below the project."""
    def answer(cli: Cli, content: bytes) -> Answer:
        path = cli.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return cli("report", cli.spec)
    return answer


def keypoint_file(cli: Cli, content: bytes) -> Answer:
    """``keypoints.json`` beside a tree of one's own."""
    spec = cli.write("own.py", SPEC.replace('source="disk"', 'source="disk", task="custom"'))
    (cli.data / "keypoints.json").write_bytes(content)
    return cli("--quiet", "run", spec, "--row", "one", "--no-report", "--data-root", str(cli.data))


def json_spec(cli: Cli, content: bytes) -> Answer:
    path = cli.root / "spec.json"
    path.write_bytes(content)
    answer = cli("validate", "--json-spec", str(path))
    lines = [line for line in answer.err.splitlines() if line.startswith(str(path))]  # all that is wrong at once
    return Answer(answer.code, answer.out, f"error: {lines[0]}" if lines else answer.err)


def test_dev_results(cli: Cli, content: bytes) -> Answer:
    (cli.root / "info.json").write_text(json.dumps({"images": hostile.truth()["images"]}))
    (cli.root / "found.json").write_bytes(content)
    return cli("submit", "coco-test-dev", "--any-list", "--name", "a", "--predictions", str(cli.root / "found.json"),
               "--image-info", str(cli.root / "info.json"), "--out", str(cli.root))


test_dev_results.__test__ = False
SUBMIT = {place: values for place, values in hostile.RESULTS.items() if place not in ((0, "bbox"), (0, "category_id"))}
KINDS: dict[str, tuple[Callable[[Cli, bytes], Answer], Any, hostile.Wrong]] = {
    "training annotations": (annotation_file("train"), hostile.truth(), hostile.ANNOTATIONS),
    "validation annotations": (annotation_file("val"), hostile.truth(), hostile.TRUTH),
    "detections": (detector_file, hostile.boxes(), hostile.BOXES),
    "results": (results_file, hostile.results(), hostile.RESULTS),
    "annotations to score against": (truth_file, hostile.truth(), hostile.TRUTH),
    "results for test-dev": (test_dev_results, hostile.results(), SUBMIT),
    "record": (placed("runs/0123456789ab/seed0/ba9876543210/record.json"), hostile.record(), hostile.RECORD),
    "records of a page": (placed("reports/data/tiny.json"), {"schema_version": 1, "records": [hostile.record()]}, {
        (): [None, 1, "x", [], {}], ("schema_version",): [hostile.ABSENT, None, 2, "1"],
        ("records",): [None, 1, {}, [1], [None], [{}]], ("costs",): [None, 1, {}, [1], [{}], [{"row": 1}]],
        ("latencies",): [None, 1, [{}]], ("checkpoints",): [None, 1, [{}]]}),
    "timings": (placed("runs/costs/tiny.latency.json"), hostile.latency(), hostile.LATENCY),
    "evaluated checkpoint": (placed("runs/checkpoints/a/b/c/record.json"), hostile.checkpoint_record(),
                             hostile.CHECKPOINT_RECORD),
    "keypoint set": (keypoint_file, hostile.keypoint_set(), hostile.KEYPOINT_SET),
    "spec as JSON": (json_spec, to_dict(RunConfig()), hostile.SPEC),
}


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_json_of_every_kind(cli, kind):
    answer, good, wrong = KINDS[kind]
    problems = {label: problem for label, content in hostile.cases(good, wrong)
                if (problem := refused(answer(cli, content)))}
    assert not problems, f"{len(problems)}: " + json.dumps(problems, indent=1)[:3000]


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_file_is_accepted(cli, kind):
    """Or the test above would show nothing."""
    answer, good, _ = KINDS[kind]
    assert answer(cli, json.dumps(good).encode()).code == 0


def test_there_are_at_least_300_malformed_inputs():
    found = {(kind, content) for kind, (_, good, wrong) in KINDS.items() for _, content in hostile.cases(good, wrong)}
    others = len(PYTHON_SPECS) + len(list(pictures())) + len(weights_files()) + len(ARGUMENTS)
    assert len({content for _, content in found}) >= 300 and len(found) >= 700 and others >= 90


PYTHON_SPECS = {
    "empty": "", "bytes": "\0\0", "syntax": "def (", "no experiment": "X = 1", "another type": "EXPERIMENT = 3",
    "raises": "raise ValueError('no')", "exits late": "1 / 0", "endless recursion": "def f(): f()\nf()",
    "no module": "import no_such_module", "indentation": " x = 1", "tabs": "if 1:\n\tx\n        y",
    "a class": "from flatpose.harness.spec import Experiment\nEXPERIMENT = Experiment",
    **{f"{old} -> {new}": SPEC.replace(old, new) for old, new in [
        ('id="tiny"', 'id=""'), ('id="tiny"', 'id="../x"'), ('id="tiny"', 'id="fig1"'), ('id="tiny"', "id=3"),
        ('id="two"', 'id="one"'), ('id="two"', "id=None"), ("rows=(", "row=("), ("epochs=epochs", "epochs='x'"),
        ("epochs=epochs", "epochs=-1"), ("epochs=epochs", "epoch=1"), ('source="disk"', 'source="web"'),
        ('source="disk"', "sauce=1"), ('name="quick"', "name=1"), ("minutes_per_run=2.0", "minutes_per_run='long'"),
        ("gpu=True", "gpu='maybe'"), ('question="Does it run?"', ""), ('title="Three runs"', "title=3"),
        ("profiles={", "profiles=[{"), ("TrainConfig(epochs", "TrainConfig(lr='a', epochs"),
        ("TrainConfig(epochs", "TrainConfig(**{'a b': 1}, epochs")]}}


def test_python_specs(cli):
    """They are code and are executed; a broken one is still one message."""
    problems = {}
    for number, (label, text) in enumerate(PYTHON_SPECS.items()):
        answer = cli("plan", cli.write(f"spec{number}.py", text))
        problems |= {label: found} if (found := refused(answer)) else {}
    assert not problems, json.dumps(problems, indent=1)[:3000]


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def pictures() -> Iterator[tuple[str, bytes]]:
    """Image files that are none, are cut off, or claim to be enormous."""
    import cv2
    import numpy as np

    jpeg = cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    png = cv2.imencode(".png", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    yield from ((f"{label} as image", content) for label, content in hostile.RAW.items() if b"PNG" not in content)
    for share in (0.02, 0.1, 0.5, 0.9):
        yield f"JPEG cut off at {share}", jpeg[:int(len(jpeg) * share)]
        yield f"PNG cut off at {share}", png[:int(len(png) * min(share, 0.5))]
    bomb = zlib.compress(bytes(1 << 20))
    for side in (1 << 15, 1 << 20, (1 << 31) - 1):
        yield f"PNG of {side} x {side}", _png(side, side, bomb)
    yield "PNG without size", _png(0, 0, bomb)
    at = jpeg.index(b"\xff\xc0")
    yield "JPEG of 65500 x 65500", jpeg[:at + 5] + struct.pack(">HH", 65500, 65500) + jpeg[at + 9:]
    yield "TIFF that points outside", b"II*\0" + struct.pack("<I", 1 << 30)
    yield "GIF", b"GIF89a" + bytes(20)
    yield "BMP of a billion", b"BM" + bytes(8) + struct.pack("<IIii", 54, 40, 1 << 30, 1 << 30) + bytes(28)


def test_images(cli):
    """Met in training: the run is blocked, the image is named, nothing is recorded."""
    path = cli.root / "picture.jpg"
    module = types.ModuleType("flatpose.pipeline")
    module.execute = lambda run, **_: read_image(path)
    cli.monkeypatch.setitem(sys.modules, "flatpose.pipeline", module)
    problems = {}
    for label, content in pictures():
        path.write_bytes(content)
        answer = cli("--quiet", "run", cli.spec, "--row", "one", "--no-report", "--data-root", str(cli.data))
        found = refused(answer) or (None if path.name in answer.err else f"not named: {answer.err}")
        problems |= {label: found} if found else {}
    assert not problems, json.dumps(problems, indent=1)[:3000]
    assert not cli.records()


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def weights_files(trap: Path = Path("trap")) -> dict[str, bytes]:
    """Checkpoints that are damaged, hold something else, or would run code (which would make the folder ``trap``)."""
    import io

    import torch
    from safetensors.torch import save

    def saved(value: Any, **options: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        return buffer.getvalue()

    good, tensors = saved({"a": torch.zeros(3)}), save({"a": torch.zeros(3)})
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    files = {f"{label}.pth": content for label, content in hostile.RAW.items()}
    files |= {"code.pth": saved({"a": _Trap(trap)}), "old code.pth": saved(
        {"a": _Trap(trap)}, _use_new_zipfile_serialization=False), "plain code.pth": pickle.dumps(_Trap(trap)),
        "list.pth": saved([1]), "text.pth": saved("x"), "no tensors.pth": saved({"a": 1}), "none.pth": saved({}),
        "other names.pth": good, "cut.pth": good[:len(good) // 2], "flipped.pth": good[:80] + b"\xff" + good[81:200],
        "empty.safetensors": b"", "cut.safetensors": tensors[:-4], "header.safetensors": b"\xff" * 8 + tensors[8:],
        "absurd.safetensors": struct.pack("<Q", len(header)) + header + bytes(16), "text.safetensors": b"{}",
        "other names.safetensors": tensors, "as torch.safetensors": good, "code.safetensors": pickle.dumps(_Trap(trap))}
    return files


SMALL = '''
from flatpose.config import BaselineConfig, DataConfig, HeatmapCodecConfig, RunConfig
from flatpose.harness.spec import Experiment, Profile, Row
RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0))
EXPERIMENT = Experiment(id="small", title="t", source="s", question="q", rows=(Row(id="r", label="r", run=RUN),),
                        profiles={"quick": Profile(name="quick", description="d")})
'''


def test_checkpoints_of_strangers(cli):
    """None is loaded, and no code in one is run."""
    trap, problems, spec = cli.root / "trap", {}, cli.write("small.py", SMALL)
    for name, content in weights_files(trap).items():
        (cli.root / name).write_bytes(content)
        answer = cli("run", spec, "--row", "r", "--checkpoint", str(cli.root / name), "--data-root", str(cli.data))
        problems |= {name: found} if (found := refused(answer)) else {}
        assert not trap.exists(), name
    assert not problems, json.dumps(problems, indent=1)[:3000]


ARGUMENTS = [
    "lst", "run", "run fig1 fig2", "run no_such", "plan fig1 --row no_such", "plan fig1 --profile no_such",
    "plan ../fig1", "plan fig1 --seeds x", "plan fig1 --seeds -1", "plan fig1 --seeds 1.5",
    "plan fig1 --seeds 0,,1", "plan fig1 --seeds=", "plan fig1 --rerun often", "run fig1 --launcher cloud",
    "run fig1 --epochs 3", "run fig1 --slurm", "plan /etc/passwd", "run fig1 --checkpoint x.pth",
    "run fig1 --row flatpose_s16 --checkpoint no.pth", "plan /no/such/spec.py", "plan .py", "show",
    "show fig1 --profile no_such", "score", "score --task coco", "cost fig1 --row no_such", "cost no_such",
    "score --task pose --annotations a --predictions b", "score --task coco --annotations a --predictions b",
    "score --task mpii --annotations a --predictions b", "compare no_such", "compare fig1 --against /no/such",
    "data", "data check --data-root /no/such", "data check --data-root . --task pose", "data make no_such",
    "report no_such", "data convert --task pose . --out x", "data convert --task mpii /no/such --out x",
    "data subset x --train 0", "data subset x --data-root /no/such", "submit coco-test-dev",
    "submit coco-test-dev --name a/b --run x", "submit coco-test-dev --name a --run /no/such --data-root .",
    "validate no_such", "validate --json-spec /no/such", "verify no_such", "ceilings --data-root /no/such",
    "status --jsn", "doctor --data-rot x", "--no-such-option",
]


def test_arguments(cli, monkeypatch):
    (cli.root / "data").rename(cli.root / "other")
    problems = {}
    for line in ARGUMENTS:
        answer = cli(*line.split())
        said = answer.err + answer.out
        wrong = answer.code != 2 or "Traceback" in said or not said.strip()
        problems |= {line: f"exit code {answer.code}: {said[-300:]}"} if wrong else {}
    assert not problems, json.dumps(problems, indent=1)[:3000]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
        ["../../x.jpg", 2**63, 10**40, 1e16, -0.0, "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document; of a list of numbers the first three."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None, derandomize=True, database=None,
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
