"""The migration ``0008-notes``: what nodes tell each other that is about no packet, as the signed bytes."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE note (
  id INTEGER PRIMARY KEY AUTOINCREMENT, note_id TEXT NOT NULL, from_node TEXT NOT NULL, to_node TEXT NOT NULL,
  kind TEXT NOT NULL, at TEXT NOT NULL, recorded_at TEXT NOT NULL, document BLOB NOT NULL,
  digest TEXT NOT NULL UNIQUE
);
CREATE INDEX note_recorded ON note(recorded_at)
"""
