"""What a rule looks at: one packet, its business type, its parties, and the fields wherever they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from packet_spec.catalogue import BusinessType, Catalogue, Condition, MetadataField, Requirement
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.model import Packet
from packet_spec.parties import Parties


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a field: its path (as in findings) and its text without outer white space."""

    element: str
    text: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A packet under examination. ``row`` is the catalogue's row of its business type.

    ``fields`` are those that the packet has a value of, in the order of the catalogue.
    """

    packet: Packet
    row: BusinessType
    catalogue: Catalogue
    parties: Parties
    fields: tuple[MetadataField, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Once for all rules: most rules about fields look at every one of them."""
        present = {*ENVELOPE_FIELDS, *self.packet.fields, *self.packet.lists}.union(*self.packet.persons)
        fields = tuple(row for code, row in self.catalogue.fields.items() if code in present)
        object.__setattr__(self, "fields", fields)

    def values(self, code: str) -> tuple[Value, ...]:
        """Every value of the field that is present, in document order; an empty value has an empty text.

        A person-scoped field has one value per person that has it, a list one per item.
        """
        if code in ENVELOPE_FIELDS:
            carried = ENVELOPE_FIELDS[code]
            text = carried.read(self.packet.envelope).strip()
            return (Value(carried.path, text),) if text else ()
        if self.catalogue.fields[code].scope == "person":
            return tuple(
                Value(person_element(number, code), person[code].strip())
                for number, person in enumerate(self.packet.persons, 1)
                if code in person
            )
        if code in self.packet.lists:
            items = enumerate(self.packet.lists[code], 1)
            return tuple(Value(f"{code}/item[{number}]", text.strip()) for number, text in items)
        return (Value(code, self.packet.fields[code].strip()),) if code in self.packet.fields else ()

    def holds(self, conditions: Iterable[Condition]) -> bool:
        """Every condition holds; one on a person-scoped field holds if it holds for any person."""
        return all(
            any(value.text in condition.values for value in self.values(condition.field))
            for condition in conditions
        )

    def persons_for(self, requirement: Requirement) -> tuple[int, ...]:
        """Numbers (from 1) of the persons for whom every person-scoped condition holds.

        Empty where no condition is person-scoped: then the requirement is not of one person.
        """
        own = [rule for rule in requirement.when if self.catalogue.fields[rule.field].scope == "person"]
        return tuple(
            number
            for number, person in enumerate(self.packet.persons, 1)
            if own and all(person.get(rule.field, "").strip() in rule.values for rule in own)
        )

    def active(self, requirements: Iterable[Requirement]) -> Iterator[Requirement]:
        """The requirements whose conditions hold for this packet."""
        return (requirement for requirement in requirements if self.holds(requirement.when))


def person_element(number: int, code: str) -> str:
    """The path of a person-scoped field, for findings: ``persons/person[2]/id_no``."""
    return f"persons/person[{number}]/{code}"


def describe_conditions(requirement: Requirement) -> str:
    """``plea=true (CPL 176)``: the conditions and the article, for the sentence of a finding."""
    conditions = ", ".join(f"{rule.field}={'|'.join(rule.values)}" for rule in requirement.when)
    return f"{conditions} ({describe_basis(requirement.basis)})" if requirement.basis else conditions


def describe_basis(basis: str) -> str:
    """``CPL 176`` for the catalogue's ``CPL-176``."""
    return basis.replace("-", " ", 1)
