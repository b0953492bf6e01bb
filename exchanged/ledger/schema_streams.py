"""The migration ``0019-streams``: what one neighbour piles up costs nobody more than itself.

``arrival.quiet``: it is judged again by itself, which no event tells unless it moves on (``releasing``).
``releasing`` says which held arrivals are still to be judged again after a start or a directory: those of a
reason (or, under the empty one, of all) with a number behind ``after``, up to ``until``. ``batch_out.told``
is what the neighbour said last that it lacks of the batch, as a digest.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
ALTER TABLE arrival ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0;
CREATE TABLE releasing (
  reason TEXT PRIMARY KEY, after INTEGER NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX arrival_held ON arrival(link, reason) WHERE state = 'held';
CREATE INDEX arrival_needing ON arrival(batch) WHERE state = 'needing';
ALTER TABLE batch_out ADD COLUMN told TEXT NOT NULL DEFAULT '';
CREATE INDEX stream_in_current ON stream_in(link, current)
"""
