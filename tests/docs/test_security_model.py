"""docs/security-model.md names a test for each guarantee, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/security-model.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`([a-z]+/test_\w+\.py)(?:::(test_\w+))?`")


def test_every_test_that_is_named_exists() -> None:
    named = _NAMED.findall(TEXT)
    assert len(named) > 30
    missing = []
    for file, test in named:
        path = ROOT / "tests" / file
        tree = ast.parse(path.read_bytes()) if path.is_file() else ast.Module([], [])
        tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        if not tests or (test and test not in tests):
            missing.append((file, test))
    assert missing == []


def test_every_guarantee_names_its_test_and_an_attacker() -> None:
    holds = TEXT.partition("## What holds")[2].partition("## What is not guaranteed")[0]
    rows = [line for line in holds.splitlines() if line.startswith("| ") and "Guarantee" not in line]
    assert len(rows) > 25
    for row in rows:
        _, _, against, tests, _ = row.split("|")
        assert against.strip() == "all" or re.fullmatch(r"(?: A\d)+ ", against), row
        assert _NAMED.search(tests), row


def test_attackers_stand_before_guarantees_and_those_before_what_is_not_guaranteed() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert headings == ["Attackers", "What holds", "What is not guaranteed"]
