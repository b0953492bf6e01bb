"""A packet of every business type in memory, ways to spoil it, and the findings that a fault must have.

Documents are listed, not rendered: only packet.xml is judged here. All data is fictional.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cli.fiction.choose import choose_parties
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding, packet_xml
from cli.fiction.request import Drop, DropRequest
from cli.fiction.values import Situation, describe_agency, items_of, value_of
from packet_spec.catalogue import BusinessType, MetadataField, Requirement, load_catalogue
from packet_spec.check import CheckResult, check_packet
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.findings import Severity
from packet_spec.model import Attachment, Directory, DirectoryAgency
from packet_spec.pack import shipped_pack
from tests.support.fiction import MOMENT

CATALOGUE = load_catalogue()
TYPES = tuple(CATALOGUE.business_types.values())
LEVELS = CATALOGUE.levels
# The division of the fictional organs of each level.
_DIVISIONS = {"county": "620199", "city": "620100", "province": "620000", "national": "000000"}

Place = tuple[str, str, str]
"""Code, element and document of a finding."""

def agency(kind: str, level: str, serial: int = 0) -> str:
    """The code of the organ of that kind and level in ``DIRECTORY``; serials 0 and 1 exist."""
    return f"{_DIVISIONS[level]}-{CATALOGUE.agency_kinds[kind].number}-{serial:02d}"


def _listed(code: str, kind: str, level: str) -> DirectoryAgency:
    return DirectoryAgency(code, kind, level, "", code, "620000-00-00", "虚构单位", "Fictional organ")


# All reserved types are switched on here.
DIRECTORY = Directory(
    version=1,
    issued_at=MOMENT,
    expires_at=MOMENT,
    threshold=1,
    roots=(),
    nodes=(),
    enabled_types=tuple(row.code for row in TYPES if not row.enabled_by_default),
    agencies=tuple(
        _listed(agency(kind, level, serial), kind, level)
        for kind in CATALOGUE.agency_kinds
        for level in LEVELS
        for serial in (0, 1)
    ),
)


@dataclass(frozen=True, slots=True)
class Made:
    """An invented packet: its row, the drop as values, and the document types that it lists."""

    row: BusinessType
    drop: Drop
    documents: tuple[str, ...]

    def xml(self) -> bytes:
        listed = tuple(Attachment(f"{code}.pdf", code, 1, "0" * 64) for code in self.documents)
        return packet_xml(self.drop, listed, DropEncoding.UTF_8)

    def check(self, xml: bytes | None = None, directory: Directory = DIRECTORY) -> CheckResult:
        return check_packet(xml or self.xml(), directory=directory, pack=shipped_pack())

    def faults(self, xml: bytes | None = None) -> set[Place]:
        """Places of every finding; a warning is marked, so that it never passes for a refusal."""
        return {
            (
                f.code if f.severity is Severity.REFUSE else f"warn:{f.code}",
                f.element,
                f.document,
            )
            for f in self.check(xml=xml).verdict.findings
        }

    def refusals(self) -> set[Place]:
        """Places of the findings that refuse."""
        return {place for place in self.faults() if not place[0].startswith("warn:")}

    # --- faults ----------------------------------------------------------------------------------

    def listing(self, documents: Iterable[str]) -> Made:
        return replace(self, documents=tuple(documents))

    def without_documents(self, *codes: str) -> Made:
        return self.listing(code for code in self.documents if code not in codes)

    def with_envelope(self, **changes: Any) -> Made:
        return replace(self, drop=replace(self.drop, envelope=replace(self.drop.envelope, **changes)))

    def with_field(self, code: str, text: str | None) -> Made:
        """A packet-scoped field or list of the body with another value; None leaves it out."""
        body = self.drop.body
        fields = {name: value for name, value in body.fields.items() if name != code}
        lists = {name: value for name, value in body.lists.items() if name != code}
        persons = () if code == "persons" else body.persons
        order = tuple(name for name in body.order if name != code or text is not None)
        if text is not None:
            fields[code] = text
        return self._with_body(order=order, fields=fields, lists=lists, persons=persons)

    def with_person_field(self, code: str, text: str | None) -> Made:
        """A field of every person with another value; None leaves it out."""
        persons = tuple(
            {name: value if name != code else text or "" for name, value in person.items()}
            for person in self.drop.body.persons
        )
        if text is None:
            persons = tuple({n: v for n, v in person.items() if n != code} for person in persons)
        return self._with_body(persons=persons)

    def _with_body(self, **changes: Any) -> Made:
        return replace(self, drop=replace(self.drop, body=replace(self.drop.body, **changes)))


@cache
def made(code: str, *settings: tuple[str, str]) -> Made:
    """The packet that the generator makes of this type, with these fields set."""
    row = CATALOGUE.business_type(code)
    sender, receiver = choose_parties(CATALOGUE, row)
    drop = make_drop(DropRequest(code, sender.code, receiver.code, MOMENT, set_fields=dict(settings)))
    return Made(row, drop, tuple(document.document_type for document in drop.documents))


def made_full(code: str) -> Made:
    """The packet with every optional field and every allowed document."""
    plain = made(code)
    row, envelope = plain.row, plain.drop.envelope
    sender, receiver = (describe_agency(each, CATALOGUE) for each in (envelope.sender, envelope.receiver))
    at = Situation(CATALOGUE, row, sender, receiver, MOMENT, plain.drop.case, 1)
    settings = {
        each: _setting(CATALOGUE.fields[each], at)
        for each in row.optional_fields
        if each not in ENVELOPE_FIELDS and each != "persons"
    }
    return made(code, *settings.items()).listing(sorted(row.allowed_documents))


def _setting(field: MetadataField, at: Situation) -> str:
    if field.type == "list":
        return ";".join(item.text for item in items_of(field, at))
    return value_of(field, at)


def cases_of(requirements: Sequence[Requirement]) -> Iterable[tuple[Requirement, Mapping[str, str]]]:
    """Each requirement with each way to make its conditions hold, one value at a time."""
    for requirement in requirements:
        for number in range(max(len(condition.values) for condition in requirement.when)):
            yield (
                requirement,
                {rule.field: rule.values[min(number, len(rule.values) - 1)] for rule in requirement.when},
            )


def missing_document(packet: Made, code: str, triggered: Sequence[Requirement] = ()) -> set[Place]:
    """What must be found when the document ``code`` is not in the packet and was alone in its groups."""
    row, left = packet.row, set(packet.documents) - {code}
    found: set[Place] = set()
    if code in row.required_documents:
        found.add(("document-missing", "", code))
    if any(code in requirement.require for requirement in triggered):
        found.add(("document-missing-conditional", "", code))
    if any(code in group and left.isdisjoint(group) for group in row.required_one_of):
        found.add(("document-missing-one-of", "", ""))
    return found
