"""docs/reliability.md names tests that exist and counts what the tests count."""

from __future__ import annotations

import ast
import importlib
import math
import re
from pathlib import Path

import hostile
import pytest
import test_hostile
import test_kill
import test_launch_slurm
import test_soak

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
# Tests that inject their fault more than once in each of their cases.
TIMES = {
    "test_fifty_kills_lose_nothing_and_change_no_number": test_soak.KILLS_PER_PHASE * len(test_soak.PHASES),
    "test_twenty_random_kills_in_a_row_end_in_the_same_numbers": test_kill.DEATHS,
    "test_no_two_processes_take_over_one_dead_lock": 3, "test_a_failed_write_leaves_the_old_file": 2,
    "test_a_job_that_left_no_record_is_submitted_again": 2,
    "test_a_run_that_never_leaves_a_record_is_given_up": 4 * test_launch_slurm.SUBMISSIONS,
    "test_jobs_of_a_dead_launcher_are_followed_not_repeated": 4,
}
NAMES = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)))


@pytest.mark.parametrize("file, test", NAMES)
def test_every_named_test_exists(file, test):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def times(file: str, test: str) -> int:
    """How often a test injects its fault: its cases, each once or as often as TIMES says."""
    marks = getattr(getattr(importlib.import_module(file.removesuffix(".py")), test), "pytestmark", [])
    cases = [len(list(mark.args[1])) for mark in marks if mark.name == "parametrize"]
    if test == "test_a_damaged_lock_or_ledger_counts_for_nothing":
        return sum(len(list(hostile.cases(good, wrong))) for _, good, wrong in marks[0].args[1])
    return math.prod(cases) * TIMES.get(test, 1)


def test_every_fault_is_injected_as_often_as_the_table_says():
    rows = re.findall(r"^\| ([^|]+) \|(?:[^|]*\|){3} ([^|]+) \| (`test_[^|]*) \|$", TEXT, re.MULTILINE)
    expected = {fault: sum(times(*name) for name in re.findall(r"`(test_\w+\.py)::(test_\w+)`", tests))
                for fault, _, tests in rows}
    assert {fault: int(shown) for fault, shown, _ in rows} == expected and len(rows) >= 20


def test_the_counts_are_those_of_the_tests():
    counts = {kind: len({content for _, content in hostile.cases(good, wrong)})
              for kind, (_, good, wrong) in test_hostile.KINDS.items()}
    documents = sum(counts.values())
    counts |= {"spec in Python": len(test_hostile.PYTHON_SPECS), "image": len(list(test_hostile.pictures())),
               "weights": len(test_hostile.weights_files()), "command line": len(test_hostile.ARGUMENTS)}
    shown = {kind: int(count) for kind, count in re.findall(r"^\| ([\w -]+) \| (\d+) \|$", TEXT, re.MULTILINE)}
    assert {kind: shown.get(kind) for kind in counts} == counts
    assert f"<!-- malformed -->{sum(counts.values())}<!-- -->" in TEXT and f"the {documents} JSON documents" in TEXT
    different = {content for _, good, wrong in test_hostile.KINDS.values() for _, content in hostile.cases(good, wrong)}
    assert f"{len(different)} of the" in TEXT and len(NAMES) > 40
