"""The migration ``0009-log``: the Merkle log of what this node admitted, and what it knows of others' logs.

Entries and the hashes of complete subtrees by (level, number), from level 1; a leaf's hash is made of its
entry. ``log_due`` holds which entries an agency was not told of yet. ``log_head``, ``log_proof``,
``log_awaited`` and ``log_contradiction`` are about the logs of other nodes.

What a ledger accepted before this migration is logged by it, in the order in which it was recorded, so that
old packets are covered like new ones.
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

from exchanged.ledger.log_entries import LOGGED_SQL, log_receipt

_STATEMENTS: Final = """
CREATE TABLE log_entry (
  position INTEGER PRIMARY KEY, kind TEXT NOT NULL, digest TEXT NOT NULL, sender TEXT NOT NULL,
  packet_id TEXT NOT NULL
);
CREATE INDEX log_entry_digest ON log_entry(digest);
CREATE TABLE log_node (
  level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, number)
) WITHOUT ROWID;
CREATE TABLE log_due (
  agency TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (agency, position)
) WITHOUT ROWID;
CREATE TABLE log_told (
  node TEXT PRIMARY KEY, size INTEGER NOT NULL, at TEXT NOT NULL, recovery INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE log_request (
  id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, held TEXT NOT NULL, wanted TEXT NOT NULL
);
CREATE TABLE log_recovery (
  id INTEGER PRIMARY KEY, node TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, taken_at TEXT NOT NULL,
  document BLOB NOT NULL
);
CREATE TABLE log_head (
  id INTEGER PRIMARY KEY, node TEXT NOT NULL, size INTEGER NOT NULL, root TEXT NOT NULL, at TEXT NOT NULL,
  taken_at TEXT NOT NULL, state TEXT NOT NULL, document BLOB NOT NULL, UNIQUE (node, size, root)
);
CREATE INDEX log_head_state ON log_head(node, state, size);
CREATE TABLE log_proof (
  id INTEGER PRIMARY KEY, node TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,
  position INTEGER NOT NULL, head INTEGER NOT NULL REFERENCES log_head(id), path BLOB NOT NULL,
  UNIQUE (digest, kind, node)
);
CREATE INDEX log_proof_position ON log_proof(node, position);
CREATE TABLE log_awaited (
  digest TEXT NOT NULL, kind TEXT NOT NULL, node TEXT NOT NULL, since TEXT NOT NULL, sender TEXT NOT NULL,
  packet_id TEXT NOT NULL, PRIMARY KEY (digest, kind, node)
) WITHOUT ROWID;
CREATE INDEX log_awaited_since ON log_awaited(node, since);
CREATE TABLE log_asking (
  node TEXT PRIMARY KEY, is_urgent INTEGER NOT NULL, asked_at TEXT
) WITHOUT ROWID;
CREATE TABLE log_contradiction (
  id INTEGER PRIMARY KEY, node TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL,
  held BLOB NOT NULL, told BLOB NOT NULL, over_at TEXT
);
CREATE INDEX log_contradiction_open ON log_contradiction(node) WHERE over_at IS NULL
"""

# The front-end's side: what it holds that somebody else accepted, as its own packet or for its own inbox.
_AWAIT: Final = """
INSERT OR IGNORE INTO log_awaited
  SELECT {digest}, '{kind}', receipt.issued_by, (SELECT at FROM event ORDER BY id DESC LIMIT 1),
    receipt.sender, receipt.packet_id FROM receipt
  JOIN packet ON packet.sender = receipt.sender AND packet.packet_id = receipt.packet_id
  WHERE receipt.kind = 'accepted' AND receipt.own = 0 AND (packet.own = 1 OR EXISTS
    (SELECT 1 FROM destination WHERE destination.packet = packet.id AND destination.link = ''))
"""


def apply(database: Database) -> None:
    """Take the steps of the migration, within the caller's transaction."""
    for statement in _STATEMENTS.split(";"):
        database.execute(statement)
    rows = database.execute(f"SELECT id FROM receipt WHERE {LOGGED_SQL} ORDER BY id")  # noqa: S608
    for (number,) in rows.fetchall():
        log_receipt(database.conn, number)
    for kind, digest in (("receipt", "receipt.digest"), ("seal", "receipt.seal_digest")):
        database.execute(_AWAIT.format(kind=kind, digest=digest))
