"""A second signing suite, registered by the tests alone, on the whole way of a packet.

Callers know suites by name only: agencies of both suites exchange packets, each side verifies the other, and
a program that does not have a suite waits and says its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from cli.lab.plan import Standard
from packet_spec.model import ItemKind, KeyUse, ReceiptKind
from packet_spec.receipt import open_receipt
from packet_spec.seal_document import decode_seal
from packet_spec.signing import SUITE, decode_signature, split_signed
from tests.support.encrypting import ROUTES, EncryptingPeer, Tampering
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.peer import Peer
from tests.support.province import Province, node, receipt_item
from tests.support.suites import SECOND, change_suite, known

EVERYBODY = (POLICE, PROCURATORATE, PROVINCE)


@pytest.fixture
def second() -> Iterator[None]:
    with known():
        yield


def deliver(network: Network) -> Path:
    """One packet from the police to the procuratorate, collected there; its folder in the inbox."""
    request = DropRequest("case.report", POLICE, PROCURATORATE, network.clock.now(), name="A")
    write_drop(make_drop(request), network.agency(POLICE) / "outbox", drop_format=DropFormat.FOLDER)
    network.run()
    (folder,) = (network.agency(PROCURATORATE) / "inbox").glob("*/*/")
    (folder / "collected").touch()
    network.clock.advance(60)
    network.run()
    return folder


def suites_of_receipts(network: Network) -> dict[ReceiptKind, str]:
    """Which suite signed each receipt that the sender's software finds; its own node verifies it."""
    found = {}
    for path in network.agency(POLICE).glob("receipts/*/*.xml"):
        data = path.read_bytes()
        receipt, _ = open_receipt(data, network.nodes[POLICE].opened.trust.key)
        found[receipt.kind] = split_signed(data)[1][0].suite
    return found


def suites_of_hops(network: Network) -> set[str]:
    documents = (
        row for row in network.nodes[POLICE].opened.ledger.read().execute("SELECT document FROM hop")
    )
    return {split_signed(row["document"])[1][0].suite for row in documents}


def set_aside(simulated: SimulatedNode) -> int:
    """How many things that arrived are held or quarantined."""
    statement = "SELECT count(*) FROM arrival WHERE state IN ('held', 'quarantined')"
    return int(simulated.opened.ledger.read().execute(statement).fetchone()[0])


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    ("changed", "root"),
    [
        pytest.param(EVERYBODY, True, id="everybody and the root"),
        pytest.param((PROCURATORATE,), False, id="the receiver"),
        pytest.param((POLICE, PROVINCE), False, id="sender and province", marks=pytest.mark.slow),
    ],
)
def test_a_packet_goes_its_whole_way_between_suites(
    tmp_path: Path, changed: Collection[str], root: bool
) -> None:
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
    change_suite(network, changed, root=root)
    with network:
        folder = deliver(network)
        suite = {code: SECOND.name if code in changed else SUITE for code in EVERYBODY}
        seal = decode_seal((folder / "seal.xml").read_bytes())
        assert seal.suite == decode_signature((folder / "seal.sig").read_bytes()).suite == suite[POLICE]
        assert suites_of_receipts(network) == {
            ReceiptKind.ACCEPTED: suite[PROVINCE],
            ReceiptKind.DELIVERED: suite[PROCURATORATE],
            ReceiptKind.COLLECTED: suite[PROCURATORATE],
        }
        assert suites_of_hops(network) == {suite[PROVINCE], suite[PROCURATORATE]}
        assert [node.errors for node in network.nodes.values()] == [[], [], []]
        assert [set_aside(each) for each in network.nodes.values()] == [0, 0, 0]


class Mixed(Province):
    """A province whose program lacks the second suite, and two agencies in the hands of the test."""

    def update(self) -> None:
        """The province starts again, with a program that may have the suite."""
        node(self).die()
        node(self).open()
        self.run()

    def texts(self, kind: str) -> str:
        return " ".join(str(event["detail"]) for event in self.events(kind))


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Callable[..., Mixed]]:
    """Makes one, in which an agency signs with the second suite in these uses."""
    with ExitStack() as stack:

        def make(agency: str, *uses: KeyUse) -> Mixed:
            network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
            with known():
                change_suite(network, (agency,), uses)
                peers = Peer(network, POLICE), Peer(network, PROCURATORATE)
            network.only(PROVINCE)
            stack.enter_context(network)
            return Mixed(network, *peers)

        yield make


def test_a_neighbour_of_an_unknown_suite_is_neither_refused_nor_blamed(mixed: Callable[..., Mixed]) -> None:
    province = mixed(POLICE, KeyUse.LINK)
    packet = province.police.seal(province.request())
    with known():
        # Else the province would not know whom to answer.
        province.police.greet()
        province.run()
        path = province.police.send(packet)
    province.run()
    assert path.exists()
    assert province.arrivals() == []
    assert SECOND.name in province.texts("mailbox-file-waits")
    for blame in ("mailbox-file-refused", "security", "link-down"):
        assert province.events(blame) == []
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.exceptions) == (0, ())
    with known():
        province.update()
        assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_a_packet_sealed_in_an_unknown_suite_is_held_until_the_program_has_it(
    mixed: Callable[..., Mixed],
) -> None:
    province = mixed(POLICE, KeyUse.SEAL)
    with known():
        packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "unknown-suite")]
    assert f"the signature suite {SECOND.name} is not known here" in province.texts("hold")
    assert province.receipts(province.police) == []
    assert province.events("security") == []
    with known():
        # Nobody has to release it.
        province.network.clock.advance(3600)
        province.run()
        assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_a_receipt_of_an_unknown_suite_is_held_until_the_program_has_it(mixed: Callable[..., Mixed]) -> None:
    province = mixed(PROCURATORATE, KeyUse.RECEIPT)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    with known():
        item = receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, province.procuratorate)
    province.procuratorate.put(province.procuratorate.batch([item]))
    province.run()
    assert province.arrivals()[-1] == ("held", "unknown-suite")
    assert SECOND.name in province.texts("hold")
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    with known():
        province.network.clock.advance(3600)
        province.run()
        kinds = [receipt.kind for receipt in province.receipts(province.police)]
        assert kinds == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]


def test_parts_encrypted_in_an_unknown_suite_are_held_and_not_judged(tmp_path: Path) -> None:
    plan = replace(small_plan(POLICE, PROCURATORATE), standard=Standard(routes=ROUTES))
    network = Network(tmp_path / "lab", plan)
    network.only(PROVINCE)
    with network:
        police = EncryptingPeer(network, POLICE)
        police.tampering = Tampering(
            # Its streams have other lengths, and nobody here can say which.
            stream=lambda data: data + b"tag",
            wrapped=lambda seal: replace(seal, encryption=replace(seal.encryption, suite="sm2-sm4")),
        )
        province = Mixed(network, police, Peer(network, PROCURATORATE))
        police.send(police.seal(province.request("prosecution.transfer")))
        province.run()
        assert province.arrivals() == [("held", "unknown-suite")]
        assert "the encryption suite sm2-sm4 is not known here" in province.texts("hold")
        assert province.receipts(police) == []
