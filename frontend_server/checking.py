"""Work on the drops that are ready: read, judge, copy, take; and say of each what became of it.

Guarantees: attempts are counted before the work; a file is read through one descriptor from packet.xml
to the last part; what cannot be told holds a drop and blames nobody; what is missing or merely short
makes it incomplete. A drop that ends its worker three times is held as poison and left alone.

Leaves to others: which drops are worked on, and when again (``intake``); the taking (``acceptance``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from exchanged.clock import Clock, Randomness
from exchanged.config import DropProfile
from exchanged.errors import VolumeDamagedError, WorkerDiedError
from exchanged.ledger import Ledger, Transaction, drops
from exchanged.ledger.drops import DropRow, Outcome
from exchanged.log import event_line
from exchanged.pool import WorkPool
from exchanged.receipts import Links
from exchanged.retry import Backoff
from exchanged.states import Event
from exchanged.trust import Trust
from frontend_server.acceptance import Acceptance
from frontend_server.addressing import find_links
from frontend_server.completeness import digest_findings
from frontend_server.copying import CopiedDrop, Copier
from frontend_server.drops import (
    DropChangedError,
    DropRefusedError,
    DropSource,
    FolderSource,
    LoneXmlSource,
    has_end_tag,
)
from frontend_server.judging import DropVerdict, DropWork, judge_drop
from frontend_server.outbox import PACKET_XML, DropKind, Observation, observe
from frontend_server.readiness import read_marker
from frontend_server.taking import Candidate, dispose, refuse, tell_status
from frontend_server.zip_drop import ZipSource
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding, Outcome as Answer
from packet_spec.identity import sha256_hex
from packet_spec.model import Disposition, Packet
from packet_spec.names import escape_for_display
from packet_spec.sentences import make_finding

POISON: Final = "poison"
NO_DIRECTORY: Final = "directory-expired"
_CRASHES: Final = 3
FOREVER: Final = float("inf")

Dispose = Callable[[Transaction, Disposition], tuple[Finding, ...]]
"""Answers a delivered packet: no findings mean that the receipt is issued (C22)."""

_Write = Callable[[Transaction], None]
