"""What the agency's own folders say after the ledger was put back to a backup (C13, C19, C20, C23).

Guarantees: signed receipts that lie in ``receipts/`` and in delivered folders are taken back first, so that
this node can give them to others that were restored too. The rest is asked once, when everybody else has
answered. An original in ``sent/`` that the ledger does not know is joined to the packet that it became, so
that its status goes on; where nobody knows that packet any more, the original goes back into the outbox and
becomes the same packet again, under the id that its status file names. A delivered folder that lies in the
inbox, or lay there, is watched again. Nothing is removed and nothing replaced.

Leaves to others: recognising what lies in the outbox (``standing``), folders that are delivered again
(``delivery``). Known limits: the status file is believed, as one's own word; of twins of one name the latest
count as forgotten; an original that retention removed is not missed.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError, NameTakenError
from exchanged.ledger import Ledger, Transaction, drops, effects, packets, restoring, statements
from exchanged.log import event_line
from exchanged.recalling import settle_by_receipts
from exchanged.receipts import Statements
from exchanged.states import DestinationState
from exchanged.trust import Trust
from frontend_server.collected import MARKER_NAME
from frontend_server.folders import INBOX, OUTBOX, AgencyFolders, MarkerState
from frontend_server.outbox import find_marker, observe
from frontend_server.staging import kind_of, read_plain
from packet_spec.authority import check_receipt_authority
from packet_spec.disposition import parse_disposition
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.limits import MIB, RECEIPT_BYTES
from packet_spec.model import ReceiptKind
from packet_spec.names import escape_for_display, safe_component, status_name
from packet_spec.receipt import open_receipt
from packet_spec.restoring import Numbers

_SENT: Final = "sent"
_TWIN: Final = re.compile(rb"~\d{1,12}(?=$|\.[^.]{1,8}$)")
_ANSWERS: Final = frozenset({ReceiptKind.SIGNED.value, ReceiptKind.REFUSED.value})
_ENDED: Final = frozenset({"duplicate", "refused"})
# What lies in sent/ was not withdrawn: that was another drop of that name, or a copy of this node saw it go.
_OF_OTHERS: Final = "withdrawn"
_GROUP: Final = 100
_AGAIN: Final = "sent-again"


@dataclass(frozen=True, slots=True)
class _Told:
    """What a status file says of one drop."""

    name: str
    packet_id: str
    attempt: int
    state: str
    sender_ref: str


class RestoredFolders:
    """The folders of one agency after a restore."""

    def __init__(
        self,
        agency: str,
        ledger: Ledger,
        folders: AgencyFolders,
        files: DurableFiles,
        trust: Trust,
        statements: Statements,
    ) -> None:
        """``files`` are those of the agency's (foreign) volume."""
        self._agency = agency
        self._ledger = ledger
        self._folders = folders
        self._files = files
        self._trust = trust
        self._statements = statements
        self._complained = False

    def begin(self) -> bool:
        """Take back receipts before anybody is asked or answered. False: the folders cannot be used now."""
        if not self._may_look():
            return False
        found = [*self._folders.receipts.glob("*/*.xml"), *self._folders.inbox.glob("*/*/accepted.xml")]
        fresh = [data for path in found if (data := read_plain(path, RECEIPT_BYTES)) is not None]
        fresh = [data for data in fresh if not statements.is_recorded(self._ledger.read(), data)]
        for start in range(0, len(fresh), _GROUP):
            self._ledger.write(partial(self._record, documents=fresh[start : start + _GROUP]))
        return True

    def _record(self, tx: Transaction, *, documents: list[bytes]) -> None:
        for data in documents:
            # What lies in the agency's folders counts for its signature alone.
            with suppress(ExchangeError):
                receipt, key_id = open_receipt(data, self._trust.key)
                check_receipt_authority(self._trust.directory, receipt, key_id, tx.now)
                is_ours = self._statements.is_ours(receipt.issued_by)
                if statements.record_receipt(tx, receipt, data, own=is_ours) is None:
                    continue
                if is_ours:
                    numbers = Numbers(receipt=receipt.number, issued_at=receipt.issued_at)
                    restoring.skip_numbers(tx, numbers)
                packet = packets.find(tx.connection, receipt.key)
                if packet is not None:
                    settle_by_receipts(tx, packet)
                    effects.intend(tx, "status", f"packet:{packet.id}")

    def take(self) -> bool:
        """Bring ledger and folders together. False: the folders cannot be used now; tried again."""
        if not self._may_look():
            return False
        try:
            self._watch_inbox()
            for name in self._forgotten():
                self._meet(name)
        except ForeignVolumeError as error:
            return self._complain(str(error))
        return True

    def _may_look(self) -> bool:
        good = (MarkerState.GOOD, MarkerState.READ_ONLY)
        if any(self._folders.check_marker(self._ledger, each) not in good for each in (OUTBOX, INBOX)):
            return self._complain("the folders of the agency do not hold their marker")
        return True

    def _complain(self, why: str) -> bool:
        if not self._complained:
            event_line("restore-waits-for-folders", level=logging.ERROR, agency=self._agency, what=why)
        self._complained = True
        return False

    # --- the inbox ------------------------------------------------------------------------------

    def _watch_inbox(self) -> None:
        """What was delivered before counts as lying there.

        Whether it was taken, ``collected`` finds out (C20).
        """
        found = restoring.remembered_destinations(self._ledger.read(), self._agency)
        watched: list[tuple[int, str]] = []
        for number, state in found:
            packet = packets.get(self._ledger.read(), number)
            place = self._folders.inbox / safe_component(packet.business_type)
            name = safe_component(f"{packet.key.sender}_{packet.key.packet_id}")
            higher = f"{name}_a{packet.attempt}"
            if kind_of(place / higher) is not None:
                name = higher
            folder = place / name
            lies_there = kind_of(folder) is not None
            # A folder that is gone was collected, unless a receipt says so already.
            if lies_there or state == DestinationState.DELIVERED.value:
                watched.append((number, f"{place.name}/{name}"))
            event_line("delivered-before", packet=str(packet.key), lies_there=lies_there, marker=MARKER_NAME)
        if watched:
            self._ledger.write(lambda tx: self._watch(tx, watched))

    def _watch(self, tx: Transaction, folders: list[tuple[int, str]]) -> None:
        for number, folder in folders:
            restoring.set_folder(tx, number, self._agency, folder)

    # --- the originals --------------------------------------------------------------------------

    def _forgotten(self) -> list[bytes]:
        """Names in ``sent/`` that no drop of the ledger stands for: of twins of one name the latest."""
        with self._folders.opened(_SENT) as descriptor:
            entries = [
                (os.fsencode(entry.name), entry.stat(follow_symlinks=False).st_ctime_ns)
                for entry in os.scandir(descriptor)
                if not entry.name.startswith(".")
            ]
            names = {name for name, _ in entries}
            markers = {marker for name in names if (marker := find_marker(descriptor, name)) is not None}
        families: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
        for name, changed in entries:
            if name not in markers:
                families[_TWIN.sub(b"", name)].append((changed, name))
        found: list[bytes] = []
        for base, twins in families.items():
            known = drops.count_put_away(self._ledger.read(), base)
            found += [name for _, name in sorted(twins)[known:]]
        return found

    def _meet(self, lies_as: bytes) -> None:
        name = _TWIN.sub(b"", lies_as)
        told = self._told_of(name)
        if told is not None and told.state in _ENDED:
            return
        if told is not None and told.state == "disposed":
            if self._was_answered(lies_as):
                return
            told = None
        packet = (
            packets.find(self._ledger.read(), PacketKey(self._agency, told.packet_id))
            if told is not None and told.packet_id
            else None
        )
        if told is not None and packet is not None:
            number, attempt = packet.id, told.attempt
            with self._folders.opened(_SENT) as descriptor:
                observation = observe(descriptor, name, lies_as=lies_as)
            if observation is not None:
                identity = observation.identity
                self._ledger.write(lambda tx: _join(tx, identity, told, number, attempt))
            return
        self._send_again(lies_as, name, told)

    def _send_again(self, lies_as: bytes, name: bytes, told: _Told | None) -> None:
        """Nobody has it: back into the outbox, to be the same packet as before."""
        if told is not None and told.packet_id:
            self._ledger.write(lambda tx: restoring.pin(tx, name, told.packet_id, told.attempt))
        with self._folders.opened(_SENT) as descriptor:
            marker = find_marker(descriptor, lies_as)
        shown = escape_for_display(name)
        for source, target in ((lies_as, name), (marker, marker)):
            if source is None or target is None:
                continue
            try:
                self._files.rename_new(
                    self._folders.sent / os.fsdecode(source), self._folders.outbox / os.fsdecode(target)
                )
            except NameTakenError:
                event_line("sent-again-not-possible", level=logging.ERROR, agency=self._agency, drop=shown)
                self._ledger.write(lambda tx: tx.event("sent-again-not-possible", detail={"drop": shown}))
                return
        self._ledger.write(lambda tx: tx.event(_AGAIN))
        event_line(_AGAIN, level=logging.WARNING, agency=self._agency)

    def _was_answered(self, lies_as: bytes) -> bool:
        """The disposition in that file has its receipt; one that cannot be read counts as answered."""
        data = read_plain(self._folders.sent / os.fsdecode(lies_as), MIB)
        said = parse_disposition(data)[0] if data is not None else None
        return said is None or any(
            row.own and row.kind in _ANSWERS for row in statements.receipts_of(self._ledger.read(), said.key)
        )

    def _told_of(self, name: bytes) -> _Told | None:
        """The newest status of a drop of that name which the ledger does not have."""
        shown, stem = escape_for_display(name), status_name(name, "")
        found: list[tuple[str, _Told]] = []
        for path in self._folders.status.glob("*.status.json"):
            if not path.name.startswith(stem):
                continue
            said = _read_status(path)
            if said is None or said.get("drop") != shown or said.get("state") == _OF_OTHERS:
                continue
            told = _Told(
                path.name.removesuffix(".status.json"), str(said.get("packetId") or ""),
                int(said.get("attempt") or 1), str(said.get("state") or ""), str(said.get("senderRef") or ""),
            )  # fmt: skip
            if drops.owner_of_status(self._ledger.read(), told.name) is None or self._is_open(told.name):
                found.append((str(said.get("updatedAt") or ""), told))
        return max(found, default=("", None), key=lambda each: each[0])[1]

    def _is_open(self, status: str) -> bool:
        """The drop of that status was seen and not taken, as far as the ledger knows."""
        connection = self._ledger.read()
        number = drops.owner_of_status(connection, status)
        row = None if number is None else drops.find(connection, number)
        return row is not None and row.packet is None and row.original is drops.Original.OUTBOX


def _join(tx: Transaction, identity: drops.DropIdentity, told: _Told, packet: int, attempt: int) -> None:
    number = drops.join(tx, identity, told.name, packet, attempt, told.sender_ref)
    effects.intend(tx, "status", f"drop:{number}")
    effects.intend(tx, "status", f"packet:{packet}")


def _read_status(path: Path) -> dict[str, Any] | None:
    data = read_plain(path, MIB)
    with suppress(ValueError, ExchangeError):
        said = json.loads(data or b"")
        return said if isinstance(said, dict) else None
    return None
