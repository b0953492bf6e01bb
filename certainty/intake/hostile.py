"""F29: names that break programs."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from lxml import etree

from certainty.intake import leaks
from certainty.intake.names import naughty_names
from certainty.intake.papers import POLICE, Paper, Papers
from certainty.intake.slow import is_whole
from certainty.intake.world import TooLateError, World, wait_for
from certainty.shard import Outcome, Run, Violation
from packet_spec.errors import NameRefusedError
from packet_spec.names import safe_component

_NAMES, _PARTS = 200_000, 210_000
_FOLDER: Final = re.compile(r"\d{6}-\d\d-\d\d_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LITTER: Final = (b"thumbs.db", b"desktop.ini", b".ds_store")
_CONTROL: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]"
)
# What docs/packet-format.md (Names) refuses as the name of an attachment, beside signs that are not seen.
_REFUSED_NAME: Final = re.compile(r"[. ].*|.*[. ]|.*[/\\:*?\"<>|].*", re.DOTALL)
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9]|conin\$|conout\$|clock\$) *", re.IGNORECASE)
_REFUSED_CODE: Final = "attachment-name-refused"
_NAME_BYTES: Final = 255
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def names(run: Run, world: World, papers: Papers) -> Outcome:
    """F29: taken as bytes, delivered under names of ours, and the original can be told again."""
    every = naughty_names()[run.seed % 7 :: 21] if run.quick else naughty_names()
    violations: list[Violation] = []
    dropped = dict(_drop_names(world, papers, every))
    listed = dict(_drop_parts(world, papers, every))
    taken = {ref: name for ref, (name, paper) in dropped.items() if not _is_passed_over(name)}
    left = [name for name, _ in dropped.values() if _is_passed_over(name)]
    parts_done: dict[str, str] = {}

    def all_told() -> bool:
        run.progress(world.count_delivered(), len(taken) + len(listed), "drops with hostile names")
        if not set(taken) <= set(world.delivered_refs()):
            return False
        for each in world.all_status():
            parts_done[str(each["drop"])] = str(each["state"])
        return all(parts_done.get(f"part-{ref}") in ("delivered", "refused") for ref in listed)

    try:
        wait_for(all_told, "hostile names to be delivered", 120 if run.quick else 400, 2.0)
    except TooLateError as error:
        violations.append(Violation("I4", f"seed {run.seed}", str(error)))
    counted = world.delivered_refs()
    violations += [
        Violation("I1" if not counted[ref] else "I2", repr(name), f"delivered {counted[ref]} times")
        for ref, name in taken.items() if counted[ref] != 1
    ]  # fmt: skip
    violations += wrong_ends(listed, {str(each["drop"]): each for each in world.all_status()})
    whole = {ref: paper for ref, (_, paper) in dropped.items()}
    recovered = 0
    for packet in world.delivered():
        if packet.ref in whole and not is_whole(packet, whole[packet.ref]):
            violations.append(Violation("I4", repr(taken.get(packet.ref)), "other bytes than were dropped"))
        if packet.ref in listed:
            name, data = listed[packet.ref]
            said = etree.fromstring(packet.files["delivery.xml"]).find("{*}file")
            if said is None or said.get("listed") != name or packet.files[str(said.get("name"))] != data:
                violations.append(
                    Violation("I4", repr(name), "the listed name or the bytes are not told again")
                )
            else:
                recovered += 1
        if packet.ref in whole or packet.ref in listed:
            violations += _unsafe_names(packet.folder)
    violations += _originals(world, taken)
    gone = [name for name in left if not os.path.lexists(os.fsencode(world.outbox) + b"/" + name)]
    violations += [Violation("I1", repr(name), "litter was touched") for name in gone]
    refused = Counter(
        str(each["finding"][0]["code"]) for each in world.all_status()
        if str(each["drop"]).startswith("part-") and each["state"] == "refused" and each["finding"]
    )  # fmt: skip
    violations += _said_by_commands(world)
    # Of everything that was dropped in this world.
    violations += leaks.problems(world, f"seed {run.seed}")
    return Outcome(
        "F29", len(taken) + len(listed), tuple(violations), planned=len(taken) + len(listed),
        measured=f"{len(every)} names: {len(taken)} drops delivered under them, {len(left)} passed over by"
        f" the rules for unfinished and hidden files; as names of attachments {recovered} delivered and"
        f" told again exactly, {sum(refused.values())} refused ({in_words(refused)})",
    )  # fmt: skip


def _drop_names(
    world: World, papers: Papers, every: list[bytes]
) -> Iterator[tuple[str, tuple[bytes, Paper]]]:
    for number, stem in enumerate(every):
        form = number % 3 if len(stem) <= 251 else 0
        paper = papers.lone(_NAMES + number) if form == 1 else papers.folder(_NAMES + number, 200)
        name = stem + (b"", b".xml", b".zip")[form]
        if form == 0:
            paper.put_folder(world.outbox / f"now{number}.part")
            (world.outbox / f"now{number}.part").rename(world.outbox / os.fsdecode(name))
        else:
            growing = world.outbox / f"now{number}.part"
            growing.write_bytes(paper.xml if form == 1 else paper.zipped)
            growing.rename(world.outbox / os.fsdecode(name))
        yield paper.ref, (name, paper)


def _drop_parts(world: World, papers: Papers, every: list[bytes]) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """The same names for an attachment, as far as XML can list them."""
    for number, stem in enumerate(every):
        raw = stem[:251] + b".pdf"
        for encoding in ("utf-8", "gb18030"):
            with suppress(UnicodeDecodeError):
                text = raw.decode(encoding)
                break
        else:
            continue
        if _IN_XML.search(text) or raw.startswith(b"."):
            continue
        data = papers.pdf(_PARTS + number)
        # Line ends in an attribute stand as references, else every parser makes spaces of them.
        quoted = quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})[1:-1].replace('"', "&quot;")
        paper = papers.with_parts(_PARTS + number, {raw: data}, {raw: quoted}, is_quoted=True)
        paper.put_folder(world.outbox / f"part-{paper.ref}")
        yield paper.ref, (text, data)


def may_be_listed(name: str) -> bool:
    """Whether docs/packet-format.md takes that name for an attachment."""
    is_hidden = any(unicodedata.category(sign) in _UNSEEN for sign in name)
    is_device = _DEVICE.fullmatch(unicodedata.normalize("NFKC", name).partition(".")[0])
    is_refused = _REFUSED_NAME.fullmatch(name) or is_device
    return not (is_hidden or is_refused or len(name.encode()) > _NAME_BYTES)


def wrong_ends(
    listed: Mapping[str, tuple[str, bytes]], told: Mapping[str, Mapping[str, Any]]
) -> Iterator[Violation]:
    """A name that may be listed is delivered, another is refused by the finding about it."""
    for ref, (name, _) in listed.items():
        status = told.get(f"part-{ref}", {})
        codes = {str(each["code"]) for each in status.get("finding", ()) if each["severity"] == "refuse"}
        state = str(status.get("state", "told nowhere"))
        if may_be_listed(name) and state != "delivered":
            yield Violation("I4", repr(name), f"a name that may be listed is {state} {sorted(codes)}")
        if not may_be_listed(name) and (state != "refused" or _REFUSED_CODE not in codes):
            yield Violation("I13", repr(name), f"a name that may not be listed is {state} {sorted(codes)}")


def _is_passed_over(name: bytes) -> bool:
    lowered = name.lower()
    return name.startswith((b".", b"~$")) or lowered.endswith((b".tmp", b".part")) or lowered in _LITTER


def _unsafe_names(folder: Path) -> list[Violation]:
    found = []
    for path in (folder, *folder.iterdir()):
        try:
            safe_component(path.name)
        except NameRefusedError as error:
            found.append(Violation("I11", repr(path.name), f"a delivered name is not safe: {error}"))
    if _FOLDER.fullmatch(folder.name) is None:
        found.append(
            Violation("I11", repr(folder.name), "a delivered folder bears a name that is not of ours")
        )
    return found


def _originals(world: World, taken: dict[str, bytes]) -> list[Violation]:
    """In sent/ under the very bytes of their names."""
    sent, found = world.behind(POLICE) / "sent", []

    def lie_there() -> bool:
        return all(os.path.lexists(sent / os.fsdecode(name)) for name in taken.values())

    with suppress(TooLateError):
        wait_for(lie_there, "originals to be put away", 120, 1.0)
    for ref, name in taken.items():
        path = sent / os.fsdecode(name)
        try:
            is_it = ref.encode() in (path / "packet.xml" if path.is_dir() else path).read_bytes()
        except OSError:
            is_it = False
        if not is_it:
            found.append(Violation("I4", repr(name), "its original does not lie in sent/ under its name"))
    return found


def _said_by_commands(world: World) -> list[Violation]:
    """What exchangectl shows holds no control or hidden characters."""
    found = []
    for words in (
        ("packet", "list", "--limit", "5000"),
        ("queue", "summary"),
        ("event", "list", "--limit", "2000"),
    ):
        code, said, _ = world.ctl(*words)
        if "Traceback" in said or (match := _CONTROL.search(said)):
            found.append(Violation("I11", " ".join(words), f"{code}: {said[:200]!r} holds {match}"))
    return found


def in_words(some: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(some.items()))
