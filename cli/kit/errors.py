"""What can go wrong in building a kit."""

from __future__ import annotations

from packet_spec.errors import ExchangeError


class KitFolderError(ExchangeError):
    """The folder of a new kit cannot be used: something lies there, or the disk refuses."""

    reference = "kit-folder-unusable"
    hint = "name a new or empty folder on a disk with room"


class KitVerdictError(ExchangeError):
    """An example does not get the verdict that it was made for: examples and rules do not fit together."""

    reference = "kit-verdict-differs"
    hint = "the kit was not written; report this with the version and the pack's digest"
