"""What outsiders see: the receiver's case software, and how a whole run looks afterwards from outside.

The reader looks at the inbox after every round, writes down each packet that it has not seen lying there the
time before, takes it away (with its folder flushed, so that a power cut does not bring it back), and signs
once for what has a large part. A packet that appears twice, in parts, or with other bytes shows here.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import examine_ledger
from packet_spec.identity import sha256_hex
from packet_spec.limits import MIB

_OWN: Final = frozenset({"accepted.xml", "receipt.xml", "findings.xml"})
# Made by nodes, and different wherever an id or a time is: their names are compared, their bytes not.
_MADE: Final = frozenset({"delivery.xml", "seal.xml", "seal.sig"})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EROFS})
_EMPTY: Final = ("arrival", "outgoing", "effect")


@dataclass(frozen=True, slots=True)
class Seen:
    """One appearance: which packet, and the digests of its files by name (what the node adds left out)."""

    packet: str
    files: tuple[tuple[str, str], ...]


@dataclass
class Reader:
    """The case software of one agency, below ``agency``. ``takes`` false: it looks and leaves all there."""

    agency: Path
    takes: bool = True
    appeared: list[Seen] = field(default_factory=list)
    _lying: set[str] = field(default_factory=set)
    _signed: set[str] = field(default_factory=set)

    def look(self, *, may_take: bool = True) -> None:
        """One look. What lies there is written down when it did not lie there the time before."""
        lying: set[str] = set()
        for folder in sorted((self.agency / "inbox").glob("*/*")):
            name = f"{folder.parent.name}/{folder.name}"
            lying.add(name)
            if name not in self._lying:
                self.appeared.append(Seen(folder.name, contents(folder)))
            elif may_take and self.takes and self._take(folder):
                lying.discard(name)
        self._lying = lying

    def _take(self, folder: Path) -> bool:
        """Sign for it where that is due and take it away; False on a disk that lets nobody write now."""
        try:
            self._sign(folder)
            shutil.rmtree(folder)
            _flush(folder.parent)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return False
        return True

    @staticmethod
    def signs(folder: Path) -> bool:
        """Whether a packet is one that is signed for."""
        return any(path.stat().st_size > MIB for path in folder.iterdir())

    def _sign(self, folder: Path) -> None:
        if folder.name in self._signed or not self.signs(folder):
            return
        sender, _, packet = folder.name.partition("_")
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<disposition xmlns="urn:exchanged:disposition:1"'
            f' packetId="{packet}" sender="{sender}" kind="signed" by="虚构丙"'
            f' at="2026-07-15T10:00:00+08:00"/>\n'
        )
        hidden = self.agency / f"signed-{packet}.part"
        with hidden.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(self.agency / "outbox" / f"signed-{packet}.xml")
        self._signed.add(folder.name)
        _flush(self.agency / "outbox")


def contents(folder: Path) -> tuple[tuple[str, str], ...]:
    """The digests of the files in a packet's folder, by name; of those that nodes make only the name."""
    return tuple(
        (path.name, "" if path.name in _MADE else sha256_hex(path.read_bytes()))
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in _OWN
    )


@dataclass(frozen=True, slots=True)
class View:
    """A finished run from outside. Packet ids differ between runs; here packets are named by their drops."""

    appeared: tuple[tuple[tuple[tuple[str, str], ...], int], ...]
    statuses: Mapping[str, str]
    receipts: Mapping[str, tuple[str, ...]]
    lying: Mapping[str, tuple[str, ...]]


def view(sender: Path, receiver: Path, reader: Reader) -> View:
    """How the agencies' folders look, and what the reader wrote down."""
    times = Counter(seen.files for seen in reader.appeared)
    statuses: dict[str, str] = {}
    receipts: dict[str, tuple[str, ...]] = {}
    for path in sorted((sender / "status").glob("*.status.json")):
        status = json.loads(path.read_text("utf-8"))
        statuses[path.name] = f"{status['state']} {status['final']}"
        folder = sender / "receipts" / str(status.get("packetId"))
        if folder.is_dir():
            receipts[path.name] = tuple(sorted(each.name.split("-")[0] for each in folder.iterdir()))
    lying: dict[str, tuple[str, ...]] = {}
    for agency, label in ((sender, "sender"), (receiver, "receiver")):
        for name in ("outbox", "sent", "refused", ".exchanged"):
            lying[f"{label} {name}"] = tuple(_titles(agency / name))
    return View(tuple(sorted(times.items())), statuses, receipts, lying)


def _titles(folder: Path) -> list[str]:
    """Names of drops; packet ids and the like are cut off."""
    if not folder.is_dir():
        return []
    return sorted(path.name.split("-019")[0] for path in folder.iterdir() if path.name != ".exchanged-marker")


def differences(expected: View, found: View, case: str, *, may_show_twice: bool = False) -> list[Violation]:
    """What a disturbed run did to the outside that the undisturbed one did not.

    ``may_show_twice``: a power cut may show one packet, whole, a second time (custody C19).
    """
    told: list[Violation] = []
    wanted, got = dict(expected.appeared), dict(found.appeared)
    for files, times in got.items():
        name = ", ".join(file for file, _ in files) or "an empty folder"
        if files not in wanted:
            told.append(Violation("I3", case, f"appeared with other bytes or in parts: {name}"))
        elif times > wanted[files] + may_show_twice:
            told.append(Violation("I2", case, f"appeared {times} times: {name}"))
    told += [
        Violation("I1", case, f"never appeared: {', '.join(file for file, _ in files)}")
        for files in wanted.keys() - got.keys()
    ]
    for what, invariant, left, right in (
        ("status", "I1", expected.statuses, found.statuses),
        ("receipts", "I7", expected.receipts, found.receipts),
        ("lying about", "I16", expected.lying, found.lying),
    ):
        told += [
            Violation(invariant, case, f"{what} of {key}: {right.get(key)}, expected {left.get(key)}")
            for key in sorted({*left, *right})
            if left.get(key) != right.get(key)
        ]
    return told


def ledger_problems(data_dir: Path, case: str, *, at_rest: bool = True) -> list[Violation]:
    """What ``exchangectl ledger verify`` would say of a node, and what still waits there at rest."""
    connection = open_read_only(data_dir / "ledger.sqlite3")
    try:
        verified = examine_ledger(connection, data_dir)
        told = [
            Violation("I8", case, f"{data_dir.parent.name}: {problem.what} {problem.where}")
            for problem in verified.problems
        ]
        if at_rest:
            if verified.spares:
                told.append(Violation("I16", case, f"{data_dir.parent.name}: {verified.spares} spare files"))
            for table in _EMPTY:
                (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
                if count:
                    told.append(
                        Violation("I16", case, f"{data_dir.parent.name}: {count} rows of {table} left")
                    )
    finally:
        connection.close()
    return told


def temporaries(*roots: Path) -> list[str]:
    """Half-written files that nobody took away."""
    return sorted(str(path) for root in roots for path in root.rglob(".*.part"))


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
