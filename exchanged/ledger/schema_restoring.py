"""The migration ``0010-restoring``: what shows clones and set-back nodes, and what a restored node waits for.

``spoken`` holds the newest waybills of a neighbour by the counter of their acknowledgement: which head of its
ledger, at which number of events. ``stream_in``: when an incarnation first spoke (by its own clock), whether
an operator closed it, and up to which number its batches may contradict each other because an operator said
so. ``batch_in.waybill`` is the digest of the waybill that came under a number, empty where none was read.
``outgoing.again``: a restored neighbour wants the packet once more, whatever it is here.

``restore_peer`` is whom this restored node asks, and how far that is; ``restore_asked`` who asked this node.
``restore_wanted`` are packets that it waits for; ``restore_fresh`` those of which a neighbour is sure that
they never were here; ``restore_promised`` the receipts that a neighbour gives back; ``restore_pinned`` which
packet a drop was (``name`` holds the lasting fingerprint of its files, not its name).
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE spoken (
  link TEXT NOT NULL, incarnation TEXT NOT NULL, counter INTEGER NOT NULL, events INTEGER,
  chain TEXT NOT NULL, PRIMARY KEY (link, incarnation, counter)
) WITHOUT ROWID;
CREATE INDEX spoken_events ON spoken(link, incarnation, events);
ALTER TABLE stream_in ADD COLUMN since TEXT NOT NULL DEFAULT '';
ALTER TABLE stream_in ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream_in ADD COLUMN excused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_in ADD COLUMN waybill TEXT NOT NULL DEFAULT '';
ALTER TABLE outgoing ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batch_out_closed ON batch_out(link, closed_at);
CREATE INDEX receipt_recorded ON receipt(recorded_at);
CREATE INDEX packet_came ON packet(came_by, landed_at);
CREATE TABLE restore_peer (
  node TEXT PRIMARY KEY, link TEXT NOT NULL, state TEXT NOT NULL, since TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE restore_asked (
  node TEXT PRIMARY KEY, link TEXT NOT NULL, incarnation TEXT NOT NULL, since TEXT NOT NULL,
  state TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE restore_wanted (
  sender TEXT NOT NULL, packet_id TEXT NOT NULL, node TEXT NOT NULL, PRIMARY KEY (sender, packet_id)
) WITHOUT ROWID;
CREATE TABLE restore_fresh (
  sender TEXT NOT NULL, packet_id TEXT NOT NULL, PRIMARY KEY (sender, packet_id)
) WITHOUT ROWID;
CREATE TABLE restore_promised (
  node TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (node, digest)
) WITHOUT ROWID;
CREATE TABLE restore_pinned (
  name BLOB PRIMARY KEY, packet_id TEXT NOT NULL, attempt INTEGER NOT NULL
) WITHOUT ROWID
"""
