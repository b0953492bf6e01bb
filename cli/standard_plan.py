"""What a plan file says of the exchange standard: the packs in force, and what is open between agencies.

Used by directory plans and by lab plans, which say it in the same words.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cli.directory_inherit import later_pack, listed_pack
from cli.frame import read_input
from exchanged.config_reader import Section
from packet_spec.catalogue import load_catalogue
from packet_spec.errors import ExchangeError
from packet_spec.identity import is_agency_code, is_digest, is_pack_word
from packet_spec.limits import PACK_BYTES
from packet_spec.model import Directory, PackReference, PackStamp, Route
from packet_spec.pack import STANDARD, read_pack, shipped_pack, shipped_pack_bytes
from packet_spec.sequence_policy import SequencePolicy


class _Encrypt(StrEnum):
    """What of a packet travels encrypted to its recipients."""

    PARTS = "parts"


_WORD_SHAPE: Final = "1 to 64 of A-Z a-z 0-9 . -"


def read_pack_reference(
    section: Section, now: datetime, base: Path, before: Directory | None = None
) -> tuple[PackReference, bytes]:
    """A ``[[pack]]``: what the directory says of it, and its bytes where the plan names its file.

    ``file`` is a path from the plan, or ``standard`` for the one that this program carries; without it
    ``name``, ``version`` and ``digest`` stand there. ``before`` is the directory that is followed, if any.
    """
    stamp, data = _pack(section, base)
    known = listed_pack(before, stamp.digest)
    begins = section.moment("valid_from")
    reference = PackReference(
        name=stamp.name,
        version=stamp.version,
        digest=stamp.digest,
        valid_from=begins or now,
        valid_until=section.moment("valid_until", None if known is None else known.valid_until),
    )
    section.finish()
    return later_pack(known, reference, begins, now), data


def _pack(section: Section, base: Path) -> tuple[PackStamp, bytes]:
    file = section.text("file", "")
    if file == STANDARD:
        return shipped_pack().stamp, shipped_pack_bytes()
    if file:
        try:
            data = read_input(base / file, PACK_BYTES)
            return read_pack(data).stamp, data
        except ExchangeError as error:
            section.problem("file", str(error))
            return PackStamp("", "", ""), b""
    stamp = PackStamp(
        section.text("name", check=is_pack_word, shape=_WORD_SHAPE),
        section.text("version", check=is_pack_word, shape=_WORD_SHAPE),
        section.text("digest", check=is_digest, shape="a SHA-256 in hexadecimal"),
    )
    return stamp, b""


def read_route(section: Section) -> Route:
    """A ``[[route]]``: from, to, sequence, encrypt, business_types and case_kinds; each may be missing."""
    kinds = load_catalogue().agency_kinds

    def is_selector(text: str) -> bool:
        return text in kinds or is_agency_code(text)

    shape = "an agency code or an agency kind"
    sequence = section.choice("sequence", SequencePolicy) if section.has("sequence") else None
    encrypt = section.choice("encrypt", _Encrypt) if section.has("encrypt") else None
    route = Route(
        sender=section.text("from", "", check=is_selector, shape=shape),
        receiver=section.text("to", "", check=is_selector, shape=shape),
        sequence="" if sequence is None else sequence.value,
        business_types=section.texts("business_types"),
        case_kinds=section.texts("case_kinds"),
        encrypt="" if encrypt is None else encrypt.value,
    )
    section.finish()
    return route
