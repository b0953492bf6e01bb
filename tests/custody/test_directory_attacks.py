"""The attacks on signed directories that the literature on updating names, each by its name (custody C24).

After the list of The Update Framework (specification, section 1.5.2) and its conformance tests, as far as
they have a counterpart here; a directory is to us what root, timestamp, snapshot and targets are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from exchanged.directory_folder import STEPS
from exchanged.keys import load_key
from exchanged.published import DIRECTORIES_A_STEP
from exchanged.trust import DirectoryForkedError, Trust
from packet_spec.directory import encode_directory, open_directory, sign_directory
from packet_spec.directory_trust import EpochSkippedError
from packet_spec.errors import DirectoryError, FormatError, PackUnknownError, SignatureError
from packet_spec.limits import DIRECTORY_BYTES, DIRECTORY_VERSION
from packet_spec.model import Directory, Edition, ItemKind, PackReference, RootKey
from packet_spec.signing import Domain, PrivateKey, sign_document, split_signed
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer
from tests.support.province import Province, link_to, node, station

# Three keepers, and three who come after them.
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = (PrivateKey.from_seed(bytes([90 + n]) * 32) for n in range(6))
THIEF = PrivateKey.from_seed(b"t" * 32)


def roots_of(*keys: PrivateKey) -> tuple[RootKey, ...]:
    return tuple(RootKey(key.key_id, key.suite, key.public_key.public) for key in keys)


def signed(directory: Directory, *keys: PrivateKey) -> bytes:
    return sign_directory(encode_directory(directory), keys)


class Ceremony:
    """The directories of one province, and the keys that may sign them: at first two of three keepers."""

    def __init__(self, province: Province) -> None:
        self.province = province
        lab = load_key(province.network.layout.root_key)
        self.lab = lab
        self.now = replace(
            node(province).opened.trust.directory,
            version=2,
            threshold=2,
            roots=roots_of(FIRST, SECOND, THIRD),
        )
        assert self.trust.offer(signed(self.now, lab, FIRST, SECOND))

    @property
    def trust(self) -> Trust:
        return node(self.province).opened.trust

    def later(self, version: int, **changes: object) -> Directory:
        return replace(self.now, version=version, **changes)  # type: ignore[arg-type]

    def put(self, data: bytes, name: str) -> None:
        """Into the mailbox of an agency, whose account is the attacker's; then the province looks."""
        (self.province.police.mailbox / "up" / name).write_bytes(data)
        link_to(self.province, POLICE).step()

    def restart(self) -> None:
        node(self.province).die()
        node(self.province).open()

    def refused(self) -> list[object]:
        events = self.province.events("mailbox-file-refused")
        return [str(event["detail"]) for event in events]


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


# --- keys that are stolen ------------------------------------------------------------------------


def test_key_compromise_below_the_threshold(ceremony: Ceremony) -> None:
    """One stolen key of three moves nothing: no new directory, no new roots, no new epoch."""
    attempts = [
        ceremony.later(3),
        ceremony.later(4, threshold=1),
        ceremony.later(5, roots=roots_of(FIRST, THIEF), threshold=1),
        ceremony.later(6, epoch=2),
    ]
    for directory in attempts:
        with pytest.raises(SignatureError):
            ceremony.trust.offer(signed(directory, FIRST, THIEF))
    assert ceremony.trust.edition == Edition(1, 2)


def test_signatures_of_one_key_counted_twice(ceremony: Ceremony) -> None:
    """One key is one voice, however often its line stands there or its key is listed."""
    document = encode_directory(ceremony.later(3))
    twice = sign_document(document, Domain.DIRECTORY, [FIRST])
    with pytest.raises(FormatError):
        ceremony.trust.offer(twice + twice[len(document) :])
    with pytest.raises(SignatureError):
        ceremony.trust.offer(signed(ceremony.later(3), FIRST))
    with pytest.raises(DirectoryError, match="listed twice"):
        encode_directory(ceremony.later(3, roots=roots_of(FIRST, FIRST, SECOND)))


def test_one_voice_listed_under_two_ids(ceremony: Ceremony) -> None:
    """A key id is computed from the key: nobody gets a second voice by a second name."""
    double = replace(roots_of(FIRST)[0], key_id="0" * 32)
    with pytest.raises(DirectoryError, match="not that of"):
        encode_directory(ceremony.later(3, roots=(*roots_of(FIRST, SECOND), double)))


def test_wrong_domain_signature(ceremony: Ceremony) -> None:
    """A root that signed the same bytes as another kind of document did not sign a directory."""
    document = encode_directory(ceremony.later(3))
    for domain in set(Domain) - {Domain.DIRECTORY}:
        with pytest.raises(SignatureError):
            ceremony.trust.offer(sign_document(document, domain, [FIRST, SECOND]))
    assert ceremony.trust.offer(sign_document(document, Domain.DIRECTORY, [FIRST, SECOND]))


def test_a_node_key_signs_no_directory(ceremony: Ceremony) -> None:
    with pytest.raises(SignatureError):
        ceremony.trust.offer(signed(ceremony.later(3), FIRST, ceremony.province.police.link_key))


# --- change of roots -----------------------------------------------------------------------------


def test_root_change_needs_the_old_threshold(ceremony: Ceremony) -> None:
    next_one = ceremony.later(3, roots=roots_of(FOURTH, FIFTH, SIXTH))
    with pytest.raises(SignatureError, match="trusted roots"):
        ceremony.trust.offer(signed(next_one, FOURTH, FIFTH, SIXTH))
    with pytest.raises(SignatureError, match="trusted roots"):
        ceremony.trust.offer(signed(next_one, FIRST, FOURTH, FIFTH, SIXTH))
    assert ceremony.trust.offer(signed(next_one, FIRST, SECOND, FOURTH, FIFTH))


def test_root_change_needs_the_new_threshold(ceremony: Ceremony) -> None:
    """Roots that cannot sign, because nobody has their keys, never come into force."""
    next_one = ceremony.later(3, roots=roots_of(FOURTH, FIFTH, SIXTH))
    with pytest.raises(SignatureError, match="names"):
        ceremony.trust.offer(signed(next_one, FIRST, SECOND))
    with pytest.raises(SignatureError, match="names"):
        ceremony.trust.offer(signed(next_one, FIRST, SECOND, FOURTH))


def test_threshold_change_needs_both_thresholds(ceremony: Ceremony) -> None:
    with pytest.raises(SignatureError, match="names"):
        ceremony.trust.offer(signed(ceremony.later(3, threshold=3), FIRST, SECOND))
    assert ceremony.trust.offer(signed(ceremony.later(3, threshold=3), FIRST, SECOND, THIRD))
    with pytest.raises(SignatureError, match="trusted roots"):
        ceremony.trust.offer(signed(ceremony.later(4, threshold=1), FIRST, SECOND))


def test_threshold_of_nobody(ceremony: Ceremony) -> None:
    for threshold in (0, 4):
        with pytest.raises(DirectoryError, match="threshold"):
            encode_directory(ceremony.later(3, threshold=threshold))
    with pytest.raises(SignatureError):
        open_directory(signed(ceremony.later(3), FIRST, SECOND), (), 0)


def test_a_replaced_root_signs_nothing_more(ceremony: Ceremony) -> None:
    """Whoever stole the old keys after the ceremony comes too late, also after a restart."""
    ceremony.trust.offer(
        signed(ceremony.later(3, roots=roots_of(FOURTH, FIFTH, SIXTH)), FIRST, SECOND, FOURTH, FIFTH)
    )
    old = signed(ceremony.later(4), FIRST, SECOND, THIRD)
    for _ in range(2):
        with pytest.raises(SignatureError):
            ceremony.trust.offer(old)
        ceremony.restart()
        assert ceremony.trust.edition == Edition(1, 3)
    (ceremony.trust.incoming / "old.xml").write_bytes(old)
    station(ceremony.province, "directory").step()
    assert ceremony.trust.edition == Edition(1, 3)


def test_a_replaced_root_cannot_speak_through_the_folder(ceremony: Ceremony) -> None:
    """A file that the old keys signed, laid beside the others, does not count at the next start."""
    ceremony.trust.offer(
        signed(ceremony.later(3, roots=roots_of(FOURTH, FIFTH, SIXTH)), FIRST, SECOND, FOURTH, FIFTH)
    )
    (ceremony.trust.folder / "directory-9.xml").write_bytes(signed(ceremony.later(9), FIRST, SECOND))
    ceremony.restart()
    assert ceremony.trust.edition == Edition(1, 3)
    assert ceremony.trust.roots == roots_of(FOURTH, FIFTH, SIXTH)


def three_changes(ceremony: Ceremony) -> list[bytes]:
    """Roots that change three times, one keeper at a time, and a directory that only the last can prove."""
    holders: list[Sequence[PrivateKey]] = [
        (FIRST, SECOND, THIRD), (FOURTH, SECOND, THIRD), (FOURTH, FIFTH, THIRD), (FOURTH, FIFTH, SIXTH),
    ]  # fmt: skip
    changes = [
        signed(ceremony.later(version, roots=roots_of(*new)), *dict.fromkeys((*old, *new)))
        for version, (old, new) in enumerate(pairwise(holders), start=3)
    ]
    last = ceremony.later(6, roots=roots_of(*holders[-1]))
    return [*changes, signed(last, FIFTH, SIXTH)]


def test_root_changes_are_caught_up_with_step_by_step(ceremony: Ceremony) -> None:
    """None may be left out, and in a mailbox they may lie in any order."""
    *changes, last = three_changes(ceremony)
    with pytest.raises(SignatureError):
        ceremony.trust.offer(last)
    up = ceremony.province.police.mailbox / "up"
    for version, data in ((6, last), (5, changes[2]), (4, changes[1]), (3, changes[0])):
        (up / f"directory-{version}.xml").write_bytes(data)
    link_to(ceremony.province, POLICE).step()
    assert ceremony.trust.edition == Edition(1, 6)
    assert ceremony.refused() == []
    ceremony.restart()
    assert ceremony.trust.edition == Edition(1, 6)
    assert [each.edition.version for each in ceremony.trust.steps] == [2, 3, 4, 5]


def test_a_neighbour_that_missed_root_changes_is_served_each_of_them(ceremony: Ceremony) -> None:
    """Also when this node was started anew in between, and when newer directories changed no roots."""
    for data in three_changes(ceremony):
        assert ceremony.trust.offer(data)
    ceremony.restart()
    ceremony.province.police.greet()
    ceremony.province.run()
    down = ceremony.province.police.mailbox / "down"
    served = sorted(path.name for path in down.glob("directory-*.xml"))
    assert served == [f"directory-{version}.xml" for version in (2, 3, 4, 5, 6)]
    ceremony.province.police.put(
        ceremony.province.police.batch([], bare=True, directory_version=6), name="ack.batch"
    )
    ceremony.province.run()
    assert list(down.glob("directory-*.xml")) == []


def test_a_root_change_on_its_way_is_finished_after_a_power_cut(ceremony: Ceremony) -> None:
    """The step was durable, the directory beside it not yet."""
    change, *_ = three_changes(ceremony)
    (ceremony.trust.folder / STEPS / "directory-3.xml").write_bytes(change)
    ceremony.restart()
    assert ceremony.trust.edition == Edition(1, 3)


def test_what_workers_check_is_proved_by_the_roots_in_force(ceremony: Ceremony) -> None:
    """Packets go on after a change of roots, without a restart, and after one."""
    for data in three_changes(ceremony):
        assert ceremony.trust.offer(data)
    province = ceremony.province
    sent = []
    for seed in (7, 8):
        packet = province.police.seal(province.request(seed=seed))
        province.police.send(packet)
        province.run()
        sent.append(packet.data)
        ceremony.restart()
    assert province.procuratorate.items(ItemKind.PACKET) == sent


def test_root_changes_reach_front_ends_over_their_links(tmp_path: Path) -> None:
    """A whole network: an agency that slept through two changes of roots follows when it wakes."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        network.nodes[PROCURATORATE].die()
        lab = load_key(network.layout.root_key)
        current = network.nodes[PROVINCE].opened.trust.directory
        for version, old, new in ((2, lab, FIRST), (3, FIRST, SECOND)):
            data = signed(replace(current, version=version, roots=roots_of(new)), old, new)
            assert network.nodes[PROVINCE].opened.trust.offer(data)
        newest = signed(replace(current, version=4, roots=roots_of(SECOND)), SECOND)
        assert network.nodes[PROVINCE].opened.trust.offer(newest)
        network.run()
        assert network.nodes[POLICE].opened.trust.edition == Edition(1, 4)
        network.nodes[PROCURATORATE].open()
        network.run()
        trust = network.nodes[PROCURATORATE].opened.trust
        assert (trust.edition, trust.roots) == (Edition(1, 4), roots_of(SECOND))


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
    police.put(
        police.batch([], bare=True, directory_epoch=2, directory_version=1), name="ack.batch"
    )
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


def test_slow_retrieval_attack_by_a_flood_of_directories(ceremony: Ceremony) -> None:
    """However many lie there, one look reads a few of them, and each of them once."""
    up = ceremony.province.police.mailbox / "up"
    for version in range(3, 3 + 3 * DIRECTORIES_A_STEP):
        (up / f"directory-{version}.xml").write_bytes(b"nothing\n")
    packet = ceremony.province.police.seal(ceremony.province.request())
    ceremony.province.police.send(packet)
    link_to(ceremony.province, POLICE).step()
    assert len(ceremony.refused()) == DIRECTORIES_A_STEP
    ceremony.province.run()
    assert len(ceremony.refused()) == 3 * DIRECTORIES_A_STEP
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
