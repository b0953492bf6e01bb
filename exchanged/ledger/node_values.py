"""Names of what the ledger remembers of its node after a restore (table ``node``)."""

from __future__ import annotations

from typing import Final

RESTORING: Final = "restoring"
"""A value of the node: ``yes`` from the restore until its neighbours have given back what it forgot."""
RESTORED_AT: Final = "restored-at"
RESTORED_SINCE: Final = "restored-since"
"""Since when this node may have forgotten: when its backup was made, by its own clock."""
RESTORED_LOG: Final = "restored-log"
"""How many entries its own Merkle log had then."""
