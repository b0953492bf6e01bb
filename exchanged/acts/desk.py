"""The desk: takes one request, asks the rules, does the deed, records who and why, answers.

Guarantees: everything of one request is one ledger transaction; its answer is kept in the same transaction,
so a request that comes again (the answer was lost, the daemon died just after the commit) is answered and
not done again. Of several subjects those that are not allowed (any more) are left out and named. Each
act is an event of the hash chain, ``operator-act``: one for the request, one under each packet concerned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exchanged.acts import giving_up, rules
from exchanged.acts.deeds import Deeds
from exchanged.acts.giving_up import Evidence, GivingUpTools, Telling
from exchanged.acts.rules import Standpoint, Verdict
from exchanged.acts.subjects import (
    Gone,
    Leg,
    Subject,
    Whole,
    by_filter,
    by_name,
    by_token,
    narrowed,
    read_again,
)
from exchanged.acts.values import (
    Act,
    Answer,
    Entry,
    Obstacle,
    Operator,
    Outcome,
    Request,
    SubjectKind,
    read_answer,
)
from exchanged.clock import Clock
from exchanged.errors import (
    ActRefusedError,
    IllegalTransitionError,
    StaleStateError,
    VolumeDamagedError,
)
from exchanged.ledger import Connection, Transaction, arrivals, packets
from exchanged.ledger import acts as kept
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.log import event_line
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding, Severity
from packet_spec.model import Disposition, ReceiptKind
from packet_spec.receipt import decode_receipt
from packet_spec.signing import split_signed

_FINDING: Final = "refused-by-recipient"

Dispose = Callable[[Transaction, Disposition], tuple[Finding, ...]]


def no_dispositions(_tx: Transaction, _disposition: Disposition) -> tuple[Finding, ...]:
    """For nodes without an agency. ``rules`` refuses before."""
    raise ActRefusedError("nothing is delivered at this node")


@dataclass(frozen=True, slots=True)
class Desk:
    """The acts of one node. ``dispose`` takes the answers of its agency (C22), ``machine`` is its clock."""

    here: Standpoint
    tools: GivingUpTools
    machine: Clock
    dispose: Dispose = no_dispositions

    def handle(self, request: Request, operator: Operator) -> Answer:
        """Preview or do one request.

        What would go different ways when it is released is not released under one name: all is left then,
        and each is named as one among others.

        Raises NotFoundError or AmbiguousError when ``what`` names nothing or several packets, RequestError
        for a request that makes no sense, NoSpaceError, and what the ledger raises.
        """
        connection = self.tools.ledger.read()
        if (before := self._answered(connection, request)) is not None:
            return before
        subjects, more = self._subjects(connection, request)
        if request.what and (apart := self._apart(connection, request, subjects)):
            return _answer(request, operator, apart)
        evidence = self._look(request, subjects)
        if request.preview:
            verdicts = [(each, self._verdict(connection, request, each, evidence)[0]) for each in subjects]
            return _answer(request, operator, verdicts, more=more)
        places: dict[str, tuple[Subject, Path]] = {}
        try:
            self._set_aside(connection, request, subjects, evidence, places)
            answer = self.tools.ledger.write(
                lambda tx: self._do(tx, request, operator, subjects, evidence, places)
            )
        finally:
            self._take_back(places)
        for entry in answer.done:
            what = entry.token if entry.kind is SubjectKind.DROP else entry.name
            event_line("operator-act", act=request.act.value, what=what, operator=operator.name)
        return answer

    def _answered(self, connection: Connection, request: Request) -> Answer | None:
        text = None if request.preview else kept.answer_of(connection, request.request)
        return None if text is None else read_answer(json.loads(text))

    def _subjects(self, connection: Connection, request: Request) -> tuple[list[Subject], bool]:
        """What the request is about, and whether its filter fits more."""
        if request.filter is not None and not request.what:
            found, more = by_filter(connection, request.act, request.filter)
            return [*found], more
        if request.targets:
            return [by_token(connection, target) for target in request.targets], False
        named = by_name(connection, request.act, request.what, self.here.links)
        if request.filter is not None:
            named = narrowed(request.act, named, request.filter)
        possible = [each for each in named if self._consider(connection, request, each).outcome]
        return possible or [*named[:1]], False

    def _apart(
        self, connection: Connection, request: Request, subjects: Sequence[Subject]
    ) -> list[tuple[Subject, Verdict]]:
        """All subjects of one name, where each would have to be named alone; else none."""
        found = [(each, self._consider(connection, request, each)) for each in subjects]
        if not rules.go_apart(request.act, found):
            return []
        return [
            (each, Verdict(None, Obstacle.AMONG_OTHERS, {**verdict.fields, "outcome": verdict.outcome or ""}))
            for each, verdict in found
        ]

    def _consider(self, connection: Connection, request: Request, subject: Subject) -> Verdict:
        verdict = rules.consider(
            connection, request.act, subject, self.here,
            without_parts=request.without_parts, incarnation=request.incarnation,
        )  # fmt: skip
        if verdict.outcome is not Outcome.TO_COUNT or not isinstance(subject.thing, ArrivalRow):
            return verdict
        return replace(verdict, fields={**verdict.fields, **self._said(subject.thing)})

    def _said(self, row: ArrivalRow) -> dict[str, str]:
        """What a held receipt says: the operator has to know whom to ask, and for what."""
        try:
            receipt = decode_receipt(split_signed(self.tools.spool.read(row.bytes_at))[0])
        except ExchangeError:
            # It was judged since it was looked up, perhaps, and its bytes are gone.
            return {}
        return {"receipt": receipt.kind.value, "issuer": receipt.issued_by}

    # --- discarding: what has to be known and done before the transaction ---------------------

    def _look(self, request: Request, subjects: Sequence[Subject]) -> Evidence:
        if request.act is not Act.DISCARD:
            return {}
        things = (subject.thing for subject in subjects)
        return giving_up.look_at(self.tools, [thing for thing in things if isinstance(thing, ArrivalRow)])

    def _set_aside(
        self,
        connection: Connection,
        request: Request,
        subjects: Sequence[Subject],
        evidence: Evidence,
        places: dict[str, tuple[Subject, Path]],
    ) -> None:
        """Bytes before the ledger: into ``places``, by the token of what is given up."""
        for subject in subjects if request.act is Act.DISCARD else ():
            verdict, _ = self._verdict(connection, request, subject, evidence)
            thing = subject.thing.packet if isinstance(subject.thing, Leg) else subject.thing
            if verdict.outcome is not None and isinstance(thing, ArrivalRow | PacketRow):
                try:
                    places[subject.token] = (subject, giving_up.set_aside(self.tools, thing))
                except (StaleStateError, VolumeDamagedError):
                    if not isinstance(read_again(connection, subject, self.here.links).thing, Gone):
                        raise
                    # Judged since it was looked at, and its bytes went: the deed finds it so, and says it.

    def _take_back(self, places: Mapping[str, tuple[Subject, Path]]) -> None:
        """Copies of what was not given up are spares. Whoever still waits in the ledger was not."""
        connection = self.tools.ledger.read() if places else None
        for subject, place in places.values():
            if connection is not None and _still_waits(connection, subject):
                giving_up.take_back(self.tools, place)

    def _verdict(
        self, connection: Connection, request: Request, subject: Subject, evidence: Evidence
    ) -> tuple[Verdict, Telling | None]:
        """The rules' verdict; for a discard also what the sender would be told."""
        verdict = self._consider(connection, request, subject)
        if verdict.outcome is not Outcome.DISCARDED or not isinstance(subject.thing, ArrivalRow):
            return verdict, None
        telling = giving_up.whom_to_tell(self.tools, connection, subject.thing, evidence)
        fields = {**verdict.fields, "why": telling.why}
        if telling.outcome is Outcome.DISCARDED_UNTOLD and not request.without_receipt:
            return Verdict(obstacle=Obstacle.NO_RECEIPT, fields=fields), telling
        told = Verdict(telling.outcome, fields=fields)
        return rules.if_it_may_sign(connection, told, self.here), telling

    # --- the deed ------------------------------------------------------------------------------

    def _do(
        self,
        tx: Transaction,
        request: Request,
        operator: Operator,
        subjects: Sequence[Subject],
        evidence: Evidence,
        places: Mapping[str, tuple[Subject, Path]],
    ) -> Answer:
        # Asked again in the transaction: the same request may have come twice.
        if (before := self._answered(tx.connection, request)) is not None:
            return before
        verdicts: list[tuple[Subject, Verdict]] = []
        for seen in subjects:
            subject = read_again(tx.connection, seen, self.here.links)
            verdict, telling = self._verdict(tx.connection, request, subject, evidence)
            if verdict.outcome is not None:
                verdict = self._deed(tx, request, subject, verdict, telling, places)
            verdicts.append((subject, verdict))
        answer = _answer(request, operator, verdicts)
        if answer.done:
            _record(tx, request, operator, [subject for subject, each in verdicts if each.outcome])
            kept.keep_answer(tx, request.request, json.dumps(answer.to_json()))
        return answer

    def _deed(
        self,
        tx: Transaction,
        request: Request,
        subject: Subject,
        verdict: Verdict,
        telling: Telling | None,
        places: Mapping[str, tuple[Subject, Path]],
    ) -> Verdict:
        if request.act is Act.SIGN and isinstance(subject.thing, Whole):
            return self._sign(tx, request, subject.thing)
        if request.act is not Act.DISCARD:
            Deeds(self.tools.statements, self.machine).do(tx, request, subject)
            return verdict
        _seen, place = places.get(subject.token, (subject, None))
        if place is None:
            # It became possible only after it was looked at: its bytes are not set aside.
            return Verdict(obstacle=Obstacle.CHANGED, fields={"state": subject.state})
        kept_as = f"{giving_up.FOLDER}/{place.name}"
        match subject.thing:
            case Leg(packet=packet, destinations=behind):
                giving_up.give_up_delivery(self.tools, tx, packet, behind, kept_as)
            case ArrivalRow() as row if telling is not None:
                giving_up.give_up(self.tools, tx, row, telling, kept_as)
            case _:
                raise IllegalTransitionError(f"{request.act} is not for {subject.kind}")
        return replace(verdict, fields={**verdict.fields, "kept": str(place)})

    def _sign(self, tx: Transaction, request: Request, whole: Whole) -> Verdict:
        """The same rules as for an answer that case software drops (C22)."""
        kind = ReceiptKind.REFUSED if request.refuses else ReceiptKind.SIGNED
        said = tuple(Finding(_FINDING, Severity.REFUSE, text, text) for text in request.findings)
        against = self.dispose(tx, Disposition(whole.key, kind, request.by, tx.now, said))
        if against:
            raise ActRefusedError(against[0].en, where=str(whole.key))
        return Verdict(Outcome.REFUSED if request.refuses else Outcome.SIGNED, fields={"by": request.by})


def _still_waits(connection: Connection, subject: Subject) -> bool:
    match subject.thing:
        case ArrivalRow(id=number):
            return arrivals.find(connection, number) is not None
        case Leg(packet=packet, link=link):
            behind = packets.destinations(connection, packet.id)
            return any(row.link == link and row.state in rules.NOT_STAGED for row in behind)
        case _:
            return False


def _record(tx: Transaction, request: Request, operator: Operator, subjects: Sequence[Subject]) -> None:
    detail = {
        "act": request.act.value,
        "reason": request.reason,
        "request": request.request,
        **operator.detail(),
    }
    # By number: the name of a drop may tell of a case.
    things = sorted({subject.token for subject in subjects if subject.key is None})
    tx.event("operator-act", detail={**detail, "count": len(subjects), "things": things})
    for key in dict.fromkeys(subject.key for subject in subjects if subject.key is not None):
        tx.event("operator-act", key, detail=detail)


def _answer(
    request: Request, operator: Operator, verdicts: Sequence[tuple[Subject, Verdict]], *, more: bool = False
) -> Answer:
    entries = [
        Entry(
            token=subject.token,
            kind=subject.kind,
            name=subject.name,
            state=subject.state,
            since=subject.since,
            outcome=verdict.outcome,
            obstacle=verdict.obstacle,
            fields=verdict.fields,
        )
        for subject, verdict in verdicts
    ]
    return Answer(
        act=request.act,
        request=request.request,
        preview=request.preview,
        operator=operator.name,
        done=tuple(entry for entry in entries if entry.outcome is not None),
        not_done=tuple(entry for entry in entries if entry.outcome is None),
        more=more,
    )
