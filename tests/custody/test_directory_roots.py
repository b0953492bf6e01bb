"""Who may change the roots, and how a node that missed a change follows (custody C24).

The attacks of key compromise and of wrong keys from the list in ``test_directory_attacks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from exchanged.directory_folder import STEPS
from exchanged.durable import DurableFiles, Volume
from exchanged.keys import load_key
from exchanged.trust import Trust
from packet_spec.directory import encode_directory, open_directory
from packet_spec.errors import DirectoryError, FormatError, SignatureError
from packet_spec.model import Edition, ItemKind
from packet_spec.signing import Domain, PrivateKey, sign_document
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
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.province import Province, link_to, station


@pytest.fixture
def ceremony(province: Province) -> Ceremony:
    return Ceremony(province)


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


def test_who_missed_root_changes_follows_a_node_whose_chain_begins_after_them(tmp_path: Path) -> None:
    """The configuration of the province names the newest roots by now, and its daemon was started anew."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        network.nodes[PROCURATORATE].die()
        lab = load_key(network.layout.root_key)
        province = network.nodes[PROVINCE]
        current = province.opened.trust.directory
        for version, old, new in ((2, lab, FIRST), (3, FIRST, SECOND)):
            data = signed(replace(current, version=version, roots=roots_of(new)), old, new)
            assert province.opened.trust.offer(data)
        assert province.opened.trust.offer(
            signed(replace(current, version=4, roots=roots_of(SECOND)), SECOND)
        )
        network.run()
        province.die()
        keys = replace(province.config.keys, roots=roots_of(SECOND))
        province.config = replace(province.config, keys=keys)
        province.open()
        assert [each.edition.version for each in province.opened.trust.steps] == [2, 3]
        network.nodes[PROCURATORATE].open()
        network.run()
        trust = network.nodes[PROCURATORATE].opened.trust
        assert (trust.edition, trust.roots) == (Edition(1, 4), roots_of(SECOND))


def test_a_first_directory_that_changed_roots_is_kept_as_a_step(tmp_path: Path, ceremony: Ceremony) -> None:
    """A node that joins by the newest roots still serves those who trust the ones before."""
    change = three_changes(ceremony)[0]
    roots = open_directory(change, roots_of(FIRST, SECOND, THIRD), 2).roots
    trust = Trust(tmp_path / "joined", DurableFiles(Volume.OWN), roots, 2)
    trust.load()
    assert trust.offer(change)
    again = Trust(tmp_path / "joined", DurableFiles(Volume.OWN), roots, 2)
    again.load()
    for each in (trust, again):
        assert [step.edition.version for step in each.steps] == [3]
