"""Every command in a block of README or of a page of docs/ is tried, in a folder that holds what the pages speak of.

What would take hours is executed at its smallest: a training at profile smoke with one row, after the command as it is
written was planned with all of its options. ``make`` and ``torchrun`` are planned, Figs. 3 to 6 too, ``pip`` is
compared with the extras that exist, and of ``ceilings`` only the help is asked for; other tests execute these. Commands
are run in the order of their page, so that one may use what another made. A command that no rule knows fails. Not
tried: commands within sentences, docs/decisions/, and the examples of help texts (docs/cli.md).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import write_coco

from flatpose.config import CodecConfig, HeatmapCodecConfig, SimCCCodecConfig
from flatpose.harness import catalog, cli

ROOT = Path(__file__).resolve().parents[1]
OWN_TEST = {"adding-a-system.md": "test_adding_a_system.py"}
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
         if p.name not in {*OWN_TEST, "cli.md"}]
STARTS = ("flatpose-exp ", "python ", "make ", "pip ", "torchrun ")


def commands(page: Path) -> list[str]:
    """Lines of shell blocks, also of indented ones, without comments and with continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    outside = re.sub(r"```.*?```", "", text, flags=re.S)
    lines += [line[4:] for line in outside.splitlines() if line.startswith(tuple(f"    {s}" for s in STARTS))]
    return [re.split(r"\s{2,}#|\s#\s", line)[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands name."""
    folder = tmp_path_factory.mktemp("docs")
    write_coco(folder / "data", images={"train": 6, "val": 4})
    values = folder / "data" / "coco"
    shutil.copy(values / "annotations" / "person_keypoints_val2017.json", folder)
    truth = json.loads((folder / "person_keypoints_val2017.json").read_text())
    results = [{"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
               for a in truth["annotations"]]
    (folder / "results.json").write_text(json.dumps(results))
    for name in ("photos", "shots"):
        (folder / name).mkdir()
    image = np.random.default_rng(0).integers(0, 255, (480, 480, 3), dtype=np.uint8)
    for name in ("photo.jpg", "photos/a.jpg", "shots/b.png"):
        cv2.imwrite(str(folder / name), image)
    (folder / "detections.json").write_text(json.dumps({"a.jpg": [[10, 20, 200, 300]]}))
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (96, 96))
    for _ in range(3):
        video.write(image[:96, :96].copy())
    video.release()
    shutil.copytree(ROOT / "flatpose" / "weights", folder / "my_checkpoint")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "reports", folder / "reports")
    (page,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own-experiment.md").read_text(), re.S)
    (folder / "my_table.py").write_text(page)
    for words in (["init"], ["add", "reports"], ["commit", "-m", "pages"]):
        subprocess.run(["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True,
                       capture_output=True)
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setenv("FLATPOSE_RUNS", str(place / "runs"))
    return place


def call(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """flatpose-exp with these words, in this process."""
    old, sys.argv = sys.argv, ["flatpose-exp", *words]
    try:
        cli.main()
        code: object = 0
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = old
    assert code == 0, (words, capfd.readouterr().err[-2000:])


def without(words: list[str], options: dict[str, int]) -> list[str]:
    """The words without some options; each takes so many values."""
    kept, left = [], 0
    for word in words:
        if left:
            left -= 1
        elif word in options:
            left = options[word]
        else:
            kept.append(word)
    return kept


def run(words: list[str], here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``run``: planned as it is written, then executed once at its smallest, where it is no picture."""
    plan = without(words, {"--launcher": 1, "--slurm": 1, "--checkpoint": 1, "--no-report": 0})
    call(["plan", *plan[1:]], capfd)
    name = words[1]
    if name.startswith("fig") and name != "fig1":
        return  # a picture of all rows: tests/test_pictures.py
    if name.startswith("examples/"):
        call(words, capfd)
        return
    smallest = without(words, {"--profile": 1, "--seeds": 1, "--launcher": 1, "--slurm": 1, "--checkpoint": 1,
                               "--data-root": 1})
    row = json.loads(_said(["show", name, "--json"], capfd))["rows"][0]["id"]
    call([*smallest, "--profile", "smoke", "--seeds", "0", "--row", row], capfd)


def pack(words: list[str], here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``pack`` of Fig. 1's run, which is made here at profile smoke."""
    call(["run", "fig1", "--row", "simcc_s8", "--profile", "smoke", "--seeds", "0", "--no-report"], capfd)
    if words[1] == "fig1":
        call([*words, "--profile", "smoke"], capfd)
    else:
        (folder,) = (p.parent for p in here.glob("runs/*/seed0/*/weights.safetensors")
                     if json.loads((p.parent / "record.json").read_text())["spec"]["codec"]["kind"] == "simcc"
                     and "fig1" in json.loads((p.parent / "record.json").read_text())["provenance"]["command"])
        call([str(folder) if word == "RUN_FOLDER" else word for word in words], capfd)


def _said(words: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    call(words, capfd)
    return capfd.readouterr().out


def execute(command: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("DIR", "/data").replace("/data", str(here / "data")) for word in shlex.split(command)]
    program, *rest = words
    if program == "make":
        asked = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
    elif program == "pip":
        extras = re.findall(r"flatpose-exp\[(\w+)\]", command)
        declared = (ROOT / "pyproject.toml").read_text()
        assert extras and all(f"\n{extra} = [" in declared for extra in extras), command
    elif program == "torchrun":  # test_distributed.py starts it; here its arguments are planned
        call(["plan", *rest[rest.index("run") + 1:]], capfd)
    elif program in ("python", ".venv/bin/python"):
        done = subprocess.run([sys.executable, *rest], cwd=here, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    elif program == "flatpose-exp" and rest[0] == "run":
        run(rest, here, capfd)
    elif program == "flatpose-exp" and rest[:2] == ["export", "table2"]:  # full size takes minutes: the same row, small
        call([*rest, "--profile", "smoke"], capfd)
    elif program == "flatpose-exp" and rest[0] == "pack" and rest[1] in ("fig1", "RUN_FOLDER"):
        pack(rest, here, capfd)
    elif program == "flatpose-exp" and rest[:2] == ["data", "make"]:  # pages say FOLDER for what it prints
        (here / "FOLDER").unlink(missing_ok=True)
        (here / "FOLDER").symlink_to(_said(rest, capfd).strip())
    elif program == "flatpose-exp" and rest[0] == "ceilings":  # needs COCO's sizes: tests/test_ceilings.py
        call(["ceilings", "--help"], capfd)
    elif program == "flatpose-exp":
        call(rest, capfd)
    else:
        raise AssertionError(f"no rule for {command!r}")


def shown() -> Iterator[object]:
    for page in PAGES:
        found = commands(page)
        if found:
            yield pytest.param(found, id=page.name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", shown())
def test_every_command_of_the_page_works(page, here, capfd):
    for command in page:
        execute(command, here, capfd)


def test_commands_are_found():
    count = {page.name: len(commands(page)) for page in PAGES}
    assert count["README.md"] >= 10 and count["own-data.md"] == 5 and count["cluster.md"] == 3
    assert all((ROOT / "tests" / name).is_file() for name in OWN_TEST.values())


def test_the_reference_is_what_the_program_says(tmp_path):
    pinned = re.search(r"^typer==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.M)
    if version("typer") != pinned[1]:
        pytest.skip("another version of typer words its help otherwise")
    target = tmp_path / "cli.md"
    typer = [sys.executable, "-m", "typer", "flatpose.harness.cli", "utils", "docs", "--name", "flatpose-exp"]
    done = subprocess.run([*typer, "--output", str(target)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert target.read_text() == (ROOT / "docs" / "cli.md").read_text(), "make docs"


SCORES = {"min_softmax": "smaller of both axes' softmaxed peaks", "min_raw": "smaller of both raw peaks"}


def _conventions(codec: CodecConfig) -> tuple[str, str, str, str]:
    """Row, score, threshold and shift as docs/evaluation.md words them."""
    least = f"{codec.score_threshold:g}"
    if isinstance(codec, HeatmapCodecConfig):
        shifts = codec.flip_shift and not codec.udp
        return ("heatmap with UDP" if codec.udp else "heatmap", "height of the peak", least,
                "one cell to the right" if shifts else "none")
    if isinstance(codec, SimCCCodecConfig):
        return ("RTMPose" if codec.score == "min_raw" else "SimCC, FlatPose", SCORES[codec.score], least,
                {0: "none", 1: "one bin to the left", None: "one bin to the left"}[codec.flip_shift])
    return {"regression": "regression", "sar": "SAR"}[codec.kind], "", least, "none"


def test_the_table_of_scores_and_shifts_is_what_the_rows_use():
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8").split("| codec |")[1].split("\n\n")[0]
    said = {name.strip(): rest for name, *rest in (line.strip("|").split("|") for line in text.splitlines()[2:])}
    tables = [catalog.load(f"table{number}") for number in range(1, 6)]
    used = {_conventions(row.run.codec): row.id for table in tables for row in table.rows}
    for (name, score, threshold, shift), row in used.items():
        words = [re.split(r"[,:;] | \(", cell.strip()) for cell in said[name]]
        assert score in said[name][0] and threshold in words[1] and words[2][0] == shift, (row, said[name])
    assert {name for name, *_ in used} == set(said)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
                         ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []
