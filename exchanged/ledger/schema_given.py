"""The migration ``0023-given``: how often a packet was given again to a node that said that it was restored.

``spent``: until when what it was given counts against it.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE restore_given (
  packet INTEGER NOT NULL REFERENCES packet(id) ON DELETE CASCADE, node TEXT NOT NULL, spent TEXT NOT NULL,
  PRIMARY KEY (packet, node)
) WITHOUT ROWID
"""
