"""The words by which a person asks for a packet: written when it is sealed, judged or seen in an outbox.

Guarantees: a word is kept in the one form of ``search_key``, so that bracket variants, full-width forms,
spaces and letter case find each other; exact and prefix searches go by the primary key. Leaves to
others: packet ids (they have indexes of their own) and what is asked (``questions_find``). Nothing but
answers to people depends on this table: what is the same packet or the same case is decided elsewhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from exchanged.ledger.transaction import Transaction
from packet_spec.model import CaseNumber
from packet_spec.names import escape_for_display

# What is written around a year in a case number: (2026), [2026], 〔2026〕, 【2026】 ... NFKC has made the
# full-width forms narrow before.
_OPENING: Final = "([{<〔〈《「『【〖〘〚⟦⟨⟪⦅"
_CLOSING: Final = ")]}>〕〉》」』】〗〙〛⟧⟩⟫⦆"
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u301c"
_SAME: Final = str.maketrans(
    dict.fromkeys(_OPENING, "(") | dict.fromkeys(_CLOSING, ")") | dict.fromkeys(_DASHES, "-")
)
# A space and the controls go.
_SAME_ASCII: Final = {
    **{number: same for number, same in _SAME.items() if number < 128},
    **dict.fromkeys((*range(33), 127)),
}
_SUFFIXES: Final = (".zip", ".xml")


class Field(StrEnum):
    """What a word is. The first two name a row of ``packet``, the others one of ``drop``."""

    SENDER_REF = "sender-ref"
    CASE_NUMBER = "case-number"
    DROP_NAME = "drop-name"
    DROP_REF = "drop-ref"


PACKET_FIELDS: Final = frozenset({Field.SENDER_REF, Field.CASE_NUMBER})


def search_key(text: str) -> str:
    """``text`` in the form in which words are kept and looked for; empty for text without characters.

    Full-width and compatibility forms become plain ones (NFKC), letters lower case, every kind of bracket
    a round one, every dash a hyphen; spaces, controls and invisible characters go.
    """
    if text.isascii():
        # Nearly every reference: nothing to fold, so this costs a tenth.
        return text.lower().translate(_SAME_ASCII)
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_SAME)
    return "".join(
        character for character in plain if unicodedata.category(character)[0] not in {"C", "Z"}
    )


def note_packet(transaction: Transaction, packet: int, sender_ref: str) -> None:
    """A packet of that row number bears ``sender_ref``."""
    _note(transaction, Field.SENDER_REF, packet, (sender_ref,))


def note_cases(transaction: Transaction, packet: int, numbers: Iterable[CaseNumber]) -> None:
    """A packet of that row number bears these case numbers, of whatever organ."""
    _note(transaction, Field.CASE_NUMBER, packet, (number.value for number in numbers))


def note_drop(transaction: Transaction, drop: int, name: bytes, status_name: str) -> None:
    """A drop of that row number was seen under ``name``, and its status file is called ``status_name``."""
    _note(transaction, Field.DROP_NAME, drop, drop_words(name, status_name))


def note_drop_ref(transaction: Transaction, drop: int, sender_ref: str) -> None:
    """The drop of that row number bears ``sender_ref``; empty is fine."""
    _note(transaction, Field.DROP_REF, drop, (sender_ref,))


def forget(transaction: Transaction, subject: int, fields: Iterable[Field]) -> None:
    """The row of that number bears none of its words of ``fields`` any more."""
    for field in fields:
        transaction.execute("DELETE FROM search WHERE subject = ? AND field = ?", subject, field.value)


def drop_words(name: bytes, status_name: str) -> tuple[str, ...]:
    """Under which words a drop is found: its name as shown, also without suffix, and its status name."""
    shown = escape_for_display(name)
    bare = next((shown[: -len(end)] for end in _SUFFIXES if shown.lower().endswith(end)), shown)
    return (shown, bare, status_name)


def _note(transaction: Transaction, field: Field, subject: int, words: Iterable[str]) -> None:
    for word in {search_key(word) for word in words} - {""}:
        transaction.execute("INSERT OR IGNORE INTO search VALUES (?, ?, ?)", word, field.value, subject)
