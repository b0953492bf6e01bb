"""The catalogue of the exchange standard as frozen values: business types, documents, fields, codes.

Guarantees: what ``load_catalogue`` returns is complete, typed and cannot be changed; its ``digest`` is
the SHA-256 of the compiled form and names the pack in seals. Nothing but the package's own compiled
file is read, once.

Leaves to others: what the rows demand of a packet (``rules``, ``sequence``, ``schema``); the consistency
of the rows, which ``compile_catalogue`` proves before it writes the compiled form. The rows are edited in
data/*.yaml, never here. Known limit: the values are shared and read-only mappings, so a catalogue cannot
be pickled; a worker process loads its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, TypeVar

from packet_spec.errors import CatalogueError
from packet_spec.identity import sha256_hex

COMPILED: Final = "catalogue.json"
# In `replies_to` and predecessors: any type, or any type that must be accepted.
ANY: Final = "ANY"
ANY_NEEDS_ACCEPTANCE: Final = "ANY_NEEDS_ACCEPTANCE"

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when the field has one of the values; booleans are ``true`` and ``false``."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Requirement:
    """Codes that are required when all conditions hold. ``basis`` is a law and article, or empty."""

    when: tuple[Condition, ...]
    require: tuple[str, ...]
    basis: str


@dataclass(frozen=True, slots=True)
class Extension:
    """One step by which a deadline may grow: ``add`` this much, or a new ``total``."""

    mode: str
    amount: int
    unit: str
    when: str
    basis: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time limit of a business type.

    ``amount`` is None where ``unit`` is ``immediately``, ``promptly`` or ``set`` (written in the packet).
    ``applies_if`` empty with a text in ``when``: a program cannot tell, the limit is shown as possible.
    """

    id: str
    applies_to: str
    amount: int | None
    unit: str
    day_kind: str
    direction: str
    clock_starts: str
    clock_packet: str
    clock_stops: str
    applies_if: tuple[Condition, ...]
    when: str
    extensions: tuple[Extension, ...]
    basis: tuple[str, ...]
    quote: str
    verified: str
    note: str


@dataclass(frozen=True, slots=True)
class Predecessors:
    """Types of which one must (``require_any``) or should (``expect_any``) have been seen before."""

    require_any: tuple[str, ...]
    expect_any: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Approval:
    """Whether approval before sending is customary, by whom, and the article that asks for it."""

    customary: bool
    chain: tuple[str, ...]
    basis: str


@dataclass(frozen=True, slots=True)
class BusinessType:
    """One kind of packet: who may send it to whom, with which documents and fields, and what follows."""

    code: str
    zh: str
    en: str
    category: str
    main_flow: str
    message_kind: str
    unit: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    copies_to: tuple[str, ...]
    level: str
    entry_point: bool
    needs_acceptance: bool
    replies: tuple[str, ...]
    replies_to: tuple[str, ...]
    required_documents: tuple[str, ...]
    required_one_of: tuple[tuple[str, ...], ...]
    conditional_documents: tuple[Requirement, ...]
    optional_documents: tuple[str, ...]
    required_fields: tuple[str, ...]
    conditional_fields: tuple[Requirement, ...]
    optional_fields: tuple[str, ...]
    outcome_codes: tuple[str, ...]
    deadlines: tuple[Deadline, ...]
    predecessors: Predecessors
    forbidden_after: tuple[str, ...]
    forbidden_unless: tuple[str, ...]
    successors: tuple[str, ...]
    approval: Approval
    legal_basis: tuple[str, ...]
    enabled_by_default: bool
    named_in_article: tuple[str, ...]
    verified: str
    notes: str
    # The file of a schema of its own (local additions); empty: written from this row.
    schema: str = ""

    _allowed_documents: frozenset[str] = field(init=False, repr=False, compare=False)
    _allowed_fields: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Once: every packet of the type is held against both."""
        groups = (*self.required_one_of, *(rule.require for rule in self.conditional_documents))
        documents = frozenset((*self.required_documents, *self.optional_documents)).union(*groups)
        object.__setattr__(self, "_allowed_documents", documents)
        groups = tuple(rule.require for rule in self.conditional_fields)
        fields = frozenset((*self.required_fields, *self.optional_fields)).union(*groups)
        object.__setattr__(self, "_allowed_fields", fields)

    @property
    def allowed_documents(self) -> frozenset[str]:
        """Every document type that this type may carry, whichever list names it."""
        return self._allowed_documents

    @property
    def allowed_fields(self) -> frozenset[str]:
        """Every field that this type may carry, in the body or in the envelope."""
        return self._allowed_fields


@dataclass(frozen=True, slots=True)
class DocumentType:
    """One kind of document; ``volume`` is the volume of the dossier, ``large`` may be a part of its own."""

    code: str
    zh: str
    en: str
    group: str
    issuers: tuple[str, ...]
    unit: str
    seal_expected: bool
    formats: tuple[str, ...]
    volume: str
    large: bool
    named_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetadataField:
    """One field of a body. Fields of scope ``person`` stand in each person block.

    ``code_list`` names the list of a code field, empty where the deployment chooses one. ``items`` is
    ``document`` for a list of document type codes. ``max_length`` counts characters. ``holds`` names the
    pattern of the numbers that a free text may hold.
    """

    code: str
    zh: str
    type: str
    scope: str
    check: str
    personal_data: bool
    code_list: str
    max_length: int
    minimum: int | None
    maximum: int | None
    min_items: int
    items: str
    item_attributes: tuple[str, ...]
    agency_kind: str
    holds: str
    basis: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """The shape of a number, in Python syntax (ASCII digits). ``mismatch`` is ``refuse`` or ``warn``."""

    regex: str
    example: str
    mismatch: str
    verified: str
    note: str


@dataclass(frozen=True, slots=True)
class AgencyKind:
    """A kind of agency. ``number`` is the middle part of its codes.

    ``levelled`` is false where organs of this kind serve organs of several levels; ``stands_in_for`` names
    kinds whose part it may play.
    """

    code: str
    number: str
    zh: str
    en: str
    levelled: bool
    stands_in_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A code with its names, where nothing more is known of it."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class PersonBlock:
    """The fields of every person block beside the person-scoped fields of the type."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdentityChecks:
    """Types and person roles for which a wrong identity number warns instead of refusing."""

    lenient_types: tuple[str, ...]
    lenient_roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldGroups:
    """The fields by what a rule asks of them, each group in the order of the source.

    ``of_persons`` are the codes of scope person; ``limited`` have a least or a greatest number.
    """

    of_persons: frozenset[str]
    limited: tuple[MetadataField, ...]
    lists: tuple[MetadataField, ...]
    document_lists: tuple[MetadataField, ...]
    agencies: tuple[MetadataField, ...]
    dates: tuple[MetadataField, ...]
    credit_codes: tuple[MetadataField, ...]


def _groups(fields: Iterable[MetadataField]) -> FieldGroups:
    def such(holds: Callable[[MetadataField], bool]) -> tuple[MetadataField, ...]:
        return tuple(row for row in rows if holds(row))

    rows = tuple(fields)
    return FieldGroups(
        of_persons=frozenset(row.code for row in rows if row.scope == "person"),
        limited=such(lambda row: row.minimum is not None or row.maximum is not None),
        lists=such(lambda row: row.min_items > 0),
        document_lists=such(lambda row: row.items == "document"),
        agencies=such(lambda row: bool(row.agency_kind)),
        dates=such(lambda row: row.type == "date"),
        credit_codes=such(lambda row: row.holds == "uscc"),
    )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the standard says in rows. Mappings are by code, in the order of the source."""

    version: str
    date: str
    digest: str
    levels: tuple[str, ...]
    agency_kinds: Mapping[str, AgencyKind]
    categories: Mapping[str, Named]
    main_flows: Mapping[str, Named]
    case_kinds: Mapping[str, Named]
    laws: Mapping[str, Named]
    patterns: Mapping[str, Pattern]
    code_lists: Mapping[str, Mapping[str, str]]
    person_block: PersonBlock
    identity_checks: IdentityChecks
    fields: Mapping[str, MetadataField]
    document_types: Mapping[str, DocumentType]
    business_types: Mapping[str, BusinessType]
    groups: FieldGroups = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", _groups(self.fields.values()))

    def business_type(self, code: str) -> BusinessType:
        """The business type of that code. Raises CatalogueError when there is none."""
        try:
            return self.business_types[code]
        except KeyError:
            raise CatalogueError(
                "the catalogue has no such business type", found=code,
                hint="the vendor kit lists all codes: exchangectl kit build DIR",
            ) from None  # fmt: skip

    def kind_of_number(self, number: str) -> str:
        """The agency kind of a two-digit kind number, empty when no kind has it."""
        return next((kind.code for kind in self.agency_kinds.values() if kind.number == number), "")

    def plays(self, kind: str, parts: Iterable[str]) -> bool:
        """An agency of ``kind`` may act as one of ``parts``, itself or standing in for it."""
        row = self.agency_kinds.get(kind)
        return row is not None and bool({kind, *row.stands_in_for}.intersection(parts))

    def fields_of(self, business_type: BusinessType, scope: str) -> tuple[MetadataField, ...]:
        """The fields of ``scope`` that a packet of this type may carry, in the order of the body.

        Envelope-carried fields are among them. A type with ``persons`` has the person block.
        """
        allowed = business_type.allowed_fields
        if "persons" in allowed:
            allowed |= {*self.person_block.required, *self.person_block.optional}
        return tuple(row for row in self.fields.values() if row.scope == scope and row.code in allowed)


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The catalogue that this package carries, read once.

    Raises CatalogueError when the compiled form is missing or does not fit this program.
    """
    try:
        compiled = files("packet_spec").joinpath("data", COMPILED).read_bytes()
    except OSError as error:
        raise CatalogueError("the compiled catalogue cannot be read", found=type(error).__name__) from error
    return read_catalogue(compiled)


def read_catalogue(compiled: bytes) -> Catalogue:
    """A catalogue from its compiled form. Raises CatalogueError when a key is missing or too many."""
    try:
        data: dict[str, Any] = json.loads(compiled)
        return Catalogue(
            version=data.pop("version"),
            date=data.pop("date"),
            digest=sha256_hex(compiled),
            levels=tuple(data.pop("levels")),
            agency_kinds=_table(data.pop("agency_kinds"), _row_of(AgencyKind)),
            categories=_table(data.pop("categories"), _row_of(Named)),
            main_flows=_table(data.pop("main_flows"), _row_of(Named)),
            case_kinds=_table(data.pop("case_kinds"), _row_of(Named)),
            laws=_table(data.pop("laws"), _row_of(Named)),
            patterns=_mapped(data.pop("patterns"), _row_of(Pattern)),
            code_lists=_mapped(data.pop("code_lists"), MappingProxyType),
            person_block=_plain(PersonBlock, data.pop("person_block")),
            identity_checks=_plain(IdentityChecks, data.pop("identity_checks")),
            fields=_table(data.pop("fields"), _row_of(MetadataField)),
            document_types=_table(data.pop("document_types"), _row_of(DocumentType)),
            business_types=_table(data.pop("business_types"), _business_type),
            **data,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CatalogueError(
            "the compiled catalogue does not fit this program", found=type(error).__name__
        ) from error


def _table(rows: list[dict[str, Any]], make: Callable[[dict[str, Any]], _Row]) -> Mapping[str, _Row]:
    return MappingProxyType({row["code"]: make(row) for row in rows})


def _mapped(rows: dict[str, Any], make: Callable[[Any], _Row]) -> Mapping[str, _Row]:
    return MappingProxyType({key: make(value) for key, value in rows.items()})


def _row_of(kind: Callable[..., _Row]) -> Callable[[dict[str, Any]], _Row]:
    return lambda row: _plain(kind, row)


def _plain(kind: Callable[..., _Row], row: dict[str, Any]) -> _Row:
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})


def _conditions(when: dict[str, list[str]]) -> tuple[Condition, ...]:
    return tuple(Condition(field, tuple(values)) for field, values in when.items())


def _requirement(row: dict[str, Any]) -> Requirement:
    return Requirement(_conditions(row["when"]), tuple(row["require"]), row["basis"])


def _deadline(row: dict[str, Any]) -> Deadline:
    return _plain(
        Deadline,
        row
        | {
            "applies_if": _conditions(row["applies_if"]),
            "extensions": [_plain(Extension, extension) for extension in row["extensions"]],
        },
    )


def _business_type(row: dict[str, Any]) -> BusinessType:
    return _plain(
        BusinessType,
        row
        | {
            "required_one_of": [tuple(group) for group in row["required_one_of"]],
            "conditional_documents": [_requirement(rule) for rule in row["conditional_documents"]],
            "conditional_fields": [_requirement(rule) for rule in row["conditional_fields"]],
            "deadlines": [_deadline(deadline) for deadline in row["deadlines"]],
            "predecessors": _plain(Predecessors, row["predecessors"]),
            "approval": _plain(Approval, row["approval"]),
        },
    )
