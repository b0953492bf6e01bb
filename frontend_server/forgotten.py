"""Originals in ``sent/`` that a restored ledger does not know: joined, sent again, or told (C13, C23).

Guarantees: an original is known when it is, file for file, a drop of the ledger; its name alone says nothing.
A forgotten one is joined to the packet that its status names, if that is here again; where nobody has that
packet any more it goes back into the outbox, to be the same packet under the same id. What ended (cancelled,
expired, refused, given up, a duplicate, an answered disposition) stays. What was on hold, what lies there
under a name that is taken in the outbox, and what nobody can tell apart stays too, and a person is told: by
its inode, for events are kept for ever, and names of drops may be those of people. Nothing is removed and
nothing replaced; every step may be repeated after a crash.

Leaves to others: what status files say (``told``); that an id goes to these files alone, and that none
begins a new attempt of a packet that ended (``acceptance``). Known limits: a status belongs to an original of
its name and the sender's number, or of its packet id; an original that was moved by hand from ``sent/`` into
the outbox once more, and forgotten, is known as the first drop that it was; a marker goes along if it bears
the original's name.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import CheckTakesLongError, ForeignVolumeError, NameTakenError
from exchanged.ledger import Ledger, Transaction, drops, effects, packets, pins, statements
from exchanged.ledger.drops import DropIdentity
from exchanged.ledger.rows import PacketRow
from exchanged.log import event_line
from exchanged.pool import WorkPool
from frontend_server.ended_drops import free_transit
from frontend_server.folders import OUTBOX, AgencyFolders, MarkerState
from frontend_server.judging import DropNames, NamingWork, name_drop
from frontend_server.markers import find_marker
from frontend_server.originals import look_at, put_away_stem
from frontend_server.outbox import Observation, observe
from frontend_server.reading import read_drop
from frontend_server.staging import kind_of
from frontend_server.told import Told, told_of_forgotten
from packet_spec.errors import ExchangeError
from packet_spec.finding_xml import carried_text
from packet_spec.identity import PacketKey
from packet_spec.model import ReceiptKind
from packet_spec.names import escape_for_display

_SENT: Final = "sent"
_TWIN: Final = re.compile(rb"~\d{1,12}(?=$|\.[^.]{1,8}$)")
_ANSWERS: Final = frozenset({ReceiptKind.SIGNED.value, ReceiptKind.REFUSED.value})
_AGAIN: Final = "sent-again"
_NO_DROP: Final = "drop-kind-unknown"


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """One original: the name under which it lies in sent/, and what it says."""

    lies_as: bytes
    says: DropNames

    @property
    def family(self) -> tuple[str, ...]:
        """What its status has in common with it."""
        if self.says.packet_id:
            return (self.says.packet_id,)
        return _family(self.lies_as, carried_text(self.says.sender_ref))

    def name(self, told: Told | None) -> bytes:
        """Its name as a drop: another one than it lies under only if its status says so."""
        base = _TWIN.sub(b"", self.lies_as)
        return base if told is not None and _shown(base) == told.drop else self.lies_as


class ForgottenOriginals:
    """The originals of one agency after a restore. Used by one thread."""

    def __init__(
        self,
        agency: str,
        ledger: Ledger,
        folders: AgencyFolders,
        files: DurableFiles,
        pool: WorkPool,
        *,
        markers: bool,
    ) -> None:
        """``files`` are those of the agency's (foreign) volume; ``markers``: drops have one beside them."""
        self._agency = agency
        self._ledger = ledger
        self._folders = folders
        self._files = files
        self._pool = pool
        self._markers = markers
        self._told: set[bytes] = set()

    def meet(self) -> bool:
        """Deal with all of them. False: some could not be looked at yet, to be repeated.

        Raises ForeignVolumeError when the folders cannot be used; then it may be repeated, too.
        """
        free_transit(self._ledger, self._folders, self._files)
        families: dict[tuple[str, ...], list[_Forgotten]] = defaultdict(list)
        is_whole = True
        with self._folders.opened(_SENT) as sent:
            for lies_as in self._unknown(sent):
                says = self._read(sent, lies_as)
                if says is None:
                    is_whole = False
                elif says.answers is not None:
                    self._meet_disposition(lies_as, says.answers)
                elif says.sender_ref:
                    one = _Forgotten(lies_as, says)
                    families[one.family].append(one)
        if not families or not is_whole:
            # Whose status is whose is known only when all have been read.
            return is_whole
        told: dict[tuple[str, ...], list[Told]] = defaultdict(list)
        for each in told_of_forgotten(self._ledger.read(), self._agency, self._folders):
            told[(each.packet_id,)].append(each)
            told[_family(each.drop.encode(), each.sender_ref)].append(each)
        # Without the marker, that a status is not there says nothing.
        self._require_folders()
        for family, members in families.items():
            self._meet_family(members, told[family])
        return True

    # --- which ------------------------------------------------------------------------------------

    def _unknown(self, sent: int) -> Iterator[bytes]:
        """Names in sent/ whose files are no drop that the ledger disposed of, in the order of arrival."""
        try:
            with os.scandir(sent) as entries:
                found = {
                    os.fsencode(entry.name): entry.stat(follow_symlinks=False)
                    for entry in entries
                    if not entry.name.startswith(".")
                }
        except OSError as error:
            raise ForeignVolumeError("sent/ cannot be read", found=error.strerror or "") from error
        inodes = {each.st_ino for each in found.values()}
        known: dict[int, list[DropIdentity]] = defaultdict(list)
        for identity in drops.disposed_of(self._ledger.read()):
            if identity.inode in inodes:
                known[identity.inode].append(identity)
        for name in sorted(found, key=lambda name: (found[name].st_ctime_ns, name)):
            if not any(_is_drop(sent, name, identity) for identity in known[found[name].st_ino]):
                yield name

    def _read(self, sent: int, lies_as: bytes) -> DropNames | None:
        """What the original says, empty for what is none or was told to a person. None: not yet known."""
        seen = observe(sent, lies_as)
        if seen is None or (seen.oddity is not None and seen.oddity.code == _NO_DROP):
            # Gone, or nothing that was ever taken: a marker, say.
            return DropNames()
        answer: DropNames | ExchangeError = DropNames()
        if not seen.problem and seen.oddity is None:
            try:
                answer = self._names(sent, seen)
            except ExchangeError as error:
                # A share that went away says nothing of this one.
                self._require_folders()
                answer = error
        if isinstance(answer, CheckTakesLongError):
            return None
        if isinstance(answer, ExchangeError) or answer == DropNames():
            self._tell(lies_as, "unreadable")
            return DropNames()
        return answer

    def _names(self, sent: int, seen: Observation) -> DropNames | ExchangeError:
        read = read_drop(sent, seen)
        read.source.close()
        (answer,) = self._pool.run(name_drop, [NamingWork(read.packet_xml)])
        return answer

    def _require_folders(self) -> None:
        good = (MarkerState.GOOD, MarkerState.READ_ONLY)
        if self._folders.check_marker(self._ledger, OUTBOX) not in good:
            raise ForeignVolumeError("the outbox does not hold its marker")

    # --- what becomes of them ---------------------------------------------------------------------

    def _meet_disposition(self, lies_as: bytes, answered: PacketKey) -> None:
        rows = statements.summaries_of(self._ledger.read(), answered)
        if not any(row.own and row.kind in _ANSWERS for row in rows):
            self._send_again(lies_as, lies_as, None)

    def _meet_family(self, members: Sequence[_Forgotten], told: Sequence[Told]) -> None:
        """Originals and statuses that have everything in common."""
        if len(members) == 1 and len(told) <= 1:
            self._meet(members[0], told[0] if told else None)
        elif not told:
            for one in members:
                self._meet(one, None)
        elif len(told) >= len(members) and all(each.is_ended or self._has(each) for each in told):
            # Nothing of it has to be sent, whichever is which.
            here = sorted(filter(self._has, told), key=lambda each: each.attempt)
            for one, each in zip(members, here, strict=False):
                self._meet(one, each)
        else:
            for one in members:
                self._tell(one.lies_as, "not-told-apart")

    def _meet(self, one: _Forgotten, told: Told | None) -> None:
        name = one.name(told)
        packet = None if told is None else self._has(told)
        if told is not None and packet is not None:
            self._join(one.lies_as, name, told, packet)
        elif told is not None and told.is_stopped:
            if not told.is_ended:
                self._tell(one.lies_as, "stopped")
        else:
            self._send_again(one.lies_as, name, told)

    def _has(self, told: Told) -> PacketRow | None:
        """The packet that the drop became, if this node has it (again)."""
        packet = packets.find(self._ledger.read(), PacketKey(self._agency, told.packet_id))
        is_here = packet is not None and 0 < told.attempt <= packet.attempt
        return packet if is_here else None

    def _join(self, lies_as: bytes, name: bytes, told: Told, packet: PacketRow) -> None:
        with self._folders.opened(_SENT) as sent:
            seen = observe(sent, name, lies_as=lies_as)
        if seen is not None:
            identity = seen.identity
            self._ledger.write(lambda tx: _join_in(tx, identity, told, packet.id))

    def _send_again(self, lies_as: bytes, name: bytes, told: Told | None) -> None:
        """Nobody has it: back into the outbox, under the name that it lies under if its own is taken."""
        for target in dict.fromkeys((name, lies_as)):
            if self._give_back(lies_as, target, told):
                self._ledger.write(lambda tx: tx.event(_AGAIN))
                event_line(_AGAIN, level=logging.WARNING, agency=self._agency)
                return
        self._tell(lies_as, "name-taken")

    def _give_back(self, lies_as: bytes, target: bytes, told: Told | None) -> bool:
        """Into the outbox as ``target``, with its marker first, as it came. False: that name is taken."""
        with self._folders.opened(_SENT) as sent:
            seen = observe(sent, target, lies_as=lies_as)
            marker = find_marker(sent, lies_as) if self._markers else None
        home, outbox = self._folders.sent, self._folders.outbox
        if kind_of(_path(outbox, target)) is not None:
            # Its marker would mark what lies there.
            return False
        if seen is None:
            return True
        moves = [(_path(home, lies_as), _path(outbox, target))]
        if marker is not None:
            mark = b"." + marker.rpartition(b".")[2]
            moves.insert(0, (_path(home, marker), _path(outbox, target + mark)))
        files, packet_id, attempt = seen.lasting, "", 0
        if told is not None:
            packet_id, attempt = told.packet_id, told.attempt
        self._ledger.write(lambda tx: pins.pin(tx, files, packet_id, attempt))
        done: list[tuple[Path, Path]] = []
        try:
            for source, place in moves:
                self._files.rename_new(source, place)
                done.append((source, place))
        except NameTakenError:
            for source, place in done:
                self._files.rename_new(place, source)
            self._ledger.write(lambda tx: pins.unpin(tx, files))
            return False
        return True

    def _tell(self, lies_as: bytes, why: str) -> None:
        """Only a person can say what shall become of it: once for each run of the daemon."""
        if lies_as in self._told:
            return
        found = look_at(_path(self._folders.sent, lies_as))
        if found is None:
            return
        self._told.add(lies_as)
        drop = f"inode {found.st_ino}"
        self._ledger.write(lambda tx: tx.event("sent-again-not-possible", detail={"drop": drop, "why": why}))
        event_line("sent-again-not-possible", level=logging.ERROR, agency=self._agency, drop=drop, why=why)


def _join_in(tx: Transaction, identity: DropIdentity, told: Told, packet: int) -> None:
    number = drops.join(tx, identity, told.name, packet, told.attempt, told.sender_ref)
    effects.intend(tx, "status", f"drop:{number}")
    effects.intend(tx, "status", f"packet:{packet}")


def _is_drop(sent: int, lies_as: bytes, identity: DropIdentity) -> bool:
    seen = observe(sent, identity.name, lies_as=lies_as)
    if seen is None:
        return False
    if seen.oddity is not None:
        # Taken as a plain file, and given a second name since, say by an archive of links.
        now, then = seen.identity, identity
        return (now.inode, now.size, now.mtime) == (then.inode, then.size, then.mtime)
    return seen.is_same(identity.device, identity.fingerprint)


def _family(name: bytes, sender_ref: str) -> tuple[str, ...]:
    """The same for a drop, for all names under which it may have been put away, and for its status."""
    return _shown(put_away_stem(_TWIN.sub(b"", name))), sender_ref


def _shown(name: bytes) -> str:
    return carried_text(escape_for_display(name))


def _path(folder: Path, name: bytes) -> Path:
    return folder / os.fsdecode(name)
