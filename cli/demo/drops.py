"""The drops of the demo case: each row of the story as real files, and the faulty drops shown beside it.

Guarantees: a row's drop holds exactly its documents, with facts that agree from row to row. The dossier
of row 2 comes again in row 11 byte for byte. Leaves to others: when a row is dropped, and collecting the
packet ids that later rows reply to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from cli.demo.case_data import (
    CASE_NAME,
    COURT_NUMBER,
    COURT_NUMBER_ROW,
    OFFICERS,
    POLICE_NUMBER,
    PROCURATORATE_NUMBER,
    PROCURATORATE_NUMBER_ROW,
    SUSPECT,
    WRONG_ID_NUMBER,
    DemoRow,
    demo_rows,
)
from cli.demo.document_data import demo_context
from cli.documents.document import DocumentFormat, Progress
from cli.documents.dossier import dossier_index
from cli.fiction.case_file import DEFAULT_CASE_KIND, CaseFile
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import Drop, DropRequest
from cli.fiction.values import describe_agency
from cli.fiction.writer import DropFormat, write_drop
from exchanged.errors import NotFoundError
from packet_spec.catalogue import Catalogue, load_catalogue
from packet_spec.identity import PacketKey
from packet_spec.limits import MIB

# Above 200 MB, so that the demo shows a blob that does not pass in a moment.
DEMO_VIDEO_BYTES: Final = 200 * MIB
DEMO_REFERENCE: Final = "DEMO"
# One document of the case is OFD, the photograph is a photograph; the others come as their type prefers.
_FORMATS: Final = {"PRO-053": DocumentFormat.OFD, "EVD-023": DocumentFormat.JPG}
_VOLUMES: Final = 2


class DemoFault(StrEnum):
    """The faulty drops (domain catalogue, part 3.3)."""

    MISSING_UNDERTAKING = "F1"
    WRONG_CHECK_DIGIT = "F4"
    DROPPED_TWICE = "F8"


def demo_row(number: int) -> DemoRow:
    """The row of that number, 1 to 27. Raises NotFoundError for another."""
    for row in demo_rows():
        if row.number == number:
            return row
    raise NotFoundError("the demo has no such row", expected=f"1 to {len(demo_rows())}", found=str(number))


def demo_request(
    row: DemoRow,
    ids: Mapping[int, PacketKey],
    *,
    video_bytes: int = DEMO_VIDEO_BYTES,
    reference: str = DEMO_REFERENCE,
    catalogue: Catalogue | None = None,
) -> DropRequest:
    """The request for ``row``. ``ids`` holds the identities of earlier rows' packets, by row number.

    ``reference`` begins the senderRef, so that a second run in the same province is no duplicate. Raises
    NotFoundError when the row replies to one that ``ids`` lacks.
    """
    catalogue = catalogue or load_catalogue()
    if row.in_reply_to is not None and row.in_reply_to not in ids:
        raise NotFoundError(
            "a packet of the demo replies to one that has no id yet",
            where=f"row {row.number}",
            expected=f"the id of row {row.in_reply_to}",
        )
    contexts = {code: demo_context(catalogue, row.number, code) for code in row.documents}
    handler, approver = OFFICERS[row.sender]
    fields = {"handling_officer": handler, **row.fields}
    if "persons" in catalogue.business_type(row.business_type).allowed_fields:
        fields["person_role"] = row.role
    if row.approved_on:
        fields |= {"approver": approver, "approval_date": row.approved_on}
    if "COM-001" in contexts:
        pages = sum(entry.pages or 0 for entry in dossier_index(contexts["COM-001"]))
        fields |= {"volume_count": str(_VOLUMES), "page_count": str(pages)}
    return DropRequest(
        business_type=row.business_type,
        sender=describe_agency(row.sender, catalogue).code,
        receiver=describe_agency(row.receiver, catalogue).code,
        created_at=row.at,
        copy_to=tuple(describe_agency(alias, catalogue).code for alias in row.copy_to),
        case=_case(row),
        in_reply_to=None if row.in_reply_to is None else ids[row.in_reply_to],
        set_fields=fields,
        documents=row.documents,
        contexts=contexts,
        formats=_FORMATS,
        video_bytes=video_bytes,
        sender_ref=f"{reference}-{row.number:02d}",
        name=f"{reference}-{row.number:02d}-{row.business_type}",
    )


def build_demo_drop(
    row: DemoRow,
    ids: Mapping[int, PacketKey],
    directory: Path,
    *,
    video_bytes: int = DEMO_VIDEO_BYTES,
    reference: str = DEMO_REFERENCE,
    drop_format: DropFormat = DropFormat.FOLDER,
    encoding: DropEncoding = DropEncoding.UTF_8,
    progress: Progress | None = None,
) -> Path:
    """Write the drop of ``row`` into ``directory`` (an outbox) and give its path.

    Raises what ``demo_request`` and ``write_drop`` raise.
    """
    drop = make_drop(demo_request(row, ids, video_bytes=video_bytes, reference=reference))
    return write_drop(drop, directory, drop_format=drop_format, encoding=encoding, progress=progress)


def faulty_drops(
    fault: DemoFault, ids: Mapping[int, PacketKey], *, reference: str = DEMO_REFERENCE
) -> tuple[Drop, ...]:
    """The drops that show ``fault``; the one dropped twice gives two with different names.

    F1 is row 11 without the signed undertaking, F4 row 5 with a wrong identity number, F8 row 4 twice.
    Raises what ``demo_request`` raises.
    """
    number = {
        DemoFault.MISSING_UNDERTAKING: 11,
        DemoFault.WRONG_CHECK_DIGIT: 5,
        DemoFault.DROPPED_TWICE: 4,
    }[fault]
    request = demo_request(demo_row(number), ids, reference=f"{reference}-{fault}")
    match fault:
        case DemoFault.MISSING_UNDERTAKING:
            return (make_drop(replace(request, omit_documents=frozenset({"PRO-017"}))),)
        case DemoFault.WRONG_CHECK_DIGIT:
            return (make_drop(replace(request, set_fields={**request.set_fields, "id_no": WRONG_ID_NUMBER})),)
        case DemoFault.DROPPED_TWICE:
            drop = make_drop(request)
            return (drop, replace(drop, name=f"{drop.name}-again"))


def _case(row: DemoRow) -> CaseFile:
    """What the case software of the row's sender knows by then."""
    numbers = {"police": POLICE_NUMBER}
    if row.number >= PROCURATORATE_NUMBER_ROW:
        numbers["procuratorate"] = PROCURATORATE_NUMBER
    if row.number >= COURT_NUMBER_ROW:
        numbers["court"] = COURT_NUMBER
    return CaseFile(1, DEFAULT_CASE_KIND, numbers, (SUSPECT,), {"case_name": CASE_NAME})
