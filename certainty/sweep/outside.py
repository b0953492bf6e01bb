"""How a finished run looks from outside, and how two of one beginning differ.

Of one beginning a disturbed run must end as the undisturbed one did: the same packets appeared, whole, as
often; the same statuses, to the word, and receipts of the same kinds; the same drops lie in the same folders
with the same bytes. Ids of packets and moments differ between runs and are cut out before; whether receipts
and papers prove anything is judged elsewhere (``papers``).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from certainty.sweep.reader import Files, Reader
from packet_spec.identity import sha256_hex

_MARKER: Final = ".exchanged-marker"
_FOLDERS: Final = ("outbox", "sent", "refused", ".exchanged", "notices")
_PACKET: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class View:
    """A finished run from outside. ``undone``: what a power cut took back, as the reader's.

    ``files``: the digests of everything that lies in the agencies' folders, inbox and receipts left out.
    """

    appeared: tuple[tuple[Files, int], ...]
    statuses: Mapping[str, str]
    receipts: Mapping[str, tuple[str, ...]]
    lying: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str] = field(default_factory=dict)
    undone: tuple[tuple[Files, int], ...] = ()


def view(sender: Path, receiver: Path, reader: Reader) -> View:
    """How the agencies' folders look, and what the reader wrote down."""
    times = Counter(seen.files for seen in reader.appeared)
    statuses: dict[str, str] = {}
    receipts: dict[str, tuple[str, ...]] = {}
    for path in sorted((sender / "status").glob("*.status.json")):
        try:
            status = json.loads(path.read_text("utf-8"))
            statuses[path.name] = f"{status['state']} {status['final']}"
        except (ValueError, KeyError, TypeError) as error:
            statuses[path.name] = f"cannot be read: {error}"
            continue
        folder = sender / "receipts" / str(status.get("packetId"))
        if folder.is_dir():
            receipts[path.name] = tuple(sorted(each.name for each in folder.iterdir()))
    lying: dict[str, tuple[str, ...]] = {}
    files: dict[str, str] = {}
    for agency, label in ((sender, "sender"), (receiver, "receiver")):
        for name in _FOLDERS:
            lying[f"{label} {name}"] = tuple(_titles(agency / name))
        for name in (*_FOLDERS, "status"):
            files |= {f"{label} {where}": digest for where, digest in _files(agency, name)}
    lying["receiver receipts"] = tuple(_titles(receiver / "receipts"))
    undone = tuple(sorted(reader.undone.items()))
    return View(tuple(sorted(times.items())), statuses, receipts, lying, files, undone)


def _titles(folder: Path) -> list[str]:
    """Names of drops; packet ids and the like are cut off."""
    if not folder.is_dir():
        return []
    return sorted(path.name.split("-019")[0] for path in folder.iterdir() if path.name != _MARKER)


def _files(agency: Path, name: str) -> Iterator[tuple[str, str]]:
    """Every file in a folder of an agency, by its path without ids, and the digest of its bytes.

    Of what names packets and moments (statuses, findings, answers) the bytes are those without them.
    """
    for path in sorted((agency / name).rglob("*")):
        if not path.is_file() or path.name == _MARKER:
            continue
        data = path.read_bytes()
        if name in {"status", "notices"} or ".findings." in path.name or path.name.startswith("signed-"):
            data = _MOMENT.sub(b"MOMENT", _PACKET.sub(b"PACKET", data))
        where = _PACKET.sub(b"PACKET", bytes(path.relative_to(agency)))
        yield where.decode(errors="replace"), sha256_hex(data)


def differences(expected: View, found: View, case: str) -> list[Violation]:
    """What a disturbed run did to the outside that the undisturbed one did not."""
    told = list(_appearances(expected, found, case))
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
    for name in sorted({*expected.files, *found.files}):
        if expected.files.get(name) != found.files.get(name):
            how = "is missing" if name not in found.files else "is there"
            how = "has other bytes" if name in expected.files and name in found.files else how
            invariant = "I1" if " status/" in name else "I4"
            told.append(Violation(invariant, case, f"{how}: {name}"))
    return told


def _appearances(expected: View, found: View, case: str) -> Iterator[Violation]:
    wanted, got, undone = dict(expected.appeared), dict(found.appeared), dict(found.undone)
    for files, times in got.items():
        name = ", ".join(file for file, _ in files) or "an empty folder"
        if files not in wanted:
            yield Violation("I3", case, f"appeared with other bytes or in parts: {name}")
        elif times > wanted[files] + undone.get(files, 0):
            yield Violation("I2", case, f"appeared {times} times: {name}")
    for files, times in wanted.items():
        if got.get(files, 0) < times + undone.get(files, 0):
            how = "again after a power cut had taken it back" if files in undone else "at all"
            yield Violation("I1", case, f"did not appear {how}: {', '.join(file for file, _ in files)}")


def temporaries(*roots: Path) -> list[str]:
    """Half-written files that nobody took away."""
    return sorted(str(path) for root in roots for path in root.rglob(".*.part"))
