"""The migration ``0025-seal-numbers``: under which number each seal that is kept was made (C15).

The row of a packet holds the number of its last attempt alone. What an earlier attempt bore before this step
is not known any more.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE seal_number (
  sender TEXT NOT NULL, incarnation TEXT NOT NULL, sequence INTEGER NOT NULL, seal TEXT NOT NULL,
  PRIMARY KEY (sender, incarnation, sequence, seal)
) WITHOUT ROWID;
INSERT OR IGNORE INTO seal_number SELECT sender, incarnation, sequence, seal_digest FROM packet
  WHERE EXISTS (SELECT 1 FROM seal WHERE seal.digest = packet.seal_digest);
DROP INDEX packet_sequence
"""
