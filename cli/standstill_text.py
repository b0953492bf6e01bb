"""Why something does not go on, in words. Values in, text out."""

from __future__ import annotations

from typing import Final

from cli.locale import _
from cli.render import printable
from exchanged.standstill import Stop, StopKind

# The words are looked up in the operator's language when they are shown.
_STOPS: Final = {
    StopKind.HELD: "link {link} is held",
    StopKind.PAUSED: "link {link} is paused: {reason}",
    StopKind.DISABLED: "link {link} is disabled in the directory",
    StopKind.DOWN: "link {link} is down: {reason}",
    StopKind.GONE: "link {link} is not in the configuration any more",
    StopKind.DELIVERY: "its delivery waits: {reason}",
}


def stop_words(stop: Stop) -> str:
    """What it waits for, in a few words; ``exchangectl link show`` tells more of a link."""
    return printable(_(_STOPS[stop.kind]).format(link=stop.link, reason=stop.reason))
