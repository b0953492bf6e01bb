"""Notices: one for each matter that lasts, raised once, kept up to date, and told to be over (packet.md 4).

Guarantees: a matter is one notice from its first look until it is settled, however often it is looked at;
what is to be written is a row of the ledger until it is written, so a crash repeats it and changes nothing; a
doubtful clock raises and ends nothing. Each change is an event and a log line as well.

    notices/<time>-<reference>-<number>.xml and .txt

Leaves to others: what is the matter (``notice_sources``), its words, and when files go (retention). Known
limit: numbers inside a notice that stays open are renewed once an hour at most.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from exchanged.clock import Clock
from exchanged.durable import DurableFiles
from exchanged.errors import VolumeDamagedError
from exchanged.ledger import Ledger, Transaction, notices
from exchanged.ledger.notices import NoticeRow
from exchanged.log import event_line
from exchanged.notice_words import OVER, WORDS
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.notice import Bilingual, Notice, NoticeLevel, encode_notice, encode_notice_text
from packet_spec.xml import write_moment

# Folders that hang are told after a look and the patience with them: within a minute (matrix F33).
LOOK_SECONDS: Final = 45.0
_RENEW: Final = timedelta(hours=1)
_GROUP: Final = 64
NODE_PLACE: Final = 1
AGENCY_PLACE: Final = 2


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that lasts and that a person should know. ``values`` fill the words of its reference."""

    reference: str
    subject: str
    level: NoticeLevel
    values: dict[str, str] = field(default_factory=dict)
    count: int = 0
    packets: tuple[PacketKey, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same matter at the next look."""
        return self.reference, self.subject


Source = Callable[[datetime], Sequence[Matter]]
"""What is the matter at that time. Raises ExchangeError when it cannot tell: then nothing changes."""


class Place(Protocol):
    """A folder that notices are written to."""

    @property
    def bit(self) -> int:
        """NODE_PLACE or AGENCY_PLACE."""

    def write(self, name: str, data: bytes) -> bool:
        """Write one file whole. False: not now. Raises ExchangeError."""

    def remove(self, name: str, data: bytes) -> bool:
        """Remove the file of that name if it still holds ``data``. False: not now. Raises ExchangeError."""


class NodePlace:
    """``notices/`` below data_dir, our own volume."""

    bit = NODE_PLACE

    def __init__(self, folder: Path, files: DurableFiles) -> None:
        self._folder = folder
        self._files = files

    def write(self, name: str, data: bytes) -> bool:
        """Write one file whole. Raises VolumeDamagedError, NoSpaceError, FileOperationError."""
        self._files.make_dir(self._folder, mode=0o750)
        self._files.write_file(self._folder / name, (data,), mode=0o640)
        return True

    def remove(self, name: str, data: bytes) -> bool:
        """Remove the file of that name if it still holds ``data``."""
        path = self._folder / name
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            self._files.unlink(path)
        return True


class Notices:
    """The station ``notices``: looks every LOOK_SECONDS, and writes what is to be written."""

    name = "notices"

    def __init__(
        self,
        *,
        node: str,
        ledger: Ledger,
        clock: Clock,
        clock_is_sound: Callable[[], bool],
        sources: Sequence[Source],
        places: Sequence[Place],
        proven: Callable[[], datetime | None],
        keep_days: float,
    ) -> None:
        """``proven`` is ``ClockGuard.proven``; ``keep_days`` as in [retention] notice_days."""
        self._node = node
        self._ledger = ledger
        self._clock = clock
        self._clock_is_sound = clock_is_sound
        self._sources = tuple(sources)
        self._places = tuple(places)
        self._bits = sum(place.bit for place in places)
        self._proven = proven
        self._keep = timedelta(days=keep_days)
        self._next: float | None = None
        self._failing: dict[int, str] = {}

    def step(self) -> float | None:
        """Look if it is time, then write. Raises VolumeDamagedError."""
        now = self._clock.monotonic()
        if self._next is not None and now < self._next:
            return self._next - now
        self._next = now + LOOK_SECONDS
        if self._clock_is_sound():
            self._look()
            # Over a queue of a million a look takes seconds: it may take a twentieth of the time.
            took = self._clock.monotonic() - now
            self._next = now + max(LOOK_SECONDS, 20 * took)
        for place in self._places:
            self._write(place)
        self._clear()
        return self._next - now

    def _look(self) -> None:
        """What there is now against what is open."""
        at = self._clock.now()
        matters = {matter.key: matter for source in self._sources for matter in source(at)}
        rows = {(row.reference, row.subject): row for row in notices.open_notices(self._ledger.read())}
        fresh = [matter for key, matter in matters.items() if key not in rows]
        over = [row for key, row in rows.items() if key not in matters]
        changed = [
            (row, matters[key])
            for key, row in rows.items()
            if key in matters and _is_to_renew(row, matters[key], at)
        ]
        if fresh or over or changed:
            self._ledger.write(lambda tx: self._record(tx, fresh, over, changed))
        for matter in fresh:
            level = logging.ERROR if matter.level is NoticeLevel.ALARM else logging.WARNING
            event_line(
                "notice-raised", level=level, reference=matter.reference, subject=matter.subject,
                count=matter.count,
            )  # fmt: skip
        for row in over:
            event_line("notice-over", reference=row.reference, subject=row.subject)

    def _record(
        self,
        tx: Transaction,
        fresh: Sequence[Matter],
        over: Sequence[NoticeRow],
        changed: Sequence[tuple[NoticeRow, Matter]],
    ) -> None:
        for matter in fresh:
            number = notices.next_number(tx)
            time = tx.now.strftime("%Y%m%dT%H%M%SZ")
            empty = NoticeRow(
                id=number, reference=matter.reference, subject=matter.subject, level=matter.level.value,
                raised_at=tx.now, updated_at=tx.now, over_at=None, detail="",
                name=f"{time}-{matter.reference}-{number}", document=b"", plain=b"", unwritten=0,
            )  # fmt: skip
            notices.put(tx, self._form(replace(empty, detail=_detail(matter))))
            tx.event(
                "notice-raised",
                detail={"notice": number, "reference": matter.reference, "subject": matter.subject,
                        "count": matter.count},
            )  # fmt: skip
        for row, matter in changed:
            renewed = replace(
                row, level=matter.level.value, updated_at=_later(row, tx.now), detail=_detail(matter)
            )
            notices.put(tx, self._form(renewed))
        for row in over:
            at = _later(row, tx.now)
            notices.put(tx, self._form(replace(row, updated_at=at, over_at=at)))
            tx.event(
                "notice-over", detail={"notice": row.id, "reference": row.reference, "subject": row.subject}
            )

    def _form(self, row: NoticeRow) -> NoticeRow:
        """The row with the bytes of its two files, to be written everywhere."""
        detail = json.loads(row.detail)
        count = int(detail["count"])
        message, advice = _say(row, detail["values"], count)
        notice = Notice(
            number=row.id,
            reference=row.reference,
            level=NoticeLevel(row.level),
            node=self._node,
            subject=row.subject,
            raised_at=row.raised_at,
            updated_at=row.updated_at,
            over_at=row.over_at,
            message=message,
            advice=advice,
            count=count,
            packets=tuple(PacketKey(*text.split("/", 1)) for text in detail["packets"]),
        )
        return replace(
            row,
            document=encode_notice(notice),
            # As the editors of old Windows expect it: a mark, and their line ends.
            plain=encode_notice_text(notice).replace("\n", "\r\n").encode("utf-8-sig"),
            unwritten=self._bits,
        )

    def _write(self, place: Place) -> None:
        """Write what that place lacks; what cannot be written now stays for the next look."""
        rows = notices.unwritten(self._ledger.read(), place.bit, _GROUP)
        done: list[NoticeRow] = []
        try:
            for row in rows:
                if not all(place.write(f"{row.name}{end}", data) for end, data in files_of(row)):
                    break
                done.append(row)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            if self._failing.get(place.bit) != error.reference:
                self._failing[place.bit] = error.reference
                event_line(
                    "notices-not-written", level=logging.WARNING, error=error.reference, what=str(error)
                )
        else:
            self._failing.pop(place.bit, None)
        if done:
            self._ledger.write(lambda tx: notices.written(tx, done, place.bit))

    def _clear(self) -> None:
        """Remove what has been over for long. The bytes stay in the row until they are gone everywhere."""
        proven = self._proven() if self._keep else None
        if proven is None:
            return
        gone: list[NoticeRow] = []
        for row in notices.removable(self._ledger.read(), proven - self._keep, _GROUP):
            try:
                if all(
                    place.remove(f"{row.name}{end}", data)
                    for place in self._places
                    for end, data in files_of(row)
                ):
                    gone.append(row)
            except VolumeDamagedError:
                raise
            except ExchangeError as error:
                event_line("notice-not-removed", level=logging.WARNING, error=error.reference, notice=row.id)
        if gone:
            self._ledger.write(lambda tx: _forget(tx, gone))
            event_line("retention", kind="notices", count=len(gone))


def _forget(tx: Transaction, rows: Sequence[NoticeRow]) -> None:
    notices.removed(tx, rows)
    tx.event("retention", detail={"kind": "notices", "count": len(rows)})


def files_of(row: NoticeRow) -> tuple[tuple[str, bytes], ...]:
    """The two files of a notice: what its name ends with, and the bytes."""
    return (".xml", row.document), (".txt", row.plain)


def _detail(matter: Matter) -> str:
    return notices.encode_detail(matter.values, matter.count, matter.packets)


def _is_to_renew(row: NoticeRow, matter: Matter, at: datetime) -> bool:
    if row.level != matter.level.value:
        return True
    return row.detail != _detail(matter) and at - row.updated_at >= _RENEW


def _later(row: NoticeRow, now: datetime) -> datetime:
    """A clock that was set back must not make two forms of one notice look alike."""
    return max(now, row.updated_at + timedelta(microseconds=1))


def _say(row: NoticeRow, values: dict[str, str], count: int) -> tuple[Bilingual, Bilingual]:
    words, filled = WORDS[row.reference], {**values, "count": str(count)}
    message, advice = _fill(words.message, filled), _fill(words.advice, filled)
    if row.over_at is None:
        return message, advice
    over_at = write_moment(row.over_at.replace(microsecond=0))
    return (
        Bilingual(
            OVER.message.zh.format(over_at=over_at, message=message.zh),
            OVER.message.en.format(over_at=over_at, message=message.en),
        ),
        OVER.advice,
    )


def _fill(words: Bilingual, values: dict[str, str]) -> Bilingual:
    return Bilingual(words.zh.format(**values), words.en.format(**values))
