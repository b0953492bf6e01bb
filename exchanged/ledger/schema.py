"""Tables and indexes of the ledger, as named migrations that are applied once, in order.

Times are UTC text with microseconds (they sort as text); digests are hexadecimal text; documents
that were signed are kept as the exact bytes. ``packet.id`` and the like are local numbers and never
leave the node. Known limit: there is no downgrade; a ledger that took a step of a newer program is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlite_utils import Database, Migrations

from exchanged.ledger import (
    forms,
    schema_answers,
    schema_answers_page,
    schema_awaited,
    schema_brief,
    schema_case_types,
    schema_encryption,
    schema_expiring,
    schema_given,
    schema_hops,
    schema_keys,
    schema_log,
    schema_notes,
    schema_offers,
    schema_outgoing,
    schema_restoring,
    schema_rotten,
    schema_seal_numbers,
    schema_seals,
    schema_streams,
    schema_turns,
    schema_waking,
)
from packet_spec.identifiers import canonical_case_number

FORMAT: Final = 1
"""Raised with every migration that an older program could not read."""

_TABLES: Final = """
CREATE TABLE node (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE event (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,
  sender TEXT NOT NULL, packet_id TEXT NOT NULL, recipient TEXT NOT NULL,
  detail TEXT NOT NULL, chain TEXT NOT NULL
);
CREATE INDEX event_packet ON event(packet_id, sender) WHERE packet_id <> '';

CREATE TABLE spool (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, needed INTEGER NOT NULL
);
CREATE INDEX spool_unneeded ON spool(id) WHERE needed = 0;

CREATE TABLE packet (
  id INTEGER PRIMARY KEY, sender TEXT NOT NULL, packet_id TEXT NOT NULL,
  attempt INTEGER NOT NULL, state TEXT NOT NULL, since TEXT NOT NULL,
  business_type TEXT NOT NULL, sender_ref TEXT NOT NULL, receiver TEXT NOT NULL, copies TEXT NOT NULL,
  priority TEXT NOT NULL, expires_at TEXT, sealed_at TEXT NOT NULL, landed_at TEXT NOT NULL,
  incarnation TEXT NOT NULL, sequence INTEGER NOT NULL,
  content_digest TEXT NOT NULL, seal_digest TEXT NOT NULL,
  in_reply_to TEXT NOT NULL, supersedes TEXT NOT NULL, case_key TEXT NOT NULL,
  came_by TEXT NOT NULL, own INTEGER NOT NULL,
  spool INTEGER REFERENCES spool(id), start INTEGER NOT NULL, length INTEGER NOT NULL,
  UNIQUE (sender, packet_id)
);
CREATE INDEX packet_by_id ON packet(packet_id);
CREATE INDEX packet_lookup ON packet(sender, sender_ref, business_type, content_digest);
CREATE INDEX packet_landed ON packet(landed_at);
CREATE INDEX packet_type ON packet(business_type, id);
CREATE INDEX packet_sequence ON packet(sender, incarnation, sequence);
CREATE INDEX packet_active ON packet(id) WHERE state = 'active';
CREATE INDEX packet_spool ON packet(spool) WHERE spool IS NOT NULL;

CREATE TABLE destination (
  packet INTEGER NOT NULL REFERENCES packet(id), recipient TEXT NOT NULL,
  state TEXT NOT NULL, since TEXT NOT NULL, link TEXT NOT NULL, staging TEXT NOT NULL DEFAULT '',
  folder TEXT NOT NULL DEFAULT '', PRIMARY KEY (packet, recipient)
) WITHOUT ROWID;
CREATE INDEX destination_open ON destination(recipient, since)
  WHERE state IN ('queued', 'offered', 'handed-over', 'accepted', 'arrived', 'delivering');
CREATE INDEX destination_arrived ON destination(packet) WHERE state IN ('arrived', 'delivering');
CREATE INDEX destination_delivering ON destination(packet) WHERE state IN ('delivering');
CREATE INDEX destination_recipient ON destination(recipient, packet);
CREATE INDEX destination_inbox ON destination(packet) WHERE folder <> '';

CREATE TABLE arrival (
  id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL, batch INTEGER NOT NULL REFERENCES batch_in(id),
  kind TEXT NOT NULL, sender TEXT NOT NULL, packet_id TEXT NOT NULL, digest TEXT NOT NULL,
  spool INTEGER NOT NULL REFERENCES spool(id), start INTEGER NOT NULL, length INTEGER NOT NULL,
  state TEXT NOT NULL, since TEXT NOT NULL, landed_at TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  retry_at TEXT, tries INTEGER NOT NULL DEFAULT 0, in_work INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX arrival_due ON arrival(id) WHERE state = 'landed';
CREATE INDEX arrival_waiting ON arrival(state, id) WHERE state IN ('needing', 'held', 'quarantined');
CREATE INDEX arrival_packet ON arrival(packet_id, sender);
CREATE INDEX arrival_batch ON arrival(batch);
CREATE INDEX arrival_spool ON arrival(spool);

CREATE TABLE arrival_blob (
  arrival INTEGER NOT NULL REFERENCES arrival(id) ON DELETE CASCADE, digest TEXT NOT NULL,
  size INTEGER NOT NULL, missing INTEGER NOT NULL, PRIMARY KEY (arrival, digest)
) WITHOUT ROWID;
CREATE INDEX arrival_blob_digest ON arrival_blob(digest);

CREATE TABLE outgoing (
  id INTEGER PRIMARY KEY, link TEXT NOT NULL, kind TEXT NOT NULL, reference INTEGER NOT NULL,
  priority INTEGER NOT NULL, queued_at TEXT NOT NULL, batch INTEGER REFERENCES batch_out(id),
  UNIQUE (link, kind, reference)
);
CREATE INDEX outgoing_due ON outgoing(link, id) WHERE batch IS NULL;
CREATE INDEX outgoing_batch ON outgoing(batch) WHERE batch IS NOT NULL;

CREATE TABLE batch_out (
  id INTEGER PRIMARY KEY, link TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL,
  waybill BLOB NOT NULL, signature BLOB NOT NULL, size INTEGER NOT NULL,
  state TEXT NOT NULL, created_at TEXT NOT NULL, closed_at TEXT, UNIQUE (link, number)
);
CREATE INDEX batch_out_open ON batch_out(link, number) WHERE state <> 'closed';
CREATE TABLE batch_item (
  batch INTEGER NOT NULL REFERENCES batch_out(id), position INTEGER NOT NULL, kind TEXT NOT NULL,
  reference INTEGER NOT NULL, PRIMARY KEY (batch, position)
) WITHOUT ROWID;
CREATE INDEX batch_item_reference ON batch_item(kind, reference);
CREATE TABLE batch_blob (
  batch INTEGER NOT NULL REFERENCES batch_out(id), digest TEXT NOT NULL, generation INTEGER NOT NULL,
  needed INTEGER NOT NULL, PRIMARY KEY (batch, digest)
) WITHOUT ROWID;

CREATE INDEX batch_blob_digest ON batch_blob(digest);

CREATE TABLE batch_in (
  id INTEGER PRIMARY KEY, link TEXT NOT NULL, incarnation TEXT NOT NULL, number INTEGER NOT NULL,
  name TEXT NOT NULL, landed_at TEXT NOT NULL, exception TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', UNIQUE (link, incarnation, number)
);
CREATE INDEX batch_in_name ON batch_in(link, name);
CREATE INDEX batch_in_exception ON batch_in(link, incarnation, number) WHERE exception <> '';
CREATE TABLE stream_in (
  link TEXT NOT NULL, incarnation TEXT NOT NULL, through INTEGER NOT NULL, current INTEGER NOT NULL,
  PRIMARY KEY (link, incarnation)
) WITHOUT ROWID;
CREATE TABLE link_memory (
  link TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (link, name)
) WITHOUT ROWID;

CREATE TABLE blob (
  digest TEXT NOT NULL, generation INTEGER NOT NULL, size INTEGER NOT NULL, state TEXT NOT NULL,
  since TEXT NOT NULL, PRIMARY KEY (digest, generation)
) WITHOUT ROWID;
CREATE TABLE blob_reference (
  sender TEXT NOT NULL, packet_id TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (sender, packet_id, digest)
) WITHOUT ROWID;
CREATE INDEX blob_reference_digest ON blob_reference(digest);
CREATE TABLE entitlement (
  digest TEXT NOT NULL, agency TEXT NOT NULL, PRIMARY KEY (digest, agency)
) WITHOUT ROWID;

CREATE TABLE receipt (
  id INTEGER PRIMARY KEY, sender TEXT NOT NULL, packet_id TEXT NOT NULL, kind TEXT NOT NULL,
  recipient TEXT NOT NULL, attempt INTEGER NOT NULL, issued_by TEXT NOT NULL, issued_at TEXT NOT NULL,
  number INTEGER NOT NULL, content_digest TEXT NOT NULL, seal_digest TEXT NOT NULL,
  recorded_at TEXT NOT NULL, own INTEGER NOT NULL, document BLOB NOT NULL, digest TEXT NOT NULL UNIQUE
);
CREATE INDEX receipt_packet ON receipt(packet_id, sender);
CREATE TABLE hop (
  id INTEGER PRIMARY KEY, sender TEXT NOT NULL, packet_id TEXT NOT NULL, node TEXT NOT NULL,
  landed_at TEXT NOT NULL, left_at TEXT NOT NULL, next_node TEXT NOT NULL, document BLOB NOT NULL,
  digest TEXT NOT NULL UNIQUE
);
CREATE INDEX hop_packet ON hop(packet_id, sender);

CREATE TABLE case_number (
  kind TEXT NOT NULL, value TEXT NOT NULL, case_id TEXT NOT NULL, PRIMARY KEY (kind, value)
) WITHOUT ROWID;
CREATE TABLE case_party (
  case_id TEXT NOT NULL, agency TEXT NOT NULL, PRIMARY KEY (case_id, agency)
) WITHOUT ROWID;
CREATE TABLE case_history (
  id INTEGER PRIMARY KEY, case_id TEXT NOT NULL, business_type TEXT NOT NULL,
  sender TEXT NOT NULL, packet_id TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX case_history_case ON case_history(case_id, id);
CREATE INDEX case_history_packet ON case_history(packet_id, sender);

CREATE TABLE "drop" (
  id INTEGER PRIMARY KEY, name BLOB NOT NULL, status_name TEXT NOT NULL, state TEXT NOT NULL,
  since TEXT NOT NULL, seen_at TEXT NOT NULL, device TEXT NOT NULL, inode TEXT NOT NULL,
  size TEXT NOT NULL, mtime TEXT NOT NULL, fingerprint TEXT NOT NULL,
  packet INTEGER REFERENCES packet(id), attempt INTEGER NOT NULL DEFAULT 0,
  duplicate_of TEXT NOT NULL DEFAULT '', sender_ref TEXT NOT NULL DEFAULT '',
  missing TEXT NOT NULL DEFAULT '[]', findings TEXT NOT NULL DEFAULT '[]', reason TEXT NOT NULL DEFAULT '',
  retry_at TEXT, tries INTEGER NOT NULL DEFAULT 0, in_work INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0, original TEXT NOT NULL DEFAULT 'outbox'
);
CREATE UNIQUE INDEX drop_live ON "drop"(name) WHERE original IN ('outbox', 'kept');
CREATE INDEX drop_packet ON "drop"(packet) WHERE packet IS NOT NULL;
CREATE INDEX drop_status ON "drop"(status_name, id);

CREATE TABLE effect (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
  created_at TEXT NOT NULL, UNIQUE (kind, subject)
);
CREATE TABLE head (
  node TEXT NOT NULL, chain TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (node, chain)
) WITHOUT ROWID;
"""

_ACTS: Final = """
ALTER TABLE outgoing ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
DROP INDEX outgoing_due;
CREATE INDEX outgoing_due ON outgoing(link, id) WHERE batch IS NULL AND held = 0;
DROP INDEX destination_open;
CREATE INDEX destination_open ON destination(recipient, since)
  WHERE state IN ('queued', 'on-hold', 'offered', 'handed-over', 'accepted', 'arrived', 'delivering');
CREATE INDEX destination_on_hold ON destination(link, packet) WHERE state = 'on-hold';
CREATE TABLE act (
  id INTEGER PRIMARY KEY, request TEXT NOT NULL UNIQUE, at TEXT NOT NULL, answer TEXT NOT NULL
)
"""

# ``*_kept``, what still lies in the agency's folders: 1 yes, 2 being removed, 0 no longer. ``confirmed``
# holds about one time a day that neighbours confirmed, with the last rows that there were. ``kept_bytes``
# holds the sealed bytes of finished packets for the restore window (C23). ``notice.unwritten`` holds one bit
# for each place that lacks the newest form of the notice.
_KEEPING: Final = """
ALTER TABLE packet ADD COLUMN receipts_kept INTEGER NOT NULL DEFAULT 1;
ALTER TABLE "drop" ADD COLUMN original_kept INTEGER NOT NULL DEFAULT 1;
ALTER TABLE "drop" ADD COLUMN status_kept INTEGER NOT NULL DEFAULT 1;
CREATE INDEX packet_receipts_kept ON packet(receipts_kept, since)
  WHERE receipts_kept <> 0 AND own = 1 AND state = 'done';
CREATE INDEX drop_original_kept ON "drop"(original_kept, since)
  WHERE original_kept <> 0 AND original IN ('sent', 'refused');
CREATE INDEX drop_status_kept ON "drop"(status_kept, since)
  WHERE status_kept <> 0 AND original NOT IN ('outbox', 'kept');

CREATE TABLE confirmed (
  at TEXT PRIMARY KEY, last_drop INTEGER NOT NULL, last_packet INTEGER NOT NULL, last_kept INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE kept_bytes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, packet INTEGER NOT NULL REFERENCES packet(id),
  attempt INTEGER NOT NULL, spool INTEGER NOT NULL REFERENCES spool(id), start INTEGER NOT NULL,
  length INTEGER NOT NULL, since TEXT NOT NULL
);
CREATE INDEX kept_bytes_since ON kept_bytes(since);
CREATE INDEX kept_bytes_packet ON kept_bytes(packet);
CREATE INDEX kept_bytes_spool ON kept_bytes(spool);

CREATE TABLE notice (
  id INTEGER PRIMARY KEY, reference TEXT NOT NULL, subject TEXT NOT NULL, level TEXT NOT NULL,
  raised_at TEXT NOT NULL, updated_at TEXT NOT NULL, over_at TEXT, detail TEXT NOT NULL, name TEXT NOT NULL,
  document BLOB NOT NULL, plain BLOB NOT NULL, unwritten INTEGER NOT NULL, kept INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX notice_open ON notice(reference, subject) WHERE over_at IS NULL;
CREATE INDEX notice_unwritten ON notice(id) WHERE unwritten <> 0;
CREATE INDEX notice_kept ON notice(over_at) WHERE kept <> 0 AND over_at IS NOT NULL;
CREATE INDEX destination_unsigned ON destination(since) WHERE state IN ('delivered', 'collected');
CREATE INDEX destination_expired ON destination(since) WHERE state IN ('expired');
"""

migrations = Migrations(forms.SET)


@migrations(name="0001-first")
def _first(database: Database) -> None:
    _run(database, _TABLES)


@migrations(name="0002-acts")
def _acts(database: Database) -> None:
    """Acts of operators: what is on hold is not due, and every answer is kept under its request."""
    _run(database, _ACTS)


@migrations(name="0003-answers")
def _answers(database: Database) -> None:
    schema_answers.apply(database)


@migrations(name="0004-notices")
def _notices(database: Database) -> None:
    _run(database, _KEEPING)


def _run(database: Database, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            database.execute(statement)


@migrations(name="0005-bridges")
def _bridges(database: Database) -> None:
    """A packet that only passes through: its custody ends here when the next node has it (C14)."""
    database.execute("ALTER TABLE packet ADD COLUMN transit INTEGER NOT NULL DEFAULT 0")
    database.execute("CREATE INDEX packet_transit ON packet(since) WHERE transit = 1 AND state = 'done'")
    database.execute("CREATE INDEX outgoing_reference ON outgoing(reference, kind)")


# Acts by filter ask for the open packets of a sender, and for what is set aside for a reason.
_FILTERS: Final = """
CREATE INDEX packet_open ON packet(sender, id) WHERE state = 'active';
CREATE INDEX arrival_reason ON arrival(state, reason, id)
  WHERE state IN ('needing', 'held', 'quarantined')
"""


@migrations(name="0006-filters")
def _filters(database: Database) -> None:
    _run(database, _FILTERS)


# The one form of a number beside the form in which it came. Two ways to write one number may have made two
# cases: both keep it, and whoever is a party to both joins them (C17).
_CASE_NUMBERS: Final = """
ALTER TABLE case_number RENAME TO case_number_as_written;
CREATE TABLE case_number (
  kind TEXT NOT NULL, number TEXT NOT NULL, case_id TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (kind, number, case_id)
) WITHOUT ROWID;
CREATE INDEX case_number_case ON case_number(case_id);
INSERT OR IGNORE INTO case_number (kind, number, case_id, value)
  SELECT kind, canonical_case_number(value), case_id, value FROM case_number_as_written;
DROP TABLE case_number_as_written;
UPDATE packet SET case_key =
    substr(case_key, 1, instr(case_key, ':'))
    || canonical_case_number(substr(case_key, instr(case_key, ':') + 1))
  WHERE state = 'active' AND case_key <> ''
"""


@migrations(name="0007-case-numbers")
def _case_numbers(database: Database) -> None:
    """A court number written with other brackets finds the same case."""
    database.conn.create_function("canonical_case_number", 1, canonical_case_number, deterministic=True)
    _run(database, _CASE_NUMBERS)


@migrations(name="0008-notes")
def _notes(database: Database) -> None:
    _run(database, schema_notes.STATEMENTS)


@migrations(name="0009-log")
def _log(database: Database) -> None:
    schema_log.apply(database)


@migrations(name="0010-restoring")
def _restoring(database: Database) -> None:
    _run(database, schema_restoring.STATEMENTS)


@migrations(name="0011-keys")
def _keys(database: Database) -> None:
    _run(database, schema_keys.STATEMENTS)


@migrations(name="0012-encryption")
def _encryption(database: Database) -> None:
    """Encrypted parts: a ciphertext that lies here is used again, and a repeated drop is known again."""
    schema_encryption.apply(database)


@migrations(name="0013-seals")
def _seals(database: Database) -> None:
    _run(database, schema_seals.STATEMENTS)


@migrations(name="0014-turns")
def _turns(database: Database) -> None:
    _run(database, schema_turns.STATEMENTS)


@migrations(name="0015-expiring")
def _expiring(database: Database) -> None:
    _run(database, schema_expiring.STATEMENTS)


@migrations(name="0016-outgoing")
def _outgoing(database: Database) -> None:
    _run(database, schema_outgoing.STATEMENTS)


@migrations(name="0017-awaited")
def _awaited(database: Database) -> None:
    _run(database, schema_awaited.STATEMENTS)


@migrations(name="0018-case-types")
def _case_types(database: Database) -> None:
    _run(database, schema_case_types.STATEMENTS)


@migrations(name="0019-streams")
def _streams(database: Database) -> None:
    _run(database, schema_streams.STATEMENTS)


@migrations(name="0020-answers-page")
def _answers_page(database: Database) -> None:
    _run(database, schema_answers_page.STATEMENTS)


@migrations(name="0021-waking")
def _waking(database: Database) -> None:
    _run(database, schema_waking.STATEMENTS)


@migrations(name="0022-hops")
def _hops(database: Database) -> None:
    _run(database, schema_hops.STATEMENTS)


@migrations(name="0023-given")
def _given(database: Database) -> None:
    _run(database, schema_given.STATEMENTS)


@migrations(name="0024-rotten")
def _rotten(database: Database) -> None:
    _run(database, schema_rotten.STATEMENTS)


@migrations(name="0025-seal-numbers")
def _seal_numbers(database: Database) -> None:
    _run(database, schema_seal_numbers.STATEMENTS)


@migrations(name="0026-brief")
def _brief(database: Database) -> None:
    _run(database, schema_brief.STATEMENTS)


@migrations(name="0027-offers")
def _offers(database: Database) -> None:
    _run(database, schema_offers.STATEMENTS)


def migrate(database: Database) -> None:
    """Bring the ledger to the newest form. Each step is one transaction and may be repeated."""
    migrations.apply(database)


def migrate_until(database: Database, lacking: Iterable[str]) -> None:
    """The same without the steps ``lacking``: the form that a ledger has to which they are still to come."""
    migrations.apply(database, stop_before=tuple(lacking) or None)
