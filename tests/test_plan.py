"""``plan``: what starts, and how long it will take."""

from __future__ import annotations

from types import SimpleNamespace

from fake_runs import SPEC, Cli

from flatpose import parallel
from flatpose.harness import catalog, plan, provenance


def minutes(cli: Cli, *arguments: str) -> tuple[float | None, bool]:
    made = cli("plan", cli.spec, "--json", *arguments).json
    return made["minutes_per_run"], made["measured"]


def test_durations_are_measured_on_this_kind_of_machine_or_the_profiles(cli):
    assert minutes(cli) == (2.0, False)
    cli.run("--row", "one")
    seconds = {"seconds": 300.0, "ended": "2026-01-01"}
    cli.edit(1, provenance={**seconds, "cpu": provenance.cpu()})
    assert minutes(cli) == (5.0, True)
    cli.edit(1, provenance={**seconds, "cpu": "another"})
    assert minutes(cli) == (2.0, False)


def test_runs_side_by_side_take_less_and_nothing_is_unknown(cli, monkeypatch):
    monkeypatch.setattr(provenance, "has_gpu", lambda: False)
    assert "3 of 3 runs start; about 4 min" in cli("plan", cli.spec, "--jobs", "2").out
    assert "3 of 3 runs start; about 2 min" in cli("plan", cli.spec, "--jobs", "9").out
    other = cli("plan", cli.write("other.py", SPEC.replace(", minutes_per_run=2.0", ""))).out
    assert "measured here: 1 min each" in other and "unknown" not in other


def test_gpu_hours_are_planned_where_there_is_no_gpu(cli, monkeypatch):
    monkeypatch.setattr(provenance, "has_gpu", lambda: False)
    cli.spec = cli.write("big.py", SPEC.replace("gpu=True", "gpu=True, minutes_per_run=120"))
    assert cli("plan", cli.spec, "--profile", "big", "--json").json["due"] == 0
    assert cli("plan", cli.spec, "--profile", "big", "--launcher", "slurm", "--json").json["gpu_hours"] == 6.0
    assert cli("plan", cli.spec, "--json").json["gpu_hours"] is None


def test_jobs(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    monkeypatch.setattr(provenance, "has_gpu", lambda: False)

    def of(due: int, minutes: float | None = 2.0, asked: int | None = None) -> int:
        return plan.side_by_side(SimpleNamespace(due=range(due), minutes_per_run=minutes, elsewhere=False), asked)

    assert [of(due) for due in (0, 1, 3, 9)] == [1, 1, 3, 4]
    assert of(9, asked=2) == 2 and of(9, asked=6) == 6 and of(3, asked=6) == 3
    assert of(9, minutes=0.05) == 1 and of(9, minutes=0.05, asked=2) == 2 and of(9, minutes=None) == 4
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert of(9) == of(9, asked=2) == 1
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setattr(provenance, "has_gpu", lambda: True)
    assert of(9) == 1


def test_a_damaged_owner_file_does_not_matter(cli):
    cli.run(fake="2=fail")
    for content in ("", "[]", '{"pid": []}'):
        (cli.folder(2) / "owner.json").write_text(content)
        assert cli.states()["two"] == ("failed", False)


def test_rows_that_differ_in_decoding_alone_count_as_one_training(cli):
    made = cli("plan", "why", "--seeds", "0", "--json").json
    assert made["due"] == 67 and "36 of them train" in cli("plan", "why", "--seeds", "0").out


def test_a_users_spec_that_no_longer_loads_is_named_and_left_out(cli):
    cli.run("--row", "one")
    spec = cli.write("broken.py", SPEC.replace('id="tiny"', 'id="broken"'))
    cli("run", spec, "--row", "one", "--no-report")
    cli.write("broken.py", "EXPERIMENT = (")
    catalog._from_file.cache_clear()  # another process would read the file anew
    found = cli("status")
    assert found.code == 0 and "broken.py" in found.err and "tiny" in found.out
