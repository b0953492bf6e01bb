"""What can go wrong in building and running a province on one machine."""

from __future__ import annotations

from packet_spec.errors import ExchangeError


class LabError(ExchangeError):
    """The lab cannot be made or run: a folder in the way, a program missing, a process that died."""

    reference = "lab-failed"
    # What stands in the way is on this machine and can be moved out of it.
    temporary = True
    hint = "look at the lab's logs folder"
