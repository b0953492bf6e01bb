"""Who takes part in a packet: kind, level and allow-lists of sender, receiver and copies.

Guarantees: frozen values, small enough to travel to a worker process in place of the whole directory.

Leaves to others: what the catalogue asks of the parties (``party_rules``); which key speaks for an agency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from packet_spec.catalogue import Catalogue
from packet_spec.identifiers import agency_kind_number
from packet_spec.model import Directory, DirectoryAgency, Envelope, Route


class Standing(StrEnum):
    """Why an agency takes part, or why not."""

    IN_FORCE = "in-force"
    UNKNOWN = "unknown"
    DISABLED = "disabled"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Party:
    """One agency of a packet. ``known`` is false where it may not take part; ``standing`` says why.

    ``kind`` and ``level`` are empty where nothing is known of them. ``business_types`` and ``case_kinds``
    are allow-lists; an empty tuple allows all.
    """

    code: str
    known: bool
    kind: str = ""
    level: str = ""
    business_types: tuple[str, ...] = ()
    case_kinds: tuple[str, ...] = ()
    standing: Standing = Standing.IN_FORCE


@dataclass(frozen=True, slots=True)
class Parties:
    """The parties of one packet, copies in the order of the envelope.

    ``routes`` are those to the receiver and then to each copy; ``enabled_types`` are reserved business types
    that the directory switched on.
    """

    sender: Party
    receiver: Party
    copies: tuple[Party, ...]
    routes: tuple[Route | None, ...] = ()
    enabled_types: tuple[str, ...] = ()

    @classmethod
    def from_directory(
        cls, directory: Directory, envelope: Envelope, moment: datetime | None = None
    ) -> Parties:
        """The parties as the directory knows them, of a packet sealed at ``moment``.

        Without a moment an agency with a date of retirement is taken as retired.
        """

        def party(code: str) -> Party:
            agency = directory.agency(code)
            standing = _standing(agency, moment)
            if agency is None or standing is not Standing.IN_FORCE:
                return Party(code, known=False, standing=standing)
            return Party(
                code,
                known=True,
                kind=agency.kind,
                level=agency.level,
                business_types=agency.business_types,
                case_kinds=agency.case_kinds,
            )

        return cls(
            party(envelope.sender),
            party(envelope.receiver),
            tuple(map(party, envelope.copy_to)),
            tuple(directory.route(envelope.sender, recipient) for recipient in envelope.recipients),
            directory.enabled_types,
        )

    @classmethod
    def from_codes(cls, catalogue: Catalogue, envelope: Envelope) -> Parties:
        """The parties without a directory: kinds are read from the codes, nothing else is known of them.

        A code whose kind number is in no row of the catalogue is unknown.
        """

        def party(code: str) -> Party:
            kind = catalogue.kind_of_number(agency_kind_number(code))
            standing = Standing.IN_FORCE if kind else Standing.UNKNOWN
            return Party(code, known=bool(kind), kind=kind, standing=standing)

        return cls(party(envelope.sender), party(envelope.receiver), tuple(map(party, envelope.copy_to)))


def _standing(agency: DirectoryAgency | None, moment: datetime | None) -> Standing:
    if agency is None:
        return Standing.UNKNOWN
    if agency.disabled:
        return Standing.DISABLED
    if agency.retired_at is not None and (moment is None or agency.retired_at <= moment):
        return Standing.RETIRED
    return Standing.IN_FORCE
