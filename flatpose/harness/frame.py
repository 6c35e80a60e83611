"""Every record as one line of one pandas DataFrame: the source of every table, plot, claim, comparison and CSV file.

A record carries no experiment or row. It belongs to a row when its ``spec_hash`` is that of the row's run at one of the
experiment's profiles, with the data from either source; rows with the same run share its record, and a row that
was edited no longer matches its old ones. Records come from ``reports/data/*.json`` of all experiments and from runs/.

``Frames.results`` has one line per experiment, row, seed, profile, data, kind, weights and box source, with
:data:`COLUMNS`. A failed run has one line, with ``reason`` and without metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from flatpose import benchmarks
from flatpose.config.run import spec_hash
from flatpose.harness import catalog, record, stats, store
from flatpose.harness.record import Record, RecordFile, Result
from flatpose.harness.spec import Experiment, Row, at_profile, for_weights
from flatpose.io import read_json

Setting = tuple[str, str]
"""(profile, data_id): the scale and the data on which rows were trained."""
FLOOR = 0.01
"""Below 1 AP a network finds next to nothing, and the order of such networks means nothing."""
SCALES = ("smoke", "quick", "coco_mini", "synth", "paper")
"""Profiles by scale."""
OF_ROW = ("experiment", "row", "label", "group", "series", "x")
OF_RESULT = ("kind", "weights", "box_source", "flip_test", "score_rule", "images", "predictions")
OF_TRAINING = ("epochs", "steps", "images_per_s", "ema_decay", "lr", "effective_batch")
COLUMNS = (
    *OF_ROW,
    "profile", "data_id", "data", "task", "source",  # data: its label; different data of one label get their id
    "seed", "spec_hash", "run_id", "status", "reason", "stale", "numerics",
    *OF_RESULT,  # kind: trained | ceiling | checkpoint; weights: ema | raw | None
    "condition",  # boxes, flip test and score rule in words
    "AP", "AP_low", "AP_high",  # in 0..1; 95 % bootstrap over images; other metrics follow where a record has them
    "params_m", "gflops", "input_h", "input_w",  # of the network that ran
    "epochs", "steps", "train_persons", "val_persons", "train_s", "images_per_s", "ema_decay", "lr", "effective_batch",
    "ended", "seconds", "git_sha", "device", "file")  # file: of a checkpoint
COUNTS = ("params_m", "params_leaf_m", "gflops", "gflops_executed", "gflops_torch", "gflops_hrnet_tool", "table6")
SAID = ("params_m", "gflops", "params_by", "gflops_by")


@dataclass(frozen=True)
class Frames:
    """Experiments with their records, and the DataFrames made from them (each computed once)."""

    experiments: Mapping[str, Experiment]
    files: Mapping[str, RecordFile]
    """By experiment id; the content of reports/data/<id>.json."""
    comparisons: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Cache of :func:`flatpose.harness.compare.against_paper`."""

    @cached_property
    def results(self) -> pd.DataFrame:
        """One line per result; :data:`COLUMNS`, then the metrics beside AP."""
        lines = [line for name, e in self.experiments.items() for line in _result_lines(e, self.files[name].records)]
        found = pd.DataFrame(lines)
        found = found.reindex(columns=[*COLUMNS, *(c for c in found.columns if c not in COLUMNS)])
        return found.assign(data=_distinct_labels(found)).astype({"seed": "Int64"}).reset_index(drop=True)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Counts of the networks of the paper's size beside the printed ones, one line per row that was counted."""
        columns = ["experiment", "row", "label", "input_h", "input_w", *COUNTS, "published_params_m",
                   "published_gflops", "params_by", "gflops_by"]
        lines = []
        for name, experiment in self.experiments.items():
            counted = {c.row: c for c in self.files[name].costs}
            for row in (r for r in experiment.rows if r.id in counted):
                counts = [getattr(counted[row.id], c) for c in COUNTS]
                said = [getattr(row.published, c) for c in SAID] if row.published else [None, None, "all", "all"]
                lines.append([name, row.id, row.label, *counted[row.id].input_hw, *counts, *said])
        return pd.DataFrame(lines, columns=columns)

    @cached_property
    def latencies(self) -> pd.DataFrame:
        """``experiment, row`` and the fields of :class:`flatpose.harness.record.LatencyRow`."""
        lines = [{"experiment": name, **timed.model_dump()} for name in self.experiments
                 for timed in self.files[name].latencies]
        return pd.DataFrame(lines, columns=["experiment", *record.LatencyRow.model_fields])

    def of(self, name: str) -> Evidence:
        """The part of one experiment."""
        tables = (self.results, self.costs.set_index("row"), self.latencies)
        return Evidence(self.experiments[name], *(table[table["experiment"] == name] for table in tables))


@dataclass(frozen=True)
class Evidence:
    """What the frames have of one experiment; ``costs`` has the rows' ids as its index."""

    experiment: Experiment
    results: pd.DataFrame
    costs: pd.DataFrame
    latencies: pd.DataFrame

    def settings(self, task: str) -> list[Setting]:
        """The settings in which rows of a benchmark were trained, the best evidence first.

        Best is the largest scale at which more than half of the rows are done with two seeds (at the paper's scale with
        one), since one seed gives no difference between rows; where there is none, the largest with one seed; then the
        one with the most rows. Of two data sets at one scale the one with more runs comes first. Verdicts never enter
        the choice.
        """
        trained = self.results[(self.results["kind"] == "trained") & (self.results["task"] == task)]
        half = sum(row.run.data.task == task for row in self.experiment.rows) / 2

        def rank(setting: Setting) -> tuple[int, ...]:
            lines = trained[(trained["profile"] == setting[0]) & (trained["data_id"] == setting[1])]
            done, size = lines[lines["status"] == "done"], scale(setting[0])
            seeds = done.groupby("row")["seed"].nunique()
            decided = (seeds >= (1 if setting[0] == "paper" else 2)).sum()
            return (size if decided > half else -1, size if len(seeds) > half else -1, len(seeds), size,
                    done["run_id"].nunique())

        return sorted(trained.groupby(["profile", "data_id"]).groups, key=rank, reverse=True)

    @cached_property
    def best(self) -> list[Setting]:
        """The best evidence of every benchmark that has any."""
        tasks = dict.fromkeys(row.run.data.task for row in self.experiment.rows)
        return [found[0] for task in tasks if (found := self.settings(task))]

    def under(self, *settings: Setting) -> pd.DataFrame:
        """The lines of these settings, setting by setting."""
        results = self.results
        return pd.concat([results.iloc[:0], *(results[(results["profile"] == profile) & (results["data_id"] == data_id)]
                                              for profile, data_id in dict.fromkeys(settings))])


def read(root: Path, runs_dir: Path | None = None, experiments: Sequence[Experiment] | None = None) -> Frames:
    """Experiments and their records.

    Args:
        root: Holds reports/. Records are looked for in the files of all experiments, which share runs.
        runs_dir: Finished runs that are not committed yet; None reads the committed records only.
        experiments: None stands for all that come with the program.

    Raises:
        DataError: A file of records is damaged, or of another schema.
    """
    experiments = experiments or [catalog.load(i) for i in catalog.ids()]
    data = root / "reports" / "data"
    committed = {p.stem: record.read_record_file(p, p.stem) for p in sorted(data.glob("*.json")) if _holds_records(p)}
    pool = [r for file in committed.values() for r in file.records] + (store.scan(runs_dir) if runs_dir else [])
    files = {}
    for e in experiments:
        own = committed.get(e.id, RecordFile(experiment=e.id))
        files[e.id] = own.model_copy(update={"records": latest(e, own.records, pool), **_counted(e, own, runs_dir)})
    return Frames({e.id: e for e in experiments}, files)


def wanted(experiment: Experiment) -> dict[str, list[tuple[Row, str]]]:
    """spec_hash -> the (row, profile name) pairs that have it."""
    rows: dict[str, list[tuple[Row, str]]] = {}
    for name, profile in experiment.profiles.items():
        for row in (r for r in experiment.rows if r.id not in profile.left_out):
            for key in {spec_hash(at_profile(row.run, profile, source=s)) for s in ("embedded", "disk")}:
                rows.setdefault(key, []).append((row, name))
    return rows


def scale(profile: str) -> int:
    """The rank of a profile among :data:`SCALES`; one of another name counts as ``quick``."""
    return SCALES.index(profile if profile in SCALES else "quick")


def main_metric(experiment: Experiment, task: str) -> str:
    """The experiment's metric where the benchmark has it, else the benchmark's main metric."""
    return benchmarks.get(task).metric(experiment.metric)


def summary(results: pd.DataFrame, metric: str = "AP") -> pd.DataFrame:
    """Mean over seeds of the finished lines of ``results``, by experiment, row, profile, data, kind and box source.

    Averaged (EMA) weights are taken where a run has them, else the raw ones; the two are never mixed within a run.

    Returns:
        The row's and data's columns, then ``mean, n`` (seeds), ``low, high`` (95 % t-interval over seeds; over images
        for one seed; NaN without either), ``image_low, image_high`` (bootstrap, ends averaged over seeds), ``stale``
        and ``condition`` (boxes, flip test and score rule).
    """
    found = results[results["status"] == "done"]
    found = found.dropna(subset=[metric]) if metric in found else found.iloc[:0]
    run = [found[c] for c in ("experiment", "row", "profile", "run_id", "kind", "box_source")]
    averaged = found["weights"] == "ema"
    found = found[averaged | ~averaged.groupby(run).transform("any")]
    missing = pd.Series(index=found.index, dtype=float)
    ends = {f"image_{end}": found.get(f"{metric}_{end}", missing) for end in ("low", "high")}
    made = found.assign(value=found.get(metric, missing), **ends).groupby(
        [*OF_ROW, "profile", "data_id", "data", "task", "kind", "box_source"], sort=False, dropna=False).agg(
        mean=("value", "mean"), n=("run_id", "nunique"), image_low=("image_low", "mean"),
        image_high=("image_high", "mean"), stale=("stale", "any"), condition=("condition", "unique"),
        values=("value", tuple)).reset_index()
    intervals = [stats.interval(line.values) or (line.image_low, line.image_high) for line in made.itertuples()]
    made["low"], made["high"] = [i[0] for i in intervals], [i[1] for i in intervals]
    return made.assign(condition=made["condition"].map("; ".join)).drop(columns="values")


def by_seed(results: pd.DataFrame, metric: str = "AP") -> dict[str, dict[int, float]]:
    """Row -> seed -> metric, for :func:`flatpose.harness.stats.paired`; ``results`` of one condition and box source."""
    found: dict[str, dict[int, float]] = {}
    done = results[(results["status"] == "done") & (results["kind"] == "trained")]
    if metric not in done:
        return {}
    for row, seed, value in zip(done["row"], done["seed"], done[metric], strict=True):  # EMA before raw
        if pd.notna(value):
            found.setdefault(row, {}).setdefault(int(seed), float(value))
    return found


def gaps(experiment: Experiment, results: pd.DataFrame, metric: str) -> dict[str, stats.Difference]:
    """Row -> its paired difference from the reference row; without rows that share the reference's run."""
    seeds = by_seed(results, metric)
    base = seeds.get(experiment.reference or "")
    return {row: stats.paired(own, base) for row, own in seeds.items() if own != base} if base else {}


def box_name(source: str) -> str:
    """"gt" -> "ground-truth boxes", "det:person.json" -> "detector boxes (person.json)"."""
    return "ground-truth boxes" if source == "gt" else f"detector boxes ({source.partition(':')[2]})"


def _holds_records(path: Path) -> bool:
    """Whether a file of reports/data is of an experiment: studies ("rows") and pictures ("sha256") are there too."""
    value = read_json(path)
    return not (isinstance(value, dict) and {"rows", "sha256"} & value.keys())


def latest(experiment: Experiment, own: Iterable[Record], pool: Iterable[Record]) -> tuple[Record, ...]:
    """The experiment's records from a pool; of two with one key the one that ended later.

    Its own committed records stay, even where no row has them any more. Smoke records only show that every step
    works: they are kept only where there is nothing else.
    """
    keys = {*wanted(experiment), *_checkpoint_keys(experiment)}
    found = {r.key: r for r in own}
    for r in pool:
        old = found.get(r.key)
        if r.spec_hash in keys and (old is None or r.provenance.ended >= old.provenance.ended):
            found[r.key] = r
    measuring = [r for r in found.values() if r.profile != "smoke"]
    return tuple(sorted(measuring or found.values(), key=lambda r: r.key))


def _checkpoint_keys(experiment: Experiment) -> dict[str, list[tuple[Row, str]]]:
    """As :func:`wanted`, for networks of the row's own size whose weights come from a file."""
    keys: dict[str, list[tuple[Row, str]]] = {}
    for row in experiment.rows:
        for source in ("disk", "embedded"):
            keys.setdefault(spec_hash(for_weights(experiment, row.run, source)), []).append((row, "paper"))
    return keys


def _counted(experiment: Experiment, own: RecordFile, runs_dir: Path | None) -> dict[str, Any]:
    """Costs and latencies of the experiment's rows: the committed ones, then those of runs/costs/<id>.json."""
    if runs_dir:
        here = record.read_record_file(runs_dir / "costs" / f"{experiment.id}.json", experiment.id)
        own = own.adding(here.costs, here.latencies)
    rows = {row.id for row in experiment.rows}
    return {name: tuple(x for x in getattr(own, name) if x.row in rows) for name in ("costs", "latencies")}


def _result_lines(experiment: Experiment, records: Iterable[Record]) -> list[dict[str, Any]]:
    """One dict per line of the frame, ordered by profile, data, row, seed, kind, weights and box source."""
    trained, files = wanted(experiment), _checkpoint_keys(experiment)
    order = {row.id: i for i, row in enumerate(experiment.rows)}
    profiles = [experiment.default_profile, *(p for p in experiment.profiles if p != experiment.default_profile)]
    lines = [_line(experiment, row, profile, r, result) for r in records
             for row, profile in (files if r.checkpoint else trained).get(r.spec_hash, ())
             for result in (r.results or (None,))]
    return sorted(lines, key=lambda line: (
        line["kind"] == "checkpoint", profiles.index(line["profile"]) if line["profile"] in profiles else -1,
        line["source"] != "embedded", str(line["data"]), line["data_id"], order[line["row"]], line["run_id"],
        line["kind"] != "trained", line["weights"] != "ema", line["box_source"] != "gt", str(line["box_source"])))


def _line(experiment: Experiment, row: Row, profile: str, r: Record, result: Result | None) -> dict[str, Any]:
    train, cost, data = r.train, r.cost, r.data
    width, height = r.spec["image_size"]
    line: dict[str, Any] = {
        **{name: getattr(row, name) for name in OF_ROW[2:]}, "experiment": experiment.id, "row": row.id,
        **{name: getattr(r, name) for name in ("data_id", "seed", "spec_hash", "run_id", "status", "reason", "stale",
                                               "numerics")},
        **{name: getattr(r.provenance, name) for name in ("ended", "seconds", "git_sha", "device")},
        "profile": profile, "data": data and data.label, "task": row.run.data.task,
        "source": data.source if data else r.spec["data"]["source"],
        "kind": "checkpoint" if r.checkpoint else "trained", "weights": None, "box_source": None,
        "params_m": cost and cost.params_m, "gflops": cost and cost.gflops, "input_h": height, "input_w": width,
        "train_persons": data and data.train_persons, "val_persons": data and data.val_persons,
        "file": r.checkpoint and r.checkpoint.file}
    if train:
        line |= {name: getattr(train, name) for name in OF_TRAINING} | {"train_s": train.seconds}
    if result:
        line |= {name: getattr(result, name) for name in OF_RESULT} | result.metrics
        flip = "with" if result.flip_test else "without"
        line["condition"] = ("ground truth encoded and decoded, no network" if result.kind == "ceiling" else
                             f"{box_name(result.box_source)}, {flip} flip test, {result.score_rule}")
        line |= {f"{metric}_{end}": value for metric, ends in result.bootstrap.items()
                 for end, value in zip(("low", "high"), ends, strict=True)}
    return line


def _distinct_labels(found: pd.DataFrame) -> list[str]:
    """The label of each line's data, a failed run's from another of its setting; data of one label get their id too."""
    known = found.dropna(subset=["data"])
    others = known.drop_duplicates(["profile", "data_id"]).set_index(["profile", "data_id"])["data"].to_dict()
    ids = known.groupby("data")["data_id"].nunique()
    labels = []
    for own, profile, data_id in zip(found["data"], found["profile"], found["data_id"], strict=True):
        label = own if pd.notna(own) else others.get((profile, data_id), "data")
        labels.append(label if ids.get(label, 2) == 1 else f"{label} {data_id[:8]}")
    return labels
