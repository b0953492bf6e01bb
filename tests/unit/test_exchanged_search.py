"""Whoever asks for a packet writes a number as they please."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.ledger import search
from exchanged.ledger.questions_find import find
from exchanged.ledger.search import search_key
from exchanged.states import Event, PacketState
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber
from tests.support.books import Books, packet_id
from tests.support.documents import COURT

NUMBER = "（2026）甘0102刑初123号"


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as opened:
        yield opened


def note(books: Books, key: PacketKey, *numbers: str) -> None:
    row = books.row(key)
    cases = [CaseNumber("court", number) for number in numbers]
    books.write(lambda tx: search.note_cases(tx, row.id, cases))


def keys(books: Books, text: str) -> list[PacketKey | None]:
    return [found.key for found in find(books.ledger.read(), text)]


@pytest.mark.parametrize(
    "written",
    [
        "(2026)甘0102刑初123号",
        "［2026］甘0102刑初123号",
        "〔2026〕甘0102刑初123号",
        "【2026】甘0102刑初123号",
        "[2026] 甘 0102 刑初 123 号",
        "（２０２６）甘０１０２刑初１２３号",
        "\u3000(2026)\u200b甘0102刑初123号\n",
    ],
)
def test_variants_of_a_case_number_find_each_other(books: Books, written: str) -> None:
    first, second = books.packet(1), books.packet(2)
    note(books, first, NUMBER)
    note(books, second, "(2026)甘0102刑初124号")
    assert keys(books, written) == [first]
    assert search_key(written) == search_key(NUMBER)


def test_other_numbers_stay_apart() -> None:
    assert len({search_key(text) for text in ("2026-1", "20261", "(2026)1", "2026.1", "2026/1")}) == 5
    assert search_key(" \u3000\u200b") == ""


def test_plain_text_is_read_as_all_other_text_is() -> None:
    """The short way for ASCII gives what the long one does."""
    text = "".join(map(chr, range(128)))
    assert search_key(text) == search_key(f"{text}字").removesuffix("字")


def test_every_number_of_every_organ_finds_a_packet(books: Books) -> None:
    key = books.packet(1)
    note(books, key, "A6201990000002026070001", NUMBER)
    for text in ("A6201990000002026070001", "a62019900000020260700", NUMBER, "(2026)甘"):
        assert keys(books, text) == [key]


def test_what_fits_exactly_is_told_alone_and_newest_first(books: Books) -> None:
    one = books.packet(1, sender_ref="R-7")
    two = books.packet(2, sender_ref="r-7", sender=COURT, own=False)
    longer = books.packet(3, sender_ref="R-70")
    assert keys(books, "R-7") == [two, one]
    assert keys(books, "R-7０") == [longer]
    assert keys(books, "R-") == [one, two, longer]
    assert keys(books, "7") == []
    assert keys(books, "") == []


def test_the_beginning_of_an_id_finds_what_is_only_landed_too(books: Books) -> None:
    key = books.packet(1)
    landed = PacketKey(COURT, packet_id(0x99))
    books.arrival(landed, Event.HOLD, reason="unknown-key")
    assert keys(books, packet_id(1)[:8]) == [key]
    (found,) = find(books.ledger.read(), packet_id(0x99).upper())
    assert (found.by, found.key, found.packet) == (("packet-id",), landed, None)


def test_a_drop_is_found_by_its_name_whatever_became_of_it(books: Books) -> None:
    books.drop("案件.zip", Event.LISTED_PART_MISSING, missing=("a.pdf",))
    for text in ("案件.zip", "案件", "案"):
        (found,) = find(books.ledger.read(), text)
        assert found.key is None
        assert found.drop is not None
        assert found.drop.missing == ("a.pdf",)


def test_as_many_as_asked_for_however_many_words_each_has(books: Books) -> None:
    """Three words lead to each drop; cutting off words instead of drops would hide the last ones."""
    for number in range(5):
        books.drop(f"案-{number}.zip", Event.LISTED_PART_MISSING, missing=("a.pdf",))
    assert len(find(books.ledger.read(), "案", 4)) == 4
    assert len(find(books.ledger.read(), "案", 9)) == 5


def test_a_higher_attempt_is_found_by_its_own_words_only(books: Books) -> None:
    key = books.packet(1, sender_ref="OLD-1", packet_state=PacketState.REFUSED)
    note(books, key, NUMBER)
    books.new_attempt(key)
    assert keys(books, "OLD-1") == []
    assert keys(books, NUMBER) == []
    assert keys(books, books.row(key).sender_ref) == [key]


def test_signs_of_the_query_language_are_plain_characters(books: Books) -> None:
    key = books.packet(1, sender_ref="50%_A'B")
    assert keys(books, "50%_a'b") == [key]
    assert keys(books, "%") == []
    assert keys(books, "' OR 1=1 --") == []
