"""Values of the standard for tests: one fictional county, its keys, and packets between its agencies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

from packet_spec.findings import Finding, Severity
from packet_spec.identity import PacketKey, content_digest, sha256_hex
from packet_spec.model import (
    Carriage,
    Directory,
    DirectoryAgency,
    DirectoryKey,
    DirectoryNode,
    KeyUse,
    NodeRole,
    Priority,
    Receipt,
    ReceiptKind,
    RootKey,
    Seal,
    SealPart,
)
from packet_spec.pack import shipped_pack
from packet_spec.seal import encode_seal, write_packet
from packet_spec.signing import Domain, PrivateKey, encode_signature

NOW = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
DAY = timedelta(days=1)

POLICE, PROCURATORATE, COURT = "620199-01-00", "620199-03-00", "620199-04-00"
PROVINCE, BRIDGE = "620000-00-00", "bridge-east"
KEY = PacketKey(POLICE, "0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
DIGEST = "0" * 64

ROOTS = tuple(PrivateKey.from_seed(bytes([250 + number]) * 32) for number in range(3))
# One key per node and use; the seed tells them apart.
KEYS = {
    (node, use): PrivateKey.from_seed(bytes([16 * place + index]) * 32)
    for place, node in enumerate((POLICE, PROCURATORATE, COURT, PROVINCE, BRIDGE), start=1)
    for index, use in enumerate(KeyUse)
}
SEAL_KEY = KEYS[POLICE, KeyUse.SEAL]

FINDING = Finding(
    "value-invalid",
    Severity.REFUSE,
    "请更正",
    'correct "it" & send <again>',
    file="packet.xml",
    line=7,
    element="envelope/sender",
    document="POL-020",
    expected="x",
    found="y",
)

PACKET_XML = """<?xml version="1.0" encoding="UTF-8"?>
<packet xmlns="urn:exchanged:packet:1" version="1.0">
  <envelope>
    <packetId>0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b</packetId>
    <senderRef>A620199-0007</senderRef>
    <businessType>prosecution.transfer</businessType>
    <sender>620199-01-00</sender>
    <receiver>620199-03-00</receiver>
    <copyTo>620199-04-00</copyTo>
    <inReplyTo sender="620199-03-00">0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0c</inReplyTo>
    <supersedes>0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0d</supersedes>
    <createdAt>2026-07-15T09:30:00+08:00</createdAt>
    <priority>normal</priority>
    <track>single</track>
    <handover>transfer</handover>
    <expiresAt>2026-08-15T09:30:00+08:00</expiresAt>
    <secrecy>none</secrecy>
    <case kind="dangerous_driving"><number kind="police">A6201990000002026070001</number></case>
    <handler name="虚构甲"/>
    <approver name="虚构乙" approvedOn="2026-07-14"/>
  </envelope>
  <body>
    <prosecution.transfer xmlns="urn:exchanged:body:1">
      <plea> true </plea>
      <charges><item>危险驾驶</item><item>其他</item></charges>
      <persons><person><name>虚构丙</name><sex>1</sex></person><person><name>虚构丁</name></person></persons>
    </prosecution.transfer>
  </body>
  <attachments>
    <attachment file="起诉意见书.pdf" documentType="POL-020" size="5" title="起诉意见书" pages="12"
                sha256="2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824"
                documentNumber="虚构〔2026〕1号" documentDate="2026-07-14" volume="procedure"/>
    <attachment file="media.mp4" documentType="EVD-024" size="2000000" sha256="DIGEST"/>
  </attachments>
</packet>
""".replace("DIGEST", DIGEST)

FIRST_PART = b"hello"
PARTS = (
    SealPart(1, "起诉意见书.pdf".encode(), 5, sha256_hex(FIRST_PART), Carriage.INLINE, "POL-020"),
    SealPart(2, b"media.mp4", 2_000_000, DIGEST, Carriage.BLOB, "EVD-024"),
)


def make_seal(
    packet_xml: bytes = PACKET_XML.encode(), parts: tuple[SealPart, ...] = PARTS, **changes
) -> Seal:
    """The seal of PACKET_XML by the police front-end; ``changes`` are applied last."""
    digest = sha256_hex(packet_xml)
    seal = Seal(
        key=KEY,
        attempt=1,
        receiver=PROCURATORATE,
        copy_to=(COURT,),
        business_type="prosecution.transfer",
        sender_ref="A620199-0007",
        priority=Priority.NORMAL,
        expires_at=datetime(2026, 8, 15, 1, 30, tzinfo=UTC),
        sealed_at=NOW,
        key_id=SEAL_KEY.key_id,
        suite=SEAL_KEY.suite,
        incarnation="5f3a",
        sequence=7,
        pack=shipped_pack().stamp,
        encoding="utf-8",
        packet_size=len(packet_xml),
        packet_digest=digest,
        content_digest=content_digest(digest, ((part.name, part.size, part.digest) for part in parts)),
        parts=parts,
    )
    return replace(seal, **changes)


def make_packet(seal: Seal | None = None, key: PrivateKey = SEAL_KEY) -> bytes:
    """A whole sealed packet."""
    seal = seal or make_seal()
    seal_bytes = encode_seal(seal)
    signature = encode_signature(key.sign(Domain.SEAL, seal_bytes))
    target = BytesIO()
    write_packet(target.write, seal, seal_bytes, signature, PACKET_XML.encode(), {1: [FIRST_PART]})
    return target.getvalue()


def make_receipt(kind: ReceiptKind = ReceiptKind.ACCEPTED, **changes) -> Receipt:
    """A receipt about KEY; by default the province has accepted it."""
    receipt = Receipt(kind, KEY, 1, DIGEST, DIGEST, "prosecution.transfer", "", PROVINCE, NOW, 1)
    return replace(receipt, **changes)


def directory_key(key: PrivateKey, *uses: KeyUse, **changes) -> DirectoryKey:
    """``key`` as the directory lists it: valid from ten days before to a year after NOW."""
    public = key.public_key.public
    listed = DirectoryKey(key.key_id, key.suite, public, uses, NOW - 10 * DAY, NOW + 365 * DAY)
    return replace(listed, **changes)


def _node(code: str, role: NodeRole, parent: str) -> DirectoryNode:
    return DirectoryNode(code, role, parent, tuple(directory_key(KEYS[code, use], use) for use in KeyUse))


def _agency(code: str, kind: str) -> DirectoryAgency:
    return DirectoryAgency(
        code=code,
        kind=kind,
        level="county",
        parent="",
        node=code,
        admitting_node=PROVINCE,
        name_zh="虚构机关",
        name_en="Fictional agency",
        business_types=("prosecution.transfer",),
        case_kinds=("dangerous_driving",),
        aliases=(("police-unit", "620199000000"),),
    )


def make_directory(**changes) -> Directory:
    """Police behind a bridge, procuratorate and court: all admitted by the province."""
    directory = Directory(
        version=3,
        issued_at=NOW - DAY,
        expires_at=NOW + 90 * DAY,
        threshold=2,
        roots=tuple(RootKey(key.key_id, key.suite, key.public_key.public) for key in ROOTS),
        nodes=(
            _node(PROVINCE, NodeRole.PROVINCIAL, ""),
            _node(BRIDGE, NodeRole.BRIDGE, PROVINCE),
            _node(POLICE, NodeRole.FRONTEND, BRIDGE),
            _node(PROCURATORATE, NodeRole.FRONTEND, PROVINCE),
            _node(COURT, NodeRole.FRONTEND, PROVINCE),
        ),
        agencies=(
            _agency(POLICE, "police"),
            _agency(PROCURATORATE, "procuratorate"),
            _agency(COURT, "court"),
        ),
    )
    return replace(directory, **changes)


def change_node(directory: Directory, code: str, **changes) -> Directory:
    """The directory with one node changed."""
    nodes = tuple(replace(node, **changes) if node.code == code else node for node in directory.nodes)
    return replace(directory, nodes=nodes)


def change_agency(directory: Directory, code: str, **changes) -> Directory:
    """The directory with one agency changed."""
    agencies = tuple(
        replace(agency, **changes) if agency.code == code else agency for agency in directory.agencies
    )
    return replace(directory, agencies=agencies)


def look_up(key_id: str):
    """A key lookup that knows every key of KEYS."""
    return next((key.public_key for key in KEYS.values() if key.key_id == key_id), None)
