"""A hop note counts by the clock, and only of a node that still speaks: late ones are held (C18, C21)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from packet_spec.hop import sign_hop
from packet_spec.identity import sha256_hex
from packet_spec.model import Directory, HopNote, ItemKind, KeyUse
from packet_spec.waybill_model import WaybillItem
from tests.custody.test_disabling import disabled, in_force, take
from tests.support.listing import next_version, with_revoked
from tests.support.network import PROCURATORATE
from tests.support.peer import Sealed
from tests.support.province import Province, link_to, rows, seal_digest_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEPT = "SELECT count(*) FROM hop WHERE node = '620199-03-00'"


def sent(province: Province) -> Sealed:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    return packet


def bring(province: Province, packet: Sealed, ahead: timedelta) -> None:
    """The recipient's own note of the packet, dated so much ahead, comes by its road; not judged yet."""
    at = province.network.clock.now() + ahead
    peer = province.procuratorate
    data = sign_hop(HopNote(PROCURATORATE, packet.key, seal_digest_of(packet), at, at, ""), peer.link_key)
    peer.put(peer.batch([(WaybillItem(ItemKind.HOP, sha256_hex(data), len(data), packet.key), data)]))
    link_to(province, PROCURATORATE).step()
    assert province.arrivals() == [("landed", "")]


def revoked(province: Province) -> Directory:
    now = province.network.clock.now()
    return next_version(with_revoked(in_force(province), PROCURATORATE, KeyUse.LINK, now))


@pytest.mark.parametrize("reason", ["revoked-since", "issuer-disabled"])
def test_c21_a_note_that_is_first_seen_when_its_node_speaks_no_more_is_held(
    province: Province, reason: str
) -> None:
    packet = sent(province)
    bring(province, packet, -HOUR)
    take(
        province,
        revoked(province) if reason == "revoked-since" else disabled(in_force(province), PROCURATORATE),
    )
    province.run()
    assert province.arrivals() == [("held", reason)]
    assert rows(province, KEPT) == [(0,)]
    if reason == "issuer-disabled":
        take(province, disabled(in_force(province), PROCURATORATE, is_disabled=False))
        province.run()
        assert province.arrivals() == []
        assert rows(province, KEPT) == [(1,)]


def test_c21_a_note_that_was_seen_in_time_stays_good_and_is_repeated(province: Province) -> None:
    packet = sent(province)
    bring(province, packet, -HOUR)
    province.run()
    assert rows(province, KEPT) == [(1,)]
    ((document,),) = rows(province, "SELECT document FROM hop WHERE node = '620199-03-00'")
    peer = province.procuratorate
    item = WaybillItem(ItemKind.HOP, sha256_hex(document), len(document), packet.key)
    peer.put(peer.batch([(item, document)]))
    link_to(province, PROCURATORATE).step()
    take(province, revoked(province))
    province.run()
    assert province.arrivals() == []
    assert rows(province, KEPT) == [(1,)]


def test_c18_a_note_that_is_dated_ahead_is_held_until_it_may_count(province: Province) -> None:
    packet = sent(province)
    bring(province, packet, 2 * DAY)
    province.run()
    assert province.arrivals() == [("held", "dated-ahead")]
    assert rows(province, KEPT) == [(0,)]
    for _ in range(3):
        province.network.clock.advance((DAY / 2).total_seconds())
        province.run()
    assert rows(province, KEPT) == [(1,)]
