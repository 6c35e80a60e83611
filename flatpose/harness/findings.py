"""An experiment's own sentences about its result, with the numbers that its records have (``Experiment.finding``)."""

from __future__ import annotations

from string import Formatter
from typing import Any

from flatpose.harness import frame, stats
from flatpose.harness.frame import Frames
from flatpose.harness.spec import DIFFERENCE, Experiment, Row
from flatpose.harness.tables import difference, number, printed

PRINTED = "printed"
"""As a format, the paper's number instead of the measured one."""


def sentences(experiment: Experiment, frames: Frames) -> list[str]:
    """The sentences of which every number has been measured, at the best evidence and with ground-truth boxes."""
    best = frames.of(experiment.id).best
    if not best or best[0][0] == "smoke":
        return []
    made = []
    for template in experiment.finding:
        numbers = _Numbers(experiment, frames)
        try:
            text = numbers.format(template)
        except _NotMeasured:
            continue
        few = min(numbers.seeds, default=2) < 2
        made.append(text + (" (One seed.)" if few and max(numbers.seeds) < 2 else " (Some are of one seed.)" * few))
    return made


class _NotMeasured(LookupError):
    """A number that neither the records nor the paper have."""


class _Numbers(Formatter):
    """Fills the places of a sentence, which :class:`flatpose.harness.spec.Experiment` describes."""

    def __init__(self, experiment: Experiment, frames: Frames) -> None:
        self.experiment, self.frames = experiment, frames
        self.seeds: list[int] = []

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[str, str]:
        """The name itself: which number of the row is meant follows from the format."""
        return field_name, field_name

    def format_field(self, value: str, format_spec: str) -> str:
        """The mean over seeds, or of two rows the difference paired by seed; in points."""
        row, _, other = value.partition(DIFFERENCE)
        if format_spec == PRINTED:
            gap = self._printed(row) - (self._printed(other) if other else 0.0)
            return number(gap, sign="+" if other else "")
        found = self._seeds(row, format_spec)
        between = stats.paired(found, self._seeds(other, format_spec) if other else dict.fromkeys(found, 0.0))
        self.seeds.append(between.n)
        if other and between.half is not None:
            return difference(between)
        return number(100 * between.mean, sign="+" if other else "")

    def _seeds(self, place: str, metric: str) -> dict[int, float]:
        """Seed -> metric (0..1) of a row."""
        row, lines = self._row(place), self.frames.of(self._experiment(place).id).under(
            *self.frames.of(self.experiment.id).best)
        metric = metric or frame.main_metric(self.experiment, row.run.data.task)
        lines = lines[(lines["box_source"] == "gt") & (lines["row"] == row.id)]
        found = frame.by_seed(lines, metric).get(row.id) if metric in lines else None
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
