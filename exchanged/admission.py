"""Admission: what a provincial node decides about a packet of one of its agencies (C12, C15 to C17).

Numbered as in the rules: signature and key; mailbox and sender bound together; identity and
duplicates; forks; the standard, from the same catalogue as at the sender's desk; relations and
parties; sequence in the case; routes, and whether parts are encrypted as these want. Only then ``accepted``
is issued, which starts the legal clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchanged import forks
from exchanged.decisions import Held, Suspicious, hold, quarantine
from exchanged.examine import Examined, Scope
from exchanged.ledger import Transaction, arrivals, awaited, batches, cases, packets, restoring, seals, spoken
from exchanged.ledger.arrivals import SEQUENCE_FORK
from exchanged.ledger.awaited import Awaited
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.ledger.times import stamp
from exchanged.packs import find_pack
from exchanged.readmission import (
    adopted_verdict,
    is_remembered,
    is_told_wrong,
    lies_with_all,
    refuse_again,
    take_back,
)
from exchanged.receipts import URGENT, Links, Statements
from exchanged.routing import RouteKind, may_come_from, next_hop
from exchanged.soundness import ClockGuard
from exchanged.states import DestinationState, Event, PacketState
from exchanged.storing import is_new_attempt, refuse, require_named_blobs, store, subject_of
from exchanged.transit import meets_itself
from exchanged.trust import Trust
from packet_spec.authority import check_seal_authority
from packet_spec.catalogue import Catalogue
from packet_spec.encryption_rules import encryption_findings
from packet_spec.findings import Finding, Outcome, Severity
from packet_spec.identity import PacketKey
from packet_spec.model import CheckedScope, ItemKind, Packet, Priority, Receipt, ReceiptKind, Seal
from packet_spec.sentences import make_finding
from packet_spec.sequence import check_sequence, predecessors_of
from packet_spec.sequence_policy import SequencePolicy

_CLOCK_AGAIN_SECONDS = 30.0
_RESTORING_AGAIN_SECONDS = 5.0
_DOCUMENT_AGAIN_SECONDS = 0.05
_CAME_PAST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Admission:
    """The PacketJudge of an admitting node.

    ``packs`` is their folder; ``policy`` counts where the directory's route says nothing. ``delivers`` is the
    agency whose inbox lies at this very node: point to point the receiving front-end admits for its
    neighbour (C21). Empty at a provincial node.
    """

    node: str
    trust: Trust
    links: Links
    statements: Statements
    clock_guard: ClockGuard
    packs: Path
    policy: SequencePolicy
    order_wait_seconds: float
    delivers: str = ""

    def scope(self, _sender: str) -> Scope:
        """The whole standard, whatever the sending front-end let through."""
        return Scope.STANDARD

    def decide(self, transaction: Transaction, row: ArrivalRow, examined: Examined) -> None:
        """Admit and route, repeat a receipt, refuse, hold or quarantine."""
        seal, directory = examined.seal, self.trust.directory
        check_seal_authority(directory, seal, examined.key_id, transaction.now)
        if not may_come_from(directory, self.node, seal.key.sender, self.links.peer_of(row.link)):
            raise Suspicious("packet-in-a-foreign-mailbox")
        sender = directory.agency(seal.key.sender)
        if sender is None or sender.admitting_node != self.node:
            raise Held("no-route")
        known = packets.find(transaction.connection, seal.key)
        was_told = known is not None and restoring.is_hearsay(transaction.connection, known)
        if known is not None and (was_told or is_told_wrong(transaction, known, seal)):
            # The seal of its sender counts, not what others told of it.
            packets.forget(transaction, known)
            known = None
        if known is not None and known.transit:
            # It passed here while another node admitted its sender: nothing was ever decided about it.
            if known.state is PacketState.ACTIVE:
                raise meets_itself(row)
        elif (
            known is not None
            and not is_new_attempt(transaction, known, seal)
            and not is_remembered(known, seal)
        ):
            self._meet_again(transaction, row, known, examined)
            return
        require_named_blobs(transaction, row, seal)
        if self._was_decided(transaction, row, known, examined, was_told=was_told):
            return
        if examined.unseen:
            # It lies here now, but nobody has looked into it: it came while the packet was examined.
            raise Held("document-unseen", _DOCUMENT_AGAIN_SECONDS)
        if seals.is_fork(transaction.connection, seal, examined.seal_digest):
            is_decided = spoken.is_decided(transaction.connection, row.id, seal.incarnation)
            if sender.node == self.links.peer_of(row.link) and row.reason != SEQUENCE_FORK and not is_decided:
                forks.mark(transaction, row.link, forks.Conflict.SEAL, seal.incarnation)
            hold(transaction, row, SEQUENCE_FORK)
            return
        if examined.packet is None:
            refuse(transaction, row, known, examined, examined.verdict.findings, self.statements, "")
            return
        catalogue = find_pack(self.packs, seal.pack.digest).catalogue
        case_id, joined, findings = self._check_case(transaction, row, examined, examined.packet, catalogue)
        findings = (*examined.verdict.findings, *encryption_findings(directory, seal), *findings)
        if any(finding.severity is Severity.REFUSE for finding in findings):
            refuse(transaction, row, known, examined, findings, self.statements, "")
            return
        if doubt := self.clock_guard.doubt():
            raise Held(doubt, _CLOCK_AGAIN_SECONDS)
        accepted = self._admit(transaction, row, known, examined, findings)
        cases.record(
            transaction,
            case_id,
            joined,
            examined.packet.envelope.case_numbers,
            (seal.key.sender, *seal.recipients),
            seal.business_type,
            seal.key,
            at=stamp(accepted.issued_at),
        )

    def _was_decided(
        self,
        transaction: Transaction,
        row: ArrivalRow,
        known: PacketRow | None,
        examined: Examined,
        *,
        was_told: bool,
    ) -> bool:
        """This node decided about it before its ledger was restored: nothing is judged anew (C23).

        ``was_told``: others told of it after a restore.
        """
        verdict, seal = adopted_verdict(transaction, examined.seal), examined.seal
        if verdict is not None and verdict.kind == ReceiptKind.REFUSED.value:
            refuse_again(transaction, row, known, examined, self.statements)
            return True
        if verdict is None:
            if restoring.is_going_on(transaction.connection):
                # The first receipt may be with somebody who has not answered yet.
                raise Held("node-restoring", _RESTORING_AGAIN_SECONDS)
            if not was_told or examined.packet is None or not lies_with_all(transaction, seal):
                return False
            # Whoever it is for has it and went by an ``accepted`` receipt that is nowhere any more.
            if doubt := self.clock_guard.doubt():
                raise Held(doubt, _CLOCK_AGAIN_SECONDS)
        roads = {recipient: self._road(row, seal.key.sender, recipient) for recipient in seal.recipients}
        if verdict is None:
            self.statements.issue(transaction, ReceiptKind.ACCEPTED, subject_of(seal, examined.seal_digest))
        take_back(transaction, row, known, examined, roads)
        return True

    def _meet_again(
        self, transaction: Transaction, row: ArrivalRow, known: PacketRow, examined: Examined
    ) -> None:
        """Same content: the first receipts again. Other content: quarantined, both told (C12)."""
        if known.content_digest == examined.seal.content_digest:
            self.statements.repeat(transaction, known.key)
            arrivals.finish(transaction, row, Event.REPEAT)
            return
        self.statements.issue(
            transaction,
            ReceiptKind.REFUSED,
            subject_of(examined.seal, examined.seal_digest),
            findings=(make_finding("packet-id-reused", severity=Severity.REFUSE),),
        )
        quarantine(transaction, row, "packet-id-reused")

    def _check_case(
        self,
        transaction: Transaction,
        row: ArrivalRow,
        examined: Examined,
        packet: Packet,
        catalogue: Catalogue,
    ) -> tuple[str, tuple[str, ...], tuple[Finding, ...]]:
        """Which case the packet belongs to, which cases it joins, and what forbids it (C15, C17)."""
        connection, envelope, seal = transaction.connection, packet.envelope, examined.seal
        findings: list[Finding] = []
        if envelope.supersedes and not self._may_supersede(transaction, seal, envelope.supersedes):
            findings.append(make_finding("supersedes-not-allowed", element="supersedes"))
        if envelope.in_reply_to and not self._may_reply(transaction, seal.key.sender, envelope.in_reply_to):
            findings.append(make_finding("reply-not-allowed", element="inReplyTo"))
        found = list(cases.cases_of(connection, envelope.case_numbers))
        if envelope.in_reply_to:
            answered = cases.case_of_packet(connection, envelope.in_reply_to)
            if answered and answered not in found:
                found.append(answered)
        # An unknown type was refused by the rules already.
        business_type = catalogue.business_types.get(seal.business_type)
        entry_point = business_type is not None and business_type.entry_point
        own = [case for case in found if cases.is_party(connection, case, seal.key.sender)]
        if found and not own and not entry_point:
            # What happened in a case of others is none of its business, nor whether there is one (C17): where
            # a case that nobody knows would be waited for and refused, so is this.
            can_wait = examined.verdict.outcome is Outcome.VALID and not findings
            checked = () if business_type is None else self._order(seal, (), catalogue)
            about = awaited.about_case(found, ()) if can_wait else ()
            awaits = Awaited(about, predecessors_of(seal.business_type, catalogue) if about else ())
            said = self._or_wait(transaction, row, checked, awaits)
            if not any(finding.severity is Severity.REFUSE for finding in said):
                said = (make_finding("case-not-open-to-sender", element="case"),)
            return found[0], (), (*findings, *said)
        # A stranger may have named one of these numbers first, by mistake or not: the sender's own case stays
        # open to it, joins none of a stranger's, and is not judged by what happened there.
        found = own or found[:1]
        case_id = found[0] if found else cases.new_name(seal.key, seal.attempt)
        history = tuple(code for case in found for code in cases.history(connection, case, but=seal.key))
        if business_type is not None:
            can_wait = examined.verdict.outcome is Outcome.VALID and not findings
            checked = self._order(seal, history, catalogue)
            unknown = cases.unknown_of(connection, envelope.case_numbers) if can_wait else ()
            about = awaited.about_case(found, unknown) if can_wait else ()
            awaits = Awaited(about, predecessors_of(seal.business_type, catalogue))
            findings.extend(self._or_wait(transaction, row, checked, awaits))
        return case_id, tuple(found[1:]), tuple(findings)

    def _order(self, seal: Seal, history: tuple[str, ...], catalogue: Catalogue) -> tuple[Finding, ...]:
        """What the order of a case says, as strictly as on the route to the receiver."""
        route = self.trust.directory.route(seal.key.sender, seal.receiver)
        policy = SequencePolicy(route.sequence) if route is not None and route.sequence else self.policy
        return check_sequence(seal.business_type, history, catalogue, policy)

    def _may_supersede(self, transaction: Transaction, seal: Seal, packet_id: str) -> bool:
        """Only one's own packet to the same receiver."""
        named = self._decided(transaction, PacketKey(seal.key.sender, packet_id))
        return named is not None and named.receiver == seal.receiver

    def _may_reply(self, transaction: Transaction, sender: str, key: PacketKey) -> bool:
        """Only a recipient of the named packet."""
        named = self._decided(transaction, key)
        return named is not None and sender in named.recipients

    def _decided(self, transaction: Transaction, key: PacketKey) -> PacketRow | None:
        """The packet of that identity, unless this node knows it by others' word alone."""
        named = packets.find(transaction.connection, key)
        if named is None or restoring.is_hearsay(transaction.connection, named):
            return None
        return named

    def _or_wait(
        self, transaction: Transaction, row: ArrivalRow, findings: tuple[Finding, ...], awaits: Awaited
    ) -> tuple[Finding, ...]:
        """What the order rules found; a packet that is merely ahead of its predecessor waits (C15).

        ``awaits``: what would be one, and where; nowhere, when it need not be waited for.
        """
        refusing = [finding for finding in findings if finding.severity is Severity.REFUSE]
        missing = refusing and all(finding.code == "predecessor-missing" for finding in refusing)
        # What came past an earlier batch of its link may be ahead by our own lack of room: nobody's fault.
        came_past = arrivals.came_past_another(transaction.connection, row.id)
        waited = arrivals.held_long_enough(row, transaction.now, self.order_wait_seconds)
        if missing and awaits.about and (came_past or not waited):
            # It may have landed by a clock that was ahead.
            since = max(0.0, (transaction.now - row.landed_at).total_seconds())
            left = self.order_wait_seconds - since
            seconds = max(_CAME_PAST_SECONDS if came_past else 0.05, left)
            raise Held(awaited.FOR_PREDECESSOR, seconds, awaits)
        return findings

    def _admit(
        self,
        transaction: Transaction,
        row: ArrivalRow,
        known: PacketRow | None,
        examined: Examined,
        findings: tuple[Finding, ...],
    ) -> Receipt:
        """Store, accept, route: the receipt goes before the packet to every recipient."""
        seal = examined.seal
        roads = {recipient: self._road(row, seal.key.sender, recipient) for recipient in seal.recipients}
        number = store(transaction, row, known, examined, PacketState.ACTIVE)
        arrivals.finish(transaction, row, Event.ADMIT, keeps_bytes=True)
        receipt, accepted = self.statements.issue(
            transaction,
            ReceiptKind.ACCEPTED,
            subject_of(seal, examined.seal_digest),
            findings=findings,
            scope=None if seal.encryption is None else CheckedScope.PACKET_XML,
        )
        priority = URGENT if seal.priority is Priority.URGENT else 1
        for recipient, link in roads.items():
            state = DestinationState.QUEUED if link else DestinationState.ARRIVED
            packets.add_destination(transaction, number, recipient, state, link)
        if "" in roads.values():
            transaction.wake("delivery")
        for link in filter(None, dict.fromkeys(roads.values())):
            batches.enqueue(transaction, link, ItemKind.RECEIPT, receipt, priority, of=seal.key.sender)
            batches.enqueue(transaction, link, ItemKind.PACKET, number, priority, of=seal.key.sender)
        return accepted

    def _road(self, row: ArrivalRow, sender: str, recipient: str) -> str:
        """The link towards a recipient, empty for our own agency. Holds the packet without one (C16).

        Here the way turns from up to down: a bridge that stands before both ends gets the packet back, the
        sender's own node never does.
        """
        if recipient == self.delivers:
            return ""
        directory, neighbour = self.trust.directory, self.links.peer_of(row.link)
        listed = directory.agency(sender)
        came_from = neighbour if listed is None or listed.node == neighbour else ""
        route = next_hop(directory, self.node, recipient, came_from)
        if route.kind is RouteKind.LOOP:
            raise Held(RouteKind.LOOP.value)
        link = self.links.name_of(route.neighbour) if route.kind is RouteKind.NEIGHBOUR else ""
        if not link:
            raise Held(RouteKind.UNKNOWN.value)
        return link
