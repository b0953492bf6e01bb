"""The migration ``0017-awaited``: what a held packet waits for, so that only what it waits for wakes it.

What was held before has no rows here: it is looked at again when its time is over, as ever.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE awaited (
  about TEXT NOT NULL, type TEXT NOT NULL, arrival INTEGER NOT NULL REFERENCES arrival(id) ON DELETE CASCADE,
  PRIMARY KEY (about, type, arrival)
) WITHOUT ROWID;
CREATE INDEX awaited_arrival ON awaited(arrival)
"""
