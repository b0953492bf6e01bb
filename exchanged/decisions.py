"""What deciding about an arrival can come to, other than that it moves on: it is held, or suspicious."""

from __future__ import annotations

from typing import Final

DIRECTORY_BEHIND: Final = "directory-behind"
"""The reason of what waits for the directory that the neighbour has: a newer one releases it at once."""
DIRECTORY_BEHIND_SECONDS: Final = 600.0
"""A neighbour that was set back may say that it has an older one after all."""


class Held(Exception):  # noqa: N818 - a decision, not an error
    """The packet cannot be decided now: ``reason`` (kebab-case), to be looked at again later."""

    def __init__(self, reason: str, again_in_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again_in_seconds = again_in_seconds


class Suspicious(Exception):  # noqa: N818 - a decision, not an error
    """The packet is not what it claims to be: ``reason`` (kebab-case); a person must look."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
