"""Which fields a body holds and what they say: required, triggered, known, and set by the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cli.fiction.request import Body, ListItem
from cli.fiction.values import Situation, items_of, value_of
from packet_spec.catalogue import MetadataField, Requirement
from packet_spec.envelope_fields import ENVELOPE_FIELDS

# What the accused is called, by the stage of the case.
_ROLES: Final[Mapping[str, str]] = {"trial": "defendant", "execution": "offender"}


def make_body(situation: Situation, settings: Mapping[str, str]) -> Body:
    """The body of a packet; ``settings`` win, and an empty setting leaves its field out."""
    wanted = _wanted_fields(situation, settings)
    fields: dict[str, str] = {}
    lists: dict[str, tuple[ListItem, ...]] = {}
    persons: tuple[Mapping[str, str], ...] = ()
    rows = [row for row in situation.catalogue.fields.values() if row.code in wanted]
    for row in rows:
        if row.scope != "packet" or row.code in ENVELOPE_FIELDS or settings.get(row.code) == "":
            continue
        if row.code == "persons":
            persons = _persons([row for row in rows if row.scope == "person"], situation, settings)
        elif row.type == "list":
            given = settings.get(row.code)
            lists[row.code] = items_of(row, situation) if given is None else _split(given)
        else:
            fields[row.code] = settings.get(row.code) or value_of(row, situation)
    present = {*fields, *lists, *(("persons",) if persons else ())}
    order = tuple(code for code in situation.catalogue.fields if code in present)
    return Body(order, fields, lists, persons)


def triggered(rules: Iterable[Requirement], values: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Everything that ``rules`` require for these values (field -> its values), in order."""
    return [
        code
        for rule in rules
        if all(set(condition.values) & set(values.get(condition.field, ())) for condition in rule.when)
        for code in rule.require
    ]


def _persons(
    rows: list[MetadataField], situation: Situation, settings: Mapping[str, str]
) -> tuple[Mapping[str, str], ...]:
    """A block for each person of the case; settings are about the first, the accused."""
    blocks = []
    for index, known in enumerate(situation.case.persons):
        said = {**known, "person_role": _role(situation), **settings} if index == 0 else known
        texts = {row.code: said.get(row.code, value_of(row, situation)) for row in rows}
        blocks.append({code: text for code, text in texts.items() if text})
    return tuple(blocks)


def _role(situation: Situation) -> str:
    if situation.business_type.code.startswith("correction."):
        return "subject"
    return _ROLES.get(situation.business_type.category, "suspect")


def _wanted_fields(situation: Situation, settings: Mapping[str, str]) -> frozenset[str]:
    """Codes of all fields to write, those of the envelope among them."""
    catalogue, business_type = situation.catalogue, situation.business_type
    wanted = {*business_type.required_fields, *(code for code in settings if code in catalogue.fields)}
    if "persons" in wanted:
        wanted |= {*catalogue.person_block.required, *catalogue.person_block.optional}
    accused = situation.case.persons[0]
    known = {**situation.case.facts, **accused}
    wanted |= {code for code in business_type.optional_fields if code in known}
    values: dict[str, tuple[str, ...]] = {}
    for row in (catalogue.fields[code] for code in wanted):
        if row.type != "list":
            said = {**(accused if row.scope == "person" else {}), **settings}
            values[row.code] = (said[row.code] if row.code in said else value_of(row, situation),)
    return frozenset((*wanted, *triggered(business_type.conditional_fields, values)))


def _split(text: str) -> tuple[ListItem, ...]:
    parts = text.replace("；", ";").split(";")
    return tuple(ListItem(part.strip()) for part in parts if part.strip())
