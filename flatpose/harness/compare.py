"""Published against measured: numbers side by side, and what may be said of their difference.

A verdict is one of: within tolerance · outside tolerance · print is wrong · undecided · not comparable · not run ·
failed; all but the first two carry a reason. The interval decides first, the tolerance (fixed in the spec before any
run) second. All metric values here are 0..1, as in the records; pages print them x 100.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

from flatpose.harness import stats
from flatpose.harness.collect import PAPER_DATA, Record, RecordSet, Setting, Stale, run_id, settings
from flatpose.harness.spec import Experiment, Row

Interval = tuple[float, float]
WITHIN, OUTSIDE = "within tolerance", "outside tolerance"
NOT_COMPARABLE, NOT_RUN, FAILED = "not comparable", "not run", "failed"
MISPRINT, UNDECIDED = "print is wrong", "undecided"
BUILT = "built"
COUNTED = {("params_m", "all"): "params_m", ("params_m", "leaf"): "params_leaf_m", ("gflops", "all"): "gflops",
           ("gflops", "hrnet_tool"): "gflops_hrnet_tool"}
"""(Quantity, convention of the print) -> our count made in the same way, a key of cost rows."""


@dataclass(frozen=True)
class Measured:
    """One metric of one row in one setting, over its seeds; ``values`` is empty unless ``status`` is "done"."""

    status: str
    reason: str = ""
    values: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    stale: bool = False
    failures: tuple[str, ...] = ()
    """One line per failed seed, also when others succeeded."""
    condition: str = ""
    """Box source, flip test and score rule of the values; several when seeds differ."""
    images: tuple[Interval, ...] = ()
    """Per value its 95 % bootstrap interval over images; empty unless every record has one."""

    @property
    def estimate(self) -> stats.Estimate:
        return stats.estimate(self.values)

    @property
    def over_images(self) -> Interval | None:
        """Of the bootstrap intervals over images each end, averaged over seeds."""
        low, high = (statistics.fmean(ends) for ends in zip(*self.images, strict=True)) if self.images else (0.0, 0.0)
        return (low, high) if self.images else None

    @property
    def interval(self) -> Interval | None:
        """What a reader may expect of a repetition: over seeds where there are several, else over images."""
        estimate = self.estimate
        if estimate.half_width is None:
            return self.over_images
        return estimate.mean - estimate.half_width, estimate.mean + estimate.half_width


@dataclass(frozen=True)
class Verdict:
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """One published (or other) number beside ours. Metrics are 0..1, ``params_m`` in M, ``gflops`` in G, a
    hyper-parameter as it is."""

    experiment: str
    row: str
    label: str
    quantity: str
    setting: str | None
    box_source: str | None
    against: str
    """"paper", or the path of the other records."""
    reference: float
    source: str
    """Where in the paper the number stands."""
    measured: float | None
    half_width: float | None
    n: int
    difference: float | None
    tolerance: float
    verdict: str
    reason: str
    condition: str = ""
    """Under which the measured number came about."""
    bootstrap: Interval | None = None
    """Of the measured metric: 95 % over images, its ends averaged over seeds."""
    convention: str = ""
    """How the printed cost was counted (Published.gflops_by, params_by), and ours for this comparison; BUILT for a
    hyper-parameter, empty for a metric."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form; the reference is called "published" only when it is the paper's."""
        values = asdict(self)
        return {"published" if self.against == "paper" else "other": values.pop("reference"), **values}

    @property
    def plain(self) -> bool:
        """A cost or a hyper-parameter: a number in its own unit, not a metric."""
        return bool(self.convention)

    @property
    def outcome(self) -> str:
        """Verdict with its reason."""
        if self.verdict == MISPRINT:
            return f"{self.verdict}: {self.reason}"
        return f"{self.verdict} ({self.reason})" if self.reason else self.verdict


def box_name(source: str | None) -> str:
    """"gt" -> "ground-truth boxes", "det:person.json" -> "detector boxes (person.json)"."""
    if source is None or source == "gt":
        return "ground-truth boxes"
    return f"detector boxes ({source.partition(':')[2]})"


def condition(entry: Record) -> str:
    """Everything besides the network that decides an entry of a record's results."""
    if entry["kind"] == "ceiling":
        return "ground truth encoded and decoded, no network"
    return ", ".join((box_name(entry["box_source"]), flip(entry), entry["score_rule"]))


def flip(entry: Record) -> str:
    """With or without flip test, in words."""
    return "with flip test" if entry["flip_test"] else "without flip test"


def result(record: Record, box_source: str | None, kind: str = "trained", weights: str | None = None) -> Record | None:
    """The entry of a record's results with this box source; weights None means EMA where there is one, else raw."""
    entries = [r for r in record.get("results", ()) if r["kind"] == kind and box_source in (None, r["box_source"])]
    if weights is not None:
        return next((r for r in entries if r.get("weights") == weights), None)
    return min(entries, key=lambda r: r.get("weights") != "ema", default=None)


def measure(setting: Setting, row: Row, metric: str, box_source: str | None, *, kind: str = "trained",
            weights: str | None = None, stale: Stale | None = None) -> Measured:
    """Collects one metric over the seeds of a row, or says why there is none."""
    records = setting.rows.get(row.id, [])
    failures = tuple(f"seed {r['seed']} failed: {r.get('reason') or 'no reason recorded'}"
                     for r in records if r["status"] != "done")
    pairs = [(r, result(r, box_source, kind, weights)) for r in records if r["status"] == "done"]
    have = [(r, found) for r, found in pairs if found and found["metrics"].get(metric) is not None]
    if have:
        done = [r for r, _ in have]
        images = [ends for _, e in have if (ends := (e.get("bootstrap") or {}).get(metric))]
        return Measured("done", values=tuple(e["metrics"][metric] for _, e in have),
                        seeds=tuple(r["seed"] for r in done), runs=tuple(map(run_id, done)),
                        stale=bool(stale and any(map(stale, done))), failures=failures,
                        condition="; ".join(sorted({condition(e) for _, e in have})),
                        images=tuple((low, high) for low, high in images) if len(images) == len(have) else ())
    runs = tuple(map(run_id, records))
    if failures and not pairs:
        return Measured("failed", "; ".join(failures), runs=runs, failures=failures)
    if not records:
        return Measured("not run", setting.left_out.get(row.id) or f"no record at {setting.title}")
    boxes = f" with {box_source} boxes" if box_source else ""
    return Measured("not run", f"{metric}{boxes} was not evaluated", runs=runs, failures=failures)


def judge(measured: stats.Estimate, reference: float, tolerance: float) -> Verdict:
    """Interval first: a published value inside it is no contradiction, but says something only if the interval is
    no wider than the tolerance. Outside the interval the distance of the mean decides."""
    close = abs(measured.mean - reference) <= tolerance + 1e-12
    if measured.contains(reference) and not close and (measured.half_width or 0.0) > tolerance:
        width = 100 * (measured.half_width or 0.0)
        return Verdict(UNDECIDED, f"n = {measured.n}: the interval ±{width:.1f} holds the reference but is wider than "
                                  f"the tolerance {100 * tolerance:.1f}")
    return Verdict(WITHIN if close or measured.contains(reference) else OUTSIDE)


def against_paper(experiment: Experiment, records: RecordSet, stale: Stale | None = None) -> list[Comparison]:
    """Every published number of the experiment: metrics per setting and box source, then costs."""
    found = settings(experiment, records)
    rows: list[Comparison] = []
    for row in experiment.rows:
        if row.published is None:
            continue
        comparable = [s for s in found if s.incomparable is None and s.task in (None, row.run.data.task)]
        for metric in row.published.metrics:
            if row.published.split or not comparable:
                rows.append(_no_metric(experiment, row, metric, found))
                continue
            for setting in comparable:
                boxes: Sequence[str | None] = setting.box_sources or [None]
                rows += [_metric(experiment, row, metric, setting, box, stale) for box in boxes]
        rows += _costs(experiment, row, records)
        rows += _built(experiment, row, records)
    return rows


def _metric(experiment: Experiment, row: Row, metric: str, setting: Setting, box: str | None,
            stale: Stale | None) -> Comparison:
    found = measure(setting, row, metric, box, stale=stale)
    reference, tolerance = _published(row, metric), row.tolerance.metric / 100
    if found.status != "done":
        verdict = Verdict(FAILED if found.status == "failed" else NOT_RUN, found.reason)
        return comparison(experiment, row, metric, setting.title, box, reference, tolerance, None, verdict)
    verdict = _unless_misprinted(row, metric, judge(found.estimate, reference, tolerance), 100 * found.estimate.mean)
    if found.stale and not verdict.reason:
        verdict = Verdict(verdict.verdict, "measured by older code")
    made = comparison(experiment, row, metric, setting.title, box, reference, tolerance, found.estimate, verdict,
                      condition=found.condition)
    return replace(made, bootstrap=found.over_images)


def _no_metric(experiment: Experiment, row: Row, metric: str, found: list[Setting]) -> Comparison:
    """No setting is comparable with the paper: the reason is the conditions that were measured instead."""
    assert row.published is not None
    split = f"published on {row.published.split}" if row.published.split else ""
    reasons = [", ".join(filter(None, (s.incomparable, split))) for s in found if row.id in s.rows]
    needed = PAPER_DATA.get(row.run.data.task, "its own data").removesuffix(" 2017")
    verdict = (Verdict(NOT_COMPARABLE, "; ".join(dict.fromkeys(reasons))) if reasons
               else Verdict(NOT_RUN, f"needs {needed}" + (f", {split}" if split else "")))
    return comparison(experiment, row, metric, None, None, _published(row, metric), row.tolerance.metric / 100, None,
                      verdict)


def _published(row: Row, metric: str) -> float:
    assert row.published is not None
    return row.published.metrics[metric] / 100  # type: ignore[index]


def _unless_misprinted(row: Row, quantity: str, verdict: Verdict, ours: float) -> Verdict:
    """A difference from a number that is known to be wrong is no miss; agreement with it stays what it is."""
    assert row.published is not None
    why = row.published.misprints.get(quantity)
    return Verdict(MISPRINT, f"{ours:.1f} ({why})") if why and verdict.verdict == OUTSIDE else verdict


def _costs(experiment: Experiment, row: Row, records: RecordSet) -> Iterator[Comparison]:
    """Parameters and GFLOPs of the paper-size model, counted as the print was; they need no data and always compare."""
    said = row.published
    assert said is not None
    counted: Record = next((c for c in records.costs if c.get("row") == row.id), {})
    for quantity, convention, reference, relative in (
            ("params_m", said.params_by, said.params_m, row.tolerance.params),
            ("gflops", said.gflops_by, said.gflops, row.tolerance.gflops)):
        if reference is None:
            continue
        value, tolerance = counted.get(COUNTED[quantity, convention]), relative * reference
        if value is None:
            verdict, estimate = Verdict(NOT_RUN, "cost not computed"), None
        else:
            # A published 21.6 stands for anything from 21.55 to 21.65, however small the tolerance.
            tolerance, estimate = max(tolerance, 0.05), stats.Estimate(value, 1)
            verdict = _unless_misprinted(row, quantity, judge(estimate, reference, tolerance), value)
        found = comparison(experiment, row, quantity, None, None, reference, tolerance, estimate, verdict)
        yield replace(found, convention=convention)


def _built(experiment: Experiment, row: Row, records: RecordSet) -> Iterator[Comparison]:
    """Printed hyper-parameters beside those of the built network, each number of a list for itself."""
    assert row.published is not None
    ours = next((c for c in records.costs if c.get("row") == row.id), {}).get("table6") or {}
    for name, printed in row.published.built.items():
        for index, (want, have) in enumerate(zip_longest(_listed(printed), _listed(ours.get(name)))):
            if want is None:
                continue
            estimate = None if have is None else stats.Estimate(have, 1)
            verdict = Verdict(NOT_RUN, "cost not computed") if estimate is None else judge(estimate, want, 0.0)
            symbol = f"{name}[{index}]" if isinstance(printed, list) else name
            yield replace(comparison(experiment, row, symbol, None, None, want, 0.0, estimate, verdict),
                          convention=BUILT)


def _listed(value: Any) -> list[float | None]:
    return list(value) if isinstance(value, list) else [value]


def comparison(experiment: Experiment, row: Row, quantity: str, setting: str | None, box: str | None, reference: float,
               tolerance: float, estimate: stats.Estimate | None, verdict: Verdict,
               against: str = "paper", condition: str = "") -> Comparison:
    """One line; quantities that only some have are added by ``replace``."""
    return Comparison(
        experiment=experiment.id, row=row.id, label=row.label, quantity=quantity, setting=setting, box_source=box,
        against=against, reference=reference,
        source=row.published.source if row.published and against == "paper" else against,
        measured=estimate.mean if estimate else None, half_width=estimate.half_width if estimate else None,
        n=estimate.n if estimate else 0, difference=estimate.mean - reference if estimate else None,
        tolerance=tolerance, verdict=verdict.verdict, reason=verdict.reason, condition=condition)
