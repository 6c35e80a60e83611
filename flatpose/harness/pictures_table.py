"""The table beside a picture and the sentences that its numbers write: pure functions of the drawing's record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flatpose.config import to_dict
from flatpose.errors import DataError
from flatpose.harness import pictures, stats
from flatpose.harness.collect import Record, Stale
from flatpose.harness.spec import Experiment, Row, at_profile
from flatpose.harness.tables import Cell, Column, Line, Table

NEEDED = {"tokens": {"hit", "chance", "same", "different"}, "poses": {"oks", "good"},
          "attention": {"focus", "chance", "effective", "adaptive", "moved", "bias", "content"},
          "heatmaps": {"area", "target", "mass", "near", "error"}}
"""What the sentences about each kind of picture speak of."""
NO_VALUE = "this network has no such thing"


def title(drawing: Record) -> str:
    """The condition, as in the titles of settings: "quick · embedded v1 (2000/300 images)"."""
    return f"{drawing['profile']} · {drawing['data']['label']}"


def tables(experiment: Experiment, drawings: Sequence[Record], stale: Stale | None = None) -> list[tuple[str, Table]]:
    """What was measured on many persons, and how good the networks are, with the title of the setting."""
    return [(title(d), made) for d in drawings for made in (_measured(experiment, d, stale), _networks(experiment, d))]


def values(drawing: Record, row: str, part: str, key: str) -> list[float]:
    """One value per seed, in the order of the seeds; empty where the network has no such thing."""
    lines = [line for line in drawing["lines"] if (line["row"], line["part"]) == (row, part)]
    found = [line["values"][key] for line in sorted(lines, key=lambda line: line["seed"])]
    return [v for v in found if v is not None]


def _measured(experiment: Experiment, drawing: Record, stale: Stale | None) -> Table:
    columns = tuple(Column(m["key"], m["title"] + (f", {m['unit']}" if m["unit"] else ""), m["unit"], m["decimals"],
                           m["direction"]) for m in drawing["measures"])
    lines = []
    for row in experiment.rows:
        parts = dict.fromkeys(line["part"] for line in drawing["lines"] if line["row"] == row.id)
        old = stale is not None and _old(experiment, row, drawing, stale)
        runs = tuple(_run_id(n) for n in drawing["networks"] if n["row"] == row.id)
        for part in parts:
            cells = tuple(_cell(values(drawing, row.id, part, c.key), c, runs, old) for c in columns)
            lines.append(Line(f"{row.id} {part}".strip(), ", ".join(filter(None, (row.label, part))), cells))
    return Table("measured", f"Measured on {drawing['measured_on']} persons", columns, tuple(lines))


def _cell(found: Sequence[float], column: Column, runs: tuple[str, ...], old: bool) -> Cell:
    if not found:
        return Cell(None, "—", "empty", NO_VALUE, runs)
    made = stats.estimate(found)
    width = ""
    if made.half_width is not None and max(found) > min(found):
        width = f" ± {made.half_width:.{column.decimals}f}"
    return Cell(made.mean, f"{made.mean:.{column.decimals}f}{width}", "stale" if old else "done", "", runs,
                made.half_width, made.n)


def _old(experiment: Experiment, row: Row, drawing: Record, stale: Stale) -> bool:
    """Whether the code that drew, or that trained this row's networks, is not today's."""
    assert experiment.picture is not None
    spec = to_dict(at_profile(row.run, experiment.profiles[drawing["profile"]], source=drawing["data"]["source"]))
    return drawing["code_hash"] != pictures.code_hash(experiment.picture.kind) or any(
        stale({**network, "spec": spec}) for network in drawing["networks"] if network["row"] == row.id)


def _networks(experiment: Experiment, drawing: Record) -> Table:
    """AP of the networks that were drawn: a picture of bad networks must say so."""
    columns = (Column("AP", "AP, GT boxes, flip test", "x 100", direction="higher"),
               Column("seeds", "seeds", decimals=0), Column("runs", "runs", numeric=False))
    lines = []
    for row in experiment.rows:
        own = [n for n in drawing["networks"] if n["row"] == row.id]
        if own:
            runs = tuple(map(_run_id, own))
            scores = [100 * n["metrics"]["AP"] for n in own if "AP" in n["metrics"]]
            cells = (_cell(scores, columns[0], runs, False), Cell(len(own), str(len(own)), run_ids=runs),
                     Cell(runs[0], ", ".join(f"`{r}`" for r in dict.fromkeys(r.split("/")[0] for r in runs))))
            lines.append(Line(row.id, row.label, cells))
    return Table("networks", "The networks", columns, tuple(lines))


def _run_id(network: Record) -> str:
    return f"{network['spec_hash']}/seed{network['seed']}/{network['data_id']}"


def findings(experiment: Experiment, drawings: Sequence[Record]) -> list[str]:
    """What the table says, in sentences; the first one is the index's."""
    assert experiment.picture is not None
    say: dict[str, Callable[[Experiment, Record], list[str]]] = {
        "tokens": _tokens, "attention": _attention, "heatmaps": _heatmaps, "poses": _poses}
    kind = experiment.picture.kind
    for drawing in drawings:
        missing = NEEDED[kind] - {measure["key"] for measure in drawing["measures"]}
        if missing:
            raise DataError(f"the drawing of {experiment.id} lacks {', '.join(sorted(missing))}: "
                            "older code measured it", hint=f"flatpose-exp run {experiment.id} draws it anew")
    return [text for drawing in drawings for text in say[kind](experiment, drawing)]


def _parts(experiment: Experiment, drawing: Record) -> list[tuple[Row, str]]:
    return [(row, part) for row in experiment.rows
            for part in dict.fromkeys(line["part"] for line in drawing["lines"] if line["row"] == row.id)]


def _mean(drawing: Record, row: Row, part: str, key: str) -> float:
    found = values(drawing, row.id, part, key)
    return stats.estimate(found).mean if found else float("nan")


def accuracy(drawing: Record) -> str:
    """How good the networks are at all: the condition of every sentence."""
    scores = [100 * n["metrics"]["AP"] for n in drawing["networks"] if "AP" in n["metrics"]]
    return f"networks of {min(scores):.1f} to {max(scores):.1f} AP" if scores else "networks of unknown AP"


def _range(drawing: Record, row: Row, parts: Sequence[str], key: str, digits: int = 0) -> str:
    """"30 to 49": over the parts of a network, each the mean over its seeds."""
    found = [f"{_mean(drawing, row, part, key):.{digits}f}" for part in parts]
    low, high = min(found, key=float), max(found, key=float)
    return low if low == high else f"{low} to {high}"


def _by_row(experiment: Experiment, drawing: Record) -> dict[str, tuple[Row, list[str]]]:
    """Rows that were measured, with their parts."""
    found: dict[str, tuple[Row, list[str]]] = {}
    for row, part in _parts(experiment, drawing):
        found.setdefault(row.id, (row, []))[1].append(part)
    return found


def _tokens(experiment: Experiment, drawing: Record) -> list[str]:
    """Is the selection about keypoints, and about the person?"""
    sides = [_beyond_chance(drawing, row, part) for row, part in _parts(experiment, drawing)]
    head = (f"In {sides.count(1)} of {len(sides)} iterations selected tokens hold keypoints more often than chance, "
            f"in {sides.count(-1)} less often, in {sides.count(0)} no difference exceeds its interval over seeds "
            f"({accuracy(drawing)}).")
    if None in sides:
        head = f"One seed: no interval, so that nothing can be told from chance ({accuracy(drawing)})."
    out = []
    for row, parts in _by_row(experiment, drawing).values():
        hit, chance, same, different = (_range(drawing, row, parts, k) for k in ("hit", "chance", "same", "different"))
        out.append(f"{row.label}: {hit} % of the selected tokens hold a labelled keypoint, of all tokens {chance} %. "
                   f"Over {drawing['measured_on']} persons there are {different} different selections; {same} % of "
                   "the persons have the commonest.")
    return [head, *out]


def _beyond_chance(drawing: Record, row: Row, part: str) -> int | None:
    """1 or -1 where selected tokens hold more or fewer keypoints than chance, by the interval; None for one seed."""
    hits, chances = (values(drawing, row.id, part, key) for key in ("hit", "chance"))
    made = stats.estimate([a - b for a, b in zip(hits, chances, strict=True)])
    if made.half_width is None:
        return None
    return 0 if abs(made.mean) <= made.half_width else 1 if made.mean > 0 else -1


def _attention(experiment: Experiment, drawing: Record) -> list[str]:
    """Per network: is attention on the body, how sharp is it, and what does the bias do?"""
    biased, plain = [], []
    for row, parts in _by_row(experiment, drawing).values():

        def said(key: str, digits: int = 0, row: Row = row, parts: list[str] = parts) -> str:
            return _range(drawing, row, parts, key, digits)

        plain.append(f"{row.label}: {said('focus')} % of the attention is on tokens that hold a keypoint, which are "
                     f"{said('chance')} % of all tokens; it spreads over {said('effective', 1)} tokens, and "
                     f"{said('adaptive')} % of its variance is between persons.")
        if values(drawing, row.id, parts[0], "moved"):
            biased.append(f"{row.label}: the ICA bias moves {said('moved', 1)} % of the attention; over keys it "
                          f"deviates by {said('bias', 3)}, the content scores by {said('content', 3)} "
                          f"({accuracy(drawing)}).")
    return [*biased, *plain]


def _heatmaps(experiment: Experiment, drawing: Record) -> list[str]:
    """The ends of every curve: how clear the peak is (what appendix A shows), and whether it is in place."""
    sharp, right = [], []
    for series in dict.fromkeys(row.series for row in experiment.rows):
        rows = sorted((r for r in experiment.rows if r.series == series), key=lambda r: r.x or 0.0)
        rows = [r for r in rows if values(drawing, r.id, "", "area")]
        if rows:
            ends = (rows[0], rows[-1]) if len(rows) > 1 else (rows[0],)

            def said(key: str, digits: int, ends: tuple[Row, ...] = ends) -> str:
                return " → ".join(f"{_mean(drawing, r, '', key):.{digits}f}" for r in ends)

            name = f"{series}, stride {' → '.join(f'{r.x:g}' for r in ends)}"
            sharp.append(f"{name}: {said('area', 1)} % (its training target: {said('target', 1)} %)")
            right.append(f"{name}: {said('near', 0)} % (median error {said('error', 1)} px; {said('mass', 0)} % of the "
                         "map's mass)")
    if not sharp:
        return []
    return [f"Area above half the peak: {'; '.join(sharp)} ({accuracy(drawing)}).",
            f"Keypoints decoded near the truth: {'; '.join(right)}."]


def _poses(experiment: Experiment, drawing: Record) -> list[str]:
    """Best and first system, and how good the best ones are at all."""
    rows = [r for r in experiment.rows if values(drawing, r.id, "", "oks")]
    ranked = sorted(rows, key=lambda r: -_mean(drawing, r, "", "oks"))
    if not ranked:
        return []
    order = ", ".join(f"{r.label} {_mean(drawing, r, '', 'oks'):.2f}" for r in ranked)
    if drawing["profile"] != "quick":
        return [f"Mean OKS: {order}."]
    good = max(_mean(drawing, r, "", "good") for r in rows)
    return [f"Mean OKS: {order}. The best system has {good:.1f} % of the persons at OKS ≥ 0.75: these are "
            f"{accuracy(drawing)} after a minute of training, and their order says nothing about the systems of "
            "Table 2."]

