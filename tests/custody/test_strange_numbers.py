"""Files under numbers that no neighbour can have reached make no rows, and keep nothing out (C2, C5)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exchanged.folder_transport import FolderTransport
from exchanged.landing import BATCHES_A_STEP
from exchanged.ledger import unverified
from exchanged.ledger.unverified import AHEAD
from exchanged.transport import Fetched
from exchanged.vain_reading import FREE, LAST_SECONDS
from packet_spec.model import ItemKind
from packet_spec.waybill_model import ExceptionKind
from tests.support.network import POLICE
from tests.support.province import Province, link_to, node, rows


def test_a_flood_of_high_numbers_makes_no_rows_and_is_told_once(
    province: Province, caplog: pytest.LogCaptureFixture
) -> None:
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    counts = "SELECT (SELECT count(*) FROM batch_in), (SELECT count(*) FROM event)"
    before = rows(province, counts)
    flood = [
        province.police.mailbox / "up" / f"{number:08d}-{number:016x}.batch"
        for number in range(90_000_000, 90_000_300)
    ]
    for path in flood:
        path.write_bytes(b"")
    link = link_to(province, POLICE)
    caplog.set_level(logging.WARNING)
    for _ in range(2 * len(flood) // 16):
        link.step()
    assert rows(province, counts) == before
    assert [each.message for each in caplog.records].count("mailbox-strangers") == 1
    packet = province.police.seal(province.request(seed=2))
    province.police.send(packet)
    province.run()
    assert packet.data in province.procuratorate.items(ItemKind.PACKET)
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.exceptions) == (2, ())


def test_a_number_counts_as_strange_until_something_shows_how_far_the_neighbour_is(
    province: Province,
) -> None:
    """After a restore this node knows too little: a good batch is taken whatever its number."""
    police = province.police
    police.send(police.seal(province.request(seed=1)))
    province.run()
    police.number = 2 * AHEAD
    packet = police.seal(province.request(seed=2))
    good = police.batch([(packet.item(), packet.data)])
    damaged = police.batch([(packet.item(), packet.data)])[:-2000]
    police.put(damaged)
    province.run()
    assert rows(province, "SELECT number FROM batch_in") == [(1,)]
    police.put(good, number=police.number - 1)
    province.run()
    found = rows(province, "SELECT number, exception FROM batch_in WHERE number > 1 ORDER BY number")
    assert found == [(police.number - 1, ""), (police.number, ExceptionKind.BAD.value)]
    assert packet.data in province.procuratorate.items(ItemKind.PACKET)


def test_numbers_within_reach_are_answered_as_before(province: Province) -> None:
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    for number in (1 + AHEAD, 2 + AHEAD):
        province.police.put(b"no batch at all", number=number)
    province.run()
    assert node(province).errors == []
    found = rows(province, "SELECT number FROM batch_in WHERE exception = 'bad'")
    assert found == [(1 + AHEAD,)]


def test_good_batches_make_no_room_for_ever_more_rows_of_bad_ones(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the numbers below each good one thousands of empty files may lie."""
    monkeypatch.setattr(unverified, "AHEAD", 20)
    police = province.police
    for each in range(1, 6):
        for number in range(police.number + 1, police.number + 16):
            (police.mailbox / "up" / f"{number:08d}-{number:016x}.batch").write_bytes(b"")
        police.number += 15
        police.send(police.seal(province.request(seed=each)))
        province.run()
    good, bad = rows(province, "SELECT exception, count(*) FROM batch_in GROUP BY 1")
    assert good == ("", 5)
    assert 20 <= bad[1] < 20 + BATCHES_A_STEP
    # What is good is taken all the same, and what is bad is answered again once the writer has heard.
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 5
    ledger = node(province).opened.ledger
    heard = "UPDATE batch_in SET exception = '', detail = 'bad' WHERE exception = 'bad'"
    ledger.write(lambda tx: tx.execute(heard))
    province.run()
    assert rows(province, "SELECT count(*) >= 20 FROM batch_in WHERE exception = 'bad'") == [(1,)]


@pytest.mark.parametrize("kind", ["garbage", "directory", "landed before"])
def test_files_that_get_ever_other_names_are_copied_ever_more_rarely(
    province: Province, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A rename costs their writer nothing, and woke the copying of thirty-two megabytes each (I9)."""
    police = province.police
    police.send(police.seal(province.request(seed=1)))
    province.run()
    up = police.mailbox / "up"
    landed = min(up.glob("0*.batch")).read_bytes()
    link = link_to(province, POLICE)
    copied: list[str] = []
    fetch = FolderTransport.fetch

    def counted(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        copied.append(name)
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", counted)
    for turn in range(100):
        for number in range(2, 10):
            name = f"{number:08d}-{1000 * turn + number:016x}.batch"
            data = b"no batch at all"
            if kind == "directory":
                name = f"directory-{1000 * turn + number}.xml"
            elif kind == "landed before":
                name, data = f"00000001-{1000 * turn + number:016x}.batch", landed
            (up / name).write_bytes(data)
        link.step()
        for path in up.iterdir():
            path.unlink()
    assert len(copied) < 2 * FREE
    province.network.clock.advance(LAST_SECONDS)
    police.number = 20
    packet = police.seal(province.request(seed=2))
    police.send(packet)
    province.run()
    assert packet.data in province.procuratorate.items(ItemKind.PACKET)
