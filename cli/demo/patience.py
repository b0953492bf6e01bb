"""When a demo gives up, and what it then says: which packet, in which state, and where to look next."""

from __future__ import annotations

from cli.demo.errors import DemoAstrayError, DemoStuckError
from cli.demo.journey import Journey
from cli.lab.lab import Lab
from exchanged.clock import Clock
from packet_spec.model import ReceiptKind


class Patience:
    """Two limits: for a time in which nothing changes at all, and for the whole."""

    def __init__(self, clock: Clock, *, still_seconds: float, limit_seconds: float) -> None:
        self._clock = clock
        self._still_seconds = still_seconds
        self._limit_seconds = limit_seconds
        self._began = self._changed_at = clock.monotonic()
        self._seen: object = None

    def note(self, seen: object) -> None:
        """Take note of what is seen; anything other than before renews the patience."""
        if seen != self._seen:
            self._seen = seen
            self._changed_at = self._clock.monotonic()

    def exhausted(self) -> str:
        """Why it is time to give up, or an empty text."""
        now = self._clock.monotonic()
        if now - self._changed_at > self._still_seconds:
            return f"nothing changed for {self._still_seconds:.0f} s"
        if now - self._began > self._limit_seconds:
            return f"the whole takes more than {self._limit_seconds:.0f} s"
        return ""


def stuck(lab: Lab, journey: Journey | None, why: str) -> DemoStuckError:
    """The error about the packet that does not get on."""
    if journey is None:
        return DemoStuckError(f"the demo does not get on: {why}")
    kinds = list(ReceiptKind)
    missing = sorted(journey.wanted - journey.received.keys(), key=lambda each: kinds.index(each[0]))
    return DemoStuckError(
        f"packet {journey.label} of the demo is stuck: {why}",
        where=_where(journey),
        expected=", ".join(f"{kind} {who}".strip() for kind, who in missing) or journey.ending.value,
        found=_status_text(journey),
        hint=_hint(lab, journey),
    )


def astray(lab: Lab, journey: Journey) -> DemoAstrayError:
    """The error about a packet that ended otherwise than it was meant to."""
    return DemoAstrayError(
        f"packet {journey.label} of the demo ended otherwise than it should",
        where=_where(journey),
        expected=journey.ending.value,
        found=_status_text(journey),
        hint=_hint(lab, journey),
    )


def _where(journey: Journey) -> str:
    return journey.name if journey.key is None else f"{journey.name}, packet {journey.key}"


def _status_text(journey: Journey) -> str:
    status = journey.status
    if status is None:
        return "no status file"
    destinations = ", ".join(f"{each.agency} {each.state}" for each in status.destinations)
    findings = " ".join(f"[{each.code}] {each.en}" for each in status.findings)
    parts = (f"status {status.state}", destinations, status.message_en, findings)
    return "; ".join(part for part in parts if part)


def _hint(lab: Lab, journey: Journey) -> str:
    """Without --keep the folder is gone by then, so the hint says how to have it."""
    if journey.key is None:
        return f"run with --keep DIR, then look at agencies/{journey.sender}/status in DIR"
    config = lab.node_config(journey.sender).relative_to(lab.layout.root)
    return f"run with --keep DIR, then: exchangectl --config DIR/{config} packet trace {journey.key}"
