"""One table of faults: how a good packet of a type becomes one with exactly one thing wrong.

Guarantees: each maker changes one thing, or gives None where the type has nothing of the kind; every type
has at least three. Nothing touches the disk. Leaves to others: whether the check agrees (``examples``, which
asks it), and faults of form, which no type has for itself (``forms``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from cli.fiction.agencies import DEFAULT_AGENCIES, FURTHER_KINDS
from cli.fiction.body import triggered
from cli.fiction.drop import make_drop
from cli.fiction.request import Body, Drop, DropRequest
from packet_spec.catalogue import BusinessType, Catalogue
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.model import Envelope

# A package and its indexes are compared with each other: one without the other would be two faults.
_DOSSIER: Final = frozenset({"COM-001", "COM-002", "COM-010"})
_NOWHERE: Final = "no-such-outcome"
_NO_DATE: Final = "1900-01-01"


@dataclass(frozen=True, slots=True)
class Good:
    """A good packet of a type, and what it was made from."""

    catalogue: Catalogue
    row: BusinessType
    request: DropRequest
    drop: Drop

    @property
    def only_required(self) -> tuple[str, ...]:
        """Documents that nothing but the type's own list asks for, those of the dossier last."""
        groups = {code for group in self.row.required_one_of for code in group}
        asked = {*groups, *triggered(self.row.conditional_documents, self.values)}
        codes = [code for code in self.row.required_documents if code not in asked]
        return tuple(sorted(codes, key=lambda code: code in _DOSSIER))

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The values of the packet by field, as conditions see them."""
        values: dict[str, tuple[str, ...]] = {code: (text,) for code, text in self.drop.body.fields.items()}
        values |= {code: (field.read(self.drop.envelope),) for code, field in ENVELOPE_FIELDS.items()}
        for person in self.drop.body.persons:
            for code, text in person.items():
                values[code] = (*values.get(code, ()), text)
        return values


def faulty_drops(good: Good) -> Iterator[tuple[str, Drop]]:
    """Finding code -> the drop that must be refused for it and for nothing else."""
    for code, spoil in FAULTS.items():
        drop = spoil(good)
        if drop is not None:
            yield code, drop


def _document_missing(good: Good) -> Drop | None:
    return _without(good, {good.only_required[0]}) if good.only_required else None


def _document_missing_one_of(good: Good) -> Drop | None:
    asked = {*good.row.required_documents, *triggered(good.row.conditional_documents, good.values)}
    group = next((group for group in good.row.required_one_of if asked.isdisjoint(group)), ())
    return _without(good, set(group)) if group else None


def _document_missing_conditional(good: Good) -> Drop | None:
    groups = {code for group in good.row.required_one_of for code in group}
    asked = triggered(good.row.conditional_documents, good.values)
    own = [code for code in asked if code not in {*good.row.required_documents, *groups, *_DOSSIER}]
    return _without(good, {own[0]}) if own else None


def _document_not_allowed(good: Good) -> Drop | None:
    allowed = good.row.allowed_documents
    rows = (row for row in good.catalogue.document_types.values() if "pdf" in row.formats)
    code = next(row.code for row in rows if row.code not in allowed)
    return make_drop(replace(good.request, extra_documents=(code,)), good.catalogue)


def _field_missing(good: Good) -> Drop | None:
    body = good.drop.body
    code = next((code for code in good.row.required_fields if code in body.fields), None)
    if code is None:
        return None
    fields = {name: text for name, text in body.fields.items() if name != code}
    order = tuple(name for name in body.order if name != code)
    return _with_body(good, replace(body, fields=fields, order=order))


def _field_not_allowed(good: Good) -> Drop | None:
    allowed = {*good.row.allowed_fields, *ENVELOPE_FIELDS}
    rows = (row for row in good.catalogue.fields.values() if row.scope == "packet" and row.type == "string")
    code = next(row.code for row in rows if row.code not in allowed)
    body = good.drop.body
    present = {*body.order, code}
    order = tuple(name for name in good.catalogue.fields if name in present)
    return _with_body(good, replace(body, fields={**body.fields, code: "虚构"}, order=order))


def _outcome(good: Good) -> Drop | None:
    return _with_field(good, "decision_code", _NOWHERE) if good.row.outcome_codes else None


def _placeholder(good: Good) -> Drop | None:
    dates = (code for code in good.row.required_fields if good.catalogue.fields[code].type == "date")
    code = next((code for code in dates if code in good.drop.body.fields), None)
    return _with_field(good, code, _NO_DATE) if code else None


def _check_digit(good: Good) -> Drop | None:
    persons = good.drop.body.persons
    if not persons or good.row.code in good.catalogue.identity_checks.lenient_types:
        return None
    first = dict(persons[0])
    lenient = first.get("person_role") in good.catalogue.identity_checks.lenient_roles
    if lenient or len(first.get("id_no", "")) != 18:
        return None
    last = first["id_no"][-1]
    first["id_no"] = first["id_no"][:-1] + ("1" if last != "1" else "2")
    return _with_body(good, replace(good.drop.body, persons=(first, *persons[1:])))


def _approval_missing(good: Good) -> Drop | None:
    return _with_envelope(good, approver="", approved_on=None) if good.row.approval.customary else None


def _secrecy(good: Good) -> Drop | None:
    return _with_envelope(good, secrecy="secret")


def _sender_kind(good: Good) -> Drop | None:
    code = _stranger(good, good.row.senders)
    return _with_envelope(good, sender=code) if code else None


def _receiver_kind(good: Good) -> Drop | None:
    code = _stranger(good, good.row.receivers)
    return _with_envelope(good, receiver=code) if code else None


# Finding code -> the maker of a packet that has it. The order is that of the folders' making.
FAULTS: Final[Mapping[str, Callable[[Good], Drop | None]]] = MappingProxyType(
    {
        "document-missing": _document_missing,
        "document-missing-one-of": _document_missing_one_of,
        "document-missing-conditional": _document_missing_conditional,
        "document-not-allowed": _document_not_allowed,
        "field-missing": _field_missing,
        "field-not-allowed": _field_not_allowed,
        "code-not-in-list": _outcome,
        "date-placeholder": _placeholder,
        "id-number-check-digit": _check_digit,
        "approval-missing": _approval_missing,
        "secrecy-refused": _secrecy,
        "sender-kind": _sender_kind,
        "receiver-kind": _receiver_kind,
    }
)


def _stranger(good: Good, kinds: tuple[str, ...]) -> str:
    """An agency that plays none of ``kinds`` and has no part in the packet; empty if there is none."""
    taken = {good.drop.envelope.sender, *good.drop.envelope.recipients}
    return next(
        (
            agency.code
            for agency in (*DEFAULT_AGENCIES, *FURTHER_KINDS)
            if agency.code not in taken and not good.catalogue.plays(agency.kind, kinds)
        ),
        "",
    )


def _without(good: Good, codes: set[str]) -> Drop:
    kept = tuple(document for document in good.drop.documents if document.document_type not in codes)
    return replace(good.drop, documents=kept)


def _with_body(good: Good, body: Body) -> Drop:
    return replace(good.drop, body=body)


def _with_field(good: Good, code: str, text: str) -> Drop | None:
    body = good.drop.body
    if code not in body.fields:
        return None
    return _with_body(good, replace(body, fields={**body.fields, code: text}))


def _with_envelope(good: Good, **changes: object) -> Drop:
    envelope: Envelope = replace(good.drop.envelope, **changes)  # type: ignore[arg-type]
    return replace(good.drop, envelope=envelope)
