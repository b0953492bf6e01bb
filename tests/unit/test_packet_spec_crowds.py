"""Machine-written documents that are made to take long: the first fault in a crowd ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Final

import pytest
from lxml import etree

from exchanged import log_telling
from packet_spec import xml
from packet_spec.delivery import decode_delivery
from packet_spec.directory import decode_directory
from packet_spec.errors import FormatError
from packet_spec.findings_xml import decode_findings
from packet_spec.hop import decode_hop
from packet_spec.key_offer import decode_key_offer
from packet_spec.limits import (
    BATCH_ITEMS,
    DIRECTORY_BYTES,
    FINDINGS,
    HOP_BYTES,
    KEY_OFFER_BYTES,
    KIB,
    LOG_HEAD_BYTES,
    LOG_RECOVERY_BYTES,
    LOG_STATEMENT_BYTES,
    NOTE_BYTES,
    NOTE_PAYLOAD_BYTES,
    NOTICE_BYTES,
    PACKS,
    PARTS,
    RECEIPT_BYTES,
    SEAL_XML_BYTES,
    STATUS_BYTES,
    WAYBILL_BYTES,
    WRAPPED_KEYS,
)
from packet_spec.log_head import decode_log_head
from packet_spec.log_recovery import decode_log_recovery
from packet_spec.log_statement import decode_log_request, decode_log_statement
from packet_spec.note import decode_note
from packet_spec.notice import decode_notice
from packet_spec.receipt import decode_receipt
from packet_spec.restoring import WANTED, decode_restoring
from packet_spec.seal_document import decode_seal
from packet_spec.status import decode_status_xml
from packet_spec.waybill import decode_waybill

XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_VERSION_LINE: Final = b"exchanged-waybill-1\n"
DECODERS: Final[dict[str, tuple[Callable[[bytes], object], int]]] = {
    "delivery": (decode_delivery, SEAL_XML_BYTES),
    "directory": (decode_directory, DIRECTORY_BYTES),
    "findings": (decode_findings, STATUS_BYTES),
    "hop": (decode_hop, HOP_BYTES),
    "keys-offer": (decode_key_offer, KEY_OFFER_BYTES),
    "log-head": (decode_log_head, LOG_HEAD_BYTES),
    "log-recovery": (decode_log_recovery, LOG_RECOVERY_BYTES),
    "log-request": (decode_log_request, LOG_STATEMENT_BYTES),
    "log-statement": (decode_log_statement, LOG_STATEMENT_BYTES),
    "note": (decode_note, NOTE_BYTES),
    "notice": (decode_notice, NOTICE_BYTES),
    "receipt": (decode_receipt, RECEIPT_BYTES),
    "restore": (decode_restoring, NOTE_PAYLOAD_BYTES),
    "seal": (decode_seal, SEAL_XML_BYTES),
    "status": (decode_status_xml, STATUS_BYTES),
    "waybill": (lambda data: decode_waybill(_VERSION_LINE + data), WAYBILL_BYTES - len(_VERSION_LINE)),
}
# Written by people and their programs, and read by parsers of their own.
OTHERS: Final = frozenset({"disposition", "dossier-index", "packet"})
# A few siblings that bear as many attributes as may be; at the caps there were millions.
MOST_FAULTS: Final = 5_000


def source(kind: str) -> etree._Element:
    return etree.fromstring(files("packet_spec").joinpath("schemas", f"{kind}.xsd").read_bytes())


def repeated(kind: str) -> list[list[str]]:
    """Where an element may stand many times: the names from the root down to it."""
    document = source(kind)
    types = {each.get("name"): each for each in document.findall(f"{XS}complexType")}
    found: list[list[str]] = []

    def walk(declaration: etree._Element, above: list[str]) -> None:
        path = [*above, str(declaration.get("name"))]
        if declaration.get("maxOccurs", "1") != "1":
            found.append(path)
        body = types.get(declaration.get("type"), declaration)
        for each in body.iter(f"{XS}element"):
            owner = next((up for up in each.iterancestors(f"{XS}element") if up is not body), None)
            if each is not body and (owner is None or owner is declaration):
                walk(each, path)

    for root in document.findall(f"{XS}element"):
        walk(root, [])
    return found


CROWDS: Final = [(kind, path) for kind in DECODERS for path in repeated(kind)]
_UNKNOWN: Final = " ".join(f'a{number}=""' for number in range(60))
SHAPES: Final[dict[str, Callable[[str], str]]] = {
    "empty": lambda name: f"<{name}/>",
    "attributes": lambda name: f"<{name} {_UNKNOWN}/>",
    "text": lambda name: f"<{name}>{'x&amp;' * 20}</{name}>",
    "unknown": lambda _: "<stranger/>",
    "unknown inside": lambda name: f"<{name}><stranger/><{name}/></{name}>",
    "wrong namespace": lambda name: f'<{name} xmlns="urn:x"/>',
}


# At its cap a directory has two million elements: every shape is tried in less, where far too many fit.
LESS: Final = 128 * KIB


def crowd(kind: str, path: list[str], shape: str, limit: int | None = None, most: int | None = None) -> bytes:
    """A document full of one thing, up to its cap or a lower limit."""
    opened = f'<{path[0]} xmlns="urn:exchanged:{kind}:1" formatVersion="1">'
    opened += "".join(f"<{name}>" for name in path[1:-1])
    closed = "".join(f"</{name}>" for name in reversed(path[:-1]))
    one = SHAPES[shape](path[-1]).encode()
    room = min(DECODERS[kind][1], limit or DIRECTORY_BYTES) - len(opened) - len(closed)
    count = min(room // len(one), most or room)
    return opened.encode() + one * count + closed.encode()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many faults libxml2 wrote down in each validation: each is found by counting its siblings."""
    seen: list[int] = []
    validate = xml.validate

    def counted(root: xml.Element, schema: xml.Schema) -> tuple[xml.Violation, ...]:
        violations = validate(root, schema)
        if violations:
            seen.append(len(schema.error_log))
        return violations

    monkeypatch.setattr(xml, "validate", counted)
    return seen


IDS: Final = ["/".join([kind, *path]) for kind, path in CROWDS]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "path"), CROWDS, ids=IDS)
def test_what_is_full_of_faults_ends_with_few_of_them(
    kind: str, path: list[str], shape: str, faults: list[int]
) -> None:
    with pytest.raises(FormatError):
        DECODERS[kind][0](crowd(kind, path, shape, LESS))
    assert sum(faults) <= MOST_FAULTS


@pytest.mark.parametrize("kind", DECODERS)
def test_a_document_at_its_cap_ends_with_few_faults(kind: str, faults: list[int]) -> None:
    path = next((path for each, path in CROWDS if each == kind), [source(kind)[1].get("name", ""), "x"])
    with pytest.raises(FormatError):
        DECODERS[kind][0](crowd(kind, path, "empty"))
    assert sum(faults) <= MOST_FAULTS


@pytest.mark.parametrize(("kind", "path"), CROWDS, ids=IDS)
def test_as_many_as_are_allowed_and_all_of_them_faulty_end_at_the_first(
    kind: str, path: list[str], faults: list[int]
) -> None:
    (most, *_) = (
        int(each.get("maxOccurs", "1"))
        for each in source(kind).iter(f"{XS}element")
        if each.get("name") == path[-1] and "maxOccurs" in each.attrib
    )
    with pytest.raises(FormatError):
        DECODERS[kind][0](crowd(kind, path, "attributes", most=most))
    assert sum(faults) <= MOST_FAULTS


def test_many_groups_of_a_few_end_at_the_first(faults: list[int]) -> None:
    """Neither the groups are many nor what stands in one of them, and together they fill a waybill."""
    group = "<exception>" + '<blob a="" b="" c="" d=""/>' * 250 + "</exception>"
    data = f'<waybill xmlns="urn:exchanged:waybill:1"><speaks>1</speaks><acknowledgement>{group * 250}'
    with pytest.raises(FormatError):
        DECODERS["waybill"][0](f"{data}</acknowledgement></waybill>".encode())
    assert sum(faults) <= 10


def test_too_many_of_a_kind_are_refused_by_name_and_not_validated(faults: list[int]) -> None:
    with pytest.raises(FormatError) as caught:
        decode_restoring(crowd("restore", ["restore", "page", "packet"], "empty"))
    error = caught.value
    assert (error.reference, error.where, error.expected) == ("schema-violated", "packet", "at most 2000")
    assert error.found == "2001 or more"
    assert faults == []


@pytest.mark.parametrize("around", ["<x>{}</x>", "<restore><x>{}</x></restore>"])
def test_a_crowd_inside_what_nobody_knows_is_refused(around: str) -> None:
    data = around.format("<y/>" * 1000).replace(">", ' xmlns="urn:exchanged:restore:1">', 1)
    with pytest.raises(FormatError):
        decode_restoring(data.encode())


def test_good_ones_do_not_hide_a_faulty_one_behind_them() -> None:
    digest = b"<receipt>" + b"0" * 64 + b"</receipt>\n"
    begin = (
        b'<restore xmlns="urn:exchanged:restore:1" formatVersion="1" incarnation="a">'
        b'<page last="true" final="true" sure="true"><numbers seal="1" receipt="1"/>\n'
    )
    end = b"</page></restore>"
    assert decode_restoring(begin + digest * 5000 + end)
    with pytest.raises(FormatError, match="line 5002"):
        decode_restoring(begin + digest * 5000 + b"<receipt>0</receipt>" + end)
    with pytest.raises(FormatError):
        decode_restoring(begin + digest * 5000 + b'<numbers seal="1" receipt="1"/>' + end)


def test_every_machine_written_schema_says_how_many_of_each_there_may_be() -> None:
    shipped = {
        entry.name.removesuffix(".xsd")
        for entry in files("packet_spec").joinpath("schemas").iterdir()
        if entry.name.endswith(".xsd")
    }
    assert shipped == DECODERS.keys() | OTHERS
    for kind in DECODERS:
        assert b'maxOccurs="unbounded"' not in etree.tostring(source(kind)), kind


def most_of(kind: str, *path: str) -> int | None:
    piece = xml.schema_pieces(kind)
    for name in path:
        piece = piece.children[f"{{urn:exchanged:{kind}:1}}{name}"]
    return piece.most


def test_the_schemas_state_the_limits_that_the_programs_keep() -> None:
    stated = [
        (most_of("seal", "seal", "part"), PARTS),
        (most_of("delivery", "delivery", "file"), PARTS),
        (most_of("waybill", "waybill", "item", "blob"), PARTS),
        (most_of("waybill", "waybill", "item"), BATCH_ITEMS),
        (most_of("receipt", "receipt", "finding"), FINDINGS),
        (most_of("directory", "directory", "pack"), PACKS),
        (most_of("seal", "seal", "encryption", "to"), WRAPPED_KEYS),
        (most_of("restore", "restore", "want", "packet"), WANTED),
        (most_of("log-request", "logRequest", "held"), log_telling.HELD),
        (most_of("log-request", "logRequest", "wanted"), log_telling.WANTED),
    ]
    assert [most for most, _ in stated] == [limit for _, limit in stated]


def test_a_schema_is_taken_apart_whole() -> None:
    """Else an element that may stand would be refused in a crowd."""
    for kind in DECODERS:
        names: set[str] = set()
        pieces = [xml.schema_pieces(kind)]
        while pieces:
            for tag, piece in pieces.pop().children.items():
                names.add(re.sub(r"\{.*\}", "", tag))
                pieces.append(piece)
                assert piece.alone is piece.alone
        assert names == {each.get("name") for each in source(kind).iter(f"{XS}element")}, kind
