"""The last look at a demo: all folders hold exactly what an undisturbed run leaves, or it is told.

Guarantees: every agency's inbox, outbox and receipts are compared as a whole, so a packet too many, at the
wrong agency, twice, or with another byte is a difference, and so is a receipt missing, doubled, of an
unexpected kind or not provable. Folders are hashed anew. Leaves to others: waiting until all is quiet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from cli.demo.journey import Act, Ending, Expected, Journey
from cli.demo.watch import Agency, Proofs
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding, Severity

# What the finding of each refused faulty drop must be about: document type or field.
FAULTY_PLACES = {"F1": "PRO-017", "F4": "id_no"}


def find_differences(
    agencies: Sequence[Agency], journeys: Sequence[Journey], proofs: Proofs, moment: datetime
) -> tuple[str, ...]:
    """Everything that an undisturbed run would have left otherwise, in words; empty when all is well."""
    found: list[str] = []
    for journey in journeys:
        found += [f"{journey.label}: {problem}" for problem in journey.problems]
        found += _ending(journey)
    for agency in agencies:
        sent = [journey for journey in journeys if journey.sender == agency.code]
        found += [f"{agency.code}: {name} still lies in the outbox" for name in agency.waiting()]
        found += _inbox(agency, journeys, proofs, moment)
        found += _receipts(agency, sent, proofs, moment)
    return tuple(found)


def _ending(journey: Journey) -> Iterator[str]:
    status = journey.status
    state = "without a status" if status is None else status.state
    if not journey.is_complete:
        yield f"{journey.label}: ended {state}, and not {journey.ending}"
    if status is None:
        return
    if journey.ending is Ending.REFUSED:
        place = FAULTY_PLACES.get(journey.label, "")
        if not any(_is_about(finding, place) for finding in status.findings):
            yield f"{journey.label}: no finding names {place}"
    if journey.ending is Ending.DELIVERED and status.attempt not in {None, 1}:
        yield f"{journey.label}: took {status.attempt} attempts"


def _is_about(finding: Finding, place: str) -> bool:
    shown = (finding.element, finding.document, finding.expected, finding.found)
    return finding.severity is Severity.REFUSE and any(place in text for text in shown)


def _inbox(
    agency: Agency, journeys: Sequence[Journey], proofs: Proofs, moment: datetime
) -> Iterator[str]:
    """One folder for each packet that came here, whole; none for what the case software took out."""
    expected = {
        f"{journey.sender}_{journey.key.packet_id}": journey
        for journey in journeys
        if journey.ending is Ending.DELIVERED and journey.key is not None
        if agency.code in journey.recipients and journey.acts.get(agency.code) is not Act.REMOVE
    }
    folders = agency.folders()
    times = Counter(folder.name for folder in folders)
    for name, count in times.items():
        if count > 1:
            yield f"{agency.code}: {name} lies in the inbox {count} times"
    yield from _set_differences(f"{agency.code} inbox", times, expected)
    for folder in folders:
        journey = expected.get(folder.name)
        if journey is not None:
            problems = proofs.problems_of(folder, journey.original, agency.code, moment)
            yield from (f"{agency.code}: {problem}" for problem in problems)


def _receipts(agency: Agency, sent: Sequence[Journey], proofs: Proofs, moment: datetime) -> Iterator[str]:
    """For each packet of this sender exactly the receipts that it is to have, all provable."""
    by_id = {
        journey.key.packet_id: journey
        for journey in sent
        if journey.ending is Ending.DELIVERED and journey.key is not None
    }
    yield from _set_differences(f"{agency.code} receipts", agency.receipt_folders(), by_id)
    for packet_id, journey in by_id.items():
        found: Counter[Expected] = Counter()
        for path in agency.receipt_files(packet_id):
            try:
                receipt = proofs.receipt(path.read_bytes(), moment)
            except ExchangeError as error:
                yield f"{journey.label}: {path.name} proves nothing: {error}"
                continue
            found[receipt.kind, receipt.recipient] += 1
            if receipt.content_digest != journey.original.content_digest:
                yield f"{journey.label}: {path.name} speaks of other content"
        for kind, recipient in sorted({*found, *journey.wanted}):
            wanted = int((kind, recipient) in journey.wanted)
            if found[kind, recipient] != wanted:
                who = f" for {recipient}" if recipient else ""
                yield f"{journey.label}: {found[kind, recipient]} receipts {kind}{who}, not {wanted}"


def _set_differences(where: str, found: Iterable[str], expected: Iterable[str]) -> Iterator[str]:
    there, wanted = set(found), set(expected)
    yield from (f"{where}: {name} is missing" for name in sorted(wanted - there))
    yield from (f"{where}: {name} should not be there" for name in sorted(there - wanted))
