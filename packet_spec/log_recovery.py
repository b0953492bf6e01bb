"""log-recovery.xml: the roots' word that a node's log was lost, and from where it goes on, bytes <-> values.

A log may only grow. After the node that keeps it was set back from a backup, heads that it had signed are of
a log that exists no more, and every agency would rightly raise the alarm. Only the roots of the directory can
excuse that, to their threshold, as they vouch for the directory itself: not the node, whose administrator may
be the one who changed the record.

Guarantees: what is read was signed by enough roots that the caller already trusts. Leaves to others: to apply
it to the heads that a node keeps. Known limit: the roots see a size and a hash; that nothing else was lost
they believe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from packet_spec.errors import SchemaError
from packet_spec.limits import LOG_RECOVERY_BYTES
from packet_spec.log_head import LogHead
from packet_spec.model import RootKey
from packet_spec.signing import (
    Domain,
    PrivateKey,
    PublicKey,
    append_signature,
    require_threshold,
    split_signed,
)
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    read_moment,
    text,
    write_machine_document,
    write_moment,
)


@dataclass(frozen=True, slots=True)
class LogRecovery:
    """The log of ``node`` goes on from ``size`` entries with the Merkle root ``root`` (hexadecimal).

    Void are its heads of more than ``excused_above`` and at most ``excused_through`` entries that are dated
    ``excused_until`` at the latest. Where a log was only cut off, ``excused_above`` is ``size``; where it was
    built anew from nothing, 0.
    """

    node: str
    size: int
    root: str
    excused_above: int
    excused_through: int
    excused_until: datetime
    reason: str
    at: datetime

    def excuses(self, head: LogHead) -> bool:
        """Whether ``head`` is one that this statement voids."""
        within = self.excused_above < head.size <= self.excused_through
        return head.node == self.node and within and head.at <= self.excused_until


def encode_log_recovery(recovery: LogRecovery) -> bytes:
    """The document without signatures. Raises SchemaError when it cannot be written or contradicts itself."""
    _require_consistent(recovery)
    root = new_root(
        "log-recovery",
        "logRecovery",
        {
            "formatVersion": FORMAT_VERSION,
            "node": recovery.node,
            "size": str(recovery.size),
            "root": recovery.root,
            "at": write_moment(recovery.at),
        },
    )
    add(
        root,
        "excused",
        above=str(recovery.excused_above),
        through=str(recovery.excused_through),
        until=write_moment(recovery.excused_until),
    )
    add(root, "reason", recovery.reason)
    return write_machine_document(root, "log-recovery", limit_bytes=LOG_RECOVERY_BYTES)


def decode_log_recovery(data: bytes) -> LogRecovery:
    """The value of a statement without its signatures. Raises FormatError leaves and VersionError (hold)."""
    root = read_machine_document(data, "log-recovery", limit_bytes=LOG_RECOVERY_BYTES)
    excused = children(root, "excused")[0]
    recovery = LogRecovery(
        node=attribute(root, "node"),
        size=int(attribute(root, "size")),
        root=attribute(root, "root"),
        excused_above=int(attribute(excused, "above")),
        excused_through=int(attribute(excused, "through")),
        excused_until=read_moment(attribute(excused, "until")),
        reason=text(root, "reason"),
        at=read_moment(attribute(root, "at")),
    )
    _require_consistent(recovery)
    return recovery


def sign_log_recovery(data: bytes, key: PrivateKey) -> bytes:
    """The statement with one more root's signature. Raises FormatError when that root signed already."""
    return append_signature(data, Domain.LOG_RECOVERY, key)


def open_log_recovery(data: bytes, roots: Sequence[RootKey], threshold: int) -> LogRecovery:
    """The statement in a signed file, if at least ``threshold`` of the **given** roots signed it.

    Signatures of other keys are ignored; a wrong one by a given root refuses the file. Raises SignatureError,
    VersionError (hold), or a FormatError leaf.
    """
    document, signatures = split_signed(data)
    known = {root.key_id: PublicKey(root.suite, root.public) for root in roots}
    why = "the recovery statement is not signed by enough trusted roots"
    require_threshold(Domain.LOG_RECOVERY, document, signatures, known, threshold, why)
    return decode_log_recovery(document)


def _require_consistent(recovery: LogRecovery) -> None:
    if not recovery.excused_above < recovery.excused_through:
        raise SchemaError("a recovery statement excuses nothing", where=f"node {recovery.node}")
    if recovery.excused_above > recovery.size:
        raise SchemaError("a recovery statement goes on from a log that it does not cover")
