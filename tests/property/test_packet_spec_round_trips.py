"""Whatever value can be written reads back as itself, from the same bytes each time."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packet_spec.encoding import EncodingDecision, decide_encoding, reading
from packet_spec.errors import ExchangeError, FormatError
from packet_spec.finding_xml import carried_text
from packet_spec.findings import Finding, Severity
from packet_spec.findings_xml import decode_findings, encode_findings, encode_findings_text
from packet_spec.hop import decode_hop, encode_hop
from packet_spec.identity import PacketKey, content_digest, sha256_hex
from packet_spec.model import Carriage, HopNote, ItemKind, Priority, ReceiptKind, SealPart
from packet_spec.receipt import decode_receipt, encode_receipt
from packet_spec.seal import PacketReader, decode_seal, encode_seal, packet_size, write_packet
from packet_spec.signing import Domain, encode_signature, open_document, sign_document, split_signed
from packet_spec.ustar import SIZE_LIMIT, decode_header, encode_header
from packet_spec.waybill import decode_waybill, encode_waybill
from packet_spec.waybill_model import (
    Acknowledgement,
    BatchException,
    BlobReference,
    ExceptionKind,
    Waybill,
    WaybillItem,
)
from tests.support.documents import PACKET_XML, SEAL_KEY, look_up, make_receipt, make_seal

few = settings(max_examples=25, deadline=None, derandomize=True)

digests = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
agencies = st.integers(0, 10**10 - 1).map(lambda n: f"{n // 10**4:06d}-{n // 100 % 100:02d}-{n % 100:02d}")
nodes = agencies | st.from_regex(r"bridge-[a-z0-9]{1,32}", fullmatch=True)
keys = st.builds(
    PacketKey, agencies, st.uuids(version=4).map(str) | st.just("0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
tokens = st.from_regex(r"[0-9A-Za-z.\-]{1,64}", fullmatch=True)
counts = st.integers(0, 2**63 - 1)
kebabs = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,3}", fullmatch=True).filter(lambda text: len(text) <= 64)
carried = st.text(max_size=60).map(carried_text)
findings = st.lists(
    st.builds(
        Finding,
        code=kebabs,
        severity=st.sampled_from(Severity),
        zh=carried.filter(bool),
        en=carried.filter(bool),
        file=carried,
        line=st.none() | st.integers(1, 10**6),
        element=carried,
        document=carried,
        expected=carried,
        found=carried,
    ),
    max_size=5,
).map(tuple)


@st.composite
def parts(draw):
    count = draw(st.integers(0, 6))
    names = st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name) | st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60
    ).map(str.encode)
    return tuple(
        SealPart(index, draw(names), draw(st.integers(0, 2**40)), draw(digests), Carriage.BLOB, "POL-020")
        for index in range(1, count + 1)
    )


@st.composite
def seals(draw):
    packet_digest, listed = draw(digests), draw(parts())
    recipients = draw(st.lists(agencies, min_size=1, max_size=5, unique=True))
    return replace(
        make_seal(),
        key=draw(keys),
        attempt=draw(st.integers(1, 10**6)),
        receiver=recipients[0],
        copy_to=tuple(recipients[1:]),
        sender_ref=draw(st.from_regex(r"\S([^\n\r]{0,40}\S)?", fullmatch=True).filter(is_plain)),
        priority=draw(st.sampled_from(Priority)),
        expires_at=draw(st.none() | moments),
        sealed_at=draw(moments),
        incarnation=draw(tokens),
        sequence=draw(counts),
        encoding=draw(st.sampled_from(["utf-8", "gb18030", "utf-16"])),
        packet_size=draw(st.integers(1, 8 * 2**20)),
        packet_digest=packet_digest,
        content_digest=content_digest(
            packet_digest, ((each.name, each.size, each.digest) for each in listed)
        ),
        parts=listed,
    )


def is_plain(text: str) -> bool:
    """Carried as it stands, and of one kind of space: XML Schema knows fewer spaces than Unicode."""
    return carried_text(text) == text and not re.search(r"[^\S ]", text)


@few
@given(seals())
def test_seals(seal):
    data = encode_seal(seal)
    assert decode_seal(data) == seal
    assert encode_seal(decode_seal(data)) == data


@few
@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(1, 700))
def test_sealed_packets_stream_in_any_block_size(contents, block):
    listed = tuple(
        SealPart(index, b"%d" % index, len(data), sha256_hex(data), Carriage.INLINE, "POL-020")
        for index, data in enumerate(contents, start=1)
    )
    seal = make_seal(parts=listed)
    seal_bytes = encode_seal(seal)
    signature = encode_signature(SEAL_KEY.sign(Domain.SEAL, seal_bytes))
    target = BytesIO()
    blocks = {
        index: [data[start : start + block] for start in range(0, len(data), block)]
        for index, data in enumerate(contents, start=1)
    }
    written = write_packet(target.write, seal, seal_bytes, signature, PACKET_XML.encode(), blocks)
    assert written == len(target.getvalue()) == packet_size(seal, len(seal_bytes), len(signature))
    source = BytesIO(target.getvalue())
    reader = PacketReader(lambda size: source.read(min(size, block)))
    assert reader.open(look_up) == seal
    assert [b"".join(part_blocks) for _, part_blocks in reader.parts()] == contents


@few
@given(
    st.sampled_from(ReceiptKind),
    keys,
    agencies | st.just(""),
    nodes,
    moments,
    counts,
    findings,
    st.sampled_from(["", "marker", "folder-gone"]),
    st.booleans(),
)
def test_receipts(kind, key, recipient, issued_by, issued_at, number, said, how, folder_synced):
    receipt = make_receipt(
        kind,
        key=key,
        recipient=recipient,
        issued_by=issued_by,
        issued_at=issued_at,
        number=number,
        findings=said,
        how=how,
        folder_synced=folder_synced,
    )
    data = encode_receipt(receipt)
    assert decode_receipt(data) == receipt
    assert encode_receipt(decode_receipt(data)) == data


@few
@given(nodes, keys, digests, moments, moments, nodes | st.just(""))
def test_hop_notes(node, key, digest, landed_at, left_at, next_node):
    note = HopNote(node, key, digest, landed_at, left_at, next_node)
    assert decode_hop(encode_hop(note)) == note


acknowledgements = st.builds(
    Acknowledgement,
    nodes,
    tokens,
    counts,
    counts,
    st.lists(
        st.builds(
            BatchException,
            st.integers(1, 2**62),
            st.sampled_from(ExceptionKind),
            carried,
            st.lists(digests, max_size=3).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
)
waybills = st.builds(
    Waybill,
    speaks=st.lists(tokens, min_size=1, max_size=3).map(tuple),
    from_node=nodes,
    to_node=nodes,
    incarnation=tokens,
    number=st.none() | st.integers(1, 2**62),
    items=st.lists(
        st.builds(
            WaybillItem,
            st.sampled_from(ItemKind),
            digests,
            st.integers(1, 2**40),
            keys,
            st.lists(st.builds(BlobReference, digests, counts), max_size=3).map(tuple),
        ),
        max_size=5,
    ).map(tuple),
    acknowledgement=st.none() | acknowledgements,
    ledger_head=st.just("") | digests,
    directory_version=counts,
    sent_at=moments,
    key_id=digests.map(lambda digest: digest[:32]),
)


@few
@given(waybills)
def test_waybills(waybill):
    data = encode_waybill(waybill)
    assert decode_waybill(data) == waybill
    assert encode_waybill(decode_waybill(data)) == data


@few
@given(carried.filter(bool), findings, moments)
def test_findings(drop, said, at):
    assert decode_findings(encode_findings(drop, said, at)) == (drop, said, at)
    assert encode_findings_text("d", said, at).count("\n") == 2 + 4 * len(said)


@few
@given(st.binary(max_size=200).map(lambda data: data.replace(b"<!--exchanged-signature ", b"") + b"\n"))
def test_any_document_can_be_signed_and_opened(document):
    signed = sign_document(document, Domain.DIRECTORY, [SEAL_KEY])
    assert split_signed(signed)[0] == document
    assert open_document(signed, Domain.DIRECTORY, look_up) == (document, SEAL_KEY.key_id)


@few
@given(st.from_regex(r"[A-Za-z0-9._-][A-Za-z0-9._/-]{0,99}", fullmatch=True), st.integers(0, SIZE_LIMIT - 1))
def test_headers(name, size):
    assert decode_header(encode_header(name, size)) == (name, size)


@few
@given(st.binary(max_size=300))
def test_decoders_raise_only_our_own_errors(data):
    for decode in (decode_seal, decode_receipt, decode_hop, decode_waybill, decode_findings, split_signed):
        with pytest.raises(ExchangeError):
            decode(data + b"x")
    with pytest.raises(FormatError):
        PacketReader(BytesIO(data).read).open(look_up)


@few
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    st.sampled_from(["UTF-8", "GBK", "gb2312", "GB18030", "UTF-16", None]),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
)
def test_every_node_reads_what_the_first_one_read(content, declared, real):
    head = "" if declared is None else f'<?xml version="1.0" encoding="{declared}"?>'
    data = (head + content).encode(real)
    decision = decide_encoding(data)
    if isinstance(decision, EncodingDecision):
        assert reading(data, decision.encoding) == decision.utf8
        decision.utf8.decode("utf-8")
    else:
        assert decision.severity is Severity.REFUSE
