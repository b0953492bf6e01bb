"""Whether the node's own ledger stands in its data directory: a new one never takes the place of a lost one.

An empty ledger in its place would have forgotten every packet: what was accepted would be removed as spare,
numbers would be used again, packets would appear twice (I1, I2, I8).

Guarantees: whoever opens the ledger of a node to work with it asks here before. A node that never came so far
that anything could be kept is at its beginning, however its first start ended.

Known limit: with the ledger everything else must be gone too, for example with the volume itself, to be taken
for a new node; the key files usually lie there as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exchanged.errors import LedgerDamagedError
from exchanged.ledger import has_begun
from exchanged.places import BLOB_FOLDER, INCOMING_FOLDER, LEDGER_FILE, PULSE_FILE, RESTORE_FILE, SPOOL_FOLDER

_RESTORE: Final = "restore the newest backup: exchangectl node restore BACKUP --yes"


def require_own_ledger(data_dir: Path) -> None:
    """Raises LedgerDamagedError when the ledger is gone, or a restore of this node was broken off."""
    if (data_dir / RESTORE_FILE).exists():
        raise LedgerDamagedError(
            "a restore of this node was broken off: its ledger is not in place", where=str(data_dir),
            hint="do it again: exchangectl node restore BACKUP --yes",
        )  # fmt: skip
    ledger = data_dir / LEDGER_FILE
    if not has_begun(ledger) and any(_signs_of_life(data_dir)):
        raise LedgerDamagedError("the ledger of this node is gone", where=str(ledger), hint=_RESTORE)


def _signs_of_life(data_dir: Path) -> Iterator[Path]:
    """What only a node that had opened its ledger leaves. Before, spool and blobs may be empty volumes."""
    written = data_dir / PULSE_FILE, data_dir / BLOB_FOLDER / INCOMING_FOLDER
    yield from (path for path in written if path.exists())
    yield from data_dir.glob("set-aside-*")
    for name in (SPOOL_FOLDER, BLOB_FOLDER):
        yield from (path for path in (data_dir / name).glob("*") if path.is_file())
