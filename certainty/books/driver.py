"""The case software of every agency, as far as it sends: seeded fictional drops, each written down first.

Guarantees: before a drop can be seen by anybody, its line is durable in the history: agency, name, receivers,
the digest and size of every file, the content digest that packet and receipts must name, and the moment; a
second line says that it appeared. A drop appears by one rename. With ``synced`` its files and the outbox are
flushed too, as a careful program would, so that a power cut may not take it away.

What is sent: small packets without attachments between any two agencies that may exchange them, packets
with documents and with a part that travels as a blob, the same content under another name (must not be sent
twice), and other content under a name that was used before (must be sent). Some are written in GB18030, and
all bear the words of ``canary``, by which a leak is found. Everything is fictional.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from certainty.books.canary import marked
from certainty.books.world import World, append_line, read_lines
from cli.demo.watch import read_original
from cli.fiction.case_file import CaseFile, new_case
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from packet_spec.catalogue import load_catalogue

_ZONE: Final = timezone(timedelta(hours=8))
_DAY: Final = datetime(2026, 7, 15, 9, 30, tzinfo=_ZONE)
_BLOCK: Final = 1 << 20
# Kinds of agencies that may send each other a packet of a kilobyte, and which type.
_SMALL: Final = "interrogation.cancel"
_EXCHANGING: Final = frozenset({"01", "02", "03", "04"})
_WITH_DOCUMENTS: Final = "case.report"
# With a part above 1 MiB, which travels beside its batch.
_WITH_VIDEO: Final = "prosecution.evidence.deliver"
_VIDEO: Final = "EVD-015"
# Which share of the packets is written in GB18030.
_OLD_SHARE: Final = 0.2


@dataclass(frozen=True)
class Dropped:
    """One line of the history. ``files`` are the logical members of the packet: name -> [size, SHA-256].

    ``expects`` is ``delivered``, ``refused``, or ``any`` for a drop that its own software may take back or
    write over. ``original`` is the digest of the file that was dropped; empty for a folder.
    """

    drop: int
    agency: str
    name: str
    form: str
    files: dict[str, tuple[int, str]]
    content_digest: str
    sender_ref: str
    business_type: str
    receivers: tuple[str, ...]
    expects: str = "delivered"
    original: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes two drops the same packet (custody C13)."""
        return (self.agency, self.sender_ref, self.business_type, self.content_digest)


def read_drops(world: World) -> tuple[tuple[Dropped, ...], frozenset[int], tuple[tuple[str, str], ...]]:
    """All drops, the numbers of those that certainly appeared, and the power cuts: (node, moment)."""
    drops, appeared, cuts = [], set(), []
    for line in read_lines(world.outbox_history):
        if "appeared" in line:
            appeared.add(line["appeared"])
        elif "cut" in line:
            cuts.append((line["cut"], line["at"]))
        else:
            line.pop("at")
            files = {name: (size, digest) for name, (size, digest) in line.pop("files").items()}
            drops.append(Dropped(**{**line, "files": files, "receivers": tuple(line["receivers"])}))
    return tuple(drops), frozenset(appeared), tuple(cuts)


class Driver:
    """Plays case software. One at a time for one world; a second one goes on where the first one ended."""

    def __init__(self, world: World, seed: int, *, synced: bool = False) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._seed = seed
        self._synced = synced
        self._catalogue = load_catalogue()
        self.dropped, _, _ = read_drops(world)

    def prepared(self, agency: str) -> Path:
        """Where an agency's software writes before a drop appears: on the volume of its outbox."""
        root = self._world.agencies[agency]
        folder = root.parent / f".case-software-{root.name}"
        folder.mkdir(exist_ok=True)
        return folder

    def request(self, agency: str, **changes: Any) -> DropRequest:
        """A packet that this agency may send to another one of the world, another one every time."""
        number = len(self.dropped)
        kinds = [code for code in self._world.agencies if code[7:9] in _EXCHANGING and code != agency]
        receiver = self._random.choice(kinds)
        business_type, chance = _SMALL, self._random.random()
        if agency[7:9] == "01" and receiver[7:9] == "03" and chance < 0.3:
            business_type = _WITH_VIDEO if chance < 0.06 else _WITH_DOCUMENTS
        seed = self._seed * 100_000 + number
        request = DropRequest(
            business_type,
            agency,
            receiver,
            _DAY + timedelta(minutes=number % 1000),
            case=_case(seed, number),
            extra_documents=(_VIDEO,) if business_type == _WITH_VIDEO else (),
            video_bytes=(1 << 20) + self._random.randrange(1 << 20),
            seed=seed,
            sender_ref=f"FIC-{self._seed}-{number:05d}",
            name=f"d{number:05d}",
        )
        return marked(replace(request, **changes))

    def senders(self) -> tuple[str, ...]:
        """The agencies that send."""
        return tuple(code for code in self._world.agencies if code[7:9] in _EXCHANGING)

    def reusable(self, agency: str) -> tuple[Dropped, ...]:
        """Drops whose names are free again, so that something else may bear them.

        Not those that a content bore which was dropped twice: one of its drops, whichever was taken later,
        has a status under its name alone, which a later drop of that name would replace.
        """
        own = [each for each in self.dropped if each.agency == agency]
        times = Counter(each.identity for each in own)
        taken = {each.name for each in own if times[each.identity] > 1}
        outbox = self._world.agencies[agency] / "outbox"
        return tuple(each for each in own if each.name not in taken and not (outbox / each.name).exists())

    def repeatable(self, agency: str) -> tuple[Dropped, ...]:
        """Folders whose content may be dropped again: no other drop bears their name (see ``reusable``)."""
        own = [each for each in self.dropped if each.agency == agency]
        times = Counter(each.name for each in own)
        return tuple(each for each in own if each.form == "folder" and times[each.name] == 1)

    def drop_any(self, agency: str = "") -> Dropped:
        """Something, drawn from the seed, from ``agency`` or from any."""
        agency = agency or self._random.choice(self.senders())
        chance, repeatable = self._random.random(), self.repeatable(agency)
        if repeatable and chance < 0.06:
            return self.drop_again(self._random.choice(repeatable))
        request = self.request(agency)
        free = [each for each in self.reusable(agency) if each.form == "folder"]
        if free and chance < 0.14:
            return self.drop(replace(request, name=self._random.choice(free).name))
        # As older case software writes; its packets get a reading in UTF-8 beside them.
        is_old = self._random.random() < _OLD_SHARE
        encoding = DropEncoding.GB18030 if is_old else DropEncoding.UTF_8
        if request.business_type == _SMALL and chance < 0.5:
            return self.drop(request, drop_format=DropFormat.XML, encoding=encoding)
        form = DropFormat.ZIP if chance < 0.6 else DropFormat.FOLDER
        return self.drop(request, drop_format=form, encoding=encoding)

    def drop(
        self,
        request: DropRequest,
        *,
        drop_format: DropFormat = DropFormat.FOLDER,
        encoding: DropEncoding = DropEncoding.UTF_8,
        expects: str = "delivered",
        change: Callable[[Path], None] = lambda _: None,
    ) -> Dropped:
        """Write this packet, ``change`` it where nobody looks, write it down, and let it appear."""
        drop, prepared = make_drop(request, self._catalogue), self.prepared(request.sender)
        written = write_drop(drop, prepared, drop_format=drop_format, encoding=encoding)
        change(written)
        return self.hand_in(written, request.sender, expects=expects)

    def drop_again(self, earlier: Dropped) -> Dropped:
        """The same content once more, under another name, if the original can still be read."""
        source = next(
            (
                path
                for place in ("outbox", "sent")
                if (path := self._world.agencies[earlier.agency] / place / earlier.name).is_dir()
                and _listing(path) == earlier.files
            ),
            None,
        )
        if source is None:
            return self.drop(self.request(earlier.agency))
        target = self.prepared(earlier.agency) / f"again-{len(self.dropped):05d}"
        shutil.copytree(source, target)
        return self.hand_in(target, earlier.agency)

    def hand_in(self, written: Path, agency: str, *, expects: str = "delivered") -> Dropped:
        """Write down and let appear what lies whole in ``prepared(agency)``, over a file of its name."""
        dropped = self.write_down(written, agency, expects=expects)
        outbox = self._world.agencies[agency] / "outbox"
        if self._synced:
            _flush(written)
        written.rename(outbox / written.name)
        if self._synced:
            _flush_one(outbox)
        append_line(self._world.outbox_history, {"appeared": dropped.drop})
        return dropped

    def write_down(self, written: Path, agency: str, *, expects: str) -> Dropped:
        """The line alone: for bytes that may lie in the outbox, though they were not dropped like others."""
        original = read_original(written)
        files = _listing(written)
        if not written.is_dir():
            # Members of a zip, or none: as packet.xml lists them.
            files = {"packet.xml": (original_size(written), original.packet_digest)} | {
                each.file: (each.size or 0, each.sha256 or "") for each in original.attachments
            }
        form = "folder" if written.is_dir() else written.suffix[1:]
        envelope = original.envelope
        dropped = Dropped(
            len(self.dropped),
            agency,
            written.name,
            form,
            files,
            original.content_digest,
            envelope.sender_ref,
            envelope.business_type,
            tuple(envelope.recipients),
            expects,
            "" if written.is_dir() else file_digest(written)[1],
        )
        self.dropped = (*self.dropped, dropped)
        append_line(self._world.outbox_history, asdict(dropped), durable=True)
        return dropped


def drive(
    world: World,
    *,
    count: int,
    seed: int,
    pace_seconds: tuple[float, float] = (0.0, 0.2),
    synced: bool = False,
    agency: str = "",
) -> Iterator[Dropped]:
    """Drop ``count`` packets, drawn from ``seed``, with pauses drawn between ``pace_seconds``."""
    driver = Driver(world, seed, synced=synced)
    pauses = random.Random(seed + 1)
    for number in range(count):
        if number:
            time.sleep(pauses.uniform(*pace_seconds))
        yield driver.drop_any(agency)


def _case(seed: int, number: int) -> CaseFile:
    """A case that no other drop of the world belongs to: of invented numbers some hundred meet.

    Then the second drop would come from an agency that has no part in the case, and be refused with reason.
    """
    numbers = {
        "police": f"A620199000000202607{number:04d}",
        "procuratorate": f"6201992026{number:05d}00",
        "court": f"（2026）甘0199刑初{number + 1}号",
    }
    return new_case(seed, _DAY.date()).with_numbers(numbers)


def original_size(path: Path) -> int:
    """Bytes of packet.xml in a lone XML (a zip: unknown, 0: only the digest counts)."""
    return path.stat().st_size if path.suffix == ".xml" else 0


def file_digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def _listing(folder: Path) -> dict[str, tuple[int, str]]:
    if not folder.is_dir():
        return {}
    return {path.name: file_digest(path) for path in sorted(folder.iterdir())}


def _flush(path: Path) -> None:
    for each in path.iterdir() if path.is_dir() else ():
        _flush_one(each)
    _flush_one(path)
    _flush_one(path.parent)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
