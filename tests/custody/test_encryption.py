"""Encrypted parts from outbox to inbox: who can read them, who cannot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from cli.lab.plan import Standard, parse_plan
from exchanged.ledger import blobs
from exchanged.pool import InlinePool
from exchanged.slow_lane import takes_long
from frontend_server.opened import check_opened
from frontend_server.staging import Stager
from packet_spec.delivery import decode_delivery
from packet_spec.encryption import DecryptionKey
from packet_spec.identity import sha256_hex
from packet_spec.model import CheckedScope, KeyUse, ReceiptKind
from packet_spec.part_cipher import carried_size
from packet_spec.seal_document import decode_seal
from tests.support.encrypted_lab import (
    documents,
    drop,
    encrypting_plan,
    holders,
    inbox,
    publish,
    receipts,
    rows,
    status,
    without_keys,
)
from tests.support.encrypting import ROUTES
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", encrypting_plan()) as made:
        yield made


def test_what_was_dropped_lies_in_the_inbox_and_accepted_says_what_was_not_looked_into(
    network: Network,
) -> None:
    original = documents(drop(network, "A"))
    network.run()
    (folder,) = inbox(network)
    assert documents(folder) == original
    assert [(one.kind, one.scope) for one in receipts(network)] == [
        (ReceiptKind.ACCEPTED, CheckedScope.PACKET_XML),
        (ReceiptKind.DELIVERED, None),
    ]
    seal = decode_seal((folder / "seal.xml").read_bytes())
    delivery = decode_delivery((folder / "delivery.xml").read_bytes())
    assert seal.encryption is not None
    assert [each.node for each in seal.encryption.keys] == [PROCURATORATE]
    assert [file.carried_digest for file in delivery.files] == [part.digest for part in seal.parts]
    assert {file.file: (file.size, file.digest) for file in delivery.files} == {
        name: (len(data), sha256_hex(data)) for name, data in original.items()
    }
    assert [part.size for part in seal.parts] == [carried_size(file.size) for file in delivery.files]


def test_the_province_and_its_mailboxes_hold_nothing_of_the_content(network: Network) -> None:
    original = documents(drop(network, "A"))
    seen: list[Path] = []

    def look() -> None:
        """At every moment, because mailboxes are emptied."""
        for data in original.values():
            for code in (POLICE, PROCURATORATE, COURT):
                seen.extend(holders(network.mailbox(code), data))
            seen.extend(holders(network.layout.data(PROVINCE), data))
            seen.extend(holders(network.layout.data(PROCURATORATE), data))

    network.before_round = look
    network.run()
    look()
    assert len(inbox(network)) == 1
    assert seen == []
    # The search finds what is there: the inbox, and nowhere else at the receiver.
    for data in original.values():
        assert {path.parent for path in holders(network.agency(PROCURATORATE), data)} == set(inbox(network))
        assert holders(network.layout.data(POLICE), data) == []


def test_content_keys_stand_nowhere_in_clear(network: Network) -> None:
    drop(network, "A")
    network.run()
    for code in (POLICE, PROCURATORATE):
        node = network.nodes[code]
        ((digest, key_id, wrapped),) = rows(node, "SELECT digest, key_id, wrapped FROM ciphertext")
        key = node.opened.decryption_keys.find(key_id)
        assert key is not None
        content_key = key.open(wrapped)[:32]
        ledger = b"".join(path.read_bytes() for path in node.config.node.data_dir.glob("ledger.db*"))
        assert content_key not in ledger
        assert content_key.hex().encode() not in ledger
        assert blobs.live_generation(node.opened.ledger.read(), digest) is not None
    assert rows(network.nodes[PROVINCE], "SELECT * FROM ciphertext") == []


# --- entered once, used many times -----------------------------------------------------------------


def forward(network: Network, name: str) -> None:
    """The procuratorate sends the video that it received on to the court, with the indictment."""
    video = next(data for file, data in documents(inbox(network)[0]).items() if file.endswith(".mp4"))
    desk = network.layout.root / "desk"
    request = DropRequest(
        "trial.indict", PROCURATORATE, COURT, network.clock.now(), name=name,
        extra_documents=("EVD-015",), video_bytes=2_000,
    )  # fmt: skip
    folder = write_drop(make_drop(request), desk, drop_format=DropFormat.FOLDER)
    own = next(path for path in folder.iterdir() if path.suffix == ".mp4")
    listed, size = sha256_hex(own.read_bytes()), own.stat().st_size
    xml = (folder / "packet.xml").read_text("utf-8")
    xml = xml.replace(listed, sha256_hex(video)).replace(f'size="{size}"', f'size="{len(video)}"')
    own.write_bytes(video)
    (folder / "packet.xml").write_text(xml, "utf-8")
    folder.rename(network.agency(PROCURATORATE) / "outbox" / name)


def test_what_is_sent_on_travels_as_the_same_ciphertext_under_new_wrapped_keys(network: Network) -> None:
    (network.layout.root / "desk").mkdir()
    drop(network, "A")
    network.run()
    first = decode_seal((inbox(network)[0] / "seal.xml").read_bytes())
    on_the_wire: set[str] = set()

    def look() -> None:
        on_the_wire.update(path.name for path in network.mailbox(PROCURATORATE).glob("up/*.blob"))

    network.before_round = look
    forward(network, "B")
    network.run(rounds=120)
    (folder,) = inbox(network, COURT)
    second = decode_seal((folder / "seal.xml").read_bytes())
    blob = [part for part in first.parts if part.carriage.value == "blob"]
    again = [part for part in second.parts if part.carriage.value == "blob"]
    assert [(part.digest, part.size) for part in blob] == [(part.digest, part.size) for part in again]
    assert [part.enc for part in blob] != [part.enc for part in again]
    assert second.encryption is not None
    assert [each.node for each in second.encryption.keys] == [COURT]
    # The procuratorate had it from the province: it did not travel up again (C9).
    assert on_the_wire == set()
    video = next(data for name, data in documents(inbox(network)[0]).items() if name.endswith(".mp4"))
    assert video in documents(folder).values()
    assert rows(network.nodes[PROVINCE], "SELECT count(*) FROM blob WHERE state = 'live'") == [(1,)]


def test_a_repeated_drop_is_a_duplicate_although_its_ciphertexts_would_differ(network: Network) -> None:
    path = drop(network, "A")
    shutil.copytree(path, network.layout.root / "again")
    network.run()
    shutil.move(network.layout.root / "again", network.agency(POLICE) / "outbox" / "B")
    network.run()
    assert status(network, "B")["state"] == "duplicate"
    assert status(network, "B")["duplicateOf"] == status(network, "A")["packetId"]
    assert len(inbox(network)) == 1


def test_a_drop_sent_in_clear_before_is_a_duplicate_once_the_route_is_encrypted(tmp_path: Path) -> None:
    plan = replace(encrypting_plan(), standard=Standard())
    with Network(tmp_path / "lab", plan) as network:
        path = drop(network, "A")
        shutil.copytree(path, network.layout.root / "again")
        network.run()
        publish(network, routes=ROUTES)
        network.run()
        shutil.move(network.layout.root / "again", network.agency(POLICE) / "outbox" / "B")
        network.run()
        assert status(network, "B")["state"] == "duplicate"


# --- keys --------------------------------------------------------------------------------------------


def test_without_a_key_of_the_receiver_a_drop_is_held_and_never_sent_in_clear(network: Network) -> None:
    keys = network.nodes[PROVINCE].opened.trust.directory.nodes
    publish(network, **without_keys(network, PROCURATORATE))
    network.run()
    drop(network, "A")
    network.run()
    assert status(network, "A")["state"] == "held"
    assert "key" in status(network, "A")["message"]["en"]
    assert rows(network.nodes[POLICE], "SELECT * FROM packet") == []
    publish(network, nodes=keys)
    network.clock.advance(60)
    network.run()
    assert status(network, "A")["state"] == "delivered"


def test_a_packet_waits_for_the_private_key_that_it_was_encrypted_to(network: Network) -> None:
    node = network.nodes[PROCURATORATE]
    path = node.config.keys.encrypt
    node.close()
    path.rename(path.with_name("away"))
    node.open()
    original = documents(drop(network, "A"))
    network.run()
    assert inbox(network) == []
    assert [one.kind for one in receipts(network)] == [ReceiptKind.ACCEPTED]
    # Put back while the node runs, as an older key beside a new one.
    path.with_name("away").rename(path.with_name("encrypt-old.key"))
    network.clock.advance(600)
    network.run()
    assert documents(inbox(network)[0]) == original


def test_parts_are_wrapped_for_every_key_of_a_node_that_counts(network: Network) -> None:
    directory = network.nodes[PROVINCE].opened.trust.directory
    node = directory.node(PROCURATORATE)
    assert node is not None
    listed = next(key for key in node.keys if KeyUse.ENCRYPT in key.uses)
    fresh = DecryptionKey(b"n" * 32).public_key
    other = replace(listed, key_id=fresh.key_id, public=fresh.public)
    revoked = DecryptionKey(b"r" * 32).public_key
    third = replace(listed, key_id=revoked.key_id, public=revoked.public, revoked_at=network.clock.now())
    changed = replace(node, keys=(*node.keys, other, third))
    nodes = tuple(changed if each.code == node.code else each for each in directory.nodes)
    publish(network, nodes=nodes)
    network.run()
    drop(network, "A")
    network.run()
    seal = decode_seal((inbox(network)[0] / "seal.xml").read_bytes())
    assert seal.encryption is not None
    assert {each.key_id for each in seal.encryption.keys} == {listed.key_id, fresh.key_id}


# --- a front-end that does otherwise ------------------------------------------------------------------


def test_a_cut_upload_of_a_ciphertext_goes_on_where_it_was_cut(network: Network) -> None:
    """The province has the first half of the blob from before: it goes on there, to what was sealed."""
    original = documents(drop(network, "A"))
    network.nodes[PROVINCE].close()
    for _ in range(3):
        network.round()
    (blob,) = network.mailbox(POLICE).glob("up/*.blob")
    digest, data = blob.stem, blob.read_bytes()
    province = network.nodes[PROVINCE]
    province.open()
    store = province.opened.blobs
    link = province.opened.links.name_of(POLICE)
    partial = store.incoming / f"{digest}.{link}"
    partial.write_bytes(data[: len(data) // 2])
    network.run()
    assert documents(inbox(network)[0]) == original
    generation = blobs.live_generation(province.opened.ledger.read(), digest)
    assert generation is not None
    assert store.path(digest, generation).read_bytes() == data


# --- without a province, slow checks, collection ---------------------------------------------------------


def test_point_to_point_the_receiving_front_end_admits_and_opens(tmp_path: Path) -> None:
    plan = parse_plan(
        {
            "province": {"present": False},
            "agency": [{"code": POLICE}, {"code": PROCURATORATE}],
            "link": [{"between": [POLICE, PROCURATORATE]}],
            "route": [{"encrypt": "parts"}],
        }
    )
    with Network(tmp_path / "lab", plan) as network:
        original = documents(drop(network, "A"))
        network.run()
        assert documents(inbox(network)[0]) == original
        accepted = receipts(network)[0]
        assert (accepted.issued_by, accepted.scope) == (PROCURATORATE, CheckedScope.PACKET_XML)
        for data in original.values():
            assert holders(network.layout.data(PROCURATORATE), data) == []


class SlowOnce(InlinePool):
    """The first check of an opened packet takes long."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def run(self, function: Any, works: Any) -> Any:
        if function is not check_opened:
            return super().run(function, works)
        self.asked += works
        return [takes_long()] if len(self.asked) == 1 else super().run(function, works)


def test_what_takes_long_to_check_is_opened_once(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    node = network.nodes[PROCURATORATE]
    node.close()
    node.pool = pool = SlowOnce()
    opened: list[str] = []
    stage = Stager.stage

    def counted(self: Stager, packet: Any, *rest: Any) -> Any:
        opened.append(str(packet.key))
        return stage(self, packet, *rest)

    monkeypatch.setattr(Stager, "stage", counted)
    node.open()
    original = documents(drop(network, "A"))
    network.run()
    network.clock.advance(60)
    network.run()
    assert documents(inbox(network)[0]) == original
    # Equal work: whoever is at it in the slow lane is asked again, not begun again.
    assert len(pool.asked) == 2
    assert pool.asked[0] == pool.asked[1]
    assert len(opened) == 1


def test_c10_a_content_key_goes_with_its_blob(network: Network) -> None:
    drop(network, "A")
    network.run()
    ledger = network.nodes[POLICE].opened.ledger
    later = network.clock.now() + timedelta(days=400)
    done = blobs.need_none(ledger.read(), later, 10, last_packet=10)
    ledger.write(lambda tx: blobs.collect(tx, later, last_packet=10, of=done))
    assert rows(network.nodes[POLICE], "SELECT * FROM ciphertext") == []
    # The same video is encrypted anew then, and arrives.
    network.clock.advance(1)
    drop(network, "B", seed=2)
    network.run()
    assert status(network, "B")["state"] == "delivered"
