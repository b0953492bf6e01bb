"""What the agency's own folders say after the ledger was put back to a backup (C13, C19, C20, C23).

Guarantees: signed receipts that lie in ``receipts/`` and in delivered folders are taken back first, so that
this node can give them to others that were restored too. The rest is asked once, when everybody else has
answered: a delivered folder that lies in the inbox, or lay there, is watched again; packets that wait are
stopped as they were (``stopped``); and every original in ``sent/`` is met that the ledger does not know
(``forgotten``). Nothing is removed and nothing replaced.

Leaves to others: recognising what lies in the outbox (``standing``), folders
that are delivered again (``delivery``). Known limit: an original that retention removed is not missed.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Final

from exchanged.errors import ForeignVolumeError
from exchanged.ledger import Ledger, Transaction, effects, packets, restoring, statements
from exchanged.log import event_line
from exchanged.recalling import settle_by_receipts
from exchanged.receipts import Statements
from exchanged.states import DestinationState
from exchanged.trust import Trust
from frontend_server.collected import MARKER_NAME
from frontend_server.ended_drops import forget_ended
from frontend_server.folders import INBOX, OUTBOX, AgencyFolders, MarkerState
from frontend_server.forgotten import ForgottenOriginals
from frontend_server.staging import kind_of, read_plain
from frontend_server.stopped import stop_again
from packet_spec.authority import check_receipt_authority
from packet_spec.errors import ExchangeError
from packet_spec.limits import RECEIPT_BYTES
from packet_spec.names import safe_component
from packet_spec.receipt import open_receipt
from packet_spec.restoring import Numbers

_GROUP: Final = 100


class RestoredFolders:
    """The folders of one agency after a restore."""

    def __init__(
        self,
        agency: str,
        ledger: Ledger,
        folders: AgencyFolders,
        trust: Trust,
        statements: Statements,
        originals: ForgottenOriginals,
    ) -> None:
        """``originals`` are those of the same agency."""
        self._agency = agency
        self._ledger = ledger
        self._folders = folders
        self._originals = originals
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
            stop_again(self._ledger, self._folders)
            is_whole = self._originals.meet()
            if is_whole:
                forget_ended(self._ledger, self._folders)
        except ForeignVolumeError as error:
            return self._complain(str(error))
        return is_whole

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
