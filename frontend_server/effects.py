"""Effects: everything outside the ledger that the agency's case software sees of its drops.

Guarantees: an effect stays in the ledger until it was carried out, and carrying it out again changes
nothing; what fails rests while the others go on (``effect_rests``). What a group of effects writes is flushed
together, before the ledger hears of any. Unless the outbox holds its marker before and after, nothing counts
as carried out: the root may be an empty mount point.

    status         drop:<row> or packet:<row>   status/<name>.status.xml and .json, status/by-id/<id>...
    receipt-file   <receipt row>                receipts/<packet id>/<kind>-<who>-<attempt>.xml
    original       <drop row>, to               sent/, or refused/ with findings.xml and .txt beside it
    counts         any                          inbox/counts.json

Leaves to others: what the files say (``status_files``), and how originals move (``originals``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.clock import Clock, Randomness
from exchanged.config import StatusEncoding
from exchanged.durable import DurableFiles
from exchanged.durable_group import GroupedFiles
from exchanged.errors import VolumeDamagedError
from exchanged.ledger import Connection, Ledger, Transaction, drops, keeping, packets, statements
from exchanged.ledger import effects as intended
from exchanged.ledger.drops import DropRow, Original
from exchanged.ledger.effects import Effect
from exchanged.ledger.keeping import Kind
from exchanged.log import event_line
from exchanged.retry import Backoff
from exchanged.station import NOW
from frontend_server.effect_rests import EffectRests
from frontend_server.folders import BY_ID, OUTBOX, AgencyFolders, MarkerState
from frontend_server.markers import KEY, DropMarker
from frontend_server.originals import Originals, companion
from frontend_server.status_files import build_status, encode_refusal, encode_status, receipt_names
from packet_spec.errors import ExchangeError

# As many hold a folder and some files open each until they are flushed.
_GROUP: Final = 128
# Counting looks at every folder of the inbox: not more often than this, and a tenth of the time at most.
_COUNTS_SECONDS: Final = 1.0
_COUNTS_SHARE: Final = 10.0
_COUNTS: Final = "counts"
_FILE_BITS: Final = 0o666
_TARGETS: Final = {"sent": Original.SENT, "refused": Original.REFUSED}

# What the ledger learns in the transaction that takes the effect off.
_After = Callable[[Transaction], None]


@dataclass(frozen=True, slots=True)
class EffectSettings:
    """How files for the case software are written. ``folder_mode`` as in [folders] mode, e.g. 0o2770."""

    status_encoding: StatusEncoding
    folder_mode: int


class Effects:
    """The station ``effects`` of a front-end."""

    name = "effects"

    def __init__(
        self,
        *,
        ledger: Ledger,
        folders: AgencyFolders,
        files: DurableFiles,
        write_counts: Callable[[], object],
        clock: Clock,
        randomness: Randomness,
        backoff: Backoff,
        settings: EffectSettings,
    ) -> None:
        """``files`` are those of the agency's (foreign) volume."""
        self._ledger = ledger
        self._folders = folders
        self._group = GroupedFiles(files)
        self._pins = _Pins(folders)
        self._write_counts = write_counts
        self._clock = clock
        self._randomness = randomness
        self._backoff = backoff
        self._settings = settings
        self._mode = settings.folder_mode & _FILE_BITS
        self._originals = Originals(folders, self._group)
        self._rests = EffectRests(clock, randomness, backoff)
        self._absent = 0
        self._counts_from = 0.0
        self._handlers: dict[str, Callable[[Effect], _After | None]] = {
            "status": self._write_status,
            "receipt-file": self._write_receipt,
            "original": self._put_away,
            _COUNTS: self._count,
        }

    def step(self) -> float | None:
        """Carry out what is due, in order. Raises VolumeDamagedError only."""
        now = self._clock.monotonic()
        kinds = self._rests.awake(self._handlers)
        limit = _GROUP + self._rests.count(kinds)
        waiting = intended.waiting(self._ledger.read(), limit, kinds)
        due = self._rests.due(waiting, kinds)
        counts_later = self._counts_from > now and any(effect.kind == _COUNTS for effect in waiting)
        if counts_later:
            due = [effect for effect in due if effect.kind != _COUNTS]
        if due:
            if not self._carry_out(due[:_GROUP]):
                return self._backoff.delay(self._absent, self._randomness.fraction())
            if len(waiting) == limit or len(due) > _GROUP:
                return NOW
        now = self._clock.monotonic()
        looks = list(self._rests.looks())
        if counts_later:
            looks.append(self._counts_from)
        return min((max(each - now, 0.05) for each in looks), default=None)

    def _carry_out(self, due: Sequence[Effect]) -> bool:
        """Each in turn, a flush for all, then all that went well off the ledger. False without the marker."""
        if not self._is_there():
            return False
        done: dict[str, tuple[Effect, _After | None]] = {}
        problems: Counter[str] = Counter()
        failed: set[int] = set()

        def fail(effect: Effect, error: ExchangeError) -> None:
            problems[f"{effect.kind}:{error.reference}"] += 1
            failed.add(effect.id)

        with self._pins:
            for effect in due:
                self._group.owner = str(effect.id)
                try:
                    done[self._group.owner] = (effect, self._handlers[effect.kind](effect))
                    continue
                except VolumeDamagedError:
                    raise
                except ExchangeError as error:
                    fail(effect, error)
                except Exception:
                    # A bug that one effect meets must not stop all the others.
                    logging.getLogger("exchanged").exception("event=effect-bug kind=%s", effect.kind)
                    failed.add(effect.id)
                self._group.forget(self._group.owner)
            for owner, failure in self._group.flush().items():
                if owner in done:
                    fail(done.pop(owner)[0], failure)
        for what, count in problems.items():
            event_line("effects-waiting", level=logging.WARNING, error=what, count=count)
        if not self._is_there():
            return False
        self._rests.note(due, failed)
        if done:
            self._ledger.write(lambda tx: _finish(tx, list(done.values())))
        return True

    def _is_there(self) -> bool:
        is_good = self._folders.check_marker(self._ledger, OUTBOX) is MarkerState.GOOD
        self._absent = 0 if is_good else self._absent + 1
        return is_good

    # --- what each kind does -------------------------------------------------------------------

    def _write_status(self, effect: Effect) -> _After | None:
        connection = self._ledger.read()
        kind, _, number = effect.subject.partition(":")
        if kind == "drop":
            told: tuple[DropRow, ...] = (drops.get(connection, int(number)),)
        else:
            # A higher attempt may have come before anybody wrote how the one before it had ended.
            told = drops.all_of_packet(connection, int(number))
        if not told:
            return None
        for drop in told:
            self._write_status_of(connection, drop)

        def after(tx: Transaction) -> None:
            for drop in told:
                keeping.lies_again(tx, Kind.STATUS, drop.id)

        return after

    def _write_status_of(self, connection: Connection, drop: DropRow) -> None:
        status = build_status(connection, drop)
        xml, json = encode_status(status, self._settings.status_encoding)
        newest = None if drop.packet is None else drops.of_packet(connection, drop.packet)
        if drops.owner_of_status(connection, drop.status_name) == drop.id:
            folder = self._folder(self._folders.status)
            self._write(folder / f"{drop.status_name}.status.xml", xml)
            self._write(folder / f"{drop.status_name}.status.json", json)
        if status.packet_id is not None and newest is not None and newest.id == drop.id:
            self._write(self._folder(self._folders.status, BY_ID) / f"{status.packet_id}.status.xml", xml)

    def _write_receipt(self, effect: Effect) -> _After | None:
        connection = self._ledger.read()
        receipt = statements.summary(connection, int(effect.subject))
        names = receipt_names(statements.summaries_of(connection, receipt.key))
        folder = self._folder(self._folders.receipts, receipt.key.packet_id)
        self._write(folder / names[receipt.id], statements.get_document(connection, "receipt", receipt.id))
        packet = packets.find(connection, receipt.key)
        if packet is None:
            return None
        return lambda tx: keeping.lies_again(tx, Kind.RECEIPTS, packet.id)

    def _folder(self, home: Path, *below: str) -> Path:
        """An agency folder or one below it, made where it is missing, as a path that leads into it."""
        held = self._pins.known(home.name, *below)
        if held is not None:
            return held
        path = self._folder(home, *below[:-1]) / below[-1] if below else home
        self._folders.make_folder(path, self._group)
        return self._pins.pin(home.name, *below)

    def _put_away(self, effect: Effect) -> _After | None:
        drop = drops.get(self._ledger.read(), int(effect.subject))
        marker = DropMarker.read(effect.detail[KEY]) if KEY in effect.detail else None
        is_there = drop.original is Original.OUTBOX
        if not is_there and marker is None:
            return None
        target = _TARGETS[effect.detail["to"]]
        home = self._folders.sent if target is Original.SENT else self._folders.refused
        self._folders.make_folder(home, self._group)
        if marker is not None:
            # First, and also that of a drop that was taken back or is another by now.
            self._originals.put_marker_away(drop, target, marker)
        if not is_there:
            return None
        where, path = self._originals.put_away(drop, target)
        if path is not None and target is Original.REFUSED:
            self._write_findings(drop, path)
        return lambda tx: _record_original(tx, drop.id, where)

    def _write_findings(self, drop: DropRow, path: Path) -> None:
        document, text = encode_refusal(drop)
        self._write(companion(path, ".findings.xml"), document)
        self._write(companion(path, ".findings.txt"), text)

    def _count(self, _: Effect) -> None:
        began = self._clock.monotonic()
        self._write_counts()
        now = self._clock.monotonic()
        self._counts_from = now + max(_COUNTS_SECONDS, _COUNTS_SHARE * (now - began))

    def _write(self, path: Path, data: bytes) -> None:
        self._group.write_file(path, (data,), mode=self._mode)


class _Pins:
    """Folders that are held open for the length of one group: a context manager, used again and again."""

    def __init__(self, folders: AgencyFolders) -> None:
        self._folders = folders
        self._stack = ExitStack()
        self._paths: dict[tuple[str, ...], Path] = {}

    def __enter__(self) -> None:
        """Nothing is held yet."""

    def __exit__(self, *_: object) -> None:
        self._paths.clear()
        self._stack.close()

    def known(self, *below: str) -> Path | None:
        """The path that leads into a folder below the root, if it is held open."""
        return self._paths.get(below)

    def pin(self, *below: str) -> Path:
        """Hold a folder open. Raises ForeignVolumeError as ``AgencyFolders.pinned``."""
        if below not in self._paths:
            self._paths[below] = self._stack.enter_context(self._folders.pinned(*below))
        return self._paths[below]


def _finish(tx: Transaction, done: list[tuple[Effect, _After | None]]) -> None:
    for _, follow_up in done:
        if follow_up is not None:
            follow_up(tx)
    intended.done(tx, [effect.id for effect, _ in done])


def _record_original(tx: Transaction, number: int, where: Original) -> None:
    drops.set_original(tx, number, where)
    if where is Original.REPLACED:
        tx.wake("intake")
