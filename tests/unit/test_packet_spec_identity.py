"""Identities and digests (C11)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from packet_spec.errors import FormatError
from packet_spec.identity import (
    PacketKey,
    content_digest,
    is_agency_code,
    is_digest,
    is_node_code,
    is_packet_id,
    packet_id_from,
)

NOW = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["620199-01-00", "000000-00-00"])
def test_agency_codes(text: str) -> None:
    assert is_agency_code(text)
    assert is_node_code(text)


@pytest.mark.parametrize(
    "text", ["", "620199-1-00", "620199-01-00 ", "６２０１９９-０１-００", "bridge-a", "620199_01_00"]
)
def test_what_is_no_agency_code(text: str) -> None:
    assert not is_agency_code(text)


@pytest.mark.parametrize(
    "text", ["bridge-", "bridge-A", "bridge-a/b", "../620199-01-00", "bridge-" + "a" * 33]
)
def test_what_is_no_node_code(text: str) -> None:
    assert not is_node_code(text)


def test_packet_ids_are_time_ordered_uuids_of_version_7() -> None:
    early = packet_id_from(NOW, b"\xff" * 10)
    late = packet_id_from(NOW.replace(minute=31), b"\x00" * 10)
    assert is_packet_id(early)
    assert early[14] == "7"
    assert early[19] in "89ab"
    assert early < late


def test_a_packet_id_needs_ten_random_bytes() -> None:
    with pytest.raises(FormatError):
        packet_id_from(NOW, b"short")


def test_c11_the_content_digest_tells_listings_apart() -> None:
    digest = "0" * 64
    listings = [
        [(b"a", 1, digest), (b"b", 2, digest)],
        [(b"b", 2, digest), (b"a", 1, digest)],
        [(b"a 1", 1, digest), (b"b", 2, digest)],
        [(b"a", 1, digest)],
        [],
    ]
    found = {content_digest(digest, listing) for listing in listings}
    assert len(found) == len(listings)
    assert all(is_digest(one) for one in found)


def test_keys_sort_and_print() -> None:
    assert str(PacketKey("620199-01-00", "x")) == "620199-01-00/x"
    assert PacketKey("a", "2") < PacketKey("b", "1")
