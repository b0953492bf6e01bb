"""From a request to a drop: envelope, fields and documents, complete as the catalogue asks for them.

Guarantees: every required field and document is there, also those that the chosen values trigger, and
approver and date where approval is customary, unless the request leaves something out on purpose.
Nothing touches the disk here, and the same request gives the same drop. Leaves to others: writing
(``writer``), and the verdict (``packet_spec.check``), which is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Final

from cli.documents.context import DocumentContext
from cli.documents.document import DocumentFormat, choose_format
from cli.documents.dossier import dossier_index
from cli.fiction.body import make_body, triggered
from cli.fiction.case_file import CaseFile, new_case
from cli.fiction.draw import draw
from cli.fiction.people import court_case_number, police_case_number, procuratorate_case_number
from cli.fiction.request import Body, Drop, DropRequest, PlannedDocument
from cli.fiction.texts import document_context
from cli.fiction.values import SHANGHAI, Situation, describe_agency, value_of
from packet_spec.catalogue import Catalogue, load_catalogue
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.errors import CatalogueError
from packet_spec.model import CaseNumber, Envelope, Priority
from packet_spec.xml import read_date, read_moment

# Settings of the envelope that are no fields of the catalogue.
ENVELOPE_SETTINGS: Final = ("priority", "track", "handover", "expires_at")
# Field -> kind of number, and who makes it: (seed, division, day) -> number.
_NUMBERS: Final[Mapping[str, tuple[str, Callable[[int, str, date], str]]]] = {
    "police_case_no": ("police", police_case_number),
    "proc_case_no": ("procuratorate", procuratorate_case_number),
    "court_case_no": ("court", court_case_number),
}
_DOSSIER: Final = "COM-001"
_INDEXES: Final = ("COM-002", "COM-010")
# What lies in an invented dossier: (volume, document type).
_MEMBERS: Final = (
    ("procedure", "POL-002"),
    ("procedure", "POL-020"),
    ("evidence", "EVD-001"),
    ("evidence", "EVD-016"),
)
# Facts of the case that later packets repeat.
_LASTING_FACTS: Final = ("case_name", "cause_code", "cause_name", "filed_date")


def make_drop(request: DropRequest, catalogue: Catalogue | None = None) -> Drop:
    """The drop that ``request`` asks for.

    Raises CatalogueError for an unknown type, agency, field, document or format, and SchemaError for a
    setting that the envelope cannot read as a date or a time with offset.
    """
    catalogue = catalogue or load_catalogue()
    if catalogue.business_type(request.business_type).schema:
        raise CatalogueError(
            "a type with a schema of its own cannot be invented", found=request.business_type
        )
    settings = _settings(request, catalogue)
    situation = _situation(request, catalogue, settings)
    body = make_body(situation, settings)
    situation = replace(situation, case=_case_after(situation.case, body))
    envelope = _envelope(request, situation, settings)
    documents = _documents(request, situation, _values(envelope, body))
    if "handover" not in settings:
        transfers = any(document.document_type == _DOSSIER for document in documents)
        envelope = replace(envelope, handover="transfer" if transfers else "copy")
    name = request.name or f"{envelope.business_type}-{envelope.sender_ref}"
    return Drop(name, envelope, body, documents, situation.case)


def _settings(request: DropRequest, catalogue: Catalogue) -> dict[str, str]:
    """The given fields, and what follows from them."""
    settings = dict(request.set_fields)
    allowed = catalogue.business_type(request.business_type).allowed_fields
    for code in settings:
        if code in ENVELOPE_SETTINGS:
            continue
        if code not in catalogue.fields:
            raise CatalogueError(
                "the catalogue has no such field", found=code,
                hint="the vendor kit lists all codes: exchangectl kit build DIR",
            )  # fmt: skip
        if catalogue.fields[code].scope == "person" and "persons" not in allowed:
            raise CatalogueError(
                "a field of a person is set, and the business type has no persons",
                where=request.business_type,
                found=code,
            )
    if settings.get("in_custody") == "true":
        settings.setdefault("measure_code", "arrest")
    if request.supersedes:
        settings.setdefault("corrected_packet", request.supersedes)
    return settings


def _situation(request: DropRequest, catalogue: Catalogue, settings: Mapping[str, str]) -> Situation:
    business_type = catalogue.business_type(request.business_type)
    sender = describe_agency(request.sender, catalogue)
    receiver = describe_agency(request.receiver, catalogue)
    today = request.created_at.astimezone(SHANGHAI).date()
    division = next((part.division for part in (sender, receiver) if part.level == "county"), sender.division)
    case = request.case or new_case(request.seed, today, division=division)
    numbers = dict(case.numbers)
    for code, (kind, make) in _NUMBERS.items():
        # The organ that accepts a case gives its own number to it.
        gives = code in business_type.optional_fields and sender.kind == kind
        if code in settings:
            numbers[kind] = settings[code]
        elif kind not in numbers and (gives or code in business_type.required_fields):
            numbers[kind] = make(case.seed, division, today)
    case = replace(
        case,
        case_kind=settings.get("case_kind", case.case_kind),
        numbers={kind: numbers[kind] for kind, _ in _NUMBERS.values() if numbers.get(kind)},
    )
    return Situation(catalogue, business_type, sender, receiver, request.created_at, case, request.seed)


def _case_after(case: CaseFile, body: Body) -> CaseFile:
    """What is known of the case once this body was written."""
    said = body.persons or tuple({} for _ in case.persons)
    return replace(
        case,
        persons=tuple({**before, **now} for before, now in zip(case.persons, said, strict=True)),
        facts={**case.facts, **{code: body.fields[code] for code in _LASTING_FACTS if code in body.fields}},
    )


def _envelope(request: DropRequest, situation: Situation, settings: Mapping[str, str]) -> Envelope:
    business_type, case = situation.business_type, situation.case
    approved = business_type.approval.customary or "approver" in business_type.required_fields

    def said(code: str, *, needed: bool) -> str:
        invented = value_of(situation.catalogue.fields[code], situation) if needed else ""
        return settings.get(code, invented)

    approved_on = said("approval_date", needed=approved)
    expires_at = settings.get("expires_at", "")
    # A type of unit none (a notice to all, a query) belongs to no case.
    numbers = case.numbers if business_type.unit != "none" else {}
    return Envelope(
        packet_id=request.packet_id,
        sender_ref=settings.get("sender_ref") or request.sender_ref or _reference(request, situation),
        business_type=business_type.code,
        sender=situation.sender.code,
        receiver=situation.receiver.code,
        copy_to=tuple(describe_agency(code, situation.catalogue).code for code in request.copy_to),
        in_reply_to=request.in_reply_to,
        supersedes=request.supersedes,
        created_at=request.created_at.astimezone(SHANGHAI).replace(microsecond=0),
        priority=_priority(settings.get("priority", "normal")),
        track=settings.get("track", "single"),
        handover=settings.get("handover", "copy"),
        expires_at=read_moment(expires_at) if expires_at else None,
        secrecy=settings.get("secrecy", "none"),
        case_kind=case.case_kind if business_type.unit != "none" else "",
        case_numbers=tuple(CaseNumber(kind, number) for kind, number in numbers.items()),
        handler=said("handling_officer", needed=True),
        approver=said("approver", needed=approved),
        approved_on=read_date(approved_on) if approved_on else None,
    )


def _priority(text: str) -> Priority:
    try:
        return Priority(text)
    except ValueError:
        raise CatalogueError("no such priority", expected=", ".join(Priority), found=text) from None


def _reference(request: DropRequest, situation: Situation) -> str:
    """The case software's own number: another for every type, pair of agencies, time and seed."""
    local = request.created_at.astimezone(SHANGHAI)
    parties = f"{situation.sender.code}/{situation.receiver.code}"
    label = f"{request.business_type}/{parties}/{local.isoformat()}"
    return f"FIC-{local:%Y%m%d%H%M%S}-{draw(situation.seed, label, 16**6):06x}"


def _values(envelope: Envelope, body: Body) -> dict[str, tuple[str, ...]]:
    """Every value of the packet by field, as conditions see them."""
    values: dict[str, tuple[str, ...]] = {code: (text,) for code, text in body.fields.items()}
    values |= {code: (entry.read(envelope),) for code, entry in ENVELOPE_FIELDS.items()}
    for person in body.persons:
        for code, text in person.items():
            values[code] = (*values.get(code, ()), text)
    return values


def _documents(
    request: DropRequest, situation: Situation, values: Mapping[str, tuple[str, ...]]
) -> tuple[PlannedDocument, ...]:
    types = situation.catalogue.document_types
    codes = _required_documents(situation, values) if request.documents is None else request.documents
    codes = tuple(dict.fromkeys((*codes, *request.extra_documents)))
    for code in (*codes, *request.omit_documents):
        if code not in types:
            raise CatalogueError(
                "the catalogue has no such document type", found=code,
                hint="the vendor kit lists all codes: exchangectl kit build DIR",
            )  # fmt: skip
    contexts = {code: request.contexts.get(code) or _context(code, situation) for code in codes}
    if _DOSSIER in contexts:
        index = dossier_index(contexts[_DOSSIER])
        contexts |= {code: replace(contexts[code], entries=index) for code in _INDEXES if code in contexts}
    return tuple(
        _planned(request, situation, contexts[code]) for code in codes if code not in request.omit_documents
    )


def _required_documents(situation: Situation, values: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Required, triggered, and one of each group: one already there, else one that the sender issues."""
    business_type, types = situation.business_type, situation.catalogue.document_types
    codes = [*business_type.required_documents, *triggered(business_type.conditional_documents, values)]
    for group in business_type.required_one_of:
        if not set(group) & set(codes):
            issued = (code for code in group if situation.sender.kind in types[code].issuers)
            codes.append(next(issued, group[0]))
    return tuple(dict.fromkeys(codes))


def _context(code: str, situation: Situation) -> DocumentContext:
    types = situation.catalogue.document_types
    context = document_context(types[code], situation)
    if code != _DOSSIER:
        return context
    members = tuple((volume, document_context(types[member], situation)) for volume, member in _MEMBERS)
    return replace(context, members=members)


def _planned(request: DropRequest, situation: Situation, context: DocumentContext) -> PlannedDocument:
    row = situation.catalogue.document_types[context.document_type]
    document_format = choose_format(row.formats, request.formats.get(row.code))
    return PlannedDocument(
        file=f"{row.zh}.{document_format}",
        document_type=row.code,
        volume=row.volume,
        format=document_format,
        context=context,
        size_bytes=request.video_bytes if document_format is DocumentFormat.MP4 else 0,
    )

