"""Is everything that a packet.xml lists there, and nothing else (docs/packet-format.md, the drop)? Pure.

Guarantees: a file that is missing or still shorter than listed is never the sender's fault by itself; a
file that is too long, not listed, or of another digest is. An empty file that nobody listed is litter.
Names are compared as a reader on a case-insensitive, normalising share would compare them, in UTF-8 and in
GB18030.

Leaves to others: when a short file has had its time (``intake``), and reading the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from frontend_server.drops import Member
from frontend_server.outbox import is_temporary
from packet_spec.findings import Finding
from packet_spec.limits import FINDINGS, NAME_BYTES
from packet_spec.model import Attachment
from packet_spec.names import escape_for_display, fold_name, read_name, readings
from packet_spec.sentences import make_finding

_folded: Final = lru_cache(maxsize=4096)(fold_name)  # of listed names, which packet.xsd keeps short


@dataclass(frozen=True, slots=True)
class Completeness:
    """``parts`` gives, for each attachment in order, the index of its file; empty unless all are there.

    ``missing`` are listed names without a file, ``short`` those whose file is shorter than listed.
    ``findings`` refuse, ``short_findings`` do so once the short files have had their time.
    """

    parts: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    short_findings: tuple[Finding, ...] = ()


NOTHING_LISTED: Final = Completeness()


def compare(attachments: Sequence[Attachment], present: Sequence[Member]) -> Completeness:
    """Hold the list against the files by name and size."""
    by_name, twins = _by_name(present)
    findings = [make_finding("attachment-file-twice", found=_shown(name)) for name in twins]
    parts: list[int] = []
    missing: list[str] = []
    short: list[str] = []
    short_findings: list[Finding] = []
    for listed in attachments:
        index = by_name.get(_folded(listed.file))
        if index is None:
            missing.append(listed.file)
            continue
        parts.append(index)
        size = present[index].size
        if listed.size is None or size == listed.size:
            continue
        differs = make_finding(
            "attachment-size-differs", file=listed.file, expected=str(listed.size), found=str(size)
        )
        if size < listed.size:
            short.append(listed.file)
            short_findings.append(differs)
        else:
            findings.append(differs)
    used = set(parts)
    findings.extend(
        make_finding("attachment-unlisted", found=_shown(member.name))
        for index, member in enumerate(present)
        if index not in used and member.size and not is_temporary(member.name)
    )
    return Completeness(
        parts=() if missing else tuple(parts),
        missing=tuple(missing),
        short=tuple(short),
        findings=tuple(findings[:FINDINGS]),
        short_findings=tuple(short_findings[:FINDINGS]),
    )


def digest_findings(attachments: Sequence[Attachment], digests: Sequence[str]) -> tuple[Finding, ...]:
    """Attachments whose bytes are not those that packet.xml lists; ``digests`` are in the same order."""
    return tuple(
        make_finding("attachment-digest-differs", file=listed.file, expected=listed.sha256, found=digest)
        for listed, digest in zip(attachments, digests, strict=True)
        if listed.sha256 is not None and listed.sha256 != digest
    )[:FINDINGS]


def _by_name(present: Sequence[Member]) -> tuple[dict[str, int], list[bytes]]:
    """Folded name -> file, by every reading of the name; and names that meet another one's."""
    found: dict[str, int] = {}
    twins: list[bytes] = []
    keys = [_keys(member.name) for member in present]
    for index, folded in enumerate(keys):
        if folded and found.setdefault(folded[0], index) != index:
            twins.append(present[index].name)
    for index, folded in enumerate(keys):
        for key in folded[1:]:
            found.setdefault(key, index)
    return found, twins


def _keys(name: bytes) -> tuple[str, ...]:
    """What a file is found by, for each reading of its name."""
    return _remembered_keys(name) if len(name) <= NAME_BYTES else _make_keys(name)


def _make_keys(name: bytes) -> tuple[str, ...]:
    return tuple(map(fold_name, readings(name)))


# Documents of a type bear the same name in one packet after the other.
_remembered_keys: Final = lru_cache(maxsize=4096)(_make_keys)


def _shown(name: bytes) -> str:
    """A name for people: in GB18030 where it is not UTF-8."""
    text = read_name(name)
    return escape_for_display(name if text is None else text.encode())
