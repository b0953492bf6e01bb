"""A second signing suite, registered by the tests alone, on the whole way of a packet.

Callers know suites by name only: agencies of both suites exchange packets, each side verifies the other, and
a program that does not have a suite waits and says its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from packet_spec.model import ItemKind, KeyUse, ReceiptKind
from packet_spec.receipt import open_receipt
from packet_spec.seal_document import decode_seal
from packet_spec.signing import SUITE, decode_signature, split_signed
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer
from tests.support.province import Province, node, rows
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
    """Which suite signed each receipt that the sender's software finds, verified by the sender's directory."""
    found = {}
    for path in network.agency(POLICE).glob("receipts/*/*.xml"):
        data = path.read_bytes()
        receipt, _ = open_receipt(data, network.nodes[POLICE].opened.trust.key)
        found[receipt.kind] = split_signed(data)[1][0].suite
    return found


def suites_of_hops(network: Network) -> set[str]:
    documents = (row for row in network.nodes[POLICE].opened.ledger.read().execute("SELECT document FROM hop"))
    return {split_signed(row["document"])[1][0].suite for row in documents}


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    ("changed", "root"),
    [(EVERYBODY, True), ((PROCURATORATE,), False), ((POLICE, PROVINCE), False)],
    ids=["everybody and the root", "the receiver", "sender and province"],
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
        for simulated in network.nodes.values():
            held = simulated.opened.ledger.read().execute("SELECT count(*) FROM arrival WHERE state = 'held'")
            assert held.fetchone()[0] == 0


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Province]:
    """A province of the old suite; the police, driven by hand, seal and speak in the second."""
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
    with known():
        change_suite(network, (POLICE,))
        peers = Peer(network, POLICE), Peer(network, PROCURATORATE)
    network.only(PROVINCE)
    with network:
        yield Province(network, *peers)
