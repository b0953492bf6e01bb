"""The migration ``0024-rotten``: what a packet's bytes were when they were flushed, and what is so no more.

``packet.bytes_digest``: SHA-256 of its range of the spool file; empty for what came before this step.
``rotten_blob`` and ``rotten_packet``: stored bytes that were read again and found to be others.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
ALTER TABLE packet ADD COLUMN bytes_digest TEXT NOT NULL DEFAULT '';
CREATE TABLE rotten_blob (
  digest TEXT NOT NULL, generation INTEGER NOT NULL, since TEXT NOT NULL, PRIMARY KEY (digest, generation)
) WITHOUT ROWID;
CREATE INDEX rotten_blob_since ON rotten_blob(since);
CREATE TABLE rotten_packet (
  packet INTEGER PRIMARY KEY REFERENCES packet(id) ON DELETE CASCADE, since TEXT NOT NULL
);
CREATE INDEX rotten_packet_since ON rotten_packet(since)
"""
