"""What stands in a batch file, read by somebody without keys: what was lost, and what is acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind
from packet_spec.ustar import BLOCK, decode_header
from packet_spec.waybill import decode_waybill
from packet_spec.waybill_model import Waybill


def read_waybill(data: bytes) -> Waybill | None:
    """The waybill of a batch or an acknowledgement, unverified; None where there is none that can be read."""
    try:
        name, size = decode_header(data[:BLOCK])
        return decode_waybill(data[BLOCK : BLOCK + size]) if name == "waybill" else None
    except ExchangeError:
        return None


def receipts_of(data: bytes) -> Iterator[PacketKey]:
    """The packets that the receipts in a batch speak of."""
    waybill = read_waybill(data)
    for item in () if waybill is None else waybill.items:
        if item.kind is ItemKind.RECEIPT:
            yield item.key


def acknowledged(file: Path) -> int:
    """Up to which number without a gap an acknowledgement disposes; 0 where none can be read."""
    with suppress(OSError):
        waybill = read_waybill(file.read_bytes())
        if waybill is not None and waybill.acknowledgement is not None:
            return waybill.acknowledgement.through
    return 0
