"""Is a drop ready to be read? What its profile promises, and what time alone can tell.

Guarantees: nothing is refused that may merely be half-written: what looks unfinished is ``incomplete``
until it has stood still for the settle time, by the monotonic clock, over observations of our own. What
lies in the outbox and is no drop is reported after the same time, and left there.

    rename    a drop is whole as soon as its name is visible
    marker    NAME.ok or NAME.end is written last, and may state the size and SHA-256
    settled   nothing changed for the settle time (the weakest: only for software that can do neither)

Leaves to others: everything that needs reading. Known limit: a restart begins the settle time anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exchanged.clock import Clock
from exchanged.config import DropProfile
from exchanged.errors import ForeignVolumeError
from frontend_server.drops import OpenFile
from frontend_server.outbox import PACKET_XML, DropKind, Observation, SeenFile, content_name
from packet_spec.findings import Finding
from packet_spec.names import escape_for_display
from packet_spec.sentences import make_finding

FORBIDDEN: Final = "drop-unreadable"
"""Why a drop is held that this node has no permission to look at."""

_MARKER_BYTES: Final = 4096
_SHA256: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{64}(?![0-9A-Za-z])")
# A line of its own, or a named value: numbers elsewhere belong to file names and dates.
_SIZE: Final = re.compile(
    r"^[ \t]*([0-9]{1,18})[ \t]*$|(?<![0-9a-z_.-])size[ \t]*[=:][ \t]*([0-9]{1,18})(?![0-9a-z_.-])",
    re.IGNORECASE | re.MULTILINE | re.ASCII,
)


class Readiness(StrEnum):
    """What to do with a drop now."""

    READY = "ready"
    WAIT = "wait"
    INCOMPLETE = "incomplete"
    REFUSE = "refuse"
    KEEP = "keep"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """``keep`` refuses and leaves it where it lies; ``reason`` is why it is held.

    ``again_in_seconds``: when time changes the answer.
    """

    readiness: Readiness
    missing: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    again_in_seconds: float | None = None
    reason: str = ""


class StandingStill:
    """For how long each drop has looked the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[bytes, tuple[object, float]] = {}

    def seconds(self, observation: Observation) -> float:
        """Seconds since the drop was first seen like this."""
        now = self._clock.monotonic()
        look, since = self._since.get(observation.name, (None, now))
        if look != observation.look:
            self._since[observation.name] = (observation.look, now)
            return 0.0
        return now - since

    def keep_only(self, names: Collection[bytes]) -> None:
        """Forget drops that are not there any more."""
        for name in self._since.keys() - names:
            del self._since[name]


class EqualReadings:
    """For how long whole readings of a drop have given the same content."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[bytes, tuple[object, float]] = {}

    def seconds_equal(self, name: bytes, content: object) -> float:
        """Seconds since the drop ``name`` was first read as ``content``; 0 for other content than before."""
        now = self._clock.monotonic()
        before, since = self._first.get(name, (None, now))
        if before != content:
            self._first[name] = (content, now)
            return 0.0
        return now - since

    def keep_only(self, names: Collection[bytes]) -> None:
        """Forget drops that are not there any more."""
        for name in self._first.keys() - names:
            del self._first[name]


@dataclass(frozen=True, slots=True)
class MarkerStatement:
    """What a marker says of its drop, if anything."""

    size: int | None = None
    sha256: str = ""

    def differs_from(self, size: int, sha256: str) -> bool:
        """The marker speaks of other bytes."""
        wrong_size = self.size is not None and self.size != size
        return wrong_size or bool(self.sha256 and self.sha256 != sha256)


def decide(
    observation: Observation, profile: DropProfile, still_seconds: float, settle_seconds: float
) -> Decision:
    """What an observation alone tells, after the drop has looked the same for ``still_seconds``."""
    rest = settle_seconds - still_seconds
    if observation.problem:
        reason = FORBIDDEN if observation.is_forbidden else ForeignVolumeError.reference
        return Decision(Readiness.HOLD, reason=reason)
    if rest > 0 and (observation.oddity is not None or profile is DropProfile.SETTLED):
        return Decision(Readiness.WAIT, again_in_seconds=rest)
    if observation.oddity is not None:
        return Decision(Readiness.KEEP, findings=(observation.oddity,))
    if profile is DropProfile.MARKER and observation.marker is None:
        return Decision(Readiness.INCOMPLETE, (escape_for_display(observation.name + b".ok"),))
    if observation.kind is DropKind.FOLDER and observation.file(PACKET_XML) is None:
        return Decision(Readiness.INCOMPLETE, (PACKET_XML.decode(),))
    empty = _empty_finding(observation)
    if empty is None:
        return Decision(Readiness.READY)
    if rest > 0:
        return Decision(Readiness.INCOMPLETE, (content_name(observation),), again_in_seconds=rest)
    return Decision(Readiness.REFUSE, findings=(empty,))


def read_marker(outbox: int, marker: SeenFile) -> MarkerStatement:
    """What the marker states: any 64 hexadecimal digits are its SHA-256, a number as in ``_SIZE`` the size.

    Raises DropChangedError and ForeignVolumeError. An empty marker, or one that says nothing, states nothing.
    """
    if not 0 < marker.size <= _MARKER_BYTES:
        return MarkerStatement()
    file = OpenFile(outbox, marker)
    try:
        text = b"".join(file.blocks()).decode("utf-8-sig", errors="replace")
    finally:
        file.close()
    digest = _SHA256.search(text)
    size = _SIZE.search("\n".join(text.splitlines()))
    return MarkerStatement(
        None if size is None else int(size[1] or size[2]), "" if digest is None else digest[0].lower()
    )


def _empty_finding(observation: Observation) -> Finding | None:
    content = observation.file(PACKET_XML) if observation.kind is DropKind.FOLDER else observation.files[0]
    if content is None or content.size > 0:
        return None
    if observation.kind is DropKind.ZIP:
        return make_finding("zip-damaged", found="0 bytes")
    return make_finding("packet-xml-empty")
