"""A dossier with one large video, and the same video sent on: what forwarding looks like to case software.

The video is random bytes in a true container, so that nothing compresses it. All of it is fictional.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.drops import COURT, POLICE, PROCURATORATE, case_of
from cli.documents.document import DocumentFormat
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop

VIDEO: Final = "EVD-015"
_FIRST, _FORWARD = "prosecution.transfer", "trial.indict"
_ATTACHMENT: Final = re.compile(rb'<attachment [^>]*documentType="EVD-015"[^>]*>')


@dataclass(frozen=True, slots=True)
class Dossier:
    """A drop in ``path`` on its way from ``sender`` to ``receiver``; ``size`` in bytes over all its files."""

    path: Path
    sender: str
    receiver: str

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(each.stat().st_size for each in self.path.iterdir())

    @property
    def video(self) -> Path:
        """The large file."""
        return max(self.path.iterdir(), key=lambda each: each.stat().st_size)


def dossier(folder: Path, size: int, number: int) -> Dossier:
    """From the police to the procuratorate, with a video of at least ``size`` bytes that no other has."""
    return Dossier(_write(folder, _FIRST, POLICE, PROCURATORATE, size, number), POLICE, PROCURATORATE)


def forwarded(folder: Path, video: Path, number: int) -> Dossier:
    """From the procuratorate to the court: a packet of its own, with the very video of another one."""
    path = _write(folder, _FORWARD, PROCURATORATE, COURT, 1, number)
    small = Dossier(path, PROCURATORATE, COURT)
    place = next(each for each in path.iterdir() if each.suffix == ".mp4")
    packet = path / "packet.xml"
    data = packet.read_bytes()
    found = _ATTACHMENT.search(data)
    if found is None:
        raise RuntimeError("the packet names no video")
    place.unlink()
    shutil.copyfile(video, place)
    size, digest = place.stat().st_size, _digest_in(video.parent / "packet.xml")
    line = re.sub(rb'size="[0-9]+"', b'size="%d"' % size, found[0])
    line = re.sub(rb'sha256="[0-9a-f]+"', b'sha256="%s"' % digest, line)
    packet.write_bytes(data.replace(found[0], line))
    return small


def _digest_in(packet: Path) -> bytes:
    line = _ATTACHMENT.search(packet.read_bytes())
    found = re.search(rb'sha256="([0-9a-f]+)"', line[0]) if line else None
    if found is None:
        raise RuntimeError("the first packet names no video")
    return found[1]


def _write(folder: Path, business_type: str, sender: str, receiver: str, size: int, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    request = DropRequest(
        business_type, sender, receiver, now, case=case_of(number, now), seed=number,
        name=f"dossier-{number}", sender_ref=f"BENCH-DOSSIER-{number}", extra_documents=(VIDEO,),
        formats={VIDEO: DocumentFormat.MP4}, video_bytes=size,
    )  # fmt: skip
    return write_drop(make_drop(request), folder)
