"""Batches are answered once and for good, whatever was lost, set back or used twice (C5)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged.acknowledging import BEHIND_SECONDS, HOLD_SECONDS
from exchanged.errors import FileOperationError, NoSpaceError, TransportError
from exchanged.folder_transport import FolderTransport
from exchanged.landing import BATCHES_A_STEP
from exchanged.ledger import batches
from exchanged.ledger.questions_find import find
from exchanged.ledger.questions_link import link_facts
from exchanged.link_health import ACKNOWLEDGED_AT, CLOCK_AHEAD, HEARD_AT
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME
from exchanged.station import NOW
from exchanged.transport import Fetched, Listing
from packet_spec.errors import ExchangeError
from packet_spec.model import ItemKind
from packet_spec.waybill_model import Acknowledgement, ExceptionKind
from tests.support.network import POLICE, PROCURATORATE
from tests.support.province import Province, answer, link_to, node, publish, rows, station


def test_c5_a_bad_batch_stays_named_though_its_file_is_gone(province: Province) -> None:
    """The mailbox lost the file and the acknowledgement: the writer must still hear that it was bad."""
    province.police.greet()
    path = province.police.put(b"torn" * 1000, number=1)
    province.run()
    path.unlink()
    province.police.number = 1
    province.police.send(province.police.seal(province.request()))
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert [(one.number, one.kind) for one in acknowledged.exceptions] == [(1, ExceptionKind.BAD)]
    assert acknowledged.through == 2


def test_c5_an_acknowledgement_that_lies_unchanged_is_read_once_and_a_new_one_at_once(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    fetch = FolderTransport.fetch

    def counted(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        read.append(name)
        return fetch(self, name, target, limit_bytes=limit_bytes)

    province.police.send(province.police.seal(province.request()))
    province.run()
    province.procuratorate.acknowledge()
    monkeypatch.setattr(FolderTransport, "fetch", counted)
    province.run()
    assert read.count(ACKNOWLEDGEMENT_NAME) == 1
    for _ in range(5):
        province.run()
    assert read.count(ACKNOWLEDGEMENT_NAME) == 1
    province.police.send(province.police.seal(province.request()))
    province.run()
    province.procuratorate.acknowledge()
    province.run()
    assert read.count(ACKNOWLEDGEMENT_NAME) == 2


@pytest.mark.parametrize("has_identity", [True, False], ids=["identity", "time-stamp"])
@pytest.mark.parametrize("error", [TransportError("cut"), NoSpaceError("full"), FileOperationError("EMFILE")])
def test_c5_an_acknowledgement_that_could_not_be_read_is_read_again(
    province: Province, monkeypatch: pytest.MonkeyPatch, error: ExchangeError, has_identity: bool
) -> None:
    """Otherwise what it settles would wait for the next one: an hour on a quiet link."""
    listed, fetch, broken = FolderTransport.list_names, FolderTransport.fetch, [error]

    def listing(self: FolderTransport) -> Listing:
        found = listed(self)
        if has_identity:
            return found
        return replace(found, files=tuple(replace(each, identity="") for each in found.files))

    def breaking(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        if name == ACKNOWLEDGEMENT_NAME and broken:
            raise broken.pop()
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "list_names", listing)
    for _ in range(2):
        province.police.send(province.police.seal(province.request()))
        province.run()
        if province.procuratorate.counter:
            monkeypatch.setattr(FolderTransport, "fetch", breaking)
        province.procuratorate.acknowledge()
        province.network.round()
        province.network.clock.advance(5)
        province.run()
    assert not broken
    assert rows(province, "SELECT DISTINCT state FROM destination") == [("handed-over",)]


def test_c5_an_acknowledgement_of_one_size_and_time_stamp_with_the_last_is_read(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share keeps time in steps of two seconds: two acknowledgements may look the same."""
    listed = FolderTransport.list_names

    def coarse(self: FolderTransport) -> Listing:
        files = (replace(each, identity="", size=900, modified=7.0) for each in listed(self).files)
        return replace(listed(self), files=tuple(files))

    monkeypatch.setattr(FolderTransport, "list_names", coarse)
    province.police.send(province.police.seal(province.request()))
    province.run()
    province.procuratorate.greet()
    province.network.round()
    # The second one came when the link had just looked, and its next look is later than the step of time.
    province.procuratorate.acknowledge()
    province.network.clock.advance(5)
    province.run()
    assert rows(province, "SELECT state FROM destination") == [("handed-over",)]


def test_c5_an_acknowledgement_that_seems_the_same_is_read_behind_what_is_new(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet would wait for it on a mailbox that shows only size and time, as SFTP does."""
    read: list[str] = []
    listed, fetch = FolderTransport.list_names, FolderTransport.fetch

    def listing(self: FolderTransport) -> Listing:
        found = listed(self)
        return replace(found, files=tuple(replace(each, identity="") for each in found.files))

    def counted(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        read.append(name)
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "list_names", listing)
    monkeypatch.setattr(FolderTransport, "fetch", counted)
    link, police = link_to(province, POLICE), province.police
    police.greet()
    first = police.send(police.seal(province.request())).name
    link.step()
    second = police.send(police.seal(province.request())).name
    link.step()
    assert read == [ACKNOWLEDGEMENT_NAME, first, second, ACKNOWLEDGEMENT_NAME]
    read.clear()
    # Another one is news.
    os.utime(police.mailbox / "up" / ACKNOWLEDGEMENT_NAME, (1.0, 1.0))
    third = police.send(police.seal(province.request())).name
    link.step()
    assert read == [ACKNOWLEDGEMENT_NAME, third]


def told_by_file(province: Province) -> Acknowledgement:
    """What the police reads in the file that is replaced in place."""
    waybill = next(each for each in province.police.waybills() if each.number is None)
    assert waybill.acknowledgement is not None
    return waybill.acknowledgement


def test_c5_progress_rides_on_the_receipts_and_the_file_follows(province: Province) -> None:
    """An upload of its own, a ring and a look of the neighbour for each packet would tell the same."""
    province.police.send(province.police.seal(province.request()))
    province.run()
    link = link_to(province, POLICE)
    province.police.send(province.police.seal(province.request()))
    delay = link.step()
    assert delay is not None
    assert delay <= HOLD_SECONDS
    assert told_by_file(province).through == 1
    station(province, "judge").step()
    link.step()
    assert told_by_file(province).through == 1
    ridden = province.police.acknowledgement()
    assert ridden is not None
    assert ridden.through == 2
    # For whoever cannot read the batch, or loses what it said.
    province.network.clock.advance(BEHIND_SECONDS)
    link.step()
    assert told_by_file(province).through == 2


def test_c5_progress_that_nothing_follows_is_told_in_a_moment(province: Province) -> None:
    province.police.greet()
    province.run()
    link = link_to(province, POLICE)
    for number in (1, 2):
        province.police.send(province.police.seal(province.request()))
        link.step()
        assert told_by_file(province).through == number - 1
        province.network.clock.advance(HOLD_SECONDS)
        link.step()
        assert told_by_file(province).through == number


def test_c5_what_is_more_than_progress_is_told_at_once(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.run()
    province.police.put(b"torn" * 1000, number=2)
    link_to(province, POLICE).step()
    told = told_by_file(province)
    assert [(one.number, one.kind) for one in told.exceptions] == [(2, ExceptionKind.BAD)]


def test_c5_progress_does_not_wait_behind_what_takes_time(province: Province) -> None:
    """On a slow line the next step may be minutes away, and the neighbour's mailbox needs the room."""
    province.police.send(province.police.seal(province.request()))
    province.run()
    for _ in range(BATCHES_A_STEP + 1):
        province.police.send(province.police.seal(province.request()))
    assert link_to(province, POLICE).step() == NOW
    assert told_by_file(province).through == 1 + BATCHES_A_STEP


def test_c5_a_lost_acknowledgement_file_is_put_again(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.run()
    path = province.police.mailbox / "down" / "ack.batch"
    path.unlink()
    province.network.clock.advance(60)
    province.run()
    assert path.exists()


def test_c5_an_acknowledgement_of_an_incarnation_that_is_over_settles_nothing(province: Province) -> None:
    """The neighbour was set back and speaks under a new name; what the lost ledger had is not there."""
    receiver = province.procuratorate
    receiver.greet()
    province.run()
    province.police.send(province.police.seal(province.request()))
    province.run()
    told = answer(receiver)
    receiver.put(receiver.batch([], bare=True, incarnation="f" * 32), name="ack.batch")
    province.run()
    receiver.put(receiver.batch([], acknowledgement=told), number=1)
    province.run()
    assert rows(province, "SELECT state FROM destination") == [("offered",)]


def test_c5_a_batch_under_a_key_that_is_over_is_left_lying(province: Province) -> None:
    """An answer would make the neighbour send it again at once, and again, and again."""
    province.police.greet()
    province.run()
    current = node(province).opened.trust.directory
    over = province.network.clock.now()
    nodes = tuple(
        replace(
            one, keys=tuple(replace(key, not_after=over) if "link" in key.uses else key for key in one.keys)
        )
        if one.code == POLICE
        else one
        for one in current.nodes
    )
    node(province).opened.trust.offer(publish(province, replace(current, version=2, nodes=nodes)))
    province.network.clock.advance(5)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert (acknowledged.through, acknowledged.exceptions) == (0, ())
    incoming = node(province).opened.trust.incoming
    (incoming / "again.xml").write_bytes(publish(province, replace(current, version=3)))
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c5_what_does_not_fit_into_an_acknowledgement_is_not_disposed_of(province: Province) -> None:
    province.police.greet()
    province.run()
    link = node(province).opened.links.name_of(POLICE)

    def land(transaction: Any) -> None:
        for number in range(1, 4_000):
            batches.land(
                transaction, link, province.police.incarnation, number, f"{number}.batch",
                exception="bad", detail="d" * 100,
            )  # fmt: skip

    node(province).opened.ledger.write(land)
    told = batches.acknowledgement(node(province).opened.ledger.read(), link, POLICE)
    assert told is not None
    assert 0 < told.through == len(told.exceptions) < 3_999


def test_c5_when_a_neighbour_was_heard_and_acknowledged_is_remembered(province: Province) -> None:
    """What link show tells: written in the transaction that lands, and in the one that settles."""
    parts = node(province).opened
    ledger, links = parts.ledger, parts.links
    link, from_police = links.name_of(PROCURATORATE), links.name_of(POLICE)
    before = link_facts(ledger.read(), link)
    assert (before.at(HEARD_AT), before.counts.offered) == (None, 0)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    offered = link_facts(ledger.read(), link)
    assert offered.at(ACKNOWLEDGED_AT) is None
    # the packet, its receipt, and the head of the log that they stand in
    assert (offered.counts.batches, offered.counts.offered) == (1, 3)
    assert offered.counts.oldest_offered_at is not None
    police = link_facts(ledger.read(), from_police)
    assert police.at(HEARD_AT) is not None
    assert abs(float(police.memory[CLOCK_AHEAD])) < 60
    assert police.landed_through == 1
    said_at = province.network.clock.now()
    province.procuratorate.acknowledge()
    province.run()
    settled = link_facts(ledger.read(), link)
    heard = settled.at(HEARD_AT)
    assert heard is not None
    assert heard >= said_at
    assert settled.at(ACKNOWLEDGED_AT) == heard
    assert (settled.counts.batches, settled.counts.offered) == (0, 0)
    # The admitting node finds a packet by each number of its case, and by what the case software calls it.
    numbers = [row[0] for row in rows(province, "SELECT value FROM case_number")]
    assert numbers
    for text in (*numbers, packet.seal.sender_ref):
        assert [found.key for found in find(ledger.read(), text)] == [packet.key]


def test_c5_a_file_under_the_number_zero_is_a_stranger_and_stops_nothing(province: Province) -> None:
    province.police.greet()
    province.run()
    province.police.put(b"not a batch at all", name="00000000-0123456789abcdef.batch")
    province.run()
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert node(province).errors == []
    assert rows(province, "SELECT number, exception FROM batch_in") == [(1, "")]
    assert {receipt.key for receipt in province.receipts(province.police)} == {packet.key}


def test_c5_a_ledger_that_disposed_of_a_number_zero_before_acknowledges_again(province: Province) -> None:
    province.police.greet()
    province.run()
    link = node(province).opened.links.name_of(POLICE)
    incarnation, name = province.police.incarnation, "00000000-0123456789abcdef.batch"

    def dispose(transaction: Any) -> None:
        batches.land(transaction, link, incarnation, 0, name, exception="bad", detail="format")

    node(province).opened.ledger.write(dispose)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert node(province).errors == []
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.exceptions) == (1, ())
    assert {receipt.key for receipt in province.receipts(province.police)} == {packet.key}
