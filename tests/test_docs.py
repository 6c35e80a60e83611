"""Every command in README and docs/ exists with its options, every link leads somewhere, and the examples run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
from tiny import EXP, ROOT, python, records

from flatpose.harness import cli

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
STARTS = ("flatpose-exp ", "make ", "torchrun ")


def commands(page: Path) -> list[str]:
    """Commands of shell blocks and of indented lines, without comments and with continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.S))
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    lines = [line.strip() for line in (*blocks.splitlines(), *indented)]
    return [re.split(r"\s{2,}#|\s#\s", line)[0].strip() for line in dict.fromkeys(lines)
            if line.removeprefix(".venv/bin/").startswith(STARTS)]


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p) and "decisions" not in p.parts], ids=lambda p: p.name)
def test_commands_exist_with_their_options(page):
    program = typer.main.get_command(cli.app)
    for command in commands(page):
        words = shlex.split(command.removeprefix(".venv/bin/"))
        if words[0] == "make":
            done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            continue
        group, rest = program, words[words.index("run") if words[0] == "torchrun" else 1:]
        while hasattr(group, "commands"):
            assert rest[0] in group.commands, command
            group, rest = group.commands[rest[0]], rest[1:]
        if rest != ["--help"]:
            group.make_context(words[0], rest)  # raises for an option that does not exist


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []


@pytest.mark.slow
def test_the_examples_run(tmp_path):
    """examples/own_data.py, then own_experiment.py on it, with two runs side by side."""
    examples = ROOT / "examples"
    for words in ((examples / "own_data.py", "beetles"), (*EXP, "run", examples / "own_experiment.py", "--data-root",
                                                          "beetles", "--no-report", "--jobs", 2)):
        done = python(tmp_path, *words)
        assert done.returncode == 0, done.stderr[-2000:]
    assert len(records(tmp_path)) == 2


def test_every_number_of_the_findings_is_on_a_page():
    """README is written by hand; a number that a new record changed is no longer on any page of reports/."""
    findings = (ROOT / "README.md").read_text(encoding="utf-8").split("## Try it")[0]
    pages = " ".join(page.read_text(encoding="utf-8") for page in (ROOT / "reports").glob("*.md"))
    known = {f"{float(number):.1f}" for number in re.findall(r"\d+\.\d+", pages)}
    assert set(re.findall(r"\d+\.\d+", findings)) <= known
