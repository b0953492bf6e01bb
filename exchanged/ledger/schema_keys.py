"""The migration ``0011-keys``: new keys that nodes have ready for a directory, the newest offer of each."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE key_offer (
  node TEXT NOT NULL, use TEXT NOT NULL, key_id TEXT NOT NULL, suite TEXT NOT NULL, public BLOB NOT NULL,
  proof TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (node, use, key_id)
) WITHOUT ROWID
"""
