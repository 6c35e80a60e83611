"""Published against measured: numbers side by side, and a verdict on their difference.

A verdict is one of: within tolerance · outside tolerance · print is wrong · undecided · not comparable · not run ·
failed; all but the first two carry a reason. The tolerance, fixed before any run, decides first; outside it
the interval does. Metrics are 0..1 here, as in the records; pages print them x 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from flatpose import benchmarks
from flatpose.harness import frame, record, stats, store
from flatpose.harness.frame import Frames
from flatpose.harness.record import RecordFile
from flatpose.harness.spec import Experiment, Published, Row
from flatpose.io import read_json

WITHIN, OUTSIDE = "within tolerance", "outside tolerance"
NOT_COMPARABLE, NOT_RUN, FAILED = "not comparable", "not run", "failed"
MISPRINT, UNDECIDED = "print is wrong", "undecided"
BUILT = "built"
TOLERANCE, RELATIVE = 0.005, {"params_m": 0.005, "gflops": 0.05}
"""Allowed distance of a metric (0..1) and, as a share of the printed number, of a cost; fixed before any run."""
SAME = ("row", "profile", "data_id", "box_source")
"""Columns that are equal on both sides where metrics of other records are compared."""
COUNTED = {("params_m", "all"): "params_m", ("params_m", "leaf"): "params_leaf_m", ("gflops", "all"): "gflops",
           ("gflops", "hrnet_tool"): "gflops_hrnet_tool"}
"""(Quantity, convention of the print) -> the column of :attr:`Frames.costs` that counts in the same way."""
COLUMNS = ("experiment", "row", "label", "quantity", "setting", "box_source", "against", "reference", "source",
           "measured", "half_width", "n", "difference", "tolerance", "verdict", "reason", "condition", "bootstrap",
           "convention")
"""``reference`` and ``measured``: metrics in 0..1, ``params_m`` in M, ``gflops`` in G. ``half_width``: of the 95 %
t-interval over seeds (of the difference, against other records). ``bootstrap``: of the metric, over images.
``convention``: how a printed cost was counted, BUILT for a hyper-parameter, empty for a metric."""


class Verdict(NamedTuple):
    verdict: str
    reason: str = ""


def compare(experiment: Experiment, root: Path, runs_dir: Path | None = None, *, against: Path | None = None
            ) -> pd.DataFrame:
    """The lines of ``compare ID``; columns :data:`COLUMNS`.

    Args:
        experiment: Its rows are compared.
        root: Holds reports/.
        runs_dir: Runs that are not committed yet.
        against: A runs folder or a file of records to compare with, in place of the paper.

    Raises:
        DataError: ``against`` is missing or damaged.
    """
    name, ours = experiment.id, frame.read(root, runs_dir, [experiment])
    if against is None:
        return against_paper(experiment, ours)
    if against.is_dir():
        theirs = RecordFile(experiment=name, records=frame.latest(experiment, (), store.scan(against)))
    else:
        read_json(against)  # an absent file would count as an empty one
        theirs = record.read_record_file(against, name)
    return against_records(experiment, ours, Frames({name: experiment}, {name: theirs}), str(against))


def to_dicts(found: pd.DataFrame) -> list[dict[str, Any]]:
    """JSON form; the reference is called "published" only when it is the paper's."""
    lines = [{c: None if isinstance(v, float) and math.isnan(v) else v for c, v in line.items()}
             for line in found.astype(object).to_dict("records")]
    return [{"published" if line["against"] == "paper" else "other": line.pop("reference"), **line} for line in lines]


def judge(mean: float, half_width: float | None, n: int, reference: float, tolerance: float) -> Verdict:
    """Within the tolerance, else inside the interval (no contradiction, and no agreement either), else outside."""
    distance = abs(mean - reference)
    if distance <= tolerance + 1e-12:
        return Verdict(WITHIN)
    if half_width is not None and distance <= half_width:
        return Verdict(UNDECIDED, f"n = {n}: the interval ±{100 * half_width:.1f} holds the reference but is wider "
                                  f"than the tolerance {100 * tolerance:.1f}")
    return Verdict(OUTSIDE)


def against_paper(experiment: Experiment, frames: Frames) -> pd.DataFrame:
    """Every published number of the experiment: metrics by condition and box source, then costs and shapes."""
    if experiment.id not in frames.comparisons:
        evidence = frames.of(experiment.id)
        counted = evidence.costs.to_dict("index")
        lines = [line for row in experiment.rows if row.published
                 for line in (*_metrics(row, row.published, evidence.results[evidence.results["row"] == row.id]),
                              *_counts(row, row.published, counted.get(row.id, {})))]
        found = pd.DataFrame(lines, columns=list(COLUMNS))
        frames.comparisons[experiment.id] = found.assign(experiment=experiment.id)
    return frames.comparisons[experiment.id]


def unlike_paper(line: Mapping[str, Any]) -> str:
    """Why a line of the frame says nothing about the paper's metrics; empty when it does."""
    reasons = [] if line["profile"] == "paper" else [f"{line['profile']} profile"]
    if line["data"] != benchmarks.get(line["task"]).label:
        reasons.append("embedded data" if str(line["data"]).startswith("embedded") else line["data"])
    return ", ".join(reasons)


def _metrics(row: Row, said: Published, results: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Each printed metric beside those measured at the paper's scale, or why there are none."""
    split = f"published on {said.split}" if said.split else ""
    trained = results[results["kind"] == "trained"]
    unlike = [", ".join(filter(None, (unlike_paper(line), split))) for line in trained.to_dict("records")]
    comparable = trained[pd.Series(unlike, index=trained.index, dtype=object) == ""]
    missing = _missing(row, comparable, [*dict.fromkeys(unlike)], split)
    for metric, printed in said.metrics.items():
        found = _means(comparable, metric) if len(comparable) else []
        values = {"quantity": metric, "reference": printed / 100, "tolerance": TOLERANCE}
        for m in found:
            verdict = judge(m["measured"], m["half_width"], m["n"], printed / 100, TOLERANCE)
            verdict = _unless_misprinted(said, metric, verdict, 100 * m["measured"])
            if m["stale"] and not verdict.reason:
                verdict = verdict._replace(reason="stale: measured with older numerics")
            yield _line(row, verdict, m | values)
        if not found:
            yield _line(row, missing, values)


def _missing(row: Row, comparable: pd.DataFrame, unlike: Sequence[str], split: str) -> Verdict:
    """Why no measured metric can be compared with the row's published ones."""
    failed = comparable[comparable["status"] == "failed"].drop_duplicates("seed")
    if len(failed):
        return Verdict(FAILED, "; ".join(f"seed {line.seed} failed: {line.reason or 'no reason recorded'}"
                                         for line in failed.itertuples()))
    if len(comparable):
        return Verdict(NOT_RUN, "this metric was not evaluated")
    if unlike:
        return Verdict(NOT_COMPARABLE, "; ".join(unlike))
    needed = benchmarks.get(row.run.data.task).label.removesuffix(" 2017")
    return Verdict(NOT_RUN, ", ".join(filter(None, (f"needs {needed}", split))))


def _means(results: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """Lines of the summary of trained networks, with the columns of a comparison."""
    found = frame.summary(results[results["kind"] == "trained"], metric).to_dict("records")
    return [{**m, "measured": m["mean"], "setting": f"{m['profile']} · {m['data']}",
             "half_width": (m["high"] - m["low"]) / 2 if m["n"] > 1 else None,
             "bootstrap": None if math.isnan(m["image_low"]) else (m["image_low"], m["image_high"])} for m in found]


def _counts(row: Row, said: Published, counted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Costs of the paper-size network, counted as the print was, and hyper-parameters of the built one: no data needed.

    Each number of a printed list is a line.
    """
    # A printed 21.6 stands for anything from 21.55 to 21.65, however small the tolerance.
    cells: list[tuple[str, str, Any, Any, float]] = [
        (quantity, by, printed, counted.get(COUNTED[quantity, by]), max(RELATIVE[quantity] * printed, 0.05))
        for quantity, by, printed in (("params_m", said.params_by, said.params_m),
                                      ("gflops", said.gflops_by, said.gflops)) if printed is not None]
    shape = counted.get("table6") or {}
    for name, printed in said.built.items():
        pairs = zip_longest(*(v if isinstance(v, list) else [v] for v in (printed, shape.get(name))))
        cells += [(f"{name}[{i}]" if isinstance(printed, list) else name, BUILT, want, have, 0.0)
                  for i, (want, have) in enumerate(pairs) if want is not None]
    for quantity, by, printed, value, tolerance in cells:
        verdict = Verdict(NOT_RUN, "cost not computed") if value is None else _unless_misprinted(
            said, quantity, judge(value, None, 1, printed, tolerance), value)
        yield _line(row, verdict, {"quantity": quantity, "reference": printed, "measured": value, "convention": by,
                                   "n": int(value is not None), "tolerance": tolerance})


def _unless_misprinted(said: Published, quantity: str, verdict: Verdict, ours: float) -> Verdict:
    """A difference from a printed number that is known to be wrong does not count as outside tolerance."""
    why = said.misprints.get(quantity)
    return Verdict(MISPRINT, f"{ours:.1f} ({why})") if why and verdict.verdict == OUTSIDE else verdict


def _line(row: Row, verdict: Verdict, values: Mapping[str, Any], against: str = "") -> dict[str, Any]:
    """One line; entries of ``values`` that are not columns are dropped. ``against``: empty for the paper."""
    source = row.published.source if row.published else ""
    line = {"n": 0, "condition": "", "convention": "", **values, "row": row.id, "label": row.label,
            "against": against or "paper", "source": against or source, **verdict._asdict()}
    if line.get("measured") is not None:
        line["difference"] = line["measured"] - line["reference"]
    return {column: line.get(column) for column in COLUMNS}


def against_records(experiment: Experiment, ours: Frames, theirs: Frames, name: str) -> pd.DataFrame:
    """The experiment's metric by condition and box source, then the costs of the paper-size networks.

    A metric is compared with the same row, profile, data and boxes, and judged only when numerics, flip test and score
    rule are the same too. ``name`` is that of the reference as its user knows it (a path).
    """
    own, other, metric = ours.of(experiment.id), theirs.of(experiment.id), experiment.metric
    lines = []
    measured = {tuple(m[k] for k in SAME): m for m in _means(own.results, metric)}
    rows = {row.id: row for row in experiment.rows}
    for reference in _means(other.results, metric):
        row = rows[reference["row"]]
        values = {"quantity": metric, "reference": reference["measured"], "setting": reference["setting"],
                  "box_source": reference["box_source"], "tolerance": TOLERANCE}
        m = measured.get(tuple(reference[k] for k in SAME))
        verdict = Verdict(NOT_RUN, "no record here of this profile, these data and boxes")
        if m is not None:
            half, n, verdict = _pair(metric, own.results, other.results, m, reference)
            values = m | values | {"half_width": half, "n": n}
        lines.append(_line(row, verdict, values, name))
    for row in (r for r in experiment.rows if r.id in own.costs.index and r.id in other.costs.index):
        for quantity, relative in RELATIVE.items():
            a, b = own.costs.at[row.id, quantity], other.costs.at[row.id, quantity]
            lines.append(_line(row, judge(a, None, 1, b, relative * b), {
                "quantity": quantity, "reference": b, "measured": a, "n": 1, "tolerance": relative * b,
                "convention": "all"}, name))
    return pd.DataFrame(lines, columns=list(COLUMNS)).assign(experiment=experiment.id)


def _pair(metric: str, own: pd.DataFrame, other: pd.DataFrame, a: Mapping[str, Any], b: Mapping[str, Any]
          ) -> tuple[float | None, int, Verdict]:
    """Half the interval of the difference by seed of one row and condition, the number of seeds, and the verdict."""
    sides = [results[(results[list(SAME)] == [a[k] for k in SAME]).all(axis=1)] for results in (own, other)]
    gap = stats.paired(*(frame.by_seed(side, metric).get(a["row"], {}) for side in sides))
    verdict = judge(a["measured"], gap.half, gap.n, b["measured"], TOLERANCE)
    if {*sides[0]["numerics"]} != {*sides[1]["numerics"]}:
        verdict = Verdict(NOT_COMPARABLE, "numerics differ")
    elif a["condition"] != b["condition"]:
        verdict = Verdict(NOT_COMPARABLE, "flip test or score rule differs")
    elif gap.half is None and verdict.verdict == OUTSIDE and a["bootstrap"] and b["bootstrap"] and (
            a["bootstrap"][1] >= b["bootstrap"][0] and b["bootstrap"][1] >= a["bootstrap"][0]):
        verdict = Verdict(UNDECIDED, "one common seed: the intervals over images overlap")
    return gap.half, gap.n, verdict
