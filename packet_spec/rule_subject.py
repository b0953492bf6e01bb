"""What a rule looks at: one packet, its business type, its parties, and the fields wherever they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from packet_spec.catalogue import BusinessType, Catalogue, Condition, MetadataField, Requirement
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.model import Packet
from packet_spec.parties import Parties


class Value(NamedTuple):
    """One value of a field: its path (as in findings) and its text without outer white space."""

    element: str
    text: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A packet under examination. ``row`` is the catalogue's row of its business type."""

    packet: Packet
    row: BusinessType
    catalogue: Catalogue
    parties: Parties
    # Field code -> its texts without outer white space: gathered once, most rules look at some of them.
    _texts: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", _texts(self.packet, self.catalogue.groups.of_persons))

    def texts(self, code: str) -> Sequence[str]:
        """Every text of the field that is present, in document order; an empty value has an empty text.

        A person-scoped field has one text per person that has it, a list one per item.
        """
        return self._texts.get(code, ())

    def present(self, fields: Iterable[MetadataField]) -> list[MetadataField]:
        """Those of the fields that the packet has."""
        texts = self._texts
        return [row for row in fields if row.code in texts]

    def faulty(self, code: str, is_faulty: Callable[[str], object]) -> Sequence[Value]:
        """The values of which that can be said, with their places."""
        texts = self._texts.get(code)
        if not texts or not any(map(is_faulty, texts)):
            return ()
        return [value for value in self.values(code) if is_faulty(value.text)]

    def values(self, code: str) -> tuple[Value, ...]:
        """The texts of a field with their places."""
        texts = self.texts(code)
        if code in ENVELOPE_FIELDS:
            places: Iterable[str] = (ENVELOPE_FIELDS[code].path,)
        elif code in self.catalogue.groups.of_persons:
            persons = enumerate(self.packet.persons, 1)
            places = (person_element(number, code) for number, person in persons if code in person)
        elif code in self.packet.lists:
            places = (f"{code}/item[{number}]" for number in range(1, len(texts) + 1))
        else:
            places = (code,)
        return tuple(map(Value, places, texts))

    def holds(self, conditions: Iterable[Condition]) -> bool:
        """Every condition holds; one on a person-scoped field holds if it holds for any person."""
        for condition in conditions:
            texts = self._texts.get(condition.field)
            if not texts or set(condition.values).isdisjoint(texts):
                return False
        return True

    def persons_for(self, requirement: Requirement) -> tuple[int, ...]:
        """Numbers (from 1) of the persons for whom every person-scoped condition holds.

        Empty where no condition is person-scoped: then the requirement is not of one person.
        """
        own = [rule for rule in requirement.when if rule.field in self.catalogue.groups.of_persons]
        if not own:
            return ()
        return tuple(
            number
            for number, person in enumerate(self.packet.persons, 1)
            if all(person.get(rule.field, "").strip() in rule.values for rule in own)
        )

    def active(self, requirements: Iterable[Requirement]) -> Iterator[Requirement]:
        """The requirements whose conditions hold for this packet."""
        return (requirement for requirement in requirements if self.holds(requirement.when))


def _texts(packet: Packet, of_persons: AbstractSet[str]) -> dict[str, Sequence[str]]:
    """A field of the envelope stands nowhere else, and one of persons in no other place of the body."""
    texts: dict[str, Sequence[str]] = {
        code: (text.strip(),) for code, text in packet.fields.items() if code not in of_persons
    }
    for code, items in packet.lists.items():
        if code not in of_persons:
            texts[code] = [item.strip() for item in items]
    gathered: defaultdict[str, list[str]] = defaultdict(list)
    for person in packet.persons:
        for code, text in person.items():
            if code in of_persons:
                gathered[code].append(text.strip())
    texts |= gathered
    for code, carried in ENVELOPE_FIELDS.items():
        text = carried.read(packet.envelope).strip()
        if text:
            texts[code] = (text,)
        elif code in texts:
            del texts[code]
    return texts


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
