"""docs/adding-a-system.md is followed from scratch, in a copy of the project."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from tiny import EXP, ROOT, python, records

PAGE = (ROOT / "docs" / "adding-a-system.md").read_text(encoding="utf-8")
FILES = re.findall(r"<!-- write (\S+) -->\n```python\n(.*?)```", PAGE, re.S)
CHANGES = re.findall(r"<!-- replace (\S+) -->\n```diff\n(.*?)```", PAGE, re.S)
COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.S).group(1).splitlines()


def follow(copy: Path) -> None:
    for folder in ("flatpose", "experiments"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES:
        (copy / name).write_text(text, encoding="utf-8")
    for name, diff in CHANGES:
        old, new = ("\n".join(line[1:] for line in diff.splitlines() if line[0] == sign) for sign in "-+")
        content = (copy / name).read_text(encoding="utf-8")
        assert content.count(old) == 1, (name, old)
        (copy / name).write_text(content.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_the_page_works_as_it_stands(tmp_path):
    follow(tmp_path)
    answers = {}
    for command in COMMANDS:
        done = python(tmp_path, *EXP, *command.split()[1:], PYTHONPATH=str(tmp_path))
        assert done.returncode == 0, (command, done.stderr[-2000:])
        answers[command] = done.stdout
    (costs,) = (json.loads(text) for command, text in answers.items() if " cost " in command)
    rows = {cost["row"]: cost for cost in costs}
    assert rows["bilinear"]["params_m"] < rows["deconvolutions"]["params_m"]
    assert len(records(tmp_path)) == 2
