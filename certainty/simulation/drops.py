"""The drops of the simulation, made once for all seeds: making documents costs more than sending them.

Every drop is a fictional case of its own, so its packet.xml names it; ``end`` says how it must end.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from packet_spec.identity import PacketKey
from tests.support.network import COURT, POLICE, PROCURATORATE

EPOCH: Final = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
_PAIRS: Final = (
    (POLICE, PROCURATORATE), (PROCURATORATE, POLICE), (PROCURATORATE, COURT), (COURT, PROCURATORATE),
    (POLICE, COURT), (COURT, POLICE),
)  # fmt: skip
# Types that may go to a third agency as a copy; which of them conforms depends on who sends to whom.
_COPIED: Final = {
    (COURT, PROCURATORATE): "trial.judgment",
    (COURT, POLICE): "correction.revoke.ruling",
    (PROCURATORATE, COURT): "special.apply",
}
_VIDEO_BYTES: Final = 1_150_000
_NOBODY: Final = "01900000-0000-7000-8000-000000000000"


class End(StrEnum):
    """How a drop must end: its packet in every recipient's inbox, or refused at home or by the province."""

    DELIVERED = "delivered"
    REFUSED_AT_HOME = "refused at home"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Sample:
    """One drop: its files by name. A lone XML has the one file ``packet.xml``, whatever it is called."""

    number: int
    kind: str
    sender: str
    recipients: tuple[str, ...]
    files: dict[str, bytes]
    end: End
    is_lone: bool = False
    has_blob: bool = False

    @property
    def sender_ref(self) -> str:
        """What its sender calls it; no two samples have the same."""
        return self.files["packet.xml"].split(b"<senderRef>")[1].split(b"</senderRef>")[0].decode()

    @property
    def mark(self) -> str:
        """SHA-256 of packet.xml: by it what arrives is known again."""
        return mark_of(self.files["packet.xml"])


def mark_of(packet_xml: bytes) -> str:
    """What a packet.xml is known by."""
    return hashlib.sha256(packet_xml).hexdigest()


def make_samples(count: int = 3) -> tuple[Sample, ...]:
    """``count`` of every kind for every pair of agencies."""
    with tempfile.TemporaryDirectory(prefix="samples-") as folder:
        return tuple(_samples(Path(folder), count))


def _samples(folder: Path, count: int) -> Iterator[Sample]:
    number = 0
    for sender, receiver in _PAIRS:
        third = next(code for code in (POLICE, PROCURATORATE, COURT) if code not in (sender, receiver))
        for _ in range(count):
            for kind in ("lone", "folder", "copies", "blob", "broken", "stranger"):
                number += 1
                if kind == "copies" and (sender, receiver) not in _COPIED:
                    continue
                if kind == "blob" and (sender, receiver) != (POLICE, PROCURATORATE):
                    continue
                request, lone = _request(kind, sender, receiver, third, number)
                files = _files(folder, request, lone=lone)
                end = End.DELIVERED
                if kind == "broken":
                    files["packet.xml"] = files["packet.xml"].replace(b"<createdAt>2026", b"<createdAt>x026")
                    end = End.REFUSED_AT_HOME
                elif kind == "stranger":
                    end = End.REFUSED
                copies = request.copy_to
                yield Sample(
                    number, kind, sender, (receiver, *copies), files, end, lone, has_blob=kind == "blob"
                )


def _request(kind: str, sender: str, receiver: str, third: str, number: int) -> tuple[DropRequest, bool]:
    head = (sender, receiver, EPOCH)
    seed, name = number, f"D{number:04d}"
    match kind:
        case "lone" | "broken":
            return DropRequest("common.accept", *head, seed=seed, name=name), True
        case "copies":
            copied = _COPIED[sender, receiver]
            return DropRequest(copied, *head, (third,), seed=seed, name=name), False
        case "blob":
            made = DropRequest(
                "prosecution.transfer", *head, seed=seed, name=name, extra_documents=("EVD-024",),
                video_bytes=_VIDEO_BYTES,
            )  # fmt: skip
            return made, False
        case "stranger":
            # It answers a packet that nobody ever sent (C17).
            answered = PacketKey(receiver, _NOBODY)
            return DropRequest("common.accept", *head, seed=seed, name=name, in_reply_to=answered), True
        case _:
            return DropRequest("common.supplement.deliver", *head, seed=seed, name=name), False


def _files(folder: Path, request: DropRequest, *, lone: bool) -> dict[str, bytes]:
    path = write_drop(
        make_drop(request), folder, drop_format=DropFormat.XML if lone else DropFormat.FOLDER
    )
    if lone:
        return {"packet.xml": path.read_bytes()}
    return {each.name: each.read_bytes() for each in sorted(path.iterdir())}
