"""The migration ``0026-brief``: notes that go as soon as they were handed over.

``note.brief``: nobody will ask for it again; who misses what it said asks anew.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
ALTER TABLE note ADD COLUMN brief INTEGER NOT NULL DEFAULT 0
"""
