"""Sentences of a finding: numbers of the records or none, and every shipped sentence names rows that exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest
from made_frames import frames as made_frames
from made_frames import line

from flatpose.errors import SpecError
from flatpose.harness import catalog, findings, frame
from flatpose.harness.spec import DIFFERENCE

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def frames():
    return frame.read(ROOT)


@pytest.mark.parametrize("name", catalog.ids())
def test_every_place_of_a_sentence_is_a_row(name):
    experiment = catalog.load(name)
    texts = [*experiment.finding, *(text for profile in experiment.profiles.values() for text in profile.finding)]
    places = [p for text in texts for _, p, _, _ in Formatter().parse(text) if p]
    for term in (t for place in places for t in place.split(DIFFERENCE)):
        owner, _, row = term.rpartition("/")
        assert row in {r.id for r in catalog.load(owner or name).rows}


def test_numbers_are_those_of_the_records(frames):
    fig1 = frames.of("fig1")
    lines = fig1.under(*fig1.best).query("kind == 'trained' and box_source == 'gt'")
    values = frame.by_seed(lines, "AP")
    low, high = values["heatmap_s32"], values["heatmap_s4"]
    said = findings.sentences(replace(frames.experiments["fig1"], finding=(
        "{heatmap_s32}", "{heatmap_s32 - heatmap_s4}", "{heatmap_s32:printed}", "{heatmap_s32 - heatmap_s4:printed}",
        "{why/hrnet_s32}")), frames)
    assert float(said[0]) == pytest.approx(100 * sum(low.values()) / len(low), abs=0.05)
    assert float(said[1].split(" ")[0]) == pytest.approx(
        100 * sum(low[s] - high[s] for s in low) / len(low), abs=0.05)
    assert said[2:] == ["17.2", "-54.6", said[0]]  # why's row is the same run


def test_a_sentence_with_an_unmeasured_number_is_left_out(frames):
    fig1 = replace(frames.experiments["fig1"], finding=("{simcc_s4:printed}", "{simcc_s4:PCKh@0.5}", "{nobody/x}", "."))
    assert findings.sentences(fig1, frames) == ["."]


def test_a_sentence_about_no_row_is_refused():
    with pytest.raises(SpecError, match="heatmap_s33"):
        replace(catalog.load("fig1"), finding=("{heatmap_s33}",))


def test_sentences_of_a_setting_have_its_numbers_alone():
    made = [line("fig1", "heatmap_s4", 0, AP=0.8), line("fig1", "heatmap_s32", 0, AP=0.2),
            line("fig1", "heatmap_s4", 0, AP=0.3, profile="coco_mini", data_id="c")]
    frames = made_frames(made)
    fig1 = replace(frames.experiments["fig1"], finding=("{heatmap_s4}", "{heatmap_s32}"))
    assert findings.sentences(fig1, frames, ("quick", "d")) == ["80.0", "20.0"]
    assert findings.sentences(fig1, frames, ("coco_mini", "c")) == ["30.0"]


def test_verdicts_that_other_weights_or_boxes_change_are_named():
    """By averaged weights FlatPose is higher in every seed; by the last ones and on detector boxes it is not."""
    def both(row, value, **condition):
        return [line("fig1", row, seed, AP=value + 0.001 * seed, **condition) for seed in range(3)]

    sure = both("flatpose_s32", 0.52) + both("simcc_s32", 0.5)
    last = [line("fig1", row, seed, AP=0.5 + gap, weights="raw") for row, gaps in (
        ("flatpose_s32", (0.02, -0.02, 0.01)), ("simcc_s32", (0.0, 0.0, 0.0))) for seed, gap in enumerate(gaps)]
    detected = both("flatpose_s32", 0.41, box_source="det:a.json") + both("simcc_s32", 0.4, box_source="det:a.json")
    frames = made_frames(sure + last + detected)
    fig1 = replace(frames.experiments["fig1"], finding=("{flatpose_s32 - simcc_s32}",))
    said = findings.robustness(fig1, frames)
    assert "1 of 1" in said and "undecided" in said and "0 of 1" in said
    assert findings.robustness(fig1, made_frames(sure)) == "", "nothing to compare with"
