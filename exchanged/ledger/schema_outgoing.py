"""The migration ``0016-outgoing``: what waits on a link has a number for good, and a place behind its case.

The number of a row in ``outgoing`` is never given to another row. A link reads what waits, hashes it, and
only then commits its batch by these numbers. A table cannot be told so later: it is made anew, in the one
transaction of this step, with every row as it stands.

``stream`` is sender, receiver and case of a packet, whose order is promised (C15), and empty without a case.
Its index finds the last that waits of it (``turns``), however much waits. ``arrival_retry`` likewise
finds what is held until a time.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE outgoing_anew (
  id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL, kind TEXT NOT NULL, reference INTEGER NOT NULL,
  priority INTEGER NOT NULL, queued_at TEXT NOT NULL, batch INTEGER REFERENCES batch_out(id),
  held INTEGER NOT NULL DEFAULT 0, again INTEGER NOT NULL DEFAULT 0,
  flow TEXT NOT NULL DEFAULT '', turn REAL NOT NULL DEFAULT 0, stream TEXT NOT NULL DEFAULT '',
  UNIQUE (link, kind, reference)
);
INSERT INTO outgoing_anew
    (id, link, kind, reference, priority, queued_at, batch, held, again, flow, turn, stream)
  SELECT id, link, kind, reference, priority, queued_at, batch, held, again, flow, turn,
    coalesce((SELECT sender || ' ' || receiver || ' ' || case_key FROM packet
      WHERE outgoing.kind = 'packet' AND packet.id = outgoing.reference AND case_key <> ''), '')
  FROM outgoing;
DROP TABLE outgoing;
ALTER TABLE outgoing_anew RENAME TO outgoing;
CREATE INDEX outgoing_due ON outgoing(link, id) WHERE batch IS NULL AND held = 0;
CREATE INDEX outgoing_batch ON outgoing(batch) WHERE batch IS NOT NULL;
CREATE INDEX outgoing_reference ON outgoing(reference, kind);
CREATE INDEX outgoing_turn ON outgoing(link, turn, id) WHERE batch IS NULL AND held = 0;
CREATE INDEX outgoing_flow ON outgoing(link, flow, turn) WHERE batch IS NULL AND held = 0;
CREATE INDEX outgoing_stream ON outgoing(link, stream, turn) WHERE batch IS NULL AND stream <> '';
CREATE INDEX arrival_retry ON arrival(retry_at) WHERE state = 'held' AND retry_at IS NOT NULL
"""
