"""Which stations of a node that is stepped by hand are looked at: due, woken, or hinted at by a folder.

In production a station sleeps until one of these; here the time is that of a clock which the caller moves,
and a folder hints when its listing has changed. Whoever steps nodes asks for a full look before it believes
that all is at rest, as the slow alarm does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from cli.wiring import stations_of
from exchanged.clock import Clock
from exchanged.config import LinkSide, LinkTransport
from exchanged.link import LinkStation
from exchanged.mailbox import written_by
from exchanged.node import sweep_of
from exchanged.parts import Parts
from exchanged.publishing_desk import PublishingDesk
from exchanged.station import Station, step_of

# Runs a station's step, and may swallow what it raises.
Try = Callable[[Callable[[], float | None]], float | None]


def stations_by_hand(parts: Parts) -> tuple[tuple[Station, ...], dict[Path, str]]:
    """All stations of an opened node in the order in which they are stepped, and folder -> who looks at it.

    The folders are those that are watched, and the mailboxes on this machine.
    """
    own, watched = stations_of(parts)
    hints = dict(watched)
    links: list[LinkStation] = []
    for link in parts.config.links:
        station = LinkStation(parts.link_context(link), rings=link.side is LinkSide.SERVE)
        links.append(station)
        if link.transport is LinkTransport.FOLDER:
            hints[Path(link.mailbox) / written_by(link.side).opposite] = station.name
    return (PublishingDesk(parts), *own, *links, sweep_of(parts)), hints


class Due:
    """When each station is looked at next. A new one looks at everything."""

    def __init__(self, clock: Clock, hints: Mapping[Path, str]) -> None:
        self._clock = clock
        self._hints = hints
        self._at: dict[str, float] = {}
        self._listed: dict[Path, tuple[str, ...]] = {}

    def wake(self, names: Iterable[str]) -> None:
        """These are looked at in the next step."""
        self._at.update(dict.fromkeys(names, 0.0))

    def step(self, stations: Sequence[Station], attempt: Try) -> None:
        """One look at every station that is due, in their order. One that failed is due again at once."""
        self._take_hints()
        now = self._clock.monotonic()
        for station in stations:
            if self._at.get(station.name, 0.0) > now:
                continue
            self._at[station.name] = math.inf
            delay = attempt(partial(step_of, station))
            if delay is not None:
                self._at[station.name] = min(self._at[station.name], now + delay)

    def _take_hints(self) -> None:
        for folder, name in self._hints.items():
            listed: tuple[str, ...] = ()
            with suppress(OSError):
                listed = tuple(
                    sorted(f"{entry.name} {entry.stat().st_mtime_ns}" for entry in os.scandir(folder))
                )
            if self._listed.get(folder) != listed:
                self._listed[folder] = listed
                self.wake((name,))
