"""Packets wait for a directory that counts, and a new one is taken however it comes (C24)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.folder_transport import FolderTransport
from exchanged.transport import Fetched
from packet_spec.errors import VersionError
from packet_spec.model import ItemKind
from tests.support.network import POLICE
from tests.support.province import Province, link_to, node, publish, station


def test_c24_what_was_held_is_looked_at_after_a_power_cut_too(province: Province) -> None:
    """The directory was in force already, the ledger did not yet know that somebody waits for it."""
    trust = node(province).opened.trust
    current = trust.directory
    short = replace(current, version=2, expires_at=province.network.clock.now() + timedelta(seconds=30))
    trust.offer(publish(province, short))
    province.network.clock.advance(60)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "directory-expired")]
    trust.offer(publish(province, replace(current, version=3)))
    node(province).die()
    node(province).open()
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c24_without_any_directory_packets_are_held(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    link_to(province, POLICE).step()
    folder, door = node(province).opened.trust.folder, node(province).config.node.door
    saved = {path: path.read_bytes() for each in (folder, door) for path in each.glob("directory-*.xml")}
    for path in saved:
        path.unlink()
    node(province).die()
    node(province).open()
    for _ in range(3):
        station(province, "judge").step()
    assert province.arrivals() == [("held", "no-directory")]


def test_c24_a_directory_on_its_way_in_is_not_taken_for_one_that_a_person_put(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk looks at its folder while the link still writes."""
    newer = replace(node(province).opened.trust.directory, version=2)
    (province.police.mailbox / "up" / "directory-2.xml").write_bytes(publish(province, newer))
    fetch = FolderTransport.fetch

    def slow(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        found = fetch(self, name, target, limit_bytes=limit_bytes)
        station(province, "directory").step()
        return found

    monkeypatch.setattr(FolderTransport, "fetch", slow)
    link_to(province, POLICE).step()
    assert node(province).opened.trust.version == 2
    assert province.events("directory-taken")


def test_c24_a_directory_of_a_later_format_does_not_stop_the_link(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(data: bytes) -> bool:
        raise VersionError("a format that comes later")

    (province.police.mailbox / "up" / "directory-2.xml").write_bytes(b"later")
    monkeypatch.setattr(node(province).opened.trust, "offer", later)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
