"""A picture's way to its page: weights found or named, record and file kept together, sentences from the numbers."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import fake_reports as fake
import pytest
import torch
from safetensors.torch import save_file

from flatpose.config import spec_hash, to_dict
from flatpose.data import identity
from flatpose.errors import DataError, FlatPoseError
from flatpose.harness import catalog, pictures, pictures_page, pictures_table, report
from flatpose.harness.collect import RecordSet, stale_check
from flatpose.harness.plan import make_plan
from flatpose.harness.store import RunDir
from flatpose.io import write_json
from flatpose.models import build_model
from flatpose.progress import SILENT

REPORTS = Path(__file__).parents[1] / "reports"
FIGURES = ("fig3", "fig4", "fig5", "fig6")
STALE = stale_check(fake.current)
PNG = b"not really a picture"


def drawing(name: str, numbers: dict[str, list[float]], *, parts: tuple[str, ...] = ("",), **changes: object) -> dict:
    """A record of that figure: every row has these numbers, one per seed."""
    experiment = catalog.load(name)
    seeds = range(len(next(iter(numbers.values()))))
    lines = [{"row": row.id, "seed": s, "part": part, "values": {k: v[s] for k, v in numbers.items()}}
             for row in experiment.rows for part in parts for s in seeds]
    networks = [{"row": row.id, "seed": s, "spec_hash": "0123", "data_id": "embedded", "code_hash": "c0de",
                 "metrics": {"AP": 0.25}, "git_sha": "0123456789abcdef"} for row in experiment.rows for s in seeds]
    measures = [{"key": key, "title": f"the {key}", "unit": "%", "decimals": 1, "direction": ""} for key in numbers]
    return {"profile": "quick", "data_id": "embedded", "code_hash": pictures.code_hash(experiment.picture.kind),
            "data": {"label": "embedded v1 (2/1 images)", "source": "embedded", "val_persons": 9},
            "file": f"{name}.png", "sha256": hashlib.sha256(PNG).hexdigest(), "persons": [{"image": 3, "person": 5}],
            "measured_on": 7, "measures": measures, "lines": lines, "networks": networks,
            "provenance": fake.record(fake.run_of(fake.experiment().rows[0]))["provenance"], **changes}


TOKENS = {"hit": [60.0, 61.0, 62.0], "chance": [50.0] * 3, "same": [30.0] * 3, "different": [9.0] * 3,
          "gate": [10.0] * 3}


def rendered(name: str, entry: dict) -> str:
    return pictures_page.page(catalog.load(name), RecordSet(name, drawings=(entry,)), STALE)


def test_the_page_says_what_was_measured_and_how():
    text = rendered("fig3", drawing("fig3", TOKENS, parts=("iteration 1",)))
    assert "In 2 of 2 iterations selected tokens hold keypoints more often than chance" in text
    assert "| FlatPose-B, K = 4, iteration 1 | 61.0 ± 2.5 | 50.0 | 30.0 | 9.0 | 10.0 |" in text
    assert "(fig3.png)" in text and "7 of 9 validation persons" in text and "seeds 0, 1, 2 ±" in text
    assert "networks of 25.0 to 25.0 AP" in text and "sha256" in text and "†" not in text
    assert "flatpose-exp run fig3 --seeds 0,1,2" in text and "`convnext_quick` stands in for convnextv2_nano" in text


def test_a_difference_is_called_one_only_beyond_its_interval():
    wide = drawing("fig3", {**TOKENS, "hit": [30.0, 60.0, 90.0]}, parts=("iteration 1",))
    assert "In 0 of 2 iterations" in rendered("fig3", wide) and "in 0 less often" in rendered("fig3", wide)
    below = drawing("fig3", {**TOKENS, "hit": [30.0, 31.0, 32.0]}, parts=("iteration 1",))
    assert "in 2 less often" in rendered("fig3", below)
    one = rendered("fig3", drawing("fig3", {k: v[:1] for k, v in TOKENS.items()}, parts=("iteration 1",)))
    assert "One seed: no interval" in one and "±" not in one.split("## Measured")[1].split("## Notes")[0]


def test_sentences_of_the_other_figures():
    blocks = {"focus": [48.0, 50.0], "chance": [50.0, 50.0], "effective": [11.0, 11.5], "adaptive": [40.0, 44.0],
              "moved": [1.0, 2.0], "bias": [0.01, 0.03], "content": [0.3, 0.3]}
    text = rendered("fig4", drawing("fig4", blocks, parts=("block 1", "block 2")))
    assert "the ICA bias moves 1.5 % of the attention; over keys it deviates by 0.020, the content scores" in text
    maps = {"error": [8.0], "near": [40.0], "mass": [20.0], "area": [5.0], "target": [4.0]}
    text = rendered("fig5", drawing("fig5", maps))
    assert "Area above half the peak: heatmap, stride 4 → 32: 5.0 → 5.0 % (its training target: 4.0 → 4.0 %); SimCC," \
        in text and "FlatPose, stride 32: 40 % (median error 8.0 px; 20 % of the map's mass)." in text
    text = rendered("fig6", drawing("fig6", {"oks": [0.5], "half": [50.0], "good": [20.0], "error": [3.0]}))
    assert "Mean OKS: SimpleBaseline (ResNet-152) 0.50" in text and "20.0 % of the persons at OKS ≥ 0.75" in text


def test_a_missing_value_is_a_dash_that_knows_why():
    entry = drawing("fig3", TOKENS, parts=("iteration 1",))
    for line in entry["lines"]:
        line["values"]["gate"] = None
    text = rendered("fig3", entry)
    assert "—¹ |" in text and pictures_table.NO_VALUE in text


@pytest.mark.parametrize("change", [{"code_hash": "older"}, {"networks": "older"}])
def test_older_code_is_marked(change):
    entry = drawing("fig3", TOKENS, parts=("iteration 1",))
    if "networks" in change:
        change = {"networks": [{**n, "code_hash": "older"} for n in entry["networks"]]}
    assert "61.0 ± 2.5 † |" in rendered("fig3", {**entry, **change})


@pytest.mark.parametrize("change, complaint", [
    ({"sha256": "short"}, "sha256"), ({"lines": []}, "lines"), ({"measured_on": "many"}, "measured_on"),
    ({"measures": [{"key": "hit", "title": "", "unit": "", "decimals": 1, "direction": ""}]}, "lines: ours iter")])
def test_a_damaged_drawing_is_one_message(root, change, complaint):
    path = root / "runs/pictures/fig3/quick-embedded.json"
    damaged = {**json.loads(path.read_text()), **change}
    write(root)
    write_json(path, damaged)
    with pytest.raises(DataError, match=f"quick-embedded.json: drawings are damaged: .*{complaint}"):
        write(root)
    shutil.rmtree(root / "runs")
    committed = root / "reports/data/fig3.json"
    write_json(committed, {**json.loads(committed.read_text()), "drawings": [damaged]})
    with pytest.raises(DataError, match=f"fig3.json: drawings are damaged: .*{complaint}"):
        write(root, check=True)


def test_a_drawing_without_what_the_sentences_need_says_so(root):
    with pytest.raises(DataError, match="fig3 lacks chance, different, same: older code measured it"):
        rendered("fig3", drawing("fig3", {"hit": [1.0]}))


@pytest.fixture
def root(tmp_path) -> Path:
    """A project whose runs/ hold a drawing of Fig. 3 for publication."""
    (tmp_path / "reports").mkdir()
    folder = tmp_path / "runs" / "pictures" / "fig3"
    write_json(folder / "quick-embedded.json", drawing("fig3", TOKENS, parts=("iteration 1",)))
    (folder / "quick-embedded.png").write_bytes(PNG)
    return tmp_path


def write(root: Path, **options: object) -> set[str]:
    return {p.as_posix() for p in report.write(["fig3"], root, stale=STALE, catalog=[catalog.load("fig3")], **options)}


def test_a_drawing_comes_to_reports_and_stays_without_runs(root):
    files = {"reports/fig3.md", "reports/fig3.csv", "reports/fig3.png", "reports/data/fig3.json", "reports/index.md"}
    assert write(root) == files and (root / "reports/fig3.png").read_bytes() == PNG
    assert "In 2 of 2 iterations" in (root / "reports/index.md").read_text()
    shutil.rmtree(root / "runs")
    assert write(root, check=True) == set() == write(root)


def test_a_wrong_number_and_a_wrong_picture_are_caught(root):
    write(root)
    shutil.rmtree(root / "runs")
    path = root / "reports/data/fig3.json"
    path.write_text(path.read_text().replace('"hit": 60.0', '"hit": 90.0'))
    assert {"reports/fig3.md", "reports/fig3.csv"} <= write(root, check=True)
    (root / "reports/fig3.png").write_bytes(b"another picture")
    with pytest.raises(DataError, match=r"fig3\.png: not the picture that its record was made with"):
        write(root, check=True)
    (root / "reports/fig3.png").unlink()
    with pytest.raises(DataError, match="flatpose-exp run fig3 draws it anew"):
        write(root)


@pytest.mark.parametrize("change", [{"profile": "smoke"}, {"data": {"label": "COCO subset", "source": "disk"}}])
def test_images_of_others_and_other_profiles_stay_in_runs(root, change):
    path = root / "runs/pictures/fig3/quick-embedded.json"
    write_json(path, {**json.loads(path.read_text()), **change})
    write(root)
    assert not (root / "reports/fig3.png").exists() and not (root / "reports/data/fig3.json").exists()
    assert "Nothing has been drawn yet: `flatpose-exp run fig3` does." in (root / "reports/fig3.md").read_text()


def smoke_plan(runs: Path):
    experiment = catalog.load("fig3")
    return make_plan(experiment, experiment.profiles["smoke"], runs)


def test_without_weights_the_message_names_the_command(tmp_path):
    with pytest.raises(FlatPoseError) as error:
        pictures.draw(smoke_plan(tmp_path), tmp_path, None, SILENT)
    assert "no trained weights of ours seed 0, k2 seed 0" in str(error.value)
    assert "flatpose-exp run fig3 --row ours --row k2 --profile smoke --seeds 0 --rerun all" in str(error.value)


def test_drawing_from_run_folders(tmp_path):
    """Runs with untrained weights, on the embedded data of the smoke profile: drawn, recorded, found again."""
    from flatpose.data import load

    plan = smoke_plan(tmp_path)
    load(plan.runs[0].run.data, None)
    for planned in plan.runs:
        run, (data_id, _) = planned.run, identity(planned.run.data, None)
        folder = RunDir.of(tmp_path, spec_hash(run), planned.seed, data_id)
        made = fake.record(run, data=("embedded v1 (12/8 images)", data_id))
        folder.save({k: v for k, v in {**made, "spec": to_dict(run)}.items() if k != "schema_version"})
        torch.manual_seed(0)
        module = build_model(run.model, run.codec, run.image_size, 17, pretrained=False)
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, folder.path / pictures.WEIGHTS)
    path = pictures.draw(plan, tmp_path, None, SILENT)
    record = json.loads(path.with_suffix(".json").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"] and path.stat().st_size < 1 << 20
    assert {n["row"] for n in record["networks"]} == {"ours", "k2"} and record["networks"][0]["metrics"]["AP"] == 0.4
    assert len(record["lines"]) == 4 and record["code_hash"] == pictures.code_hash("tokens")
    assert str(tmp_path) not in path.with_suffix(".json").read_text()
    assert "> Smoke" not in rendered("fig3", record) and "smoke · embedded v1" in rendered("fig3", record)


@pytest.mark.slow
def test_run_trains_draws_and_names_what_is_missing(tmp_path, monkeypatch, capsys):
    """``make fig3`` at the smallest scale, then one row alone, then without weights."""
    from flatpose.harness.cli import main

    def run(*options: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["flatpose-exp", "run", "fig3", "--profile", "smoke", *options])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, capsys.readouterr().err

    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    code, said = run()
    [picture] = (tmp_path / "runs/pictures/fig3").glob("smoke-*.png")
    assert code == 0 and "drawn: " in said and picture.stat().st_size < 1 << 20
    assert not (tmp_path / "reports/fig3.png").exists(), "a smoke picture is not published"
    assert "Nothing has been drawn yet" in (tmp_path / "reports/fig3.md").read_text()
    assert "nothing drawn: the picture shows every row" in run("--row", "k2")[1]
    for weights in (tmp_path / "runs").glob("*/seed0/*/weights.safetensors"):
        weights.unlink()
    code, said = run()
    assert code == 2 and "no trained weights of ours seed 0, k2 seed 0" in said and "--rerun all trains them" in said


def test_rows_on_different_data_do_not_fit_one_picture(tmp_path):
    plan = smoke_plan(tmp_path)
    other = replace(plan.runs[1], run=replace(plan.runs[1].run, data=replace(plan.runs[1].run.data, task="mpii")))
    with pytest.raises(FlatPoseError, match="its rows ask for several"):
        pictures.draw(replace(plan, runs=(plan.runs[0], other)), tmp_path, None, SILENT)


def test_every_row_of_a_figure_is_a_run_of_a_table():
    runs = {row.run for name in ("fig1", "table2", "table5") for row in catalog.load(name).rows}
    for name in FIGURES:
        assert {row.run for row in catalog.load(name).rows} <= runs and catalog.load(name).picture


@pytest.mark.parametrize("name", FIGURES)
def test_the_committed_picture_is_the_one_of_its_record(name):
    record = json.loads((REPORTS / "data" / f"{name}.json").read_text())["drawings"][0]
    content = (REPORTS / record["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == record["sha256"] and len(content) < 1 << 20
    assert record["data"]["source"] == "embedded" and record["measured_on"] == 512
    text = (REPORTS / f"{name}.md").read_text(encoding="utf-8")
    assert all(sentence in text for sentence in pictures_table.findings(catalog.load(name), [record]))
