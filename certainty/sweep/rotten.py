"""F12: a byte of a file in the sender's spool or blob store is another before it was sent.

The sender is killed at a call between the commit that sealed the packet and the end of its first batch; then
a byte is changed, and it starts again. Whatever it puts into its mailbox from then on is read there, each
time, before its neighbour looks. Bytes of a packet that rotted before the packet had its place in a numbered
batch may not be put at all. What rots later, and a large part, goes out once at most (docs/architecture.md):
its receiver's digest tells. No other node may keep the changed bytes. A byte that nobody ever read again,
since all came whole and none of it was put, shows nothing and is no case.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from certainty.shard import Violation
from certainty.sweep.calls import CHANGES
from certainty.sweep.decay import WHOLE, Damage, change, judged
from certainty.sweep.ledgers import copied
from certainty.sweep.points import At
from certainty.sweep.pool import Result
from certainty.sweep.stage import DAY, Stage
from certainty.sweep.sweeping import Ready
from certainty.sweep.world import JOURNEY, ROLES, World
from exchanged.places import BLOB_FOLDER, DAMAGE_FILE, LEDGER_FILE, SPOOL_FOLDER
from packet_spec.waybill import decode_waybill

# Of so many that are drawn some change a byte that nobody reads again.
DRAWN: Final = 2
_BATCH: Final = re.compile(r"\d+-[0-9a-f]+\.batch")


@dataclass
class Puts:
    """What lay in the sender's mailbox, each file once, and which of it was not whole or held ``window``.

    ``window``: the bytes around the change, as they are now; empty before there is one.
    """

    up: Path
    window: bytes = b""
    rotten: list[str] = field(default_factory=list)
    _known: set[tuple[str, int, int]] = field(default_factory=set)

    def look(self) -> None:
        """Before the neighbour does."""
        for path in sorted(self.up.iterdir()):
            found = path.stat()
            seen = path.name, found.st_ino, found.st_mtime_ns
            if path.name.startswith(".") or seen in self._known:
                continue
            self._known.add(seen)
            data = path.read_bytes()
            if (self.window and self.window in data) or not is_whole(path.name, data):
                self.rotten.append(path.name)


def is_whole(name: str, data: bytes) -> bool:
    """A blob has the digest of its name, and each item of a batch that of its waybill."""
    if name.endswith(".blob"):
        return hashlib.sha256(data).hexdigest() == name.removesuffix(".blob")
    if _BATCH.fullmatch(name) is None:
        return True
    with tarfile.open(fileobj=BytesIO(data)) as batch:
        members = [file.read() for file in map(batch.extractfile, batch.getmembers()) if file is not None]
    items = decode_waybill(members[0]).items
    digests = [hashlib.sha256(member).hexdigest() for member in members[2:]]
    return digests == [item.digest for item in items]


class _Watched(Stage):
    """Looks into the mailbox whenever the sender has been asked for something: nobody took from it yet."""

    def __init__(self, look: Callable[[], None], *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._look = look

    def _ask(self, code: str, what: str) -> None:
        super()._ask(code, what)
        self._look()


def calls(made: Ready) -> tuple[int, int, int]:
    """Of the sender: the first call after the packet was sealed, the one that commits its number, and the one
    that shows its first batch.
    """
    points = made.points("sender", JOURNEY, (CHANGES,))
    sealed = next(point.number for point in points if point.name == "renameat2" and "/outbox/" in point.path)
    put = next(
        point.number
        for point in points
        if point.name == "rename" and _BATCH.fullmatch(Path(point.path).name[1:].removesuffix(".part"))
    )
    numbered = max(
        point.number
        for point in points[:put]
        if point.name == "fdatasync" and point.path.endswith(f"/{LEDGER_FILE}-wal")
    )
    return sealed, numbered, put


def rotten(made: Ready, world: World, damage: Damage, rng: random.Random) -> Result:
    """The sender dies there; a byte changes; it starts again."""
    world.restore(made.beginnings[JOURNEY])
    code = ROLES[damage.role]
    sealed, numbered, put = made.sealed_and_put
    # As often before it has its place in a batch as after that.
    number = rng.choice((rng.randint(sealed, numbered), rng.randint(numbered + 1, put)))
    data, at = world.layout.data(code), At(number)
    puts = Puts(world.layout.mailbox(code) / "up")
    what: list[str] = []
    least: list[int] = []

    def on_death(_: tuple[str, ...]) -> None:
        if not what:
            path = rng.choice(_stored(data))
            is_blob = path.parent.name == BLOB_FOLDER
            is_late = is_blob or _is_numbered(data)
            least.append(int(is_late))
            what.append("large part" if is_blob else f"packet {'in' if is_late else 'before'} its batch")
            puts.window = change(path, "flip", rng)
        (data / DAMAGE_FILE).unlink(missing_ok=True)

    stage = _Watched(
        puts.look, world, made.beginnings[JOURNEY], {code: at}, on_death=on_death, waits=DAY, case=str(damage)
    )
    result = judged(world, damage, "F12", stage, made.views[JOURNEY])
    if not at.hit:
        said = Violation("I12", str(damage), "the point was not reached: the run does not repeat")
        return replace(result, violations=(*result.violations, said), is_case=False)
    told = [*result.violations, *_too_often(puts, least[0], str(damage))]
    others = [world.layout.data(each) for each in world.codes if each != code]
    told += [Violation("I4", str(damage), f"taken over: {path}") for path in _keepers(others, puts.window)]
    times = f"put {len(puts.rotten)} times" if puts.rotten else "never put"
    is_case = bool(puts.rotten or result.violations) or result.note != WHOLE
    group, note = f"F12 {what[0]}", f"{result.note}, {times}"
    return replace(result, group=group, note=note, violations=tuple(told), is_case=is_case)


def _too_often(puts: Puts, most: int, case: str) -> Iterator[Violation]:
    if len(puts.rotten) > most:
        said = f"changed bytes were put {len(puts.rotten)} times, at most {most} allowed: {puts.rotten}"
        yield Violation("I4", case, said)


def _stored(data: Path) -> list[Path]:
    folders = (data / SPOOL_FOLDER, data / BLOB_FOLDER)
    return sorted(
        path for folder in folders for path in folder.rglob("*") if path.is_file() and path.stat().st_size
    )


def _is_numbered(data: Path) -> bool:
    """A batch of that node was committed: its packet has its place in it."""
    copy = copied(data / LEDGER_FILE)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            return bool(connection.execute("SELECT count(*) FROM batch_out").fetchone()[0])
    finally:
        shutil.rmtree(copy.parent)


def _keepers(places: list[Path], window: bytes) -> Iterator[str]:
    """Stored files of other nodes that hold the changed bytes."""
    for place in places:
        for path in _stored(place):
            if window in path.read_bytes():
                yield f"{place.parent.name} {path.relative_to(place)}"
