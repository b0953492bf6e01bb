from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.errors import FormatError, SignatureError, UnknownKeyError, VersionError
from packet_spec.findings import Finding, Severity
from packet_spec.hop import sign_hop
from packet_spec.model import HopNote, KeyUse, ReceiptKind
from packet_spec.receipt import decode_receipt, encode_receipt, open_receipt, sign_receipt
from tests.support.documents import (
    BRIDGE,
    DIGEST,
    FINDING,
    KEY,
    KEYS,
    NOW,
    PROCURATORATE,
    PROVINCE,
    look_up,
    make_receipt,
)

RECEIPT_KEY = KEYS[PROVINCE, KeyUse.RECEIPT]


@pytest.mark.parametrize(
    "receipt",
    [
        make_receipt(),
        make_receipt(ReceiptKind.REFUSED, findings=(FINDING, replace(FINDING, line=None, file="", found=""))),
        make_receipt(
            ReceiptKind.COLLECTED,
            recipient=PROCURATORATE,
            issued_by=PROCURATORATE,
            how="folder-gone",
            number=0,
        ),
        make_receipt(ReceiptKind.SIGNED, recipient=PROCURATORATE, by="虚构戊"),
        make_receipt(ReceiptKind.DELIVERED, recipient=PROCURATORATE, folder_synced=False),
        make_receipt(ReceiptKind.UNDELIVERABLE, issued_by="bridge-east"),
        make_receipt(ReceiptKind.EXPIRED),
    ],
)
def test_receipts_read_back(receipt):
    assert open_receipt(sign_receipt(receipt, RECEIPT_KEY), look_up) == (receipt, RECEIPT_KEY.key_id)


def test_the_same_receipt_is_the_same_bytes():
    assert sign_receipt(make_receipt(), RECEIPT_KEY) == sign_receipt(make_receipt(), RECEIPT_KEY)


def test_the_signature_is_verified_before_parsing():
    signed = sign_receipt(make_receipt(), RECEIPT_KEY)
    with pytest.raises(SignatureError):
        open_receipt(signed.replace(b"<receipt ", b"<<<"), look_up)
    with pytest.raises(SignatureError):
        open_receipt(signed.replace(b'kind="accepted"', b'kind="refused"'), look_up)
    with pytest.raises(SignatureError):
        open_receipt(encode_receipt(make_receipt()), look_up)
    with pytest.raises(UnknownKeyError):
        open_receipt(signed, lambda _: None)


def test_a_hop_note_is_no_receipt():
    note = HopNote(BRIDGE, KEY, DIGEST, NOW, NOW, PROVINCE)
    with pytest.raises(SignatureError):
        open_receipt(sign_hop(note, RECEIPT_KEY), look_up)


def test_another_version_is_held():
    with pytest.raises(VersionError):
        decode_receipt(encode_receipt(make_receipt()).replace(b'formatVersion="1"', b'formatVersion="9"'))


@pytest.mark.parametrize(
    "receipt",
    [
        make_receipt(issued_by="somebody"),
        make_receipt(content_digest=""),
        make_receipt(how="guessed"),
        make_receipt(by="two\nlines"),
        make_receipt(number=-1),
        make_receipt(findings=(FINDING,) * 201),
        make_receipt(findings=(replace(FINDING, code="Not Kebab"),)),
    ],
)
def test_values_that_cannot_be_written(receipt):
    with pytest.raises(FormatError):
        encode_receipt(receipt)


def test_more_findings_than_a_verdict_has_are_not_read():
    data = encode_receipt(make_receipt(findings=(FINDING,) * 200))
    finding = data[data.index(b"  <finding") : data.index(b"</finding>") + len(b"</finding>\n")]
    assert len(decode_receipt(data).findings) == 200
    with pytest.raises(FormatError):
        decode_receipt(data.replace(b"</receipt>", finding + b"</receipt>"))


def test_a_refusal_always_fits():
    long = Finding(
        "code-not-in-list", Severity.REFUSE, "改" * 2000, "<" * 2000, expected="值" * 2000, found="\x00"
    )
    decoded = decode_receipt(encode_receipt(make_receipt(ReceiptKind.REFUSED, findings=(long,) * 200)))
    *kept, last = decoded.findings
    assert kept
    assert {finding.code for finding in kept} == {"code-not-in-list"}
    assert (last.code, last.severity, int(last.found)) == ("findings-cut", Severity.WARN, 200 - len(kept))
    assert len(kept[0].zh) == 1000
    assert kept[0].found == "\\x00"
