"""docs/packet-format.md agrees with the code: its examples read, its tables are complete."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from exchanged.notice_words import WORDS
from frontend_server.pause_sign import SIGN_NAME
from packet_spec import limits
from packet_spec.disposition import parse_disposition
from packet_spec.documents.index import check_index
from packet_spec.documents.values import Source
from packet_spec.envelope import parse_packet
from packet_spec.model import ReceiptKind
from packet_spec.names import OWN_NAMES
from packet_spec.signing import SUITE, Domain

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "packet-format.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```xml\n(.*?)```", PAGE, flags=re.S)


def test_the_example_of_a_packet_reads():
    (example,) = (each for each in EXAMPLES if each.startswith("<packet "))
    whole = re.sub(r'sha256="[^"]*"', f'sha256="{"0" * 64}"', example).replace(" ... ", "")
    packet, findings = parse_packet(whole.encode())
    assert findings == ()
    assert packet.envelope.approved_on is not None


def test_the_example_of_a_disposition_reads():
    (example,) = (each for each in EXAMPLES if each.startswith("<disposition "))
    value, findings = parse_disposition(example.encode())
    assert findings == ()
    assert value.kind is ReceiptKind.REFUSED


def test_the_example_of_an_index_fits_its_schema():
    (example,) = (each for each in EXAMPLES if each.startswith("<index "))
    content = check_index(Source(io.BytesIO(example.encode()), len(example.encode())))
    assert content.faults == ()
    assert content.index[0].pages == 2


def test_the_table_of_documents_is_that_of_the_schemas():
    rows = dict(re.findall(r"`urn:exchanged:([\w-]+):1` \| `([\w-]+)\.xsd`", PAGE))
    shipped = {path.stem for path in (ROOT / "packet_spec" / "schemas").glob("*.xsd")}
    assert rows == {kind: kind for kind in shipped}


@pytest.mark.parametrize(
    ("document", "size"),
    [
        ("packet.xml", limits.PACKET_XML_BYTES),
        ("seal.xml", limits.SEAL_XML_BYTES),
        ("waybill", limits.WAYBILL_BYTES),
        ("receipt.xml", limits.RECEIPT_BYTES),
        ("hop.xml", limits.HOP_BYTES),
        ("directory.xml", limits.DIRECTORY_BYTES),
        ("log head", limits.LOG_HEAD_BYTES),
        ("log statement", limits.LOG_STATEMENT_BYTES),
        ("log request", limits.LOG_STATEMENT_BYTES),
        ("log recovery", limits.LOG_RECOVERY_BYTES),
        ("status", limits.STATUS_BYTES),
        ("findings.xml", limits.STATUS_BYTES),
        ("delivery.xml", limits.DELIVERY_XML_BYTES),
        ("disposition", limits.DISPOSITION_BYTES),
        ("notice", limits.NOTICE_BYTES),
        ("index of a dossier", limits.DOCUMENT_XML_BYTES),
    ],
)
def test_the_sizes_are_the_limits(document, size):
    shown = f"{size // limits.MIB} MiB" if size >= limits.MIB else f"{size // limits.KIB} KiB"
    (row,) = re.findall(rf"^\| {re.escape(document)} \|.*$", PAGE, flags=re.M)
    assert row.endswith(f"| {shown} |")


def test_the_limits_of_a_drop_stand_where_it_is_described():
    (section,) = re.findall(r"^## The drop\n(.*?)^## ", PAGE, flags=re.M | re.S)
    assert f"{limits.ZIP_ENTRIES:,} entries" in section
    assert f"{limits.ZIP_BYTES // (1024 * limits.MIB)} GiB" in section
    assert f"{limits.ZIP_RATIO} times" in section
    assert f"at most {limits.PERSONS:,};" in section
    assert f"at most {limits.LIST_ITEMS:,} each" in section


def test_every_notice_stands_on_the_page():
    assert [reference for reference in WORDS if f"`{reference}`" not in PAGE] == []
    assert SIGN_NAME in PAGE


def test_words_of_the_format_stand_on_the_page():
    prefixes = [domain.value.decode().strip() for domain in Domain]
    for word in [*prefixes, *ReceiptKind, SUITE, *(name for name in OWN_NAMES if name != "collected")]:
        assert word in PAGE, word
    large = (limits.DOCUMENT_ENTRIES, limits.VIDEO_BOXES, limits.IMAGE_PAGES)
    for number in (limits.PARTS, limits.BATCH_ITEMS, *large):
        assert f"{number:,}" in PAGE
    for number in (
        limits.XML_DEPTH,
        limits.XML_ATTRIBUTES,
        limits.NAME_BYTES,
        limits.FINDINGS,
        limits.COPIES,
        limits.NOTICE_PACKETS,
        limits.DOCUMENT_RATIO,
        limits.DOCUMENT_XML_DEPTH,
        limits.DOCUMENT_XML_ATTRIBUTES,
        limits.DOCUMENT_ENTRY_NAME_BYTES,
        limits.DOCUMENT_FAULTS,
    ):
        assert re.search(rf"\b{number}\b", PAGE)
