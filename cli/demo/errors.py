"""What can go wrong in a demo, beside the lab itself."""

from __future__ import annotations

from packet_spec.errors import ExchangeError


class DemoStuckError(ExchangeError):
    """A packet of the demo does not get on: nothing changed for as long as the demo waits."""

    reference = "demo-stuck"
    temporary = True


class DemoAstrayError(ExchangeError):
    """A packet of the demo ended otherwise than it was meant to."""

    reference = "demo-astray"


class NoRoomError(ExchangeError):
    """The volume has no room for a demo with a video of that size."""

    reference = "demo-no-room"
    temporary = True
    hint = "name a folder on a larger volume with --keep DIR, or a smaller video with --video-mib"
