"""Telling systemd how the daemon is (sd_notify(3)): ready, reading its configuration anew, stopping, alive.

Guarantees: without ``NOTIFY_SOCKET`` nothing happens; a service manager that does not listen is no
error, since the daemon's work does not depend on it; one that does not read is waited for a second.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

_LOG: Final = logging.getLogger(__name__)

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"
_PATIENCE_SECONDS: Final = 1.0
_MICROSECONDS: Final = 1_000_000


def sd_notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send ``state``, lines of ``NAME=value``. False: nobody asked for it, or nobody listens."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        # An abstract socket: systemd writes its leading zero byte as an at sign.
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # A manager whose queue is full must not stop the daemon for good.
            sender.settimeout(_PATIENCE_SECONDS)
            sender.sendto(state.encode(), address)
    except OSError as error:
        _LOG.debug("event=notify-failed error=%s", error.strerror)
        return False
    return True


def status_line(text: str) -> str:
    """The state that shows ``text`` in ``systemctl status``."""
    return "STATUS=" + " ".join(text.split())


def longer_start(seconds: float) -> str:
    """The state that asks for ``seconds`` from now before the start counts as failed (TimeoutStartSec)."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}"


def reloading(monotonic_seconds: float) -> str:
    """The state that begins a reload at ``monotonic_seconds``; ``READY`` ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={int(monotonic_seconds * _MICROSECONDS)}"


def watchdog_limit(seconds: float) -> str:
    """The state that asks for another limit of silence than the unit's, and counts from now."""
    return f"WATCHDOG_USEC={int(seconds * _MICROSECONDS)}\n{ALIVE}"


def watchdog_interval_seconds(
    environment: Mapping[str, str] = os.environ, process_id: int | None = None
) -> float | None:
    """How often to send ``ALIVE``: half of what the unit allows; None if it asks for none.

    ``process_id`` is this process unless given; the request may be meant for another one.
    """
    meant_for = environment.get("WATCHDOG_PID", "")
    own = os.getpid() if process_id is None else process_id
    if meant_for and meant_for != str(own):
        return None
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / _MICROSECONDS / 2 if microseconds > 0 else None
