"""A well-signed statement that is made to take long stops nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cli.fiction.request import DropRequest
from packet_spec import xml
from packet_spec.identity import sha256_hex
from packet_spec.limits import NOTE_PAYLOAD_BYTES
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.note import Note, note_id_of, sign_note
from packet_spec.note_rules import LOG, RESTORE
from packet_spec.waybill_model import WaybillItem
from tests.support.network import COURT, PROCURATORATE, PROVINCE
from tests.support.peer import Peer
from tests.support.province import Province

_PAGE = (
    b'<restore xmlns="urn:exchanged:restore:1" formatVersion="1" incarnation="a">'
    b'<page last="true" final="true" sure="true"><numbers seal="1" receipt="1"/>%b</page></restore>'
)
_WANT = (
    b'<restore xmlns="urn:exchanged:restore:1" formatVersion="1" incarnation="a"><want>%b</want></restore>'
)
_REQUEST = (
    b'<logRequest xmlns="urn:exchanged:log-request:1" formatVersion="1" node="620000-00-00">%b</logRequest>'
)


def full(around: bytes, one: bytes, *, room: int) -> bytes:
    return around % (one * ((room - len(around)) // len(one)))


def note(peer: Peer, kind: str, payload: bytes, number: int) -> tuple[WaybillItem, bytes]:
    now = peer.network.clock.now()
    note_id = note_id_of(kind, peer.agency, PROVINCE, now, number, payload)
    said = Note(kind, note_id, peer.agency, PROVINCE, now, payload)
    document = sign_note(said, peer.link_key)
    return WaybillItem(ItemKind.NOTE, sha256_hex(document), len(document), said.key), document


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many faults were written down; each is found by counting the siblings before it."""
    seen: list[int] = []
    validate: Callable[[xml.Element, xml.Schema], tuple[xml.Violation, ...]] = xml.validate

    def counted(root: xml.Element, schema: xml.Schema) -> tuple[xml.Violation, ...]:
        violations = validate(root, schema)
        seen.append(len(schema.error_log) if violations else 0)
        return violations

    monkeypatch.setattr(xml, "validate", counted)
    return seen


@pytest.mark.parametrize(
    ("kind", "around", "one"),
    [(RESTORE, _PAGE, b"<packet/>"), (RESTORE, _WANT, b"<packet/>"), (LOG, _REQUEST, b"<held/>")],
    ids=["page", "wish", "question"],
)
@pytest.mark.parametrize("room", [NOTE_PAYLOAD_BYTES, 30_000, 4_000])
def test_notes_full_of_faults_cost_little_and_stop_nobody(
    province: Province, faults: list[int], kind: str, around: bytes, one: bytes, room: int
) -> None:
    payload = full(around, one, room=room)
    notes = [note(province.police, kind, payload, number) for number in range(4)]
    province.police.put(province.police.batch(notes))
    packet = province.procuratorate.seal(
        DropRequest("trial.indict", PROCURATORATE, COURT, province.network.clock.now(), seed=3)
    )
    province.procuratorate.send(packet)
    province.run()
    assert [each.kind for each in province.receipts(province.procuratorate)] == [ReceiptKind.ACCEPTED]
    assert province.arrivals() == [("quarantined", "schema-violated")] * len(notes)
    assert max(faults) < 1_000
