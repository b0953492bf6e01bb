"""Which pack counts: for a drop that is about to be sealed, and for a packet that somebody sealed.

Guarantees: pure; the signed directory alone says what is in force. A directory that names no pack leaves it
to the programs: each takes the standard that it carries, and a packet sealed by another one is held.

Leaves to others: where packs lie (``exchanged.packs``), and the check itself (``check``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from packet_spec.check import CheckResult, check_packet
from packet_spec.errors import PackUnknownError
from packet_spec.findings import Finding, Outcome, Verdict
from packet_spec.model import Directory, PackReference, PackStamp, Seal
from packet_spec.pack import Pack, shipped_pack
from packet_spec.sentences import make_finding

FindPack = Callable[[str], Pack]
"""Digest -> the pack; raises PackUnknownError where it is not here."""


def check_with_packs(
    packet_xml: bytes, *, directory: Directory | None, now: datetime, find: FindPack
) -> tuple[CheckResult, Pack]:
    """Check a packet.xml that nobody sealed yet, by the packs in force at ``now``, the newest first.

    The first pack that it fits counts; an older one warns (``pack-older``). What fits none is answered by
    the newest. Raises PackUnknownError when no pack in force is here, or when it fits none of those that are
    and another one is on its way.
    """
    references = _in_force(directory, now)
    packs = _present(references, find)
    first = check_packet(packet_xml, directory=directory, pack=packs[0], moment=now)
    if first.verdict.outcome is not Outcome.REFUSED:
        return first, packs[0]
    for older in packs[1:]:
        result = check_packet(packet_xml, directory=directory, pack=older, moment=now)
        if result.verdict.outcome is Outcome.VALID:
            warning = make_finding("pack-older", expected=packs[0].title, found=older.title)
            verdict = Verdict(Outcome.VALID, (*result.verdict.findings, warning))
            return CheckResult(verdict, result.packet, result.encoding, result.utf8), older
    if len(packs) < len(references):
        # It may be right by the one that is missing: doubt holds.
        raise PackUnknownError(
            "a pack in force is not here",
            expected=_titles(references),
            found=", ".join(pack.title for pack in packs),
        )
    return first, packs[0]


def pack_of_seal(seal: Seal, directory: Directory, find: FindPack) -> tuple[Pack, tuple[Finding, ...]]:
    """The pack by which a sealed packet is judged, and what refuses it as such.

    It must have been in force when the packet was sealed. Raises PackUnknownError, which holds, for a pack
    that the directory does not name or that is not here; both versions are named.
    """
    if not any(reference.digest == seal.pack.digest for reference in _named(directory)):
        raise PackUnknownError(
            "the directory does not name the pack by which the packet was sealed",
            expected=_titles(_named(directory)),
            found=str(seal.pack),
        )
    pack = find(seal.pack.digest)
    valid = _in_force(directory, seal.sealed_at)
    if any(reference.digest == pack.digest for reference in valid):
        return pack, ()
    return pack, (make_finding("pack-not-in-force", expected=_titles(valid) or "-", found=pack.title),)


def find_shipped(digest: str) -> Pack:
    """The FindPack of a machine that has nothing but what the program carries."""
    if digest != shipped_pack().digest:
        raise PackUnknownError("a pack is not here", expected=f"{digest[:12]}…", found=shipped_pack().title)
    return shipped_pack()


def _shipped() -> PackReference:
    pack = shipped_pack()
    return PackReference(pack.name, pack.version, pack.digest, datetime.min.replace(tzinfo=UTC))


def _named(directory: Directory) -> tuple[PackReference, ...]:
    return directory.packs or (_shipped(),)


def _in_force(directory: Directory | None, moment: datetime) -> tuple[PackReference, ...]:
    if directory is None or not directory.packs:
        return (_shipped(),)
    return directory.packs_at(moment)


def _present(references: tuple[PackReference, ...], find: FindPack) -> list[Pack]:
    packs: list[Pack] = []
    for reference in references:
        try:
            packs.append(find(reference.digest))
        except PackUnknownError:
            continue
    if not packs:
        raise PackUnknownError(
            "no pack in force is here", expected=_titles(references) or "-", found=shipped_pack().title
        )
    return packs


def _titles(references: tuple[PackReference, ...]) -> str:
    return ", ".join(str(PackStamp(each.name, each.version, each.digest)) for each in references)
