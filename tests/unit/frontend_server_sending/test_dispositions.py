"""Dispositions that case software drops are handed over, refused or held."""

from __future__ import annotations

from exchanged.errors import StaleStateError
from exchanged.states import DropState
from packet_spec.model import ReceiptKind
from packet_spec.sentences import make_finding
from tests.support.documents import KEY
from tests.support.outbox import SendingFrontend, names_in
from tests.support.sending import states

DISPOSITION = f"""<?xml version="1.0" encoding="UTF-8"?>
<disposition xmlns="urn:exchanged:disposition:1" packetId="{KEY.packet_id}"
 sender="{KEY.sender}" kind="signed" by="虚构丙" at="2026-07-15T09:30:00+08:00"/>
""".encode()


def test_a_disposition_is_handed_over_in_one_transaction(frontend: SendingFrontend) -> None:
    frontend.drop_xml("签收.xml", DISPOSITION)
    frontend.run(3)
    (answer,) = frontend.answers
    assert (answer.key, answer.kind, answer.by) == (KEY, ReceiptKind.SIGNED, "虚构丙")
    assert states(frontend) == [DropState.DISPOSED]
    assert names_in(frontend.folders.sent) == ["签收.xml"]
    assert frontend.status("签收.xml")["state"] == "disposed"


def test_a_disposition_that_does_not_count_is_refused(frontend: SendingFrontend) -> None:
    frontend.answer = (make_finding("disposition-unknown-packet", found=str(KEY)),)
    frontend.drop_xml("A.xml", DISPOSITION)
    frontend.run()
    assert frontend.codes("A.xml") == ["disposition-unknown-packet"]
    assert names_in(frontend.folders.refused)[0] == "A.xml"


def test_a_disposition_that_cannot_be_taken_yet_is_held_and_harms_no_other(frontend: SendingFrontend) -> None:
    frontend.answer = StaleStateError("a delivery is not committed yet")
    frontend.drop_xml("A.xml", DISPOSITION)
    frontend.drop_xml("B.xml")
    frontend.run()
    assert {row.name: row.state for row in frontend.rows()} == {
        b"A.xml": DropState.HELD,
        b"B.xml": DropState.TAKEN,
    }
    frontend.answer = ()
    frontend.clock.advance(1)
    frontend.run()
    assert len(frontend.answers) == 1


def test_a_disposition_that_cannot_be_read_is_refused(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", DISPOSITION.replace(b'kind="signed"', b'kind="maybe"'))
    frontend.run()
    assert states(frontend) == [DropState.REFUSED]
    assert frontend.answers == []
