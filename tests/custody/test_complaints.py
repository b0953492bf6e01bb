"""Whoever has a mailbox's account and no key makes few events, however many files are laid there (C2)."""

from __future__ import annotations

import json
import logging

import pytest

from exchanged import vain_reading
from exchanged.hourly import AN_HOUR
from exchanged.landing import BATCHES_A_STEP
from exchanged.ledger import batches
from exchanged.link_health import DAMAGED_HERE
from packet_spec.errors import LayoutError
from packet_spec.model import ItemKind
from packet_spec.signing import PrivateKey
from tests.support.network import POLICE
from tests.support.province import Province, link_to, node, rows


def test_files_under_taken_numbers_make_few_events_and_are_summed_up(
    province: Province, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the account alone makes ever new names; no event is ever pruned."""
    # That so many in a row are read ever more rarely is another matter.
    monkeypatch.setattr(vain_reading, "FREE", 10_000)
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    before = counts(province)
    caplog.set_level(logging.WARNING)
    lay(province, [f"00000001-{number:016x}.batch" for number in range(1, 301)])
    batch_rows, events = counts(province)
    assert (batch_rows, events - before[1]) == (before[0], AN_HOUR)
    # A restart forgets what it told of, and not how often.
    node(province).die()
    node(province).open()
    started = counts(province)[1]
    lay(province, [f"00000001-{number:016x}.batch" for number in range(301, 401)])
    look(province, 400)
    assert counts(province)[1] == started
    province.network.clock.advance(3600)
    lay(province, [])
    (more,) = [json.loads(str(each["detail"])) for each in province.events("mailbox-more-refused")]
    assert (more["count"], more["file"]) == (400, f"00000001-{400:016x}.batch")
    assert more["error"] == LayoutError.reference
    told = [each.message for each in caplog.records if each.message.startswith("mailbox-")]
    assert told == ["mailbox-file-refused"] * AN_HOUR + ["mailbox-more-refused"]
    lay(province, [f"00000001-{401:016x}.batch"])
    assert len(province.events("mailbox-file-refused")) == AN_HOUR + 1


def test_batches_under_an_invented_key_make_few_events(province: Province) -> None:
    police = province.police
    police.send(police.seal(province.request(seed=1)))
    province.run()
    before = counts(province)
    invented = PrivateKey.from_seed(b"n" * 32)
    for number in range(2, 302):
        police.put(police.batch([], number=number, key=invented), number=number)
    look(province, 300)
    batch_rows, events = counts(province)
    assert (batch_rows, events - before[1]) == (before[0], AN_HOUR)
    # Custody of what is good passes all the same.
    packet = police.seal(province.request(seed=2))
    police.send(packet)
    province.run()
    assert packet.data in province.procuratorate.items(ItemKind.PACKET)


def test_what_is_damaged_beside_a_flood_is_answered_and_told(province: Province) -> None:
    police = province.police
    police.send(police.seal(province.request(seed=1)))
    province.run()
    lay(province, [f"00000001-{number:016x}.batch" for number in range(1, 101)])
    packet = police.seal(province.request(seed=2))
    police.put(police.batch([(packet.item(), packet.data)])[:-2000])
    province.run()
    assert rows(province, "SELECT number FROM batch_in WHERE exception = 'bad'") == [(2,)]
    link = link_to(province, POLICE).name.removeprefix("link:")
    assert batches.recall(node(province).opened.ledger.read(), link, DAMAGED_HERE)


def counts(province: Province) -> tuple[int, int]:
    (found,) = rows(province, "SELECT (SELECT count(*) FROM batch_in), (SELECT count(*) FROM event)")
    return found[0], found[1]


def lay(province: Province, names: list[str]) -> None:
    """Empty files into the mailbox of the police, and looks enough for all of them."""
    for name in names:
        (province.police.mailbox / "up" / name).write_bytes(b"")
    look(province, len(names))


def look(province: Province, files: int) -> None:
    for _ in range(2 + 2 * files // BATCHES_A_STEP):
        link_to(province, POLICE).step()
