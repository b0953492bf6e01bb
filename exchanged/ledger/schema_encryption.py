"""The migration ``0012-encryption``: which ciphertext holds which content, and what encrypted drops held."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_STATEMENTS: Final = """
CREATE TABLE ciphertext (
  plain TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL, key_id TEXT NOT NULL,
  wrapped BLOB NOT NULL, PRIMARY KEY (plain, digest)
) WITHOUT ROWID;
CREATE INDEX ciphertext_digest ON ciphertext(digest);

CREATE TABLE dropped_content (
  packet INTEGER PRIMARY KEY REFERENCES packet(id), digest TEXT NOT NULL
);
CREATE INDEX dropped_content_digest ON dropped_content(digest)
"""


def apply(database: Database) -> None:
    """Take the steps of the migration, within the caller's transaction."""
    for statement in _STATEMENTS.split(";"):
        database.execute(statement)
