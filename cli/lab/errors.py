"""What can go wrong in building and running a province on one machine."""

from __future__ import annotations

from packet_spec.errors import ExchangeError


class LabError(ExchangeError):
    """The lab cannot be made or run: a program missing, a process that died, a file in the way."""

    reference = "lab-failed"
    # What stands in the way is on this machine and can be moved out of it.
    temporary = True
    hint = "look at the lab's logs folder"


class LabFolderError(LabError):
    """The folder of a new lab cannot be used: something lies there, or configurations cannot name it."""

    reference = "lab-folder-unusable"
    temporary = False
    hint = "name a new or empty folder"
