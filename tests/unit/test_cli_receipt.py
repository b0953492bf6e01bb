"""``exchangectl receipt``: what a receipt says, and what exactly it proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.public_keys import public_key_text
from packet_spec.delivery import encode_delivery
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.identity import content_digest, sha256_hex
from packet_spec.model import Carriage, KeyUse, Receipt, ReceiptKind, SealPart
from packet_spec.receipt import sign_receipt
from packet_spec.seal import encode_seal
from packet_spec.signing import Domain, encode_signature
from packet_spec.told import DeliveredFile, Delivery
from tests.support.asking import Operator, directory_file, make_node, operator
from tests.support.books import Books, packet_id
from tests.support.documents import (
    COURT,
    FINDING,
    KEY,
    KEYS,
    NOW,
    PACKET_XML,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    ROOTS,
    SEAL_KEY,
    change_node,
    make_directory,
    make_packet,
    make_receipt,
    make_seal,
)

FILES = {"起诉意见书.pdf": b"hello", "media.mp4": b"fictional film"}
# A packet whose files all lie beside it, as a drop and as an inbox folder show it.
XML = PACKET_XML.replace('size="2000000" sha256="' + "0" * 64 + '"', 'size="14"').encode()
PARTS = tuple(
    SealPart(index, name.encode(), len(data), sha256_hex(data), Carriage.INLINE, "POL-020")
    for index, (name, data) in enumerate(FILES.items(), start=1)
)
SEAL = make_seal(XML, PARTS)
SEAL_XML = encode_seal(SEAL)
ACCEPTED = make_receipt(content_digest=SEAL.content_digest, seal_digest=sha256_hex(SEAL_XML))


@pytest.fixture
def court(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Somebody with a directory file and the published root keys, and nothing else."""
    (tmp_path / "directory.xml").write_bytes(directory_file())
    return operator(None, capsys)


@pytest.fixture
def trust(tmp_path: Path) -> list[object]:
    roots = [word for key in ROOTS for word in ("--root", public_key_text(key.public_key))]
    return ["--directory", tmp_path / "directory.xml", "--threshold", 2, *roots]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Sign a receipt and put it into a file."""

    def make(receipt: Receipt = ACCEPTED, signer: str = PROVINCE, use: KeyUse = KeyUse.RECEIPT) -> Path:
        path = tmp_path / f"{receipt.kind}.xml"
        path.write_bytes(sign_receipt(receipt, KEYS[signer, use]))
        return path

    return make


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The folder in which the receiver found the packet."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    listed = tuple(
        DeliveredFile(name, name, len(data), sha256_hex(data), "POL-020") for name, data in FILES.items()
    )
    delivery = Delivery(
        SEAL.key, 1, PROCURATORATE, SEAL.business_type, SEAL.sender_ref, NOW, NOW, NOW, SEAL.packet_digest,
        SEAL.content_digest, sha256_hex(SEAL_XML), "utf-8", listed,
    )  # fmt: skip
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "packet.xml").write_bytes(XML)
    (folder / "delivery.xml").write_bytes(encode_delivery(delivery))
    (folder / "seal.xml").write_bytes(SEAL_XML)
    (folder / "seal.sig").write_bytes(encode_signature(SEAL_KEY.sign(Domain.SEAL, SEAL_XML)))
    return folder


def claims(said: dict) -> dict[str, str]:
    (only,) = said["receipts"]
    return {claim["what"]: claim["state"] for claim in only["claims"]}


# --- verify -----------------------------------------------------------------------------------


def test_a_directory_and_root_keys_are_all_that_is_needed(
    court: Operator, trust: list[object], write: Callable[..., Path]
) -> None:
    said = court.json("receipt", "verify", write(), *trust)
    assert said["directory_version"] == 3
    assert said["receipts"][0]["proved"] is True
    assert claims(said) == {
        "signature": "proved",
        "directory": "proved",
        "authority": "proved",
        "revocation": "proved",
        "packet": "not-checked",
    }
    text = court.text("receipt", "verify", write(), *trust)
    assert "everything that was checked is proved" in text
    assert f"{PROVINCE} may say accepted" in text.replace("\n" + " " * 24, " ")


def test_one_changed_byte_is_refused_as_a_wrong_signature(
    court: Operator, trust: list[object], write: Callable[..., Path]
) -> None:
    path = write()
    path.write_bytes(path.read_bytes().replace(b'attempt="1"', b'attempt="2"', 1))
    said = court.json("receipt", "verify", path, *trust, code=5)
    assert claims(said) == {"signature": "failed"}
    assert said["receipts"][0]["receipt"] is None
    assert said["receipts"][0]["error"]["reference"] == "signature-error"
    assert "NOT PROVED" in court.text("receipt", "verify", path, *trust, code=5)


def test_a_valid_signature_without_authority_is_refused(
    court: Operator, trust: list[object], write: Callable[..., Path]
) -> None:
    for receipt, signer, use in (
        (replace(ACCEPTED, issued_by=COURT), COURT, KeyUse.RECEIPT),
        (ACCEPTED, COURT, KeyUse.RECEIPT),
        (ACCEPTED, PROVINCE, KeyUse.LINK),
    ):
        said = court.json("receipt", "verify", write(receipt, signer, use), *trust, code=5)
        assert claims(said)["authority"] == "failed"
        assert said["receipts"][0]["error"]["reference"] == "no-authority"
        assert said["receipts"][0]["proved"] is False


def test_a_key_that_the_directory_does_not_know_yet_proves_nothing(
    court: Operator, trust: list[object], tmp_path: Path
) -> None:
    path = tmp_path / "receipt.xml"
    path.write_bytes(sign_receipt(ACCEPTED, ROOTS[0]))
    said = court.json("receipt", "verify", path, *trust, code=3)
    error = said["receipts"][0]["error"]
    assert (error["reference"], error["temporary"]) == ("unknown-key", True)
    assert error.keys() >= {"summary", "where", "expected", "found", "hint"}
    assert claims(said) == {"signature": "failed"}


def test_too_few_roots_prove_no_directory(
    court: Operator, trust: list[object], write: Callable[..., Path]
) -> None:
    three = [3 if word == 2 else word for word in trust]
    assert court.json("receipt", "verify", write(), *three, code=5)["error"]["reference"] == "signature-error"
    court.text("receipt", "verify", write(), "--root", public_key_text(ROOTS[0].public_key), code=2)


def test_several_receipts_are_all_told_and_the_worst_counts(
    court: Operator, trust: list[object], write: Callable[..., Path]
) -> None:
    good = write()
    receiver = {"recipient": PROCURATORATE, "issued_by": PROCURATORATE}
    delivered = replace(ACCEPTED, kind=ReceiptKind.DELIVERED, **receiver)
    bad = write(delivered, COURT)
    said = court.json("receipt", "verify", good, bad, *trust, code=5)
    assert [each["proved"] for each in said["receipts"]] == [True, False]
    said = court.json("receipt", "verify", good, write(delivered, PROCURATORATE), *trust)
    assert [each["proved"] for each in said["receipts"]] == [True, True]


def test_a_node_verifies_with_its_own_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Callable[..., Path]
) -> None:
    desk = operator(make_node(tmp_path), capsys)
    assert desk.json("receipt", "verify", write())["receipts"][0]["proved"] is True
    (tmp_path / "data" / "directory" / "directory-3.xml").unlink()
    assert desk.json("receipt", "verify", write(), code=5)["error"]["reference"] == "no-directory"


def test_what_is_no_receipt_or_not_there(court: Operator, trust: list[object], tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(b"<x/>\n")
    assert claims(court.json("receipt", "verify", path, *trust, code=5)) == {"signature": "failed"}
    said = court.json("receipt", "verify", tmp_path / "none.xml", *trust, code=2)
    assert said["error"]["reference"] == "input-file-unreadable"


def list_anew(tmp_path: Path, code: str, use: KeyUse | None) -> None:
    """The directory, with that key of the node revoked after everything was signed, or the node disabled."""
    directory = make_directory()
    node = directory.node(code)
    assert node is not None
    revoked = tuple(
        replace(key, revoked_at=NOW + timedelta(seconds=9)) if use in key.uses else key for key in node.keys
    )
    changed = change_node(directory, code, keys=revoked, disabled=use is None)
    (tmp_path / "directory.xml").write_bytes(sign_directory(encode_directory(changed), ROOTS[:2]))


@pytest.mark.parametrize("use", [KeyUse.RECEIPT, None])
def test_a_receipt_of_a_key_that_was_revoked_since_may_be_a_thiefs(
    court: Operator, trust: list[object], write: Callable[..., Path], tmp_path: Path, use: KeyUse | None
) -> None:
    """Dated before, as it likes: by the file alone nobody can tell; nor of one whose node is disabled."""
    receiver = {"recipient": PROCURATORATE, "issued_by": PROCURATORATE}
    path = write(replace(ACCEPTED, kind=ReceiptKind.DELIVERED, **receiver), PROCURATORATE)
    list_anew(tmp_path, PROCURATORATE, use)
    said = court.json("receipt", "verify", path, *trust, code=1)
    assert (claims(said)["authority"], claims(said)["revocation"]) == ("proved", "not-checked")
    assert (said["receipts"][0]["proved"], said["receipts"][0]["error"]) == (False, None)
    assert "NOT PROVED: a thief" in court.text("receipt", "verify", path, *trust, code=1)
    assert "everything" not in court.text("receipt", "verify", path, *trust, code=1)


@pytest.mark.parametrize("use", [KeyUse.SEAL, None])
def test_what_was_sealed_by_a_key_that_was_revoked_since_is_proved_by_its_receipt(
    court: Operator, trust: list[object], write: Callable[..., Path], inbox: Path, tmp_path: Path,
    use: KeyUse | None,
) -> None:  # fmt: skip
    """The admitting node looked at the seal in its time; what came later is no fault of an old folder."""
    command = ["receipt", "verify", write(), *trust, "--packet"]
    packet = tmp_path / "one.packet"
    packet.write_bytes(make_packet())
    list_anew(tmp_path, POLICE, use)
    found = claims(court.json(*command, inbox))
    assert (found["seal"], found["seal signature"], found["content"]) == ("proved", "not-checked", "proved")
    seal = make_seal()
    receipt = make_receipt(content_digest=seal.content_digest, seal_digest=sha256_hex(encode_seal(seal)))
    found = claims(court.json("receipt", "verify", write(receipt), *trust, "--packet", packet))
    assert (found["seal"], found["seal signature"]) == ("proved", "not-checked")


# --- against a packet -------------------------------------------------------------------------


def test_an_inbox_folder_is_compared_file_by_file(
    court: Operator, trust: list[object], write: Callable[..., Path], inbox: Path
) -> None:
    command = ["receipt", "verify", write(), *trust, "--packet", inbox]
    proved = {"seal": "proved", "seal signature": "proved", "content": "proved"}
    assert claims(court.json(*command)).items() >= proved.items()
    (inbox / "media.mp4").write_bytes(b"fictional fil_")
    said = court.json(*command, code=5)
    assert claims(said)["content"] == "failed"
    assert said["receipts"][0]["error"]["reference"] == "receipt-for-other-packet"
    (inbox / "media.mp4").unlink()
    assert claims(court.json(*command))["content"] == "not-checked"
    (inbox / "packet.xml").write_bytes(XML + b" ")
    assert claims(court.json(*command, code=5))["content"] == "failed"


def test_a_delivery_list_that_leads_elsewhere_is_refused(
    court: Operator, trust: list[object], write: Callable[..., Path], inbox: Path
) -> None:
    listed = (inbox / "delivery.xml").read_bytes()
    (inbox / "delivery.xml").write_bytes(listed.replace(b'name="media.mp4"', b'name="../../x"'))
    said = court.json("receipt", "verify", write(), *trust, "--packet", inbox, code=5)
    assert claims(said)["content"] == "failed"


@pytest.mark.parametrize(
    "changes", [{"attempt": 2}, {"content_digest": "1" * 64}, {"seal_digest": "1" * 64}]
)
def test_a_receipt_about_another_attempt_content_or_seal_fails(
    court: Operator, trust: list[object], write: Callable[..., Path], inbox: Path, changes: dict
) -> None:
    path = write(replace(ACCEPTED, **changes))
    said = court.json("receipt", "verify", path, *trust, "--packet", inbox / "seal.xml", code=5)
    assert claims(said)["seal"] == "failed"
    assert said["receipts"][0]["error"]["reference"] == "receipt-for-other-packet"


def test_a_seal_alone_proves_the_seal_and_says_what_it_leaves_open(
    court: Operator, trust: list[object], write: Callable[..., Path], inbox: Path
) -> None:
    command = ["receipt", "verify", write(), *trust, "--packet", inbox / "seal.xml"]
    found = claims(court.json(*command))
    assert (found["seal"], found["seal signature"], found["content"]) == ("proved", "proved", "not-checked")
    (inbox / "seal.sig").unlink()
    assert claims(court.json(*command))["seal signature"] == "not-checked"
    for signature in (
        KEYS[COURT, KeyUse.SEAL].sign(Domain.SEAL, SEAL_XML),
        SEAL_KEY.sign(Domain.SEAL, SEAL_XML + b" "),
    ):
        (inbox / "seal.sig").write_bytes(encode_signature(signature))
        assert claims(court.json(*command, code=5))["seal signature"] == "failed"


def test_a_sealed_packet_is_read_whole(
    court: Operator, trust: list[object], write: Callable[..., Path], tmp_path: Path
) -> None:
    seal = make_seal()
    receipt = make_receipt(content_digest=seal.content_digest, seal_digest=sha256_hex(encode_seal(seal)))
    packet = tmp_path / "one.packet"
    packet.write_bytes(make_packet())
    command = ["receipt", "verify", write(receipt), *trust, "--packet", packet]
    assert claims(court.json(*command))["seal"] == "proved"
    data = packet.read_bytes()
    packet.write_bytes(data.replace(b"hello", b"hullo"))
    assert claims(court.json(*command, code=5))["seal"] == "failed"


def test_the_original_drop_is_proved_by_its_content(
    court: Operator, trust: list[object], write: Callable[..., Path], tmp_path: Path
) -> None:
    drop = tmp_path / "sent"
    drop.mkdir()
    (drop / "packet.xml").write_bytes(XML)
    for name, data in FILES.items():
        (drop / name).write_bytes(data)
    digest = content_digest(sha256_hex(XML), ((part.name, part.size, part.digest) for part in PARTS))
    assert digest == ACCEPTED.content_digest
    command = ["receipt", "verify", write(), *trust, "--packet", drop]
    assert claims(court.json(*command))["content"] == "proved"
    (drop / "media.mp4").write_bytes(b"other film")
    assert claims(court.json(*command, code=5))["content"] == "failed"
    (drop / "media.mp4").unlink()
    assert claims(court.json(*command, code=5))["content"] == "failed"
    (drop / "packet.xml").unlink()
    assert claims(court.json(*command, code=5))["content"] == "failed"


# --- show -------------------------------------------------------------------------------------


def test_show_reads_a_file_and_says_all_of_it(
    court: Operator, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(replace(ACCEPTED, kind=ReceiptKind.REFUSED, findings=(FINDING,), folder_synced=False))
    text = court.table("receipt", "show", path)
    assert "receipt:        refused (number 1)" in text
    assert KEY.packet_id in text
    assert FINDING.en in text
    assert "refused to sync" in text
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert FINDING.zh in court.text("receipt", "show", path)
    assert court.json("receipt", "show", path)["receipts"][0]["issued_by"] == PROVINCE


def test_show_lists_the_receipts_of_a_packet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_node(tmp_path)
    with Books(tmp_path / "data") as books:
        key = books.packet(1)
        books.receipt(key, ReceiptKind.ACCEPTED)
        books.receipt(key, ReceiptKind.DELIVERED, PROCURATORATE, PROCURATORATE)
        books.packet(2)
    desk = operator(config, capsys)
    said = desk.json("receipt", "show", f"{POLICE}/{packet_id(1)[:8]}")["receipts"]
    assert [receipt["kind"] for receipt in said] == ["accepted", "delivered"]
    assert desk.json("receipt", "show", packet_id(2), code=4)["error"]["reference"] == "not-found"
    assert desk.json("receipt", "show", "ffffffff", code=4)["error"]["reference"] == "not-found"
    desk.text("receipt", "show", packet_id(1)[:6], code=2)
