from __future__ import annotations

import json

import pytest
from fake_runs import Cli

from flatpose.harness import identity
from flatpose.harness.identity import equivalents
from flatpose.harness.verify import Verdict, accept


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    made = Cli(tmp_path, monkeypatch, capsys)
    made.run()
    return made


def edit(cli: Cli, change) -> None:
    """Change the record of the run of one epoch."""
    path = cli.folder(1) / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def verify(cli: Cli, *arguments: str):
    return cli("verify", cli.spec, "--data-root", str(cli.data), *arguments)


def test_equal_runs_are_told_and_change_nothing(cli):
    answer = verify(cli, "--all", "--json")
    assert answer.code == 0 and len(answer.json) == 3 and all(v["equal"] for v in answer.json)
    assert cli.calls[3:] == ["1 0", "2 0", "3 0"] or sorted(cli.calls[3:]) == ["1 0", "2 0", "3 0"]
    assert len(verify(cli, "--json").json) == 1, "one run stands for each way through the code"
    assert not (cli.root / "reports" / "data" / "verified.json").exists()


def test_a_wrong_number_in_a_record_is_named(cli):
    edit(cli, lambda record: record["results"][0]["metrics"].update(AP=0.51))
    answer = verify(cli, "--all", "--json")
    wrong = [v for v in answer.json if not v["equal"]]
    assert answer.code == 1 and [v["differences"] for v in wrong] == [{"AP, trained ema gt": [0.51, 0.5]}]


def test_code_that_gives_the_same_numbers_keeps_a_record_current(cli):
    edit(cli, lambda record: record.update(code_hash="old"))
    assert cli.states()["one"][0] == "stale"
    assert "code old and" in verify(cli).out
    assert cli.states()["one"][0] == "done"


def test_code_that_does_not_leaves_it_stale(cli):
    edit(cli, lambda record: (record.update(code_hash="old"), record["train"].update(loss_last=0.25)))
    assert verify(cli).code == 1 and cli.states()["one"][0] == "stale"


def test_nothing_to_verify(cli):
    answer = verify(cli, "--seed", "7")
    assert answer.code == 2 and "no finished records of seed 7" in answer.err


def test_several_codes_are_accepted_at_once(tmp_path):
    """Each finding is kept; none takes the place of another, and a codec that differs does not spoil the others."""
    (tmp_path / "data").mkdir()
    pairs = (("a", "x", "simcc"), ("b", "x", "simcc"), ("c", "y", "heatmap"))
    verdicts = [Verdict(f"{old}/seed0/d", "baseline", codec, old, new, {}) for old, new, codec in pairs]
    accept([*verdicts, Verdict("a/seed0/e", "baseline", "heatmap", "a", "x", {"AP": (0.1, 0.2)})], tmp_path)
    found = {(pair["code"], pair["same_as"], *pair["codecs"]) for pair in equivalents(tmp_path)}
    assert found == set(pairs)


def test_a_chain_joins_codes_in_both_directions(tmp_path, monkeypatch):
    monkeypatch.setattr(identity.sites, "root", lambda: tmp_path)
    (tmp_path / "reports" / "data").mkdir(parents=True)
    accept([Verdict("r/seed0/d", "baseline", "simcc", old, new, {}) for old, new in (("a", "b"), ("a", "c"))],
           tmp_path / "reports")
    assert identity.same_code("b", "c", "simcc") and identity.same_code("c", "a", "simcc")
    assert not identity.same_code("b", "c", "heatmap") and not identity.same_code("b", "d", "simcc")
