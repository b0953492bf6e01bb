"""The frozen values of a batch's waybill: items, acknowledgements, exceptions (custody C4 to C6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A blob that a packet of a batch needs: digest and size as carried (C8)."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class WaybillItem:
    """One item of a batch, in order: its kind, and the digest and size of its bytes.

    ``key`` is the packet that the item is or speaks of, so that a landing can write its ledger row
    before anything inside the item is parsed (C5); judging compares it with the item itself.
    ``blobs`` are the blobs of a packet item, each once, in part order (C10).
    """

    kind: ItemKind
    digest: str
    size: int
    key: PacketKey
    blobs: tuple[BlobReference, ...] = ()


class ExceptionKind(StrEnum):
    """Why a batch number is disposed of, but not simply taken (C5, C6)."""

    BAD = "bad"
    NEED = "need"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class BatchException:
    """An exception in an acknowledgement. ``blobs`` are the digests needed, for NEED only.

    ``detail`` is a reference (kebab-case) or, for HELD, the format versions known here.
    """

    number: int
    kind: ExceptionKind
    detail: str = ""
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the writer has disposed of in the other direction of the link (C5).

    Names the stream (``from_node`` wrote it, in ``incarnation``), the highest contiguous number
    disposed of, and the exceptions still open. ``counter`` rises within the acknowledging node's
    own incarnation.
    """

    from_node: str
    incarnation: str
    through: int
    counter: int
    exceptions: tuple[BatchException, ...] = ()


@dataclass(frozen=True, slots=True)
class Waybill:
    """The signed list of one batch (C4). ``number`` is None for the bare ``ack.batch``.

    ``directory_epoch`` and ``directory_version`` name the directory in force; version 0 is none. ``lacks``
    are digests of packs that the directory names and the writer does not have. ``events`` is how many events
    the writer's ledger had at ``ledger_head``; None where an earlier program wrote it.
    """

    speaks: tuple[str, ...]
    from_node: str
    to_node: str
    incarnation: str
    number: int | None
    items: tuple[WaybillItem, ...]
    acknowledgement: Acknowledgement | None
    ledger_head: str
    directory_version: int
    sent_at: datetime
    key_id: str
    lacks: tuple[str, ...] = ()
    events: int | None = None
    directory_epoch: int = 1
