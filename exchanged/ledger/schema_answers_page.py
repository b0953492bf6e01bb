"""The migration ``0020-answers-page``: how far the answer to a restored node is, and ways to read it on.

``restore_asked`` learns the place from which an answer goes on (``stage`` empty: it has not begun), the
newest batch that there was when it began, how much was told, until when answers that were begun count, and
which note is its first page.
``restore_page`` are the notes of an answer, until it is known that they were handed over, and they go.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
ALTER TABLE restore_asked ADD COLUMN stage TEXT NOT NULL DEFAULT '';
ALTER TABLE restore_asked ADD COLUMN at TEXT NOT NULL DEFAULT '';
ALTER TABLE restore_asked ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restore_asked ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restore_asked ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restore_asked ADD COLUMN packets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restore_asked ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restore_asked ADD COLUMN spent TEXT NOT NULL DEFAULT '';
ALTER TABLE restore_asked ADD COLUMN opening INTEGER NOT NULL DEFAULT 0;
CREATE TABLE restore_page (
  node TEXT NOT NULL, note INTEGER NOT NULL, PRIMARY KEY (node, note)
) WITHOUT ROWID;
CREATE INDEX batch_out_told ON batch_out(link, id, closed_at);
CREATE INDEX destination_under_way ON destination(link, packet)
  WHERE state IN ('queued', 'on-hold', 'offered', 'handed-over', 'accepted');
CREATE INDEX receipt_issuer ON receipt(issued_by, recorded_at)
"""
