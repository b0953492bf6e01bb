"""docs/packet-format.md explains every key that the catalogue's sources use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "packet-format.md").read_text(encoding="utf-8")
DATA = ROOT / "packet_spec" / "data"


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, Any]]]:
    # The C reader: the Python one takes half a minute for these files.
    types = yaml.load((DATA / "business_types.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    documents = yaml.load((DATA / "document_types.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    return {
        "A business type": types["business_types"],
        "A deadline": [limit for row in types["business_types"] for limit in row["deadlines"]],
        "A document type": documents["document_types"],
        "A field": types["metadata_fields"],
    }


def section(title: str) -> str:
    """The text below one heading, up to the next."""
    return PAGE.split(f"\n### {title}\n")[1].split("\n#")[0]


def explained(title: str) -> set[str]:
    """The keys in the first column of the section's table."""
    cells = re.findall(r"^\| (`[^|]*`) \|", section(title), flags=re.M)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("title", ["A business type", "A deadline", "A document type", "A field"])
def test_every_key_of_a_row_is_explained_and_none_else(
    rows: dict[str, list[dict[str, Any]]], title: str
) -> None:
    assert explained(title) == {key for row in rows[title] for key in row}


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("A business type", "message_kind"),
        ("A business type", "level"),
        ("A deadline", "unit"),
        ("A deadline", "clock_stops"),
        ("A deadline", "direction"),
        ("A field", "type"),
        ("A field", "scope"),
    ],
)
def test_every_value_of_a_closed_list_is_named(
    rows: dict[str, list[dict[str, Any]]], title: str, key: str
) -> None:
    text = section(title)
    assert [value for value in {row[key] for row in rows[title]} if f"`{value}`" not in text] == []
