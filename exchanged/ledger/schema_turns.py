"""The migration ``0014-turns``: who comes next where many wait (``turns``).

Who waits already keeps the order of coming, before everybody who comes later.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
ALTER TABLE outgoing ADD COLUMN flow TEXT NOT NULL DEFAULT '';
ALTER TABLE outgoing ADD COLUMN turn REAL NOT NULL DEFAULT 0;
CREATE INDEX outgoing_turn ON outgoing(link, turn, id) WHERE batch IS NULL AND held = 0;
CREATE INDEX outgoing_flow ON outgoing(link, flow, turn) WHERE batch IS NULL AND held = 0;
ALTER TABLE arrival ADD COLUMN flow TEXT NOT NULL DEFAULT '';
ALTER TABLE arrival ADD COLUMN turn REAL NOT NULL DEFAULT 0;
CREATE INDEX arrival_turn ON arrival(turn, id) WHERE state = 'landed';
CREATE INDEX arrival_flow ON arrival(flow, turn) WHERE state = 'landed'
"""
