"""The records of decisions: numbered without gaps, of one form, and all of them in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "adr"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
PARTS = ("Context", "Options", "Decision", "Bad consequences")


def title(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0]


def test_numbers_have_no_gap_and_no_twin() -> None:
    assert [path.name[:5] for path in RECORDS] == [f"{number:04}-" for number in range(1, len(RECORDS) + 1)]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_its_number_and_its_parts_in_order(path: Path) -> None:
    assert title(path).startswith(f"# {int(path.name[:4])}. ")
    found = re.findall(r"^\*\*([^*]+)\.\*\*", path.read_text(encoding="utf-8"), flags=re.M)
    assert tuple(found) == PARTS


def test_the_index_lists_every_record_with_its_title() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(\d+)\. \[([^]]+)\]\(([^)]+)\)$", index, flags=re.M)
    assert [f"# {number}. {text}" for number, text, _ in listed] == [title(path) for path in RECORDS]
    assert [name for _, _, name in listed] == [path.name for path in RECORDS]
