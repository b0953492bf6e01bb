"""How far the video is on its way, seen from the size of its files in the lab: for the progress bar only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cli.demo.watch import Original
from cli.lab.layout import Layout
from frontend_server.folders import INBOX, STAGING


@dataclass(slots=True)
class Travel:
    """The places that the largest file of a drop passes, as (folder, pattern), and the most seen there.

    A place may be empty again when the file went on, so the most counts. Nothing depends on the names:
    a place that is never seen only makes the bar jump.
    """

    size_bytes: int
    places: tuple[tuple[Path, str], ...]
    _most: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: Layout, province: str, original: Original) -> Travel:
        """The way of the largest attachment from its sender to its receiver."""
        largest = max(original.attachments, key=lambda each: each.size or 0)
        sender, receiver = original.envelope.sender, original.envelope.receiver
        digest, name = largest.sha256 or "", largest.file
        return cls(
            largest.size or 0,
            (
                (layout.data(sender) / "blobs", f"**/*{digest}*"),
                (layout.mailbox(sender) / "up", f"*{digest}*"),
                (layout.data(province) / "blobs", f"**/*{digest}*"),
                (layout.mailbox(receiver) / "down", f"*{digest}*"),
                (layout.data(receiver) / "blobs", f"**/*{digest}*"),
                (layout.agency(receiver) / STAGING, f"*/{name}"),
                (layout.agency(receiver) / INBOX, f"*/*/{name}"),
            ),
        )

    @property
    def seen_bytes(self) -> int:
        """The bytes seen at all places together."""
        return sum(self._most.values())

    @property
    def is_done(self) -> bool:
        """It lies whole at the last place."""
        return self._most.get(len(self.places) - 1, 0) >= self.size_bytes

    def share(self) -> float:
        """Look, and say which part of the way is done: 0 to 1."""
        for number, (folder, pattern) in enumerate(self.places):
            found = max(_sizes(folder, pattern), default=0)
            self._most[number] = max(self._most.get(number, 0), min(found, self.size_bytes))
        if self.is_done:
            return 1.0
        return self.seen_bytes / max(1, self.size_bytes * len(self.places))


def _sizes(folder: Path, pattern: str) -> Iterator[int]:
    # Files come and go while we look.
    with suppress(OSError):
        for path in folder.glob(pattern):
            with suppress(OSError):
                yield path.stat().st_size
