"""Keys change by what the directory schedules: nobody restarts, and nobody at an agency does anything."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from cli.directory_rotation import Schedule, ask_for_keys, take_offers
from exchanged.clock import SystemRandomness
from exchanged.key_desk import KeyOffers
from exchanged.keyring import Keyring
from exchanged.keys import generate_ssh_key
from exchanged.ledger import key_offers
from exchanged.ledger.rows import ArrivalRow
from packet_spec.directory import key_valid_at
from packet_spec.key_offer import KeyOffer, encode_key_offer, prove
from packet_spec.model import Directory, KeyUse, ReceiptKind
from packet_spec.note import Note
from packet_spec.note_rules import KEYS
from packet_spec.receipt import decode_receipt
from packet_spec.signing import PrivateKey, decode_signature, split_signed
from tests.custody.test_front_ends import drop, inbox
from tests.support.clock import FakeClock
from tests.support.listing import next_version, node_of, with_node, with_revoked
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.publishing import signed

USES = {
    POLICE: {"seal", "link", "receipt", "encrypt"},
    PROCURATORATE: {"seal", "link", "receipt", "encrypt"},
    PROVINCE: {"link", "receipt", "log"},
}
OVERLAP = timedelta(hours=1)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def in_force(network: Network) -> Directory:
    return network.nodes[PROVINCE].opened.trust.directory


def put_in(network: Network, directory: Directory) -> None:
    """The province's administrator installs it; the agencies get it over their links."""
    incoming = network.nodes[PROVINCE].opened.trust.incoming
    (incoming / f"directory-{directory.version}.xml").write_bytes(signed(network, directory))


def offers(network: Network) -> tuple[key_offers.OfferRow, ...]:
    return key_offers.every(network.nodes[PROVINCE].opened.ledger.read())


def used(network: Network, code: str) -> frozenset[str]:
    return frozenset(network.nodes[code].opened.keyring.key_ids(network.clock.now()))


def rotate(network: Network) -> None:
    """Both ceremonies: ask, and take what was offered, from ten minutes on."""
    put_in(network, ask_for_keys(next_version(in_force(network)), (), network.clock.now()))
    network.run()
    at = network.clock.now() + timedelta(minutes=10)
    taken = take_offers(
        next_version(in_force(network)),
        [(row.node, row.key) for row in offers(network)],
        Schedule(at, OVERLAP),
    )
    put_in(network, taken)
    network.run()


def test_all_keys_change_and_nobody_restarts_or_does_anything(network: Network) -> None:
    before = {code: used(network, code) for code in network.nodes}
    parts = {code: node.parts for code, node in network.nodes.items()}
    rotate(network)
    assert {code: used(network, code) for code in network.nodes} == before, "not before their time"
    drop(network, name="a")
    network.run()
    network.clock.advance(600)
    drop(network, name="b")
    network.run()
    after = {code: used(network, code) for code in network.nodes}
    assert all(not (after[code] & before[code]) for code in network.nodes)
    network.clock.advance(OVERLAP.total_seconds())
    drop(network, name="c")
    network.run()
    assert len(inbox(network)) == 3
    assert {code: node.parts for code, node in network.nodes.items()} == parts
    assert not [error for node in network.nodes.values() for error in node.errors]
    directory = in_force(network)
    for code, uses in USES.items():
        valid = {
            use
            for key in node_of(directory, code).keys
            for use in key.uses
            if key_valid_at(key, use, network.clock.now())
        }
        assert valid == set(map(KeyUse, uses))


class FastClock(FakeClock):
    """The network's, but ahead of it."""

    def __init__(self, others: FakeClock, ahead_seconds: float) -> None:
        super().__init__()
        self._others = others
        self._ahead = timedelta(seconds=ahead_seconds)

    def now(self) -> datetime:
        return self._others.now() + self._ahead

    def monotonic(self) -> float:
        return self._others.monotonic()


def test_a_clock_that_is_ahead_at_a_change_of_keys_stops_no_link(network: Network) -> None:
    """Its new key does not count for the others yet: what it signs is looked at again, and not for ever."""
    police = network.nodes[POLICE]
    police.close()
    police.clock = FastClock(network.clock, 200)
    police.open()
    before = used(network, POLICE)
    rotate(network)
    while frozenset(police.opened.keyring.key_ids(police.clock.now())) == before:
        network.clock.advance(10)
    drop(network, name="a")
    network.run()
    refused = "SELECT json_extract(detail, '$.error') FROM event WHERE kind = 'mailbox-file-refused'"
    here = network.nodes[PROVINCE].opened.ledger.read()
    assert {row[0] for row in here.execute(refused)} == {"no-authority"}
    assert not inbox(network)
    for _ in range(40):
        network.clock.advance(10)
        network.round()
    network.run()
    assert len(inbox(network)) == 1
    # Of one file it is told once.
    assert len(here.execute(refused).fetchall()) <= 2


def test_a_node_makes_new_keys_once_closed_to_others_and_offers_them_with_proof(network: Network) -> None:
    put_in(network, ask_for_keys(next_version(in_force(network)), (POLICE,), network.clock.now()))
    network.run()
    rows = offers(network)
    assert {row.node for row in rows} == {POLICE}
    assert {row.key.use.value for row in rows} == USES[POLICE]
    folder = network.layout.data(POLICE) / "keys"
    for row in rows:
        path = folder / f"{row.key.use}-{row.key.key_id}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = sorted(folder.iterdir())
    network.nodes[POLICE].close()
    network.nodes[POLICE].open()
    network.run()
    assert sorted(folder.iterdir()) == files
    assert offers(network) == rows


def test_a_key_that_nears_its_end_is_offered_unasked(network: Network) -> None:
    node = node_of(in_force(network), POLICE)
    ends = network.clock.now() + timedelta(days=59)
    keys = tuple(replace(key, not_after=ends) if KeyUse.SEAL in key.uses else key for key in node.keys)
    put_in(network, next_version(with_node(in_force(network), POLICE, keys=keys)))
    network.run()
    assert [row.key.use for row in offers(network)] == [KeyUse.SEAL]


def test_a_node_whose_only_key_is_revoked_offers_another_at_once(network: Network) -> None:
    """As the operator's handbook promises: nobody at the agency does anything."""
    now = network.clock.now()
    put_in(network, next_version(with_revoked(in_force(network), POLICE, KeyUse.SEAL, now)))
    network.run()
    network.clock.advance(3600)
    network.run()
    assert [row.key.use for row in offers(network)] == [KeyUse.SEAL]


def test_a_node_that_lost_its_new_key_offers_another_before_the_old_one_ends(network: Network) -> None:
    """It was restored from before the key was made, or somebody offered keys in its name."""
    rotate(network)
    folder = network.layout.data(POLICE) / "keys"
    (lost,) = folder.glob("seal-*.key")
    network.nodes[POLICE].close()
    lost.unlink()
    network.nodes[POLICE].open()
    network.run()
    (offered,) = offers(network)
    assert offered.key.use is KeyUse.SEAL
    assert (folder / f"seal-{offered.key.key_id}.key") != lost
    assert (folder / f"seal-{offered.key.key_id}.key").is_file()


def test_a_login_key_that_is_named_like_a_link_key_is_not_offered_as_one(network: Network) -> None:
    folder = network.layout.data(POLICE) / "keys"
    generate_ssh_key(folder / "link-province.key", SystemRandomness())
    put_in(network, ask_for_keys(next_version(in_force(network)), (POLICE,), network.clock.now()))
    network.run()
    assert {row.key.use.value for row in offers(network)} == USES[POLICE]


def test_uses_that_share_a_file_keep_their_new_keys_over_a_restart(network: Network) -> None:
    police = network.nodes[POLICE]
    put_in(network, ask_for_keys(next_version(in_force(network)), (POLICE,), network.clock.now()))
    network.run()
    for made in (network.layout.data(POLICE) / "keys").glob("seal-*.key"):
        made.unlink()
    config = replace(police.config, keys=replace(police.config.keys, receipt=police.config.keys.seal))
    found = []
    for _ in range(3):
        ring = Keyring(config, police.opened.trust, SystemRandomness())
        ring.load()
        offered = {use: secret.key_id for use, secret in ring.offered(network.clock.now())}
        assert offered[KeyUse.SEAL] != offered[KeyUse.RECEIPT]
        found.append({offered[KeyUse.SEAL], offered[KeyUse.RECEIPT]})
    assert found[0] == found[1] == found[2]


def test_an_offer_that_was_withdrawn_does_not_come_back(network: Network) -> None:
    """A note may come again after its node has said that it offers nothing any more."""
    put_in(network, ask_for_keys(next_version(in_force(network)), (POLICE,), network.clock.now()))
    network.run()
    rows, ledger = offers(network), network.nodes[PROVINCE].opened.ledger
    at = rows[0].at
    first, none = KeyOffer(POLICE, tuple(row.key for row in rows)), KeyOffer(POLICE, ())
    assert ledger.write(lambda transaction: key_offers.replace(transaction, none, at + OVERLAP, 0))
    assert not ledger.write(lambda transaction: key_offers.replace(transaction, first, at, 0))
    assert offers(network) == ()


def offer_of_a_thief(network: Network) -> frozenset[str]:
    """Whoever stole the link key of the police offers keys of his own, dated as far ahead as he may."""
    own = {use: PrivateKey.from_seed(use.value[:1].encode() * 32) for use in (KeyUse.SEAL, KeyUse.LINK)}
    offer = KeyOffer(POLICE, tuple(prove(POLICE, use, key.suite, key) for use, key in own.items()))
    at = network.clock.now() + timedelta(hours=23)
    note = Note(KEYS, "", POLICE, PROVINCE, at, encode_key_offer(offer))
    province = network.nodes[PROVINCE].opened
    row = cast("ArrivalRow", SimpleNamespace(link="police"))
    assert province.ledger.write(lambda tx: KeyOffers(province.trust).take(tx, note, row))
    assert ids_of(offers(network)) == {key.key_id for key in offer.keys}
    return ids_of(offers(network))


def ids_of(rows: tuple[key_offers.OfferRow, ...]) -> frozenset[str]:
    return frozenset(row.key.key_id for row in rows)


def test_an_offer_that_is_dated_ahead_keeps_no_later_one_out(network: Network) -> None:
    network.run()
    stolen = offer_of_a_thief(network)
    put_in(network, ask_for_keys(next_version(in_force(network)), (POLICE,), network.clock.now()))
    network.run()
    assert {row.key.use.value for row in offers(network)} == USES[POLICE]
    assert not ids_of(offers(network)) & stolen


@pytest.mark.parametrize("had_spares", [True, False])
def test_after_a_key_is_revoked_only_keys_are_offered_that_were_made_later(
    network: Network, *, had_spares: bool
) -> None:
    """Who copied the disk has what lay on it, new keys too, and may have offered others."""
    if had_spares:
        put_in(network, ask_for_keys(next_version(in_force(network)), (POLICE,), network.clock.now()))
    network.run()
    copied = ids_of(offers(network))
    assert bool(copied) is had_spares
    stolen = offer_of_a_thief(network)
    now = network.clock.now()
    put_in(network, next_version(with_revoked(in_force(network), POLICE, KeyUse.SEAL, now)))
    network.run()
    found = offers(network)
    assert {row.key.use.value for row in found} == (USES[POLICE] if had_spares else {"seal"})
    assert not ids_of(found) & (copied | stolen)
    network.nodes[POLICE].close()
    network.nodes[POLICE].open()
    network.clock.advance(timedelta(days=8).total_seconds())
    network.run()
    assert ids_of(offers(network)) == ids_of(found)


def test_what_was_offered_before_a_node_was_disabled_does_not_wait_for_it(network: Network) -> None:
    network.run()
    offer_of_a_thief(network)
    for is_disabled in (True, False):
        put_in(network, next_version(with_node(in_force(network), POLICE, disabled=is_disabled)))
        network.run()
        assert offers(network) == ()


def test_what_is_open_under_a_key_that_is_revoked_goes_under_the_new_one(network: Network) -> None:
    rotate(network)
    network.clock.advance(600)
    old = used(network, POLICE)
    # It lies in the mailbox, and nobody takes it yet.
    province = network.nodes.pop(PROVINCE)
    drop(network, name="a")
    network.run()
    directory = in_force_of(network, POLICE)
    now = network.clock.now()
    rows = network.nodes[POLICE].opened.ledger.read().execute("SELECT name FROM batch_out").fetchall()
    assert rows
    assert old
    network.nodes[PROVINCE] = province
    revoked = with_node(
        directory,
        POLICE,
        keys=tuple(
            replace(key, revoked_at=now) if KeyUse.LINK in key.uses and key.key_id in old else key
            for key in node_of(directory, POLICE).keys
        ),
    )
    # The older key of the overlap is what is left.
    network.nodes[POLICE].opened.trust.offer(signed(network, next_version(revoked)))
    put_in(network, next_version(revoked))
    network.run()
    assert len(inbox(network)) == 1
    events = (
        network.nodes[POLICE]
        .opened.ledger.read()
        .execute("SELECT 1 FROM event WHERE kind = 'batch-signed-anew'")
    )
    assert events.fetchall()


def test_a_batch_signed_anew_that_was_landed_before_is_no_second_node(network: Network) -> None:
    """Its key is revoked between the landing and the acknowledgement: the same batch under another key."""
    rotate(network)
    network.clock.advance(600)
    old = used(network, POLICE)
    province = network.nodes.pop(PROVINCE)
    drop(network, name="a")
    network.run()
    police = network.nodes.pop(POLICE)
    network.nodes[PROVINCE] = province
    network.run()
    # Landed. Before the acknowledgement is there the police learn that their key is revoked.
    down, aside = network.mailbox(POLICE) / "down", network.mailbox(POLICE) / "aside"
    down.rename(aside)
    down.mkdir()
    network.nodes[POLICE] = police
    directory, now = in_force(network), network.clock.now()
    revoked = with_node(
        directory,
        POLICE,
        keys=tuple(
            replace(key, revoked_at=now) if KeyUse.LINK in key.uses and key.key_id in old else key
            for key in node_of(directory, POLICE).keys
        ),
    )
    police.opened.trust.offer(signed(network, next_version(revoked)))
    del network.nodes[PROVINCE]
    network.run()
    count = "SELECT COUNT(*) FROM event WHERE kind = ?"
    assert police.opened.ledger.read().execute(count, ("batch-signed-anew",)).fetchone()[0] > 0
    down.rmdir()
    aside.rename(down)
    network.nodes[PROVINCE] = province
    put_in(network, next_version(revoked))
    network.run()
    assert province.opened.ledger.read().execute(count, ("neighbour-forked",)).fetchone()[0] == 0
    assert len(inbox(network)) == 1
    drop(network, name="b", seed=2)
    network.run()
    assert len(inbox(network)) == 2


def in_force_of(network: Network, code: str) -> Directory:
    return network.nodes[code].opened.trust.directory


def test_without_a_key_that_counts_nothing_is_signed_and_nothing_is_lost(network: Network) -> None:
    directory = in_force(network)
    now = network.clock.now()
    network.nodes[POLICE].opened.trust.offer(
        signed(network, next_version(with_revoked(directory, POLICE, KeyUse.SEAL, now)))
    )
    drop(network, name="a")
    network.run()
    assert {error.reference for error in network.nodes[POLICE].errors} <= {"no-key-in-force"}
    assert not inbox(network)
    again = next_version(next_version(directory))
    network.nodes[POLICE].opened.trust.offer(signed(network, again))
    network.clock.advance(60)
    network.run()
    assert len(inbox(network)) == 1


def test_receipts_bear_the_key_of_their_time(network: Network) -> None:
    rotate(network)
    network.clock.advance(600)
    drop(network, name="a")
    network.run()
    rows = network.nodes[POLICE].opened.ledger.read().execute("SELECT document FROM receipt").fetchall()
    kinds = {}
    for row in rows:
        document, signatures = split_signed(row["document"])
        kinds[decode_receipt(document).kind] = signatures[0].key_id
    assert kinds[ReceiptKind.ACCEPTED] in used(network, PROVINCE)
    assert kinds[ReceiptKind.DELIVERED] in used(network, PROCURATORATE)


def test_a_batch_that_was_damaged_where_its_key_is_named_comes_again_by_itself(network: Network) -> None:
    """Its reader takes it for one whose key is yet to come: it waits for a directory, and answers nothing."""
    province = network.nodes.pop(PROVINCE)
    drop(network, name="a")
    network.run()
    (path,) = (network.mailbox(POLICE) / "up").glob("0*.batch")
    query = "SELECT signature FROM batch_out WHERE name = ?"
    row = network.nodes[POLICE].opened.ledger.read().execute(query, (path.name,)).fetchone()
    key_id = decode_signature(row["signature"]).key_id
    path.write_bytes(path.read_bytes().replace(key_id.encode(), key_id[::-1].encode()))
    network.nodes[PROVINCE] = province
    network.run()
    assert inbox(network) == []
    # Nothing is concluded before the neighbour was heard, as it is every hour.
    for _ in range(4):
        network.clock.advance(1200.0)
        network.run()
    assert len(inbox(network)) == 1
    assert [each.name for each in (network.mailbox(POLICE) / "up").glob("0*.batch")] == []
