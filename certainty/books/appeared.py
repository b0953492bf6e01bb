"""Judge what appeared in inboxes: once, whole, with the bytes that were dropped, at whom its sender named."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from certainty.books.driver import Dropped
from certainty.books.evidence import Appearance, Evidence, ledger_time, papers_of
from certainty.shard import Violation
from packet_spec.authority import check_seal_authority
from packet_spec.delivery import decode_delivery
from packet_spec.errors import ExchangeError
from packet_spec.identity import sha256_hex
from packet_spec.model import ReceiptKind
from packet_spec.seal_document import decode_seal
from packet_spec.signing import Domain, decode_signature, find_key, verify

_NAME: Final = re.compile(r"(\d{6}-\d{2}-\d{2})_([0-9a-f-]{36})(?:_a\d{1,9})?")
# Written by the daemon into every delivered folder, or by the reader.
_PAPERS: Final = ("delivery.xml", "seal.xml", "seal.sig", "accepted.xml")
_OURS: Final = frozenset({"packet.utf8.xml", *_PAPERS, "collected"})
_NEEDED: Final = ("packet.xml", *_PAPERS)
_READING: Final = "packet.utf8.xml"
_DECLARATION: Final = re.compile(r"<\?xml[^>]*\?>")
# As what each encoding that a seal may name is read here, without the program's own reader.
_CODECS: Final = {"utf-8": "utf-8", "gb18030": "gb18030", "utf-16": "utf-16"}


def _broken(invariant: str, what: str) -> Violation:
    return Violation(invariant, "", what)


def judge_appearances(evidence: Evidence, *, power_cuts: bool) -> Iterator[Violation]:
    """Every appearance by itself, and all of one packet together."""
    together: dict[tuple[str, str], list[Appearance]] = defaultdict(list)
    drops = {(each.agency, each.sender_ref, each.content_digest): each for each in evidence.drops}
    for each in evidence.appearances:
        match = _NAME.fullmatch(each.name)
        if match is None:
            yield _broken("I3", f"{_where(each)} is no packet's folder")
            continue
        together[each.agency, f"{match[1]}_{match[2]}"].append(each)
        for code, what in _judge_one(evidence, each, drops):
            yield _broken(code, f"{_where(each)}: {what}")
    for (agency, name), several in together.items():
        yield from _judge_times(evidence, agency, name, several, power_cuts=power_cuts)
    yield from _judge_contents(evidence)


def _where(each: Appearance) -> str:
    return f"{each.agency}: {each.folder}/{each.name} seen at {each.at}"


# --- how often ------------------------------------------------------------------------------------


def _judge_times(
    evidence: Evidence, agency: str, name: str, several: list[Appearance], *, power_cuts: bool
) -> Iterator[Violation]:
    for before, after in pairwise(several):
        if not (power_cuts and _may_come_again(evidence, agency, name, before, after)):
            ended = f"{before.ended} at {before.ended_at}" if before.ended else "still there"
            yield _broken("I2", f"{agency}: {name} appeared again at {after.at}; at {before.at}, {ended}")
    for index, each in enumerate(several):
        is_undone = power_cuts and _is_cut_after(evidence, agency, each.at, each.ended_at)
        if each.ended == "gone" and not (is_undone and index + 1 < len(several)):
            yield _broken("I2", f"{agency}: {name} vanished from the inbox at {each.ended_at}")
        if each.ended == "replaced" and not (power_cuts and index + 1 < len(several)):
            yield _broken("I2", f"{agency}: {name} was replaced in the inbox at {each.ended_at}")


def _may_come_again(
    evidence: Evidence, agency: str, name: str, before: Appearance, after: Appearance
) -> bool:
    """Across a power cut, with the same bytes, and not after the packet was receipted as delivered (C19)."""
    if _content(before) != _content(after):
        return False
    if not evidence.cuts:
        return True
    cuts = [at for node, at in evidence.cuts if node == agency and before.at <= at <= after.at]
    if not cuts or agency not in evidence.books:
        return bool(cuts)
    last = ledger_time(datetime.fromisoformat(max(cuts)))
    return not any(
        receipt["issued_at"] < last
        for receipt in evidence.books[agency].of("receipt")
        if receipt["own"] and receipt["kind"] == "delivered"
        if f"{receipt['sender']}_{receipt['packet_id']}" == name
    )


def _is_cut_after(evidence: Evidence, agency: str, begun: str, ended: str) -> bool:
    return not evidence.cuts or any(
        node == agency and begun <= at <= (ended or at) for node, at in evidence.cuts
    )


def _content(each: Appearance) -> dict[str, str]:
    """The sender's own files: the daemon's papers name the moment, which differs."""
    if not each.looks:
        return {}
    return {
        name: digest for name, (_, _, digest) in each.looks[-1]["files"].items() if name not in _OURS
    }


def _judge_contents(evidence: Evidence) -> Iterator[Violation]:
    """One content of one sender appears under one packet id only (custody C13)."""
    ids: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for each in evidence.appearances:
        match = _NAME.fullmatch(each.name)
        paper = papers_of(each.looks[-1]).get("delivery.xml") if each.looks else None
        if match is None or paper is None:
            continue
        try:
            delivery = decode_delivery(paper)
        except ExchangeError:
            continue
        ids[each.agency, match[1], f"{delivery.sender_ref} {delivery.content_digest}"].add(match[2])
    for (agency, sender, content), found in ids.items():
        if len(found) > 1:
            yield _broken("I2", f"{agency}: {content.split()[0]} of {sender} came as {len(found)} packets")


# --- one appearance -------------------------------------------------------------------------------


def _judge_one(
    evidence: Evidence, each: Appearance, drops: Mapping[tuple[str, str, str], Dropped]
) -> Iterator[tuple[str, str]]:
    if each.short:
        # Only its name was seen; that it went away again is told elsewhere.
        return
    if each.how == "created":
        yield "I3", "it was made in the inbox instead of appearing whole by one rename"
    files = each.looks[0]["files"]
    missing = [name for name in _NEEDED if name not in files]
    if missing:
        yield "I3", f"was visible without {', '.join(missing)}"
        return
    for look in each.looks[1:]:
        if changed := sorted(_differing(files, look["files"])):
            yield "I3", f"changed after it had appeared: {', '.join(changed)} at {look['at']}"
    papers = papers_of(each.looks[0])
    try:
        yield from _judge_papers(evidence, each, papers, files, drops)
    except (ExchangeError, KeyError, ValueError) as error:
        yield "I5", f"its papers prove nothing: {type(error).__name__}: {error}"


def _differing(before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]) -> set[str]:
    names = {*before, *after} - {"collected"}
    return {name for name in names if before.get(name) != after.get(name)}


def _judge_papers(
    evidence: Evidence,
    each: Appearance,
    papers: Mapping[str, bytes],
    files: Mapping[str, list[Any]],
    drops: Mapping[tuple[str, str, str], Dropped],
) -> Iterator[tuple[str, str]]:
    proofs = evidence.proofs
    signature = decode_signature(papers["seal.sig"])
    verify(Domain.SEAL, papers["seal.xml"], signature, find_key(signature, proofs._lookup))
    seal = decode_seal(papers["seal.xml"])
    check_seal_authority(proofs.directory, seal, signature.key_id, evidence.moment)
    delivery = decode_delivery(papers["delivery.xml"])
    accepted = proofs.receipt(papers["accepted.xml"], evidence.moment)
    seal_digest = sha256_hex(papers["seal.xml"])
    if accepted.kind is not ReceiptKind.ACCEPTED:
        yield "I7", f"accepted.xml is a receipt {accepted.kind}"
    for what, found, wanted in (
        ("delivery.xml names the packet", str(delivery.key), str(seal.key)),
        ("accepted.xml names the packet", str(accepted.key), str(seal.key)),
        ("the folder is named after", each.name[: len(str(seal.key))], str(seal.key).replace("/", "_")),
        ("delivery.xml names the recipient", delivery.recipient, each.agency),
        ("delivery.xml names the content", delivery.content_digest, seal.content_digest),
        ("accepted.xml names the content", accepted.content_digest, seal.content_digest),
        ("accepted.xml names the seal", accepted.seal_digest, seal_digest),
        ("delivery.xml names the seal", delivery.seal_digest, seal_digest),
    ):
        if found != wanted:
            yield "I4", f"{what} {found}, not {wanted}"
    drop = drops.get((seal.key.sender, delivery.sender_ref, seal.content_digest))
    if drop is None:
        yield "I5", f"nobody dropped it: {delivery.sender_ref} of {seal.key.sender}"
        return
    if each.agency not in drop.receivers:
        yield "I6", f"its sender named {', '.join(drop.receivers)}"
    listed = {each_file.file: each_file.listed for each_file in delivery.files} | {"packet.xml": "packet.xml"}
    shown = {listed.get(name, name): digest for name, (_, _, digest) in files.items() if name not in _OURS}
    wanted_files = {name: digest for name, (_, digest) in drop.files.items()}
    if shown != wanted_files:
        other = sorted(name for name in {*shown, *wanted_files} if shown.get(name) != wanted_files.get(name))
        yield "I4", f"other bytes than were dropped: {', '.join(other)}"
    yield from _judge_reading(papers, files, seal.encoding)


def _judge_reading(
    papers: Mapping[str, bytes], files: Mapping[str, list[Any]], encoding: str
) -> Iterator[tuple[str, str]]:
    """``packet.utf8.xml`` is packet.xml letter by letter, and lies there where that is not UTF-8."""
    if _READING not in files:
        if encoding != "utf-8":
            yield "I3", f"was visible without {_READING}, and its packet.xml is {encoding}"
        return
    try:
        original = papers["packet.xml"].decode(_CODECS[encoding])
        told = papers[_READING].decode("utf-8")
    except (KeyError, UnicodeDecodeError) as error:
        yield "I4", f"{_READING} cannot be compared with packet.xml: {type(error).__name__}: {error}"
        return
    declared = _DECLARATION.match(told)
    if declared is not None and "utf-8" not in declared[0].lower():
        yield "I4", f"{_READING} declares itself as {declared[0]}"
    if _letters(original) != _letters(told):
        yield "I4", f"{_READING} is another document than packet.xml"


def _letters(text: str) -> str:
    """A document without what names its encoding."""
    return _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1).lstrip()
