"""docs/reliability.md names tests that exist and counts what the tests count."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hostile
import pytest
import test_hostile

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)))


@pytest.mark.parametrize("file, test", NAMES)
def test_every_named_test_exists(file, test):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


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
