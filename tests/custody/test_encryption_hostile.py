"""What a dishonest sender achieves with encrypted parts: a refusal, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.documents import document
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from packet_spec.encryption import DecryptionKey
from packet_spec.encryption_rules import receiving_keys
from packet_spec.model import CheckedScope, ItemKind, Receipt, ReceiptKind
from packet_spec.receipt import open_receipt
from packet_spec.signing import PublicKey
from tests.support.encrypted_lab import documents, encrypting_plan, inbox, publish, rows
from tests.support.encrypting import EncryptingPeer, Tampering
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network
from tests.support.peer import Peer


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[tuple[Network, EncryptingPeer]]:
    """The police's front-end in the hands of the test; everybody else is real."""
    network = Network(tmp_path / "lab", encrypting_plan())
    network.only(PROVINCE, PROCURATORATE)
    with network:
        yield network, EncryptingPeer(network, POLICE)


def request(network: Network, **changes: Any) -> DropRequest:
    return DropRequest(
        "prosecution.transfer", POLICE, PROCURATORATE, network.clock.now(), name="A", **changes
    )


def answers(network: Network, peer: Peer) -> list[Receipt]:
    trust = network.nodes[PROVINCE].opened.trust
    return [open_receipt(data, trust.key)[0] for data in peer.items(ItemKind.RECEIPT)]


def codes(found: list[Receipt]) -> list[tuple[ReceiptKind, str, list[str]]]:
    return [(one.kind, one.issued_by, [finding.code for finding in one.findings]) for one in found]


def test_an_honest_encrypted_packet_of_a_peer_is_delivered(hostile: tuple[Network, EncryptingPeer]) -> None:
    network, peer = hostile
    peer.send(peer.seal(request(network)))
    network.run()
    assert len(inbox(network)) == 1


def test_parts_in_clear_are_refused_on_an_encrypted_route(hostile: tuple[Network, EncryptingPeer]) -> None:
    network, _ = hostile
    peer = Peer(network, POLICE)
    peer.send(peer.seal(request(network)))
    network.run()
    assert codes(answers(network, peer)) == [(ReceiptKind.REFUSED, PROVINCE, ["encryption-required"])]
    assert inbox(network) == []


def test_encrypted_parts_are_refused_where_no_route_wants_them(
    hostile: tuple[Network, EncryptingPeer],
) -> None:
    """Else a front-end could carry past the province whatever it does not want looked into."""
    network, peer = hostile
    publish(network, routes=())
    network.run()
    peer.send(peer.seal(request(network)))
    network.run()
    assert codes(answers(network, peer)) == [(ReceiptKind.REFUSED, PROVINCE, ["encryption-not-foreseen"])]


def test_a_packet_that_is_not_encrypted_for_its_receiver_is_refused(
    hostile: tuple[Network, EncryptingPeer],
) -> None:
    network, peer = hostile
    directory = network.nodes[PROVINCE].opened.trust.directory
    (court,) = receiving_keys(directory, (COURT,), network.clock.now())
    key = PublicKey(court[1].suite, court[1].public)
    for node in (COURT, PROCURATORATE):
        # For somebody else; and for the receiver, but to a key of somebody else.
        peer.tampering = Tampering(recipients=((node, key),))
        peer.send(peer.seal(request(network)))
        network.run()
    refused = (ReceiptKind.REFUSED, PROVINCE, ["encryption-recipient-missing"])
    assert codes(answers(network, peer)) == [refused, refused]


def test_a_key_that_the_directory_does_not_know_holds_the_packet(
    hostile: tuple[Network, EncryptingPeer],
) -> None:
    network, peer = hostile
    stranger = DecryptionKey(b"s" * 32).public_key
    peer.tampering = Tampering(recipients=((PROCURATORATE, stranger),))
    peer.send(peer.seal(request(network)))
    network.run()
    assert answers(network, peer) == []
    assert rows(network.nodes[PROVINCE], "SELECT state, reason FROM arrival") == [("held", "unknown-key")]


@pytest.mark.parametrize(
    ("tampering", "code"),
    [
        (Tampering(stream=lambda data: data[:-1] + bytes([data[-1] ^ 1])), "encryption-not-openable"),
        (
            Tampering(
                wrapped=lambda seal: replace(
                    seal, parts=(replace(seal.parts[0], enc=bytes(48)), *seal.parts[1:])
                )
            ),
            "encryption-not-openable",
        ),
    ],
)
def test_what_does_not_open_is_refused_by_the_receiver(
    hostile: tuple[Network, EncryptingPeer], tampering: Tampering, code: str
) -> None:
    network, peer = hostile
    peer.tampering = tampering
    peer.send(peer.seal(request(network)))
    network.run()
    kinds = [(kind, by) for kind, by, _ in codes(answers(network, peer))]
    assert kinds == [(ReceiptKind.ACCEPTED, PROVINCE), (ReceiptKind.REFUSED, PROCURATORATE)]
    assert answers(network, peer)[-1].findings[0].code == code
    assert inbox(network) == []
    assert list((network.agency(PROCURATORATE) / ".exchanged").iterdir()) == []


def swapped(network: Network, change: Any) -> Any:
    """Contents of the same sizes as listed, but others."""
    path = write_drop(
        make_drop(request(network)), network.layout.root / "desk", drop_format=DropFormat.FOLDER
    )
    found = documents(path)
    return {name: change(data) for name, data in found.items() if name.endswith(".pdf")}


def test_other_content_than_packet_xml_lists_is_refused_by_the_receiver(
    hostile: tuple[Network, EncryptingPeer],
) -> None:
    network, peer = hostile
    (network.layout.root / "desk").mkdir()
    peer.tampering = Tampering(contents=swapped(network, lambda data: data[:-9] + b"\n" * 9))
    peer.send(peer.seal(request(network)))
    network.run()
    found = answers(network, peer)
    assert [(one.kind, one.issued_by) for one in found] == [
        (ReceiptKind.ACCEPTED, PROVINCE),
        (ReceiptKind.REFUSED, PROCURATORATE),
    ]
    assert {finding.code for finding in found[-1].findings} == {"opened-part-differs"}
    # It passes the province in clear: what lies there says of the content no more than packet.xml does.
    assert {(finding.expected, finding.found) for finding in found[-1].findings} == {("", "")}
    assert inbox(network) == []


def test_a_document_that_nobody_could_look_into_before_is_refused_by_the_receiver(
    hostile: tuple[Network, EncryptingPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    render = document.render_pdf
    monkeypatch.setattr(
        document, "render_pdf", lambda context: (render(context)[0][:-1024], render(context)[1])
    )
    network, peer = hostile
    peer.send(peer.seal(request(network)))
    network.run()
    found = answers(network, peer)
    assert found[0].kind is ReceiptKind.ACCEPTED
    assert found[0].scope is CheckedScope.PACKET_XML
    assert found[-1].kind is ReceiptKind.REFUSED
    assert {finding.code for finding in found[-1].findings} == {"opened-document-refused"}
    assert found[-1].findings[0].found.startswith("document-")
    assert inbox(network) == []


# --- cuts ----------------------------------------------------------------------------------
