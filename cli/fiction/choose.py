"""Who could send a type to whom in the default lab, where nobody says.

The kinds of the catalogue are tried in its order and the agencies in the lab's; organs of kinds that the
lab has none of come last.
"""

from __future__ import annotations

from itertools import product

from cli.fiction.agencies import DEFAULT_AGENCIES, FURTHER_KINDS, LabAgency
from packet_spec.catalogue import BusinessType, Catalogue
from packet_spec.errors import CatalogueError


def choose_parties(
    catalogue: Catalogue,
    business_type: BusinessType,
    sender: LabAgency | None = None,
    receiver: LabAgency | None = None,
) -> tuple[LabAgency, LabAgency]:
    """Sender and receiver of a packet of this type; those that are given stay.

    A given agency is not held against the type: wrong packets are made on purpose too. Raises
    CatalogueError when no pair of known agencies fits.
    """
    senders = (sender,) if sender else _candidates(business_type.senders)
    receivers = (receiver,) if receiver else _candidates(business_type.receivers)
    both_given = sender is not None and receiver is not None
    for one, other in product(senders, receivers):
        if both_given or (one != other and _levels_fit(catalogue, business_type, one, other)):
            return one, other
    raise CatalogueError(
        "no two agencies of the default lab fit the business type",
        where=business_type.code,
        expected=f"{', '.join(business_type.senders)} to {', '.join(business_type.receivers)}",
        hint="name both: --from and --to",
    )


def _candidates(kinds: tuple[str, ...]) -> tuple[LabAgency, ...]:
    def of_kinds(agencies: tuple[LabAgency, ...]) -> list[LabAgency]:
        return [agency for kind in kinds for agency in agencies if agency.kind == kind]

    return (*of_kinds(DEFAULT_AGENCIES), *of_kinds(FURTHER_KINDS))


def _levels_fit(
    catalogue: Catalogue, business_type: BusinessType, sender: LabAgency, receiver: LabAgency
) -> bool:
    kinds = (catalogue.agency_kinds[sender.kind], catalogue.agency_kinds[receiver.kind])
    if business_type.level == "any" or not all(kind.levelled for kind in kinds):
        return True
    step = catalogue.levels.index(receiver.level) - catalogue.levels.index(sender.level)
    match business_type.level:
        case "same":
            return step == 0
        case "receiver_one_above":
            return step == 1
        case "receiver_below":
            return step < 0
        case _:
            return False
