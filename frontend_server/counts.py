"""counts.json: how much waits in the inbox, by business type, for the numbers on the icons.

Guarantees: it is replaced by one rename, so a reader sees the old numbers or the new ones. A packet waits
from its delivery until it is collected, signed for or refused; only folders that really lie there and
hold no ``collected`` marker are counted.

    {"updatedAt": "2026-07-15T01:30:00Z", "waiting": {"prosecution.transfer": 3}, "total": 3}

Leaves to others: when to write it (an effect ``counts`` of the ledger). Known limit: what the case
software removes between two scans is counted until the next.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Final

from exchanged.clock import Clock
from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError
from exchanged.ledger import Ledger, packets
from exchanged.states import DestinationState
from frontend_server.collected import Look, look_at
from frontend_server.folders import INBOX
from frontend_server.staging import InboxPlaces
from packet_spec.xml import write_moment

COUNTS_NAME: Final = "counts.json"


class Counts:
    """Writes ``inbox/counts.json`` of one agency."""

    def __init__(
        self,
        *,
        agency: str,
        ledger: Ledger,
        folders: InboxPlaces,
        files: DurableFiles,
        clock: Clock,
        file_mode: int,
    ) -> None:
        """``files`` are those of the agency's (foreign) volume; ``file_mode`` e.g. 0o640."""
        self._agency = agency
        self._ledger = ledger
        self._folders = folders
        self._files = files
        self._clock = clock
        self._file_mode = file_mode

    def write_counts(self) -> int:
        """Count and write; may be repeated. Returns the total.

        Raises ForeignVolumeError without a good inbox marker, or when the folder cannot be used.
        """
        inbox = self._folders.inbox
        if not self._folders.marker_is_good(INBOX):
            raise ForeignVolumeError("the inbox has no good marker", where=str(inbox))
        waiting = Counter(
            packet.business_type
            for packet, destination in packets.in_inbox(self._ledger.read())
            if destination.recipient == self._agency
            and destination.state is DestinationState.DELIVERED
            and look_at(inbox / destination.folder) in (Look.PRESENT, Look.UNKNOWN)
        )
        document = encode_counts(self._clock.now(), dict(waiting))
        self._files.write_file(inbox / COUNTS_NAME, (document,), mode=self._file_mode)
        return waiting.total()


def encode_counts(updated_at: datetime, waiting: dict[str, int]) -> bytes:
    """The bytes of counts.json: business types in the order of their codes, UTF-8, a final line feed."""
    value = {
        "updatedAt": write_moment(updated_at),
        "waiting": dict(sorted(waiting.items())),
        "total": sum(waiting.values()),
    }
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
