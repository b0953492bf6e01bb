"""What a verifier of proofs answers: a verdict, and claims with codes (docs/proof-format.md).

Every code has one state, which stands here in one table: what is false or said by somebody who may not is
``bad``; what cannot be told is ``held``; what the file does not claim is ``absent`` and changes no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """What became of a claim."""

    PROVEN = "proven"
    ABSENT = "absent"
    HELD = "held"
    BAD = "bad"


class Proven(StrEnum):
    """The verdict on a whole proof."""

    PROVEN = "proven"
    HELD = "held"
    REFUSED = "refused"


_HELD: Final = (
    "proof-version",
    "proof-suite-unknown",
    "proof-roots-not-compared",
    "proof-directory-silent",
    "proof-speaker-unknown",
    "proof-key-unknown",
    "proof-key-revoked-later",
    "proof-sender-disabled-later",
    "proof-accepted-missing",
    "proof-delivered-missing",
    "proof-contradiction",
    "proof-case-not-shown",
)
_ABSENT: Final = ("proof-not-in-log", "proof-content-left-out")
_BAD: Final = (
    "proof-layout",
    "proof-packet-twice",
    "proof-directory-signature",
    "proof-directory-content",
    "proof-directory-chain",
    "proof-roots-not-trusted",
    "proof-document-malformed",
    "proof-signature-wrong",
    "proof-seal-inconsistent",
    "proof-sender-disabled",
    "proof-sender-retired",
    "proof-key-of-another-node",
    "proof-key-of-another-use",
    "proof-key-not-valid",
    "proof-key-revoked",
    "proof-other-packet",
    "proof-not-a-recipient",
    "proof-not-the-issuer",
    "proof-order-impossible",
    "proof-hop-off-the-way",
    "proof-log-entry-other",
    "proof-log-of-another-node",
    "proof-log-not-included",
    "proof-content-differs",
    "proof-other-case",
)

CODES: Final = MappingProxyType(
    dict.fromkeys(_HELD, State.HELD) | dict.fromkeys(_ABSENT, State.ABSENT) | dict.fromkeys(_BAD, State.BAD)
)
"""Every code, and the state of a claim that bears it."""


class Fault(Exception):  # noqa: N818 - the outcome of a check, caught by the claim that it decides
    """A check that did not hold; ``code`` is one of CODES. Never leaves the modules of proofs."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require(condition: object, code: str) -> None:
    """Raises Fault with ``code`` unless ``condition`` holds."""
    if not condition:
        raise Fault(code)


@dataclass(slots=True)
class Claim:
    """One thing that a proof says. ``code`` is empty when proven; ``at`` is None where nothing was read.

    ``by`` is who speaks, ``to`` whom or what it is about, as docs/proof-format.md tells for each claim.
    """

    claim: str
    state: State = State.PROVEN
    code: str = ""
    by: str = ""
    at: datetime | None = None
    to: str = ""

    def fail(self, code: str) -> None:
        """This check decided the claim."""
        self.state, self.code = CODES[code], code


@dataclass(frozen=True, slots=True)
class PacketAnswer:
    """The claims about one attempt of one packet; empty texts and 0 where its seal was not read."""

    sender: str
    packet_id: str
    attempt: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on a proof. ``code`` says why it is not proven; ``packets`` is empty for a refused file.

    ``fingerprint`` is that of the roots of its first directory; empty where none could be read.
    """

    verdict: Proven
    code: str
    fingerprint: str = ""
    case: str = ""
    packets: tuple[PacketAnswer, ...] = ()
