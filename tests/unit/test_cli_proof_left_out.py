"""exchangectl proof build: nobody whom a packet concerns can spoil the proofs of the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cli.directory_trusted import anchor_of
from cli.main import main
from cli.render import display_width
from exchanged.keys import load_key
from exchanged.ledger import Transaction, batches, packets, statements
from exchanged.ledger.rows import PacketRow
from exchanged.proving import Books, gather
from packet_spec.hop import sign_hop
from packet_spec.model import HopNote, ItemKind, Receipt, ReceiptKind
from packet_spec.proof_leaving_out import leave_out_bad
from packet_spec.receipt import decode_receipt, sign_receipt
from packet_spec.signing import PrivateKey, split_signed
from tests.support.logs import LogStory
from tests.support.network import POLICE, PROCURATORATE, PROVINCE


@pytest.fixture
def story(tmp_path: Path) -> Iterator[LogStory]:
    with LogStory(tmp_path) as made:
        made.exchange("first")
        made.wait(minutes=2)
        yield made


def key_of(story: LogStory, code: str, use: str) -> PrivateKey:
    return load_key(story.network.layout.data(code) / "keys" / f"{use}.key")


def packet(story: LogStory, code: str) -> PacketRow:
    found = packets.find(story.read(code), story.key("first"))
    assert found is not None
    return found


def say(story: LogStory, code: str, kind: ItemKind, record: Callable[[Transaction], int | None]) -> None:
    """A front-end that was tampered with puts a statement of its own into its next batch."""
    opened = story.network.nodes[code].opened
    link = opened.links.name_of(PROVINCE)

    def write(tx: Transaction) -> None:
        number = record(tx)
        assert number is not None
        batches.enqueue(tx, link, kind, number, 0, of=code)

    opened.ledger.write(write)
    story.network.run(120)
    story.wait(minutes=2)


def say_receipt(story: LogStory, code: str, kind: ReceiptKind, recipient: str, seconds: float) -> None:
    """``seconds`` after the packet was delivered, as the receipt says."""
    row = packet(story, code)
    delivered = next(
        each for each in statements.receipts_of(story.read(PROVINCE), row.key) if each.kind == "delivered"
    )
    at = delivered.issued_at + timedelta(seconds=seconds)
    receipt = Receipt(
        kind, row.key, row.attempt, row.content_digest, row.seal_digest, row.business_type, recipient, code,
        at, 900 + int(seconds),
    )  # fmt: skip
    document = sign_receipt(receipt, key_of(story, code, "receipt"))
    say(story, code, ItemKind.RECEIPT, lambda tx: statements.record_receipt(tx, receipt, document, own=True))


def sender_says_that_it_expired(story: LogStory) -> None:
    say_receipt(story, POLICE, ReceiptKind.EXPIRED, "", 60)


def recipient_says_that_it_was_collected_before_it_came(story: LogStory) -> None:
    say_receipt(story, PROCURATORATE, ReceiptKind.COLLECTED, PROCURATORATE, -1)


def recipient_notes_a_way_that_is_none(story: LogStory) -> None:
    row, now = packet(story, PROCURATORATE), story.network.clock.now()
    hop = HopNote(PROCURATORATE, row.key, row.seal_digest, now, now, PROVINCE)
    document = sign_hop(hop, key_of(story, PROCURATORATE, "link"))
    say(story, PROCURATORATE, ItemKind.HOP, lambda tx: statements.record_hop(tx, hop, document))


def build(story: LogStory, code: str, output: Path, *options: str) -> int:
    config = story.network.layout.config(code)
    key = story.key("first").packet_id
    return main(["--config", str(config), "proof", "build", key, "-o", str(output), *options])


@pytest.mark.parametrize("code", [POLICE, PROVINCE])
@pytest.mark.parametrize(
    ("spoil", "claim", "by", "why"),
    [
        (sender_says_that_it_expired, "expired", POLICE, "proof-order-impossible"),
        (
            recipient_says_that_it_was_collected_before_it_came,
            "collected",
            PROCURATORATE,
            "proof-order-impossible",
        ),
        (recipient_notes_a_way_that_is_none, "hop", PROCURATORATE, "proof-hop-off-the-way"),
    ],
    ids=["expired", "collected", "hop"],
)
def test_what_was_said_to_spoil_a_proof_is_left_out_and_named(
    story: LogStory,
    code: str,
    spoil: Callable[[LogStory], None],
    claim: str,
    by: str,
    why: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(story)
    file = tmp_path / "a.proof"
    capsys.readouterr()
    assert build(story, code, file) == 0
    text = capsys.readouterr().out
    assert "verified as: proven" in text
    assert "Left out" in text
    assert by in text
    assert why in text
    # The first line bears the name of the file.
    assert max(map(display_width, text.splitlines()[1:])) <= 80
    assert build(story, code, file, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"]["verdict"] == "proven"
    assert [(each["claim"], each["by"], each["code"]) for each in said["left_out"]] == [(claim, by, why)]
    claims = {each["claim"]: each["state"] for each in said["answer"]["packets"][0]["claims"]}
    assert {claims[name] for name in ("sealed", "accepted", "delivered", "logged")} == {"proven"}


def test_what_was_left_out_is_told_in_chinese(
    story: LogStory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender_says_that_it_expired(story)
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    capsys.readouterr()
    assert build(story, POLICE, tmp_path / "a.proof") == 0
    text = capsys.readouterr().out
    assert "未写入下列内容" in text
    assert "proof-order-impossible" in text


def test_an_honest_proof_leaves_nothing_out(
    story: LogStory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert build(story, PROVINCE, tmp_path / "a.proof") == 0
    assert "Left out" not in capsys.readouterr().out


def test_a_true_receipt_takes_the_place_of_a_false_one_that_came_first(
    story: LogStory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_receipt(story, PROCURATORATE, ReceiptKind.COLLECTED, PROCURATORATE, -1)
    say_receipt(story, PROCURATORATE, ReceiptKind.COLLECTED, PROCURATORATE, 60)
    say_receipt(story, PROCURATORATE, ReceiptKind.COLLECTED, PROCURATORATE, 61)
    capsys.readouterr()
    assert build(story, PROVINCE, tmp_path / "a.proof", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    claims = [each["claim"] for each in said["answer"]["packets"][0]["claims"]]
    assert claims.count("collected") == 1
    assert len(said["left_out"]) == 1


def test_nothing_is_left_out_for_what_another_false_statement_says(story: LogStory) -> None:
    """By a false ``accepted`` of a later day every true ``delivered`` would have come too early."""
    node = story.network.nodes[PROVINCE]
    books = Books(story.read(PROVINCE), node.config.node.data_dir, anchor_of(node.config))
    proof = gather(books, [story.key("first")])
    (folder,) = proof.packets
    before = list(folder.receipts)
    accepted = next(
        found
        for data in before
        if (found := decode_receipt(split_signed(data)[0])).kind is ReceiptKind.ACCEPTED
    )
    later = replace(accepted, issued_at=accepted.issued_at + timedelta(days=3))
    folder.receipts.insert(0, sign_receipt(later, key_of(story, PROCURATORATE, "receipt")))
    (left_out,) = leave_out_bad(proof)
    assert (left_out.claim, left_out.code) == ("accepted", "proof-key-of-another-node")
    assert folder.receipts == before
