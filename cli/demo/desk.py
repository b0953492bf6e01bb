"""The case software of all agencies: drops packets, takes delivered folders, signs for them.

Guarantees: a drop appears in its outbox by one rename, whole, after its digests were noted. Leaves to
others: what to drop when (``play``), and looking at what comes of it (``watch``, ``journey``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cli.demo.case_data import OFFICERS, DemoRow
from cli.demo.drops import DEMO_REFERENCE
from cli.demo.journey import Act, Ending, Journey
from cli.demo.show import Show
from cli.demo.timeline import alias
from cli.demo.waits import Waits
from cli.demo.watch import Agency, read_original
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import Drop
from cli.fiction.values import SHANGHAI
from cli.fiction.writer import DropFormat, write_drop
from exchanged.clock import Clock
from exchanged.durable import DurableFiles, Volume
from frontend_server.collected import MARKER_NAME
from packet_spec.identity import PacketKey
from packet_spec.xml import new_root, write_document

# What receivers do with what they got: row -> sign of the agency -> act. The others leave it in the inbox.
ACTS: Final[Mapping[int, Mapping[str, Act]]] = MappingProxyType(
    {
        1: {"PRO": Act.MARK},
        2: {"PRO": Act.SIGN},
        3: {"POL": Act.MARK},
        6: {"PRO": Act.REMOVE},
        11: {"CRT": Act.SIGN},
        12: {"POL": Act.REMOVE},
        15: {"PRO": Act.MARK},
        17: {"PRO": Act.SIGN, "POL": Act.SIGN},
        20: {"COR": Act.SIGN, "POL": Act.MARK},
        25: {"COR": Act.SIGN},
    }
)
# Most case software writes folders in UTF-8; some packs zips, and an old program writes GBK.
_ZIPS: Final = frozenset({8, 22})
_GBK: Final = frozenset({19})


class Desk:
    """Does what case software does, in any agency's folders. ``prepared`` is a new folder beside them."""

    def __init__(
        self, agencies: Mapping[str, Agency], prepared: Path, show: Show, clock: Clock, waits: Waits
    ) -> None:
        self._agencies = agencies
        self._prepared = prepared
        self._show = show
        self._clock = clock
        self._waits = waits
        self._files = DurableFiles(Volume.FOREIGN)

    def drop(self, label: str, row: DemoRow, drop: Drop, ending: Ending = Ending.DELIVERED) -> Journey:
        """Write a drop where nobody looks, then let it appear in its sender's outbox.

        Raises what ``write_drop`` raises, ForeignVolumeError, NameTakenError, Interrupted.
        """
        self._files.make_dir(self._prepared)
        written = write_drop(
            drop,
            self._prepared,
            drop_format=_format(row, drop),
            encoding=DropEncoding.GBK if row.number in _GBK else DropEncoding.UTF_8,
            progress=self._progress(drop),
        )
        original = read_original(written)
        # Taken before the exchange can see it, so that no delay told is too short.
        now, seconds = self._clock.now(), self._clock.monotonic()
        self._files.rename_new(written, self._agencies[original.envelope.sender].outbox / written.name)
        journey = Journey(label, row, written.name, original, now, seconds, ending)
        if ending is Ending.DELIVERED and label.isdigit():
            acts = ACTS.get(row.number, {})
            journey.acts = {code: acts[alias(code)] for code in journey.recipients if alias(code) in acts}
        return journey

    def act(self, journey: Journey) -> None:
        """Let the receivers act, each once, as soon as the sender's status says that all have the packet."""
        if not journey.is_delivered or journey.key is None:
            return
        for code, act in journey.acts.items():
            if code in journey.answered:
                continue
            match act:
                case Act.MARK:
                    (journey.folders[code] / MARKER_NAME).touch()
                case Act.REMOVE:
                    self._files.remove_tree(journey.folders[code])
                case Act.SIGN:
                    self._sign(journey.key, code, journey.label)
                case Act.NOTHING:
                    pass
            journey.answered.add(code)

    def _sign(self, key: PacketKey, code: str, label: str) -> None:
        """The handler of ``code`` signs for the packet (签收), as a drop of its own (custody C22)."""
        root = new_root(
            "disposition",
            "disposition",
            {
                "packetId": key.packet_id,
                "sender": key.sender,
                "kind": "signed",
                "by": OFFICERS[alias(code)][0],
                "at": self._clock.now().astimezone(SHANGHAI).isoformat(timespec="seconds"),
            },
        )
        name = f"{DEMO_REFERENCE}-{label}-signed-{alias(code)}.xml"
        self._files.write_new(self._agencies[code].outbox / name, (write_document(root),))

    def _progress(self, drop: Drop) -> _Written | None:
        total = sum(document.size_bytes for document in drop.documents)
        return _Written(total, self._show, self._waits) if total else None


class _Written:
    """Moves the bar while a video is written, and lets a signal end the writing."""

    def __init__(self, total: int, show: Show, waits: Waits) -> None:
        self._total = total
        self._show = show
        self._waits = waits
        self._written = 0

    def __call__(self, count: int) -> None:
        self._waits.check()
        self._written += count
        self._show.bar("录像 writing the video", self._written / self._total)


def _format(row: DemoRow, drop: Drop) -> DropFormat:
    if not drop.documents:
        return DropFormat.XML
    return DropFormat.ZIP if row.number in _ZIPS else DropFormat.FOLDER
