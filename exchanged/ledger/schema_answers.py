"""The migration ``0003-answers``: what lets a large ledger answer an operator at once.

Indexes in the order in which answers are told, the time of coming on each destination, and the words by
which people ask (``search``), filled from the rows that exist. Known limit: of a packet that an earlier
version kept, a front-end knows only the first case number; an admitting node knows all those of its case.
Measured on two busy cores: one minute of processor time, two by the clock, for a million packets and three
million events, once, at the first start.
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

from exchanged.ledger.search import Field, drop_words, search_key

_STATEMENTS: Final = """
ALTER TABLE destination ADD COLUMN came_at TEXT NOT NULL DEFAULT '';
UPDATE destination SET came_at = (SELECT landed_at FROM packet WHERE packet.id = destination.packet);
DROP INDEX destination_open;
DROP INDEX destination_recipient;
CREATE INDEX destination_state ON destination(state, came_at);
CREATE INDEX destination_recipient ON destination(recipient, state, came_at);
CREATE INDEX destination_link ON destination(link, state, came_at);

DROP INDEX packet_landed;
DROP INDEX packet_type;
CREATE INDEX packet_list ON packet(landed_at, sender, business_type, state);

CREATE INDEX arrival_state ON arrival(state, landed_at);
CREATE INDEX arrival_link ON arrival(link, state, landed_at);
CREATE INDEX drop_waiting ON "drop"(state, seen_at)
  WHERE original IN ('outbox', 'kept') AND state IN ('seen', 'incomplete', 'held');

CREATE INDEX event_at ON event(at);
CREATE INDEX event_kind ON event(kind, at);
CREATE INDEX event_operator ON event(json_extract(detail, '$.operator'), at)
  WHERE kind >= 'operator-' AND kind < 'operator.';

CREATE TABLE search (
  word TEXT NOT NULL, field TEXT NOT NULL, subject INTEGER NOT NULL, PRIMARY KEY (word, field, subject)
) WITHOUT ROWID;
INSERT OR IGNORE INTO search
  SELECT search_key(sender_ref), 'sender-ref', id FROM packet WHERE search_key(sender_ref) <> '' ORDER BY 1;
INSERT OR IGNORE INTO search
  SELECT search_key(substr(case_key, instr(case_key, ':') + 1)), 'case-number', id FROM packet
  WHERE case_key <> '' ORDER BY 1;
INSERT OR IGNORE INTO search
  SELECT search_key(case_number.value), 'case-number', packet.id FROM case_number
  JOIN case_history ON case_history.case_id = case_number.case_id
  JOIN packet ON packet.sender = case_history.sender AND packet.packet_id = case_history.packet_id
  ORDER BY 1;
INSERT OR IGNORE INTO search
  SELECT search_key(sender_ref), 'drop-ref', id FROM "drop" WHERE search_key(sender_ref) <> '';
CREATE INDEX search_subject ON search(subject, field)
"""


def apply(database: Database) -> None:
    """Take the steps of the migration, within the caller's transaction."""
    database.conn.create_function("search_key", 1, search_key, deterministic=True)
    for statement in _STATEMENTS.split(";"):
        database.execute(statement)
    for row in database.execute('SELECT id, name, status_name FROM "drop"').fetchall():
        for word in {search_key(word) for word in drop_words(bytes(row[1]), row[2])} - {""}:
            database.execute(
                "INSERT OR IGNORE INTO search VALUES (?, ?, ?)", (word, Field.DROP_NAME.value, row[0])
            )
