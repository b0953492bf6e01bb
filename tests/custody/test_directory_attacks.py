"""The attacks on signed directories that the literature on updating names, each by its name (custody C24).

After the list of The Update Framework (specification, section 1.5.2) and its conformance tests; a directory
is to us what root, timestamp, snapshot and targets are there. The whole list, and where each is tested:

* arbitrary software, wrong software installation, extraneous dependencies, fast-forward, indefinite freeze,
  malicious mirrors, mix-and-match, rollback, endless data, slow retrieval by a flood: here, by these names;
* vulnerability to key compromises: ``test_directory_roots``;
* slow retrieval by a connection that is silent or trickles: ``tests/contract/test_sftp_line``. Each
  link has a thread of its own, so a stalled one holds up no other road.

Not taken over, having no counterpart: delegations and delegated roles (nobody but the roots signs), and
consistent snapshots (a directory is one file).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.folder_transport import FolderTransport
from exchanged.published import DIRECTORIES_A_STEP
from exchanged.transport import Fetched
from exchanged.trust import DirectoryForkedError
from packet_spec.directory import encode_directory
from packet_spec.directory_trust import EpochSkippedError
from packet_spec.errors import DirectoryError, FormatError, PackUnknownError, SignatureError
from packet_spec.limits import DIRECTORY_BYTES, DIRECTORY_VERSION
from packet_spec.model import Edition, ItemKind, PackReference
from packet_spec.signing import split_signed
from tests.support.ceremony import (
    FIFTH,
    FIRST,
    FOURTH,
    SECOND,
    SIXTH,
    THIEF,
    THIRD,
    Ceremony,
    roots_of,
    signed,
)
from tests.support.network import COURT, POLICE
from tests.support.peer import Peer
from tests.support.province import Province, link_to, node, station


@pytest.fixture
def ceremony(province: Province) -> Ceremony:
    return Ceremony(province)


# --- arbitrary installation ----------------------------------------------------------------------


def test_arbitrary_directory_attack(ceremony: Ceremony) -> None:
    """Whoever has no root key brings nothing into force: not unsigned, not signed by himself."""
    mine = ceremony.later(3, threshold=1, roots=roots_of(THIEF))
    ceremony.put(encode_directory(ceremony.later(3)), "directory-3.xml")
    ceremony.put(signed(mine, THIEF), "directory-4.xml")
    ceremony.put(b"no directory at all\n", "directory-5.xml")
    assert ceremony.trust.edition == Edition(1, 2)
    assert len(ceremony.refused()) == 3


def test_wrong_installation_attack_of_another_province(ceremony: Ceremony) -> None:
    """A directory that is good elsewhere counts nothing here."""
    other = ceremony.later(9, roots=roots_of(FOURTH, FIFTH, SIXTH))
    ceremony.put(signed(other, FOURTH, FIFTH), "directory-9.xml")
    assert ceremony.trust.edition == Edition(1, 2)


def test_extraneous_dependencies_attack(ceremony: Ceremony) -> None:
    """A pack that the signed directory does not name is not fetched, whoever puts it there."""
    path = ceremony.province.police.mailbox / "up" / f"{'a' * 64}.pack"
    path.write_bytes(b"a pack of the attacker")
    link_to(ceremony.province, POLICE).step()
    folder = node(ceremony.province).opened.packs
    assert not folder.has("a" * 64)


# --- rollback, freeze, fast-forward ----------------------------------------------------------------


def test_rollback_attack(ceremony: Ceremony) -> None:
    """What is older is never taken, by whatever road, now and after a restart."""
    old = signed(ceremony.later(3), FIRST, SECOND)
    assert ceremony.trust.offer(signed(ceremony.later(4), FIRST, SECOND))
    for _ in range(2):
        assert not ceremony.trust.offer(old)
        ceremony.put(old, "directory-3.xml")
        ceremony.put(old, "directory-99.xml")
        (ceremony.trust.incoming / "x.xml").write_bytes(old)
        station(ceremony.province, "directory").step()
        assert ceremony.trust.edition == Edition(1, 4)
        ceremony.restart()


@pytest.mark.parametrize("version", [4, 10**12, 10**15, DIRECTORY_VERSION])
def test_rollback_attack_by_a_restart(ceremony: Ceremony, version: int) -> None:
    """However long the number of a version is, the newest comes back."""
    assert ceremony.trust.offer(signed(ceremony.later(version), FIRST, SECOND))
    ceremony.restart()
    assert ceremony.trust.edition == Edition(1, version)


def test_rollback_attack_by_another_directory_of_the_same_version(ceremony: Ceremony) -> None:
    """Two directories of one version split a province: the first stays, the second is told of."""
    assert ceremony.trust.offer(signed(ceremony.later(3), FIRST, SECOND))
    assert not ceremony.trust.offer(signed(ceremony.later(3), SECOND, THIRD))
    other = ceremony.later(3, expires_at=ceremony.now.expires_at + timedelta(days=1))
    with pytest.raises(DirectoryForkedError):
        ceremony.trust.offer(signed(other, FIRST, SECOND))
    assert ceremony.trust.directory == ceremony.later(3)


def test_rollback_attack_by_an_older_epoch(ceremony: Ceremony) -> None:
    """A high version of an epoch that is over is older than version 1 of the next."""
    assert ceremony.trust.offer(signed(ceremony.later(1, epoch=2), FIRST, SECOND))
    assert not ceremony.trust.offer(signed(ceremony.later(DIRECTORY_VERSION), FIRST, SECOND))
    ceremony.restart()
    assert ceremony.trust.edition == Edition(2, 1)


def test_indefinite_freeze_attack(ceremony: Ceremony) -> None:
    """Kept from newer directories a node stops taking packets when its own expires, and goes on afterwards.

    Directories are taken all the same, from any road.
    """
    province = ceremony.province
    end = province.network.clock.now() + timedelta(seconds=30)
    assert ceremony.trust.offer(signed(ceremony.later(3, expires_at=end), FIRST, SECOND))
    province.network.clock.advance(60)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "directory-expired")]
    ceremony.put(signed(ceremony.later(4), FIRST, SECOND), "directory-4.xml")
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_indefinite_freeze_attack_with_an_expired_directory_in_between(ceremony: Ceremony) -> None:
    """A root change that has expired since is still a step on the way to the newest."""
    now = ceremony.province.network.clock.now()
    change = ceremony.later(
        3, roots=roots_of(FOURTH, FIFTH, SIXTH), issued_at=now - timedelta(days=9), expires_at=now
    )
    ceremony.province.network.clock.advance(60)
    assert ceremony.trust.offer(signed(change, FIRST, SECOND, FOURTH, FIFTH))
    assert not ceremony.trust.is_current(ceremony.province.network.clock.now())
    newest = ceremony.later(4, roots=change.roots)
    assert ceremony.trust.offer(signed(newest, FOURTH, FIFTH))
    assert ceremony.trust.is_current(ceremony.province.network.clock.now())


def test_fast_forward_attack_and_its_recovery(ceremony: Ceremony) -> None:
    """A version at the end of the numbers leaves no room; the next epoch, with other roots, goes on."""
    assert ceremony.trust.offer(signed(ceremony.later(DIRECTORY_VERSION), FIRST, SECOND))
    with pytest.raises(DirectoryError, match="out of range"):
        encode_directory(ceremony.later(DIRECTORY_VERSION + 1))
    assert not ceremony.trust.offer(signed(ceremony.later(3), FIRST, SECOND))
    recovery = ceremony.later(1, epoch=2, roots=roots_of(FOURTH, FIFTH, SIXTH))
    with pytest.raises(SignatureError):
        ceremony.trust.offer(signed(recovery, FOURTH, FIFTH, SIXTH))
    with pytest.raises(SignatureError):
        ceremony.trust.offer(signed(recovery, FIRST, SECOND, FOURTH))
    assert ceremony.trust.offer(signed(recovery, FIRST, SECOND, FOURTH, FIFTH))
    ceremony.restart()
    assert ceremony.trust.edition == Edition(2, 1)
    newer = replace(recovery, version=2)
    assert ceremony.trust.offer(signed(newer, FOURTH, FIFTH))


def test_fast_forward_recovery_travels_over_links(ceremony: Ceremony) -> None:
    """Served to a neighbour that stands at the far version, and no more once it says that it has it."""
    province = ceremony.province
    assert ceremony.trust.offer(signed(ceremony.later(DIRECTORY_VERSION), FIRST, SECOND))
    police, down = province.police, province.police.mailbox / "down"
    police.put(police.batch([], bare=True, directory_version=DIRECTORY_VERSION), name="ack.batch")
    ceremony.put(signed(ceremony.later(1, epoch=2), FIRST, SECOND), "directory-2-1.xml")
    assert ceremony.trust.edition == Edition(2, 1)
    province.run()
    assert [path.name for path in down.glob("directory-*.xml")] == ["directory-2-1.xml"]
    assert (police.waybills()[-1].directory_epoch, police.waybills()[-1].directory_version) == (2, 1)
    police.put(police.batch([], bare=True, directory_epoch=2, directory_version=1), name="ack.batch")
    province.run()
    assert list(down.glob("directory-*.xml")) == []


def test_fast_forward_attack_on_the_epochs(ceremony: Ceremony) -> None:
    """Epochs cannot be used up as versions can: only the next one is taken."""
    with pytest.raises(EpochSkippedError):
        ceremony.trust.offer(signed(ceremony.later(1, epoch=DIRECTORY_VERSION), FIRST, SECOND))
    with pytest.raises(EpochSkippedError):
        ceremony.trust.offer(signed(ceremony.later(1, epoch=3), FIRST, SECOND))
    assert ceremony.trust.offer(signed(ceremony.later(1, epoch=2), FIRST, SECOND))
    assert ceremony.trust.offer(signed(ceremony.later(1, epoch=3), FIRST, SECOND))


# --- mix-and-match, endless data, slow retrieval, mirrors --------------------------------------------


def test_mix_and_match_attack_with_signatures_of_another_version(ceremony: Ceremony) -> None:
    document = encode_directory(ceremony.later(3))
    other = signed(ceremony.later(4), FIRST, SECOND)
    trailer = other[len(split_signed(other)[0]) :]
    with pytest.raises(SignatureError, match="wrong"):
        ceremony.trust.offer(document + trailer)


def test_mix_and_match_attack_with_one_signature_each(ceremony: Ceremony) -> None:
    """Half the threshold signed one version, half another: neither is signed."""
    one, two = signed(ceremony.later(3), FIRST), signed(ceremony.later(4), SECOND)
    document = split_signed(one)[0]
    with pytest.raises(SignatureError):
        ceremony.trust.offer(one + two[len(split_signed(two)[0]) :])
    assert ceremony.trust.offer(one + signed(ceremony.later(3), SECOND)[len(document) :])


@pytest.mark.parametrize("element", [b"<node ", b"<agency ", b"<roots "])
def test_mix_and_match_attack_with_parts_of_two_directories(ceremony: Ceremony, element: bytes) -> None:
    """An element of one signed directory does not count in another."""
    changed = ceremony.later(
        4,
        threshold=1,
        nodes=tuple(replace(each, disabled=True) for each in ceremony.now.nodes),
        agencies=tuple(replace(each, disabled=True) for each in ceremony.now.agencies),
    )
    one, two = (encode_directory(each).splitlines(keepends=True) for each in (ceremony.later(3), changed))
    place = next(number for number, line in enumerate(one) if element in line)
    mixed = b"".join([*one[:place], two[place], *one[place + 1 :]])
    assert mixed != b"".join(one)
    trailer = signed(ceremony.later(3), FIRST, SECOND)[len(b"".join(one)) :]
    with pytest.raises((SignatureError, FormatError)):
        ceremony.trust.offer(mixed + trailer)


def test_mix_and_match_attack_with_the_name_of_another_version(ceremony: Ceremony) -> None:
    """A file is what its bytes say; one whose name promises more is told of and not read again."""
    old = signed(ceremony.later(3), FIRST, SECOND)
    assert ceremony.trust.offer(old)
    ceremony.put(old, "directory-7.xml")
    assert ceremony.trust.edition == Edition(1, 3)
    assert "format-error" in str(ceremony.refused())
    (ceremony.trust.folder / "directory-8.xml").write_bytes(signed(ceremony.later(7), FIRST, SECOND))
    ceremony.restart()
    assert ceremony.trust.edition == Edition(1, 3)


def test_mix_and_match_attack_of_directory_and_pack(ceremony: Ceremony) -> None:
    """A pack is what its digest says, and the directory alone names digests: a name proves nothing."""
    named = replace(
        ceremony.now, version=3, packs=(PackReference("standard", "9", "b" * 64, ceremony.now.issued_at),)
    )
    assert ceremony.trust.offer(signed(named, FIRST, SECOND))
    ceremony.put(b"other bytes under a good name", f"{'b' * 64}.pack")
    packs = node(ceremony.province).opened.packs
    assert not packs.has("b" * 64)
    with pytest.raises(PackUnknownError):
        packs.offer(b"other bytes under a good name", named)


def test_endless_data_attack(ceremony: Ceremony) -> None:
    """No more is read than a directory may have; what lies there does not hold up what is good."""
    path = ceremony.province.police.mailbox / "up" / "directory-3.xml"
    with path.open("wb") as file:
        file.truncate(DIRECTORY_BYTES + 1)
    ceremony.put(signed(ceremony.later(4), FIRST, SECOND), "directory-4.xml")
    assert ceremony.trust.edition == Edition(1, 4)
    with pytest.raises(FormatError, match="too large"):
        ceremony.trust.offer(b"<" * (DIRECTORY_BYTES + 1))


def test_endless_data_attack_with_signature_lines(ceremony: Ceremony) -> None:
    """Lines without end are refused before any of them is verified."""
    document = encode_directory(ceremony.later(3))
    line = signed(ceremony.later(3), FIRST)[len(document) :]
    lines = b"".join(line.replace(FIRST.key_id.encode(), f"{n:032x}".encode()) for n in range(1000))
    with pytest.raises(FormatError, match="trailer"):
        ceremony.trust.offer(document + lines)


def test_slow_retrieval_attack_by_a_flood_of_directories(
    ceremony: Ceremony, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many lie there, one look reads a few of them, and each of them once."""
    up = ceremony.province.police.mailbox / "up"
    for version in range(3, 3 + 3 * DIRECTORIES_A_STEP):
        (up / f"directory-{version}.xml").write_bytes(b"nothing\n")
    packet = ceremony.province.police.seal(ceremony.province.request())
    ceremony.province.police.send(packet)
    read: list[str] = []
    fetch = FolderTransport.fetch

    def count(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        read.extend([name] if name.startswith("directory-") else [])
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", count)
    link_to(ceremony.province, POLICE).step()
    assert len(read) == DIRECTORIES_A_STEP
    ceremony.province.run()
    assert len(read) == len(set(read)) == 3 * DIRECTORIES_A_STEP
    assert ceremony.province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_malicious_mirror_that_withholds_directories(ceremony: Ceremony) -> None:
    """One neighbour that keeps a directory back is no obstacle: any other road will do."""
    court = Peer(ceremony.province.network, COURT)
    (court.mailbox / "up" / "directory-3.xml").write_bytes(signed(ceremony.later(3), FIRST, SECOND))
    link_to(ceremony.province, COURT).step()
    assert ceremony.trust.edition == Edition(1, 3)
    (ceremony.trust.incoming / "by-disk.xml").write_bytes(signed(ceremony.later(4), FIRST, SECOND))
    station(ceremony.province, "directory").step()
    assert ceremony.trust.edition == Edition(1, 4)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b'version="3"', b'version="4"'),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"<!--exchanged-signature ed25519", b"<!--exchanged-signature none"),
    ],
)
def test_tampering_in_transit(ceremony: Ceremony, spoil: Callable[[bytes], bytes]) -> None:
    good = signed(ceremony.later(3), FIRST, SECOND)
    with pytest.raises((SignatureError, FormatError)):
        ceremony.trust.offer(spoil(good))
    assert ceremony.trust.offer(good)
