"""Whether the node's own ledger stands in its data directory: neither a new one nor that of another node.

An empty ledger in its place would have forgotten every packet: what was accepted would be removed as spare,
numbers would be used again, packets would appear twice (I1, I2, I8). On the ledger of another node everything
that waits there would leave under a wrong name.

Guarantees: whoever opens the ledger of a node to work with it asks here before anything is written. A node
that never came so far that anything could be kept is at its beginning, however its first start ended. A
ledger remembers the node of its first start for good, and a backup carries that along.

Where everything else is gone with the ledger, as with a volume that is not mounted, the mailboxes tell of a
province or bridge: an acknowledgement of its own lies in each in which it ever spoke. A front-end goes by the
markers in its agency's folders.

Known limits: of a mailbox on a server nothing is known at a start, so a province or bridge that serves none
begins anew on an empty volume, if its keys lie elsewhere; so does one whose mailboxes lie on the volume that
is missing, or are emptied by a device. A ledger of before its node was remembered belongs to whoever is
started on it next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from exchanged.config_values import Config, LinkConfig, LinkTransport, NodeConfig
from exchanged.errors import ConfigurationError, LedgerDamagedError
from exchanged.ledger import Connection, Ledger, has_begun
from exchanged.ledger.owner import Owner, has_served, owner_of, remember_owner
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME, written_by
from exchanged.places import BLOB_FOLDER, INCOMING_FOLDER, LEDGER_FILE, PULSE_FILE, RESTORE_FILE, SPOOL_FOLDER
from packet_spec.model import NodeRole

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


def require_same_node(connection: Connection, node: NodeConfig) -> None:
    """Raises ConfigurationError when the ledger remembers another node than the configuration names."""
    known, wanted = owner_of(connection), owner_by(node)
    if known not in {None, wanted}:
        problem = (
            f"[node] data_dir: the ledger there belongs to {known}, and the configuration says {wanted};"
            " correct the configuration, or give each node a data_dir of its own"
        )
        raise ConfigurationError((problem,), where=str(node.data_dir))


def require_none_before(connection: Connection, config: Config) -> None:
    """A ledger on which no node was ever started belongs to one that has served nowhere before.

    Raises LedgerDamagedError where a province or bridge has spoken in a mailbox that lies here.
    """
    if config.node.role is NodeRole.FRONTEND or has_served(connection):
        return
    spoken = [path for path in map(_own_acknowledgement, config.links) if path is not None]
    if spoken:
        raise LedgerDamagedError(
            "the ledger of this node is new, but the node has served before",
            where=str(config.node.data_dir), found=str(spoken[0]),
            hint="mount the volume of data_dir, or restore the newest backup; to begin anew without one, see"
            " docs/operating.md",
        )  # fmt: skip


def _own_acknowledgement(link: LinkConfig) -> Path | None:
    """That of this node in a mailbox that lies here, if it can be seen."""
    if link.transport is not LinkTransport.FOLDER:
        return None
    path = Path(link.mailbox) / written_by(link.side) / ACKNOWLEDGEMENT_NAME
    # One that is not there, or may not be looked at, is an affair of its link alone.
    with suppress(OSError):
        path.lstat()
        return path
    return None


def remember_node(ledger: Ledger, node: NodeConfig) -> None:
    """The ledger is that of ``node`` from now on, if it belongs to nobody yet."""
    if owner_of(ledger.read()) is None:
        ledger.write(partial(remember_owner, owner=owner_by(node)))


def owner_by(node: NodeConfig) -> Owner:
    """Whose ledger the configuration wants to find."""
    return Owner(node.code, node.role.value, node.agency)


def _signs_of_life(data_dir: Path) -> Iterator[Path]:
    """What only a node that had opened its ledger leaves. Before, spool and blobs may be empty volumes."""
    written = data_dir / PULSE_FILE, data_dir / BLOB_FOLDER / INCOMING_FOLDER
    yield from (path for path in written if path.exists())
    yield from data_dir.glob("set-aside-*")
    for name in (SPOOL_FOLDER, BLOB_FOLDER):
        yield from (path for path in (data_dir / name).glob("*") if path.is_file())
