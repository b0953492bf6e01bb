"""The shipped schemas as other vendors use them: each alone, in two validators, and saying one thing."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
import xmlschema
from lxml import etree

from packet_spec.delivery import encode_delivery
from packet_spec.directory import encode_directory
from packet_spec.errors import SchemaError
from packet_spec.findings_xml import encode_findings
from packet_spec.hop import encode_hop
from packet_spec.key_offer import encode_key_offer
from packet_spec.log_head import encode_log_head
from packet_spec.log_recovery import encode_log_recovery
from packet_spec.log_statement import decode_log_request, encode_log_request, encode_log_statement
from packet_spec.model import HopNote
from packet_spec.notice import encode_notice
from packet_spec.receipt import encode_receipt
from packet_spec.seal import encode_seal
from packet_spec.status import encode_status_xml
from packet_spec.waybill import encode_waybill
from packet_spec.xml import load_schema
from tests.support.documents import (
    BRIDGE,
    DIGEST,
    FINDING,
    KEY,
    NOW,
    PACKET_XML,
    PROVINCE,
    make_directory,
    make_receipt,
    make_seal,
)
from tests.support.papers import index
from tests.unit.test_packet_spec_delivery import DELIVERY
from tests.unit.test_packet_spec_disposition import REFUSED
from tests.unit.test_packet_spec_key_offer import OFFER
from tests.unit.test_packet_spec_log import HEAD, RECOVERY, REQUEST, STATEMENT
from tests.unit.test_packet_spec_notice import NOTICE
from tests.unit.test_packet_spec_status import STATUS
from tests.unit.test_packet_spec_waybill import WAYBILL

XS = "{http://www.w3.org/2001/XMLSchema}"
DOCUMENTS = {
    "packet": PACKET_XML.encode(),
    "dossier-index": index({"file": "a.pdf", "size": 1, "sha256": DIGEST}),
    "seal": encode_seal(make_seal()),
    "waybill": encode_waybill(WAYBILL).split(b"\n", 1)[1],
    "receipt": encode_receipt(make_receipt(findings=(FINDING,))),
    "hop": encode_hop(HopNote(BRIDGE, KEY, DIGEST, NOW, NOW, PROVINCE)),
    "directory": encode_directory(make_directory()),
    "status": encode_status_xml(STATUS),
    "delivery": encode_delivery(DELIVERY),
    "disposition": REFUSED.encode(),
    "findings": encode_findings("a", (FINDING,), NOW),
    "notice": encode_notice(NOTICE),
    "log-head": encode_log_head(HEAD),
    "log-statement": encode_log_statement(STATEMENT),
    "log-request": encode_log_request(REQUEST),
    "log-recovery": encode_log_recovery(RECOVERY),
    "keys-offer": encode_key_offer(OFFER),
}


def source(kind: str) -> bytes:
    return files("packet_spec").joinpath("schemas", f"{kind}.xsd").read_bytes()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_two_validators_agree_on_good_and_bad(kind):
    schema, other = load_schema(kind), xmlschema.XMLSchema10(source(kind).decode())
    root = etree.fromstring(DOCUMENTS[kind])
    assert schema.validate(root)
    assert other.is_valid(root)
    spoilt = etree.fromstring(DOCUMENTS[kind])
    etree.SubElement(spoilt, f"{{urn:exchanged:{kind}:1}}stranger")
    assert not schema.validate(spoilt)
    assert not other.is_valid(spoilt)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_each_schema_stands_alone_in_its_namespace(kind):
    root = etree.fromstring(source(kind))
    assert root.get("targetNamespace") == f"urn:exchanged:{kind}:1"
    assert not [each for tag in ("include", "import") for each in root.iter(f"{XS}{tag}")]


def test_shared_types_are_written_the_same_everywhere():
    # Apart are those of what people's programs write: it may have blanks around values.
    seen: dict[str, tuple[str, bytes]] = {}
    for kind in DOCUMENTS.keys() - {"packet", "dossier-index"}:
        for each in etree.fromstring(source(kind)):
            if each.tag in (f"{XS}simpleType", f"{XS}complexType") and each.get("name") != "kind":
                # As text: the same type in another schema carries another default namespace.
                text = etree.tostring(each).split(b">", 1)[1].strip()
                first = seen.setdefault(str(each.get("name")), (kind, text))
                assert first[1] == text, (kind, first[0], each.get("name"))
    assert "finding" in seen


def test_no_type_is_left_over():
    for kind in DOCUMENTS:
        root = etree.fromstring(source(kind))
        named = {each.get("name") for each in root if each.tag != f"{XS}element"} - {None}
        used = {each.get(name) for each in root.iter() for name in ("type", "base")}
        assert named <= used, (kind, named - used)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_numbers_are_as_short_as_numbers_are(name: str) -> None:
    """XML Schema allows a sign and any number of zeros before an integer; whoever reads it may not."""
    schema = etree.fromstring(files("packet_spec").joinpath("schemas", f"{name}.xsd").read_bytes())
    numbers = [each for each in schema.iter(f"{XS}restriction") if each.get("base") == "xs:long"]
    assert all(each.find(f"{XS}pattern") is not None for each in numbers)
    assert not [each.get("type") for each in schema.iter(f"{XS}attribute") if each.get("type") == "xs:long"]


@pytest.mark.parametrize("size", ["0" * 5000 + "1", "+1", "-0"])
def test_a_number_that_cannot_be_read_is_a_fault_of_the_document(size: str) -> None:
    data = encode_log_request(REQUEST)
    assert b' size="' in data
    with pytest.raises(SchemaError):
        decode_log_request(re.sub(rb' size="\d+"', f' size="{size}"'.encode(), data))
