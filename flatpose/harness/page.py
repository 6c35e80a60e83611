"""Experiment + records -> reports/<id>.md. Pure: equal records give equal bytes, and no clock is read."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Sequence

from flatpose.harness import (
    boxes,
    catalog,
    comparison_tables,
    findings,
    page_notes,
    stats,
    stopwatch,
)
from flatpose.harness.blocks import Block, Shown, markdown
from flatpose.harness.collect import Record, RecordSet, Setting, Stale, orphans, part_of, run_id, settings
from flatpose.harness.compare import against_paper, measure
from flatpose.harness.render import escape
from flatpose.harness.spec import Experiment, at_profile
from flatpose.harness.tables import (
    Table,
    box_name,
    condensed,
    conditions,
    cost_table,
    measured_table,
    weights_table,
)

TRADEOFF = "trade-off"
"""Names the picture that belongs to no setting."""
DIFFERENCES = (0.1, 0.2, 0.3, 0.5, 1.0)
"""In points of the metric; the paper's ablations differ by 0.1 to 1.3."""
ONE_SEED = ("One seed: no interval over seeds. Brackets are the bootstrap over images: how much AP depends on the "
            "images, not on the training, so no difference between rows can be called significant.")


def tables(experiment: Experiment, records: RecordSet, stale: Stale | None = None) -> list[tuple[str, Table]]:
    """Every table of the page with the title of its setting ("" for none): the one source of markdown and CSV."""
    if experiment.picture is not None:
        return []
    made: list[tuple[str, Table | None]] = []
    for setting in settings(experiment, records):
        part = part_of(experiment, setting)
        if experiment.headline == "boxes":
            made.append((setting.title, boxes.table(part, setting, stale)))
        made.append((setting.title, measured_table(part, setting, stale)))
        made.append((setting.title, weights_table(part, setting, stale)))
    made += [("", table) for table in comparison_tables.tables(experiment, against_paper(experiment, records, stale))]
    made.append(("", cost_table(experiment, records)))
    made.append(("", stopwatch.table(experiment, records.latencies)))
    return [(title, table) for title, table in made if table is not None]


def page(experiment: Experiment, records: RecordSet, plots: dict[str, str], stale: Stale | None = None) -> str:
    """The whole page as markdown. ``plots`` maps a setting's title ("" for none) to the file name of its picture."""
    return markdown(blocks(experiment, records, plots, stale))


def blocks(experiment: Experiment, records: RecordSet, plots: dict[str, str], stale: Stale | None = None
           ) -> list[Block]:
    """The page's text and tables in their order, for every renderer."""
    found, made = settings(experiment, records), tables(experiment, records, stale)
    sections: list[Block] = [
        f"# {experiment.id}: {experiment.title}", f"**Question.** {experiment.question}",
        f"**Source.** {experiment.source}", _finding(experiment, records, found), _picture(experiment, plots, ""),
        _tradeoff(plots)]
    for setting in found:
        part, own = part_of(experiment, setting), [t for title, t in made if title == setting.title]
        sections += _setting(part, setting, own, plots)
    whole = [table for title, table in made if not title]
    for table in whole:
        aside = table.id == "unmeasured" and any(t.id == "comparison" for t in whole)
        sections += [Shown(table, folded=True)] if aside else [f"## {table.title}", Shown(table)]
    return [*sections, page_notes.notes(experiment), page_notes.readings(experiment),
            _orphans(orphans(experiment, records)), _reproduce(experiment, found),
            _provenance(experiment, records, found)]


def _tradeoff(plots: dict[str, str]) -> str:
    """Accuracy against cost, over all settings."""
    caption = "The line joins the rows that no other row beats at lower cost. Hollow: as published."
    return f"![Accuracy against cost]({plots[TRADEOFF]})\n\n*{caption}*" if TRADEOFF in plots else ""


def _finding(experiment: Experiment, records: RecordSet, found: Sequence[Setting]) -> str:
    if not found:
        return "**Finding.** Nothing has been measured yet."
    lines = [f"- *{s.title}* ({progress(part, s)}): {findings.finding(part, s)} {findings.detail(part, s)}".strip()
             for s in found for part in (part_of(experiment, s),)]
    against = findings.comparison_finding(against_paper(experiment, records))
    return "\n".join(["**Finding.**", "", *lines, *([f"- *Against the paper*: {against}"] if against else [])])


def progress(experiment: Experiment, setting: Setting) -> str:
    """"11/12 rows, 2–3 seeds, 1 row failed"."""
    done = [sum(r["status"] == "done" for r in records) for records in setting.rows.values()]
    counts = sorted({n for n in done if n})
    seeds = "–".join(str(n) for n in dict.fromkeys((counts[0], counts[-1]))) if counts else "0"
    failed = done.count(0)
    parts = [f"{len(done) - failed}/{len(experiment.rows)} rows", f"{seeds} seed{'s' * (seeds != '1')}"]
    return ", ".join(parts + ([f"{failed} row{'s' * (failed != 1)} failed"] if failed else []))


def _picture(experiment: Experiment, plots: dict[str, str], title: str) -> str:
    if title not in plots:
        return ""
    caption = experiment.figure.caption if experiment.figure else ""
    what = title or "published values"
    return f"![{experiment.title}: {what}]({plots[title]})" + (f"\n\n*{caption}*" if caption else "")


def _setting(experiment: Experiment, setting: Setting, made: Sequence[Table], plots: dict[str, str]) -> list[Block]:
    warning = ""
    if setting.profile == "smoke":
        warning = "> Smoke profile: it only proves that every step runs. Its numbers mean nothing."
    elif setting.incomparable:
        warning = f"> Not comparable with the paper's numbers: {setting.incomparable}."
    conditions_run = "\n".join(f"- {line}" for line in _what_was_run(experiment, setting))
    bodies = [Shown(condensed(t), folded=t.id != experiment.headline) for t in made]
    return [f"## {setting.title}", warning, conditions_run, _picture(experiment, plots, setting.title), *bodies,
            findings.ceiling_finding(experiment, setting), _detectable(experiment, setting), _failures(setting)]


def _what_was_run(experiment: Experiment, setting: Setting) -> list[str]:
    """The conditions of this setting, each said once when it is the same for every run."""
    done = setting.done
    lines = [f"**Profile** `{setting.profile}`: {experiment.profiles[setting.profile].description}"]
    if not done:
        return [*lines, "No run has finished."]
    sizes = _distinct(f"{h}×{w}" for w, h in (r["spec"]["image_size"] for r in done))
    boxes = ", ".join(map(box_name, setting.box_sources)) or "none"
    rules = list(dict.fromkeys(", ".join(c[1:]) for c in conditions(setting)))
    seconds = sorted(s for r in done if (s := (r.get("train") or {}).get("seconds")) is not None)
    time = f"; {statistics.median(seconds):.0f} s of training per run (median)" if seconds else ""
    device = _distinct(str((r.get("provenance") or {}).get("device")) for r in done)
    lines += _networks(stand_ins(experiment, setting.profile))
    return [
        *lines,
        f"**Data** {setting.label}: {_same(done, 'data', 'train_persons')} training persons, "
        f"{_same(done, 'data', 'val_persons')} evaluated in {_same(done, 'data', 'val_images')} images; "
        f"input {sizes} (h×w)",
        _budget(experiment, setting),
        f"**Evaluation** metrics × 100; {_intervals(setting)}; boxes: {boxes}; "
        f"{rules[0] if len(rules) == 1 else 'flip test and score rule: by row, below the table'}",
        f"**Device** {device}, precision {_same(done, 'train', 'precision')} "
        f"({_same(done, 'train', 'precision_reason')}){time}",
        f"**Seeds** {', '.join(map(str, setting.seeds))}",
    ]


def _intervals(setting: Setting) -> str:
    """What stands beside a metric, by the numbers of seeds that occur."""
    counts = {sum(r["status"] == "done" for r in records) for records in setting.rows.values()}
    over_seeds = ["mean over seeds ± half-width of the 95 % t-interval"] if max(counts) > 1 else []
    over_images = any((e.get("bootstrap") or {}) for r in setting.done for e in r["results"]) and 1 in counts
    return "; ".join([*over_seeds, *(["one seed: AP [95 % bootstrap interval over images]"] if over_images else [])]
                     ) or "one seed: no interval"


def stand_ins(experiment: Experiment, profile_name: str) -> list[tuple[str, str]]:
    """(backbone of the paper, backbone at this profile) where they differ, in the order of the rows."""
    profile = experiment.profiles[profile_name]
    runs = [(row.run.model, at_profile(row.run, profile).model) for row in experiment.rows
            if row.id not in profile.left_out]
    pairs = dict.fromkeys((str(getattr(a, "backbone", "")), str(getattr(b, "backbone", ""))) for a, b in runs)
    return [(name, small) for name, small in pairs if name != small]


def _networks(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Each small network with all that it stands for."""
    stands: dict[str, list[str]] = {}
    for name, small in pairs:
        stands.setdefault(small, []).append(name)
    texts = [f"`{small}` stands in for {', '.join(names)}" for small, names in stands.items()]
    return [f"**Network{'s' * (len(texts) > 1)}** {'; '.join(texts)}"] if texts else []


def _budget(experiment: Experiment, setting: Setting) -> str:
    """Epochs x persons for every curve, so that one sees whether the comparison is fair."""
    budgets: dict[str, dict[str, None]] = {}
    for row in experiment.rows:
        for record in (r for r in setting.rows.get(row.id, ()) if r["status"] == "done" and r.get("train")):
            epochs, persons = record["train"]["epochs"], record["data"]["train_persons"]
            text = f"{epochs} epochs × {persons:,} persons = {epochs * persons:,} crops, batch size " \
                   f"{record['train']['effective_batch']}"
            budgets.setdefault(text, {})[row.series or row.label] = None
    if not budgets:
        return "**Training** none"
    if len(budgets) == 1:
        what = "point" if experiment.figure else "row"
        return f"**Training budget** {next(iter(budgets))}: the same for every {what}"
    return "**Training budget** differs: " + "; ".join(f"{', '.join(who)}: {text}" for text, who in budgets.items())


def _same(records: Sequence[Record], part: str, key: str) -> str:
    found = [r[part][key] for r in records if (r.get(part) or {}).get(key) is not None]
    return _distinct(f"{v:,}" if isinstance(v, int) else str(v) for v in found)


def _distinct(values: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(values)) or "not recorded"


def _detectable(experiment: Experiment, setting: Setting) -> str:
    """What difference between two rows so many seeds could show, from the spread of all rows together."""
    box = setting.box_sources[0] if setting.box_sources else None
    found = [measure(setting, row, experiment.metric, box).values for row in experiment.rows]
    samples = [values for values in found if len(values) > 1]
    sd, n = stats.pooled_sd(samples), min((len(s) for s in samples), default=0)
    smallest = None if sd is None else stats.detectable_difference(sd, n)
    if sd is None or smallest is None:
        return ONE_SEED if setting.done else ""
    return (f"Detectable difference: seeds of one row scatter by {100 * sd:.1f} {experiment.metric} (pooled standard "
            f"deviation); with n = {n}, two rows must differ by {100 * smallest:.1f} {experiment.metric} to be told "
            f"apart with 80 % power (two-sample t-test, 5 %). {_seeds_needed(experiment.metric, sd)}{_floor(samples)}")


def _seeds_needed(metric: str, sd: float) -> str:
    """For differences as small as the paper's."""
    needed = [f"{stats.seeds_needed(sd, size / 100)} seeds for {size:.1f}" for size in DIFFERENCES]
    return f"At this scatter a row needs {', '.join(needed)} {metric}."


def _floor(samples: Sequence[Sequence[float]]) -> str:
    """A warning where most networks find next to nothing, and therefore scatter by next to nothing."""
    low = sum(statistics.mean(values) < findings.FLOOR for values in samples)
    if 2 * low <= len(samples):
        return ""
    return (f" But {low} of {len(samples)} such rows lie below {100 * findings.FLOOR:.0f}: at that floor rows differ "
            "little because none finds much, and neither their scatter nor these counts carry over to networks that "
            "work.")


def _failures(setting: Setting) -> str:
    failed = [(row, r) for row, records in setting.rows.items() for r in records if r["status"] != "done"]
    lines = [f"- `{row}`, seed {r['seed']}: {escape(r.get('reason') or 'no reason recorded')} (`{run_id(r)}`)"
             for row, r in failed]
    return "\n".join(["**Failures.**", "", *lines]) if lines else ""


def _orphans(found: Sequence[Record]) -> str:
    head = "Records in the data file that no row of the spec asks for any more; none of them enters a number above."
    lines = [f"- `{run_id(r)}`: {r.get('profile')}, {(r.get('data') or {}).get('label', 'data unknown')}, {r['status']}"
             for r in found]
    return "\n".join(["## Orphaned records", "", head, "", *lines]) if lines else ""


def _reproduce(experiment: Experiment, found: Sequence[Setting]) -> str:
    name = experiment.id if experiment.id in catalog.ids() else f"{experiment.id}.py"
    commands = []
    for s in found:
        root = "" if s.label.startswith("embedded") else " --data-root DIR"
        seeds = ",".join(map(str, s.seeds or experiment.seeds))
        commands.append(f"flatpose-exp run {name} --profile {s.profile}{root} --seeds {seeds}")
    commands = list(dict.fromkeys(commands)) or [f"flatpose-exp run {name}"]
    return "\n".join(["## Reproduce", "", "```bash", *commands, f"flatpose-exp report {name}", "```"])


def _provenance(experiment: Experiment, records: RecordSet, found: Sequence[Setting]) -> str:
    """Which code and machines made the numbers, and the hash of the file they were rendered from."""
    if not records.records and not records.costs:
        return ""
    digest, name = hashlib.sha256(records.dump().encode()).hexdigest()[:16], experiment.id
    groups: dict[str, list[Record]] = {}
    for record in (r for s in found for r in s.records):
        groups.setdefault(origin(record), []).append(record)
    head = (f"Rendered from [data/{name}.json](data/{name}.json) (sha256 {digest}…); every number with the runs behind "
            f"it: [{name}.csv]({name}.csv).")
    lines = [f"- {len(made)} run{'s' * (len(made) != 1)}, {_dates(made)}: {how}" for how, made in groups.items()]
    return "\n".join(["## Provenance", "", head, "", *lines])


def origin(record: Record) -> str:
    """Code, machine and versions of a record, in words."""
    p = record.get("provenance") or {}
    dirty = f" with uncommitted changes `{p['dirty_diff_hash'][:8]}`" if p.get("dirty_diff_hash") else ""
    git = f"git `{str(p['git_sha'])[:10]}`{dirty}" if p.get("git_sha") else "git revision unknown"
    place = ", ".join(str(p[k]) for k in ("device", "cpu", "platform") if p.get(k))
    threads = f"{p['threads']} threads" if p.get("threads") else ""
    versions = ", ".join(f"{k} {v}" for k, v in sorted((p.get("versions") or {}).items()))
    return "; ".join(t for t in (git, place, threads, versions) if t)


def _dates(records: Sequence[Record]) -> str:
    days = sorted({str(r["provenance"]["ended"])[:10] for r in records if (r.get("provenance") or {}).get("ended")})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "date unknown"
