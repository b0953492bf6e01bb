"""The migration ``0021-waking``: what waits for a case that has changed, and is still to be gone through.

One row for what is waited for and the case that it is now. ``stays``: it is waited for there as well.
``type`` and ``arrival``: up to which row of ``awaited`` it was gone through.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE waking (
  id INTEGER PRIMARY KEY AUTOINCREMENT, about TEXT NOT NULL, case_id TEXT NOT NULL, stays INTEGER NOT NULL,
  type TEXT NOT NULL DEFAULT '', arrival INTEGER NOT NULL DEFAULT 0, UNIQUE (about, case_id)
);
CREATE INDEX waking_case ON waking(case_id)
"""
