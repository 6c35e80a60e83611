"""What the records say of an experiment, in sentences: its own ones (``Experiment.finding``), rows, and costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from string import Formatter
from typing import Any

import pandas as pd

from flatpose.harness import compare, frame, stats
from flatpose.harness.frame import Frames, Setting
from flatpose.harness.spec import DIFFERENCE, Experiment, Row
from flatpose.harness.tables import difference, number, printed

PRINTED = "printed"
"""As a format, the paper's number instead of the measured one."""
SMALL = 0.3
"""In points: the size of most differences in the paper's ablations."""
COST_TOLERANCE = " (within {params_m:g} and {gflops:g} %)".format_map(
    {name: 100 * tolerance for name, tolerance in compare.RELATIVE.items()})
LISTED = 12
"""How many rows are named; of more only the number is given."""


def of(experiment: Experiment, frames: Frames) -> str:
    """The finding of a page: the experiment's own sentences, else how rows differ from its reference; then costs."""
    evidence, own = frames.of(experiment.id), sentences(experiment, frames)
    parts = [*own]
    for setting in evidence.best:
        lines = evidence.under(setting).query("box_source == 'gt' and kind == 'trained'")
        name = frame.main_metric(experiment, lines["task"].iloc[0]) if len(lines) else ""
        if name in lines and (lines[name] >= frame.FLOOR).any():
            gaps = frame.gaps(experiment, lines, name)
            parts += [*([] if own else [_from_reference(experiment, gaps, name)]), _power(gaps, name)]
    return " ".join(filter(None, [*parts, costs(compare.against_paper(experiment, frames))]))


def costs(against: pd.DataFrame) -> str:
    """How many printed costs and hyper-parameters come out; ``against`` of :func:`compare.against_paper`."""
    printed = against[(against["convention"] != "") & against["measured"].notna()]
    shapes = printed["convention"] == compare.BUILT
    digits = (printed["measured"].round(1) - printed["reference"]).abs() < 1e-6
    digits |= ((printed["measured"] * 10 // 1 / 10) - printed["reference"]).abs() < 1e-6  # several prints are cut off
    exact = (digits & (printed["verdict"] == compare.WITHIN) & ~shapes).sum()
    parts = [f"{(some['verdict'] == compare.WITHIN).sum()} of {len(some)} printed {what}" for some, what in (
        (printed[~shapes], f"parameter and GFLOP counts{COST_TOLERANCE}, {exact} to the printed digit,"),
        (printed[shapes], "hyper-parameters")) if len(some)]
    wrong = (printed["verdict"] == compare.MISPRINT).sum()
    more = f"; {wrong} printed number{'s are' if wrong > 1 else ' is'} known to be wrong" if wrong else ""
    return f"{' and '.join(parts)} agree with the networks built here{more}." if parts else ""


def test_dev(frames: Frames) -> str:
    """FlatPose's lead over the best other row that Tables 2 and 3 share, on test-dev and on val."""
    high = [row for row in frames.experiments["table2"].rows if row.group == "384x288"]
    later = {row.label: row for row in frames.experiments["table3"].rows}
    cells = {row.label: (printed(row), printed(later[row.label])) for row in high if row.label in later}
    ours = next(name for name in cells if name.startswith("FlatPose"))
    best = max((name for name in cells if name != ours), key=lambda name: cells[name][1]["AP"])
    on_val, on_test_dev = (number(cells[ours][i]["AP"] - cells[best][i]["AP"]) for i in (0, 1))
    change = {name: there["AR"] - val["AR"] for name, (val, there) in cells.items()}
    others = dict.fromkeys(number(gap, sign="+") for name, gap in change.items() if name != ours)
    return (f"On test-dev, where no row can have such boxes, {ours} 384×288 leads {best} by {on_test_dev} AP "
            f"({on_val} on val); from val to test-dev its AR changes by {number(change[ours], sign='+')}, the other "
            f"rows' by {' and '.join(others)}.")


def robustness(experiment: Experiment, frames: Frames) -> str:
    """Which of the finding's differences are judged otherwise with the last weights, or with a detector's boxes.

    A finding without differences stands for those from the reference row.
    """
    settings = frames.of(experiment.id).best
    if not settings or settings[0][0] == "smoke":
        return ""
    texts = (*experiment.profiles[settings[0][0]].finding, *experiment.finding)
    places = [(place, metric) for text in texts for _, place, metric, _ in Formatter().parse(text) if place]
    pairs = [place for place, metric in places if DIFFERENCE in place and not metric]
    if not pairs and experiment.reference:
        pairs = [f"{row.id}{DIFFERENCE}{experiment.reference}" for row in experiment.rows]
    shown, last, detected = (_Numbers(experiment, frames, settings, **condition) for condition in (
        {}, {"weights": "raw"}, {"boxes": "det"}))
    return " ".join(filter(None, (_otherwise(pairs, "the last weights in place of averaged ones (EMA)", shown, last),
                                  _otherwise(pairs, "detector boxes", shown, detected))))


def _otherwise(pairs: Sequence[str], how: str, shown: _Numbers, other: _Numbers) -> str:
    """The differences that have another verdict in ``other``; empty where none can be compared."""
    judged = {}
    for pair in dict.fromkeys(pairs):
        with suppress(_NotMeasured):
            judged[pair] = shown.gap(pair), other.gap(pair)
    judged = {pair: gaps for pair, gaps in judged.items() if all(gap.half is not None for gap in gaps)}
    changed = [f"{other.name(pair)} {difference(gap)}, {gap.verdict}" for pair, (before, gap) in judged.items()
               if gap.verdict != before.verdict]
    if not judged:
        return ""
    count = f"With {how} {len(changed)} of {len(judged)} verdicts on differences change"
    return f"{count}: {'; '.join(changed)}." if changed else f"{count}."


def _from_reference(experiment: Experiment, gaps: Mapping[str, stats.Difference], name: str) -> str:
    """Which of the rows with two seeds or more differ from the reference row."""
    labels = _short(experiment)
    rows = {word: [labels[r] for r, gap in gaps.items() if gap.verdict == word]
            for word in ("higher", "lower", "undecided")}
    heading = {"undecided": f"undecided, with intervals within ±{100 * _bound(gaps):.1f}"}
    parts = [f"{heading.get(word, word)}: {listed(found, len(gaps))}" for word, found in rows.items() if found]
    if not parts:
        return ""
    return f"{name} against {labels[str(experiment.reference)]}, paired by seed: {'; '.join(parts)}."


def _short(experiment: Experiment) -> dict[str, str]:
    """Row -> its label without what stands in brackets."""
    return {row.id: row.label.split(" (")[0] for row in experiment.rows}


def _power(gaps: Mapping[str, stats.Difference], name: str) -> str:
    """How many seeds a difference like the paper's would need, by the scatter of the rows that are undecided."""
    scatter = [gap.sd for gap in gaps.values() if gap.sd is not None and gap.verdict == "undecided"]
    if len(scatter) < 3:
        return ""
    needed = stats.seeds_needed(pd.Series(scatter).pow(2).mean() ** 0.5, SMALL / 100)
    return (f"In the undecided rows a difference of {SMALL:g} {name} could be detected (95 % interval, power 0.8) with "
            f"about {needed} seeds.")


def _bound(gaps: Mapping[str, stats.Difference]) -> float:
    """The largest difference, of either sign, that the interval of an undecided row holds."""
    return max((abs(end) for gap in gaps.values() if gap.verdict == "undecided" for end in (gap.low, gap.high)
                if end is not None), default=0.0)


def listed(names: Sequence[str], of: int) -> str:
    """The names, or their number where there are many."""
    return ", ".join(names) if len(names) <= LISTED else f"{len(names)} of {of} rows"


def sentences(experiment: Experiment, frames: Frames, *settings: Setting) -> list[str]:
    """The sentences of which every number has been measured in these settings, with ground-truth boxes.

    Without ``settings`` at the best evidence, and then with a remark where numbers are of one seed.
    """
    remarks = not settings
    settings = settings or tuple(frames.of(experiment.id).best)
    if not settings or settings[0][0] == "smoke":
        return []
    made, profile = [], experiment.profiles.get(settings[0][0])
    for template in (*(profile.finding if profile else ()), *experiment.finding):
        numbers = _Numbers(experiment, frames, settings)
        try:
            text = numbers.format(template)
        except _NotMeasured:
            continue
        few = remarks and min(numbers.seeds, default=2) < 2
        made.append(text + (" (One seed.)" if few and max(numbers.seeds) < 2 else " (Some are of one seed.)" * few))
    return made


class _NotMeasured(LookupError):
    """A number that neither the records nor the paper have."""


class _Numbers(Formatter):
    """Fills the places of a sentence, which :class:`flatpose.harness.spec.Experiment` describes."""

    def __init__(self, experiment: Experiment, frames: Frames, settings: Sequence[Setting], *, boxes: str = "gt",
                 weights: str | None = None) -> None:
        self.experiment, self.frames, self.settings = experiment, frames, settings
        self.boxes, self.weights = boxes, weights
        self.seeds: list[int] = []

    def gap(self, pair: str, metric: str = "") -> stats.Difference:
        """The difference of "row - other", paired by seed; raises _NotMeasured where one of the two has no number."""
        return stats.paired(*(self._seeds(place, metric) for place in pair.split(DIFFERENCE)))

    def name(self, pair: str) -> str:
        """The labels of "row - other" without what stands in brackets."""
        return " against ".join(re.sub(r" \([^)]*\)(?=,|$)", "", self._row(place).label)
                                for place in pair.split(DIFFERENCE))

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[str, str]:
        """The name itself: which number of the row is meant follows from the format."""
        return field_name, field_name

    def format_field(self, value: str, format_spec: str) -> str:
        """The mean over seeds, or of two rows the difference paired by seed; in points.

        Raises:
            _NotMeasured: There is no such number, or one seed alone has the difference.
        """
        row, _, other = value.partition(DIFFERENCE)
        if format_spec == PRINTED:
            gap = self._printed(row) - (self._printed(other) if other else 0.0)
            return number(gap, sign="+" if other else "")
        if other:
            between = self.gap(value, format_spec)
        else:
            found = self._seeds(row, format_spec)
            between = stats.paired(found, dict.fromkeys(found, 0.0))
        if other and between.half is None:
            raise _NotMeasured(value)
        self.seeds.append(between.n)
        return difference(between) if other else number(100 * between.mean)

    def _seeds(self, place: str, metric: str) -> dict[int, float]:
        """Seed -> metric (0..1) of a row."""
        row, lines = self._row(place), self.frames.of(self._experiment(place).id).under(*self.settings)
        metric = metric or frame.main_metric(self.experiment, row.run.data.task)
        lines = lines[lines["box_source"].str.startswith(self.boxes, na=False) & (lines["row"] == row.id)]
        lines = lines[lines["weights"] == self.weights] if self.weights else lines
        found = frame.by_seed(lines, metric).get(row.id)
        if not found:
            raise _NotMeasured(place)
        return found

    def _printed(self, place: str) -> float:
        row = self._row(place)
        metric = frame.main_metric(self.experiment, row.run.data.task)
        if metric not in printed(row):
            raise _NotMeasured(place)
        return printed(row)[metric]

    def _experiment(self, place: str) -> Experiment:
        other = place.rpartition("/")[0]
        if other and other not in self.frames.experiments:
            raise _NotMeasured(place)
        return self.frames.experiments[other] if other else self.experiment

    def _row(self, place: str) -> Row:
        name = place.rpartition("/")[2]
        found = next((row for row in self._experiment(place).rows if row.id == name), None)
        if found is None:
            raise _NotMeasured(place)
        return found
