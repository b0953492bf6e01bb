"""What receipts prove of encrypted packets, and a key that the service manager hands over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.receipt_check import ClaimState, Proof, Trusted, prove
from packet_spec.model import KeyUse
from tests.support.encrypted_lab import drop, encrypting_plan, inbox
from tests.support.network import POLICE, PROCURATORATE, Network


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", encrypting_plan()) as made:
        yield made


def verified(network: Network, kind: str, packet: Path) -> Proof:
    trusted = Trusted(network.nodes[POLICE].opened.trust.directory, network.clock.now())
    (receipt,) = network.agency(POLICE).glob(f"receipts/*/{kind}*.xml")
    return prove(receipt, trusted, packet)


def content(proof: Proof) -> ClaimState:
    return next(claim.state for claim in proof.claims if claim.what == "content")


@pytest.mark.parametrize("kind", ["accepted", "delivered"])
def test_the_files_of_an_inbox_folder_are_those_that_were_encrypted(network: Network, kind: str) -> None:
    drop(network, "A")
    network.run()
    (folder,) = inbox(network)
    assert content(verified(network, kind, folder)) is ClaimState.PROVED
    altered = next(folder.glob("*.pdf"))
    altered.write_bytes(altered.read_bytes() + b"x")
    assert content(verified(network, kind, folder)) is ClaimState.FAILED


def test_a_file_of_which_delivery_xml_names_another_ciphertext_is_not_the_sealed_one(
    network: Network,
) -> None:
    drop(network, "A")
    network.run()
    (folder,) = inbox(network)
    told = folder / "delivery.xml"
    data = told.read_bytes()
    at = data.index(b'carriedDigest="') + len(b'carriedDigest="')
    told.write_bytes(data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])
    assert content(verified(network, "delivered", folder)) is ClaimState.FAILED


@pytest.mark.parametrize("kind", ["accepted", "delivered"])
def test_an_original_that_was_encrypted_is_not_called_another_one(network: Network, kind: str) -> None:
    """What was carried is gone: nothing is said of it, neither good nor bad."""
    drop(network, "A")
    network.run()
    (original,) = (network.agency(POLICE) / "sent").iterdir()
    proof = verified(network, kind, original)
    assert (content(proof), proof.error) == (ClaimState.NOT_CHECKED, None)


def test_a_key_that_the_service_manager_hands_over_opens_what_is_encrypted_to_it(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[PROCURATORATE]
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    key = node.config.keys.encrypt
    node.close()
    key.rename(credentials / key.name)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    node.open()
    assert node.opened.keyring.in_force(KeyUse.ENCRYPT, network.clock.now()) is not None
    drop(network, "A")
    network.run()
    assert len(inbox(network)) == 1
