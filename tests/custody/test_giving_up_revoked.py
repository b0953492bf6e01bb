"""What a revocation or a lost key stops for good: an operator gives it up, and it is sent anew (C12, C21)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.acts.values import Act, Filter
from exchanged.keys import generate_beside
from exchanged.ledger.verify import verify_ledger
from packet_spec.model import Directory, DirectoryKey, KeyUse, ReceiptKind
from packet_spec.signing import SUITE
from tests.custody.test_disabling import offer, reasons, states, station, wait_before_the_inbox
from tests.custody.test_front_ends import drop, inbox
from tests.support import encrypted_lab
from tests.support.acting import act, outcomes
from tests.support.asking import operator
from tests.support.clock import FakeRandomness
from tests.support.listing import next_version, with_keys, with_revoked
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def revoked(network: Network) -> Directory:
    """The next directory: the seal key of the police counts no more, and another one does."""
    found, now = network.nodes[POLICE].opened, network.clock.now()
    path = network.layout.data(POLICE) / "keys" / "seal.key"
    secret = generate_beside(path, FakeRandomness("another key"), SUITE)
    found.keyring.refresh()
    key = DirectoryKey(
        secret.key_id, secret.suite, secret.public, (KeyUse.SEAL,), now, now + timedelta(days=90)
    )
    before = found.trust.directory
    changed = with_revoked(before, POLICE, KeyUse.SEAL, now)
    return next_version(with_keys(changed, POLICE, key))


def status(network: Network, name: str) -> dict[str, object]:
    path = network.agency(POLICE) / "status" / f"{name}.status.json"
    found: dict[str, object] = json.loads(path.read_text("utf-8"))
    return found


def packet_id(network: Network, name: str) -> str:
    return str(status(network, name)["packetId"])


def test_what_is_held_at_its_receiver_is_given_up_and_its_next_attempt_arrives(network: Network) -> None:
    """Admitted before the revocation, landed after it: nothing else ends it, and its sender waits."""
    receiver = network.nodes[PROCURATORATE]
    receiver.close()
    drop(network, name="one")
    network.run()
    network.clock.advance(60)
    offer(network, PROVINCE, revoked(network))
    receiver.open()
    offer(network, PROCURATORATE, network.nodes[PROVINCE].opened.trust.directory)
    network.run()
    rows = receiver.opened.ledger.read().execute("SELECT state, reason FROM arrival WHERE kind = 'packet'")
    assert [tuple(row) for row in rows] == [("held", "revoked-since")]
    name = packet_id(network, "one")
    assert outcomes(act(receiver, Act.DISCARD, name)) == ["discarded-told"]
    (kept,) = (network.layout.data(PROCURATORATE) / "discarded").iterdir()
    assert (kept / "item.packet").stat().st_size > 0
    network.run()
    assert status(network, "one")["state"] == "undeliverable"
    again(network)


def again(network: Network) -> None:
    """The same content dropped once more: a higher attempt, under the key that counts."""
    shutil.copytree(network.agency(POLICE) / "sent" / "one", network.agency(POLICE) / "outbox" / "two")
    network.run()
    assert status(network, "two")["state"] in {"delivered", "collected"}
    assert packet_id(network, "two") == packet_id(network, "one")
    assert len(inbox(network)) == 1
    found = network.nodes[PROCURATORATE]
    verify_ledger(found.opened.ledger.read(), found.config.node.data_dir)


@pytest.mark.parametrize("staged", [False, True], ids=["arrived", "delivering"])
def test_what_has_arrived_is_given_up_and_its_next_attempt_arrives(
    network: Network, capsys: pytest.CaptureFixture[str], staged: bool
) -> None:
    receiver, _before = wait_before_the_inbox(network, staged=staged)
    name = packet_id(network, "one")
    assert outcomes(act(receiver, Act.DISCARD, name)) == [
        "being-delivered" if staged else "not-in-quarantine"
    ]
    offer(network, PROVINCE, revoked(network))
    for code in (POLICE, PROCURATORATE):
        offer(network, code, network.nodes[PROVINCE].opened.trust.directory)
    for _ in range(3):
        station(receiver, "delivery").step()
        network.clock.advance(600)
    assert states(receiver) == ["arrived"]
    assert "revoked-since" in reasons(receiver)[-1]
    seen = act(receiver, Act.DISCARD, filter=Filter(state="arrived"), preview=True)
    assert outcomes(seen) == ["discarded-told"]
    assert outcomes(act(receiver, Act.DISCARD, name)) == ["discarded-told"]
    assert states(receiver) == ["undeliverable"]
    (kept,) = (network.layout.data(PROCURATORATE) / "discarded").iterdir()
    assert (kept / "item.packet").stat().st_size > 0
    (way,) = operator(network.layout.config(PROCURATORATE), capsys).json("packet", "trace", name)["ways"]
    assert [(step["kind"], step["detail"]) for step in way["steps"]][-2:] == [
        ("discarded", f"discarded/{kept.name}"), ("undeliverable", ""),
    ]  # fmt: skip
    network.run()
    assert inbox(network) == []
    assert list((network.agency(PROCURATORATE) / ".exchanged").glob("2*")) == []
    assert status(network, "one")["state"] == "undeliverable"
    again(network)


def test_what_waits_for_another_reason_is_not_given_up(network: Network) -> None:
    receiver = network.nodes[PROCURATORATE]
    delivery = station(receiver, "delivery")
    receiver.stations.remove(delivery)
    drop(network, name="one")
    network.run()
    (network.agency(PROCURATORATE) / "inbox" / "case.report").write_text("in the way")
    delivery.step()
    assert outcomes(act(receiver, Act.DISCARD, packet_id(network, "one"))) != ["discarded-told"]
    assert not (network.layout.data(PROCURATORATE) / "discarded").exists()


def test_what_the_province_holds_is_given_up_and_its_sender_is_told(network: Network) -> None:
    """Sealed and sent before the revocation, judged after it."""
    province = network.nodes[PROVINCE]
    judge = station(province, "judge")
    province.stations.remove(judge)
    drop(network, name="one")
    network.run()
    network.clock.advance(60)
    offer(network, PROVINCE, revoked(network))
    province.stations.append(judge)
    network.run()
    name = packet_id(network, "one")
    held = Filter(state="held", reasons=("revoked-since",))
    assert outcomes(act(province, Act.DISCARD, filter=Filter(), preview=True)) == []
    assert outcomes(act(province, Act.DISCARD, filter=held, preview=True)) == ["discarded-told"]
    assert outcomes(act(province, Act.DISCARD, name)) == ["discarded-told"]
    network.run()
    assert status(network, "one")["state"] == "undeliverable"
    again(network)


def test_what_nobody_can_open_is_given_up(tmp_path: Path) -> None:
    """The key that it was encrypted to is lost; the next attempt is encrypted to the one that is listed."""
    with Network(tmp_path / "lab", encrypted_lab.encrypting_plan()) as network:
        receiver = network.nodes[PROCURATORATE]
        encrypted_lab.drop(network, "A")
        network.run(rounds=90)
        assert len(encrypted_lab.inbox(network)) == 1
        receiver.close()
        encrypted_lab.drop(network, "B", video_bytes=1_200_000)
        network.run(rounds=90)
        key = receiver.config.keys.encrypt
        key.rename(key.with_suffix(".lost"))
        receiver.open()
        network.run(rounds=90)
        name = str(encrypted_lab.status(network, "B")["packetId"])
        assert "decryption-key-missing" in reasons(receiver)[-1]
        assert outcomes(act(receiver, Act.DISCARD, name)) == ["discarded-told"]
        network.run(rounds=90)
        assert encrypted_lab.status(network, "B")["state"] == "undeliverable"
        kinds = [one.kind for one in encrypted_lab.receipts(network) if one.key.packet_id == name]
        assert kinds == [ReceiptKind.ACCEPTED, ReceiptKind.UNDELIVERABLE]
        (kept,) = (network.layout.data(PROCURATORATE) / "discarded").iterdir()
        assert len(list(kept.glob("*.blob"))) == 1
        key.with_suffix(".lost").rename(key)
        receiver.close()
        receiver.open()
        network.run(rounds=90)
        assert len(encrypted_lab.inbox(network)) == 1
        verify_ledger(receiver.opened.ledger.read(), receiver.config.node.data_dir)
