"""What must not be told: the content of drops, in logs, notices, answers of commands, or to another agency.

Every drop of ``papers`` carries a word of its sender's in its content: in packet.xml and in its attachments.
It may lie where packets lie, at its sender, on its way and at its receiver. A log line, a notice, a status
file, a receipt or an answer of ``exchangectl`` that holds it has told content, and so has any file of an
agency that has nothing to do with it. A wrong value may be told to its own sender, who has to mend it:
status files and findings name it, and nothing else does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from certainty.intake.papers import INNER, PROCURATORATE, WRONG, inner_word, wrong_word
from certainty.intake.world import World
from certainty.shard import Violation

# Where packets and drops themselves lie below an agency's root.
_WITH_CONTENT: Final = frozenset({"outbox", "sent", ".exchanged"})
_FINDINGS: Final = (".findings.xml", ".findings.txt")
_MOST_BYTES: Final = 64 << 20
_MOST_TOLD: Final = 10


def problems(world: World, case: str, *, in_folders: bool = True) -> list[Violation]:
    """Lines of logs that are none, and content that was told. ``in_folders``: agencies' folders as well."""
    found = [*world.log_problems(), *_in_what_is_told(world)]
    told = [Violation("I11", case, each) for each in found[:_MOST_TOLD]]
    if in_folders:
        told += [Violation("I11", case, each) for each in _in_papers(world)][:_MOST_TOLD]
        told += [Violation("I6", case, each) for each in _at_strangers(world)][:_MOST_TOLD]
    return told


def _in_what_is_told(world: World) -> Iterator[str]:
    """Logs and notices of every node, and every answer of a command."""
    for code in world.lab.nodes:
        for path in (world.lab.log(code), *_files(world.lab.layout.data(code) / "notices")):
            for word in _words(path):
                yield f"{path.name} of {code} tells content: {word!r}"
    for words, said in world.answers:
        if INNER in said.encode() or WRONG in said.encode():
            yield f"exchangectl {words} tells content"


def _in_papers(world: World) -> Iterator[str]:
    """What a front-end writes for its own agency about drops and packets."""
    for code in world.lab.agencies:
        root = world.behind(code)
        for path in _files(root):
            part = path.relative_to(root).parts
            is_finding = part[0] == "refused" and path.name.endswith(_FINDINGS)
            is_told = len(part) == 2 if part[0] == "inbox" else part[0] not in (*_WITH_CONTENT, "refused")
            if not (is_finding or is_told):
                continue
            # The sender hears which value of its own is wrong.
            allowed = wrong_word(code) if is_finding or part[0] == "status" else None
            for word in _words(path, allowed):
                yield f"{path.relative_to(root)} of {code} tells content: {word!r}"


def _at_strangers(world: World) -> Iterator[str]:
    """Every file of an agency and of its node: none holds what another agency sends to a third."""
    senders = [code for code in world.lab.agencies if code != PROCURATORATE]
    for code in senders:
        strange = [word(other) for other in senders if other != code for word in (inner_word, wrong_word)]
        for root in (world.behind(code), world.lab.layout.data(code)):
            for path in _files(root):
                data = _read(path)
                if any(word in data for word in strange):
                    yield f"{path.relative_to(root)} of {code} holds content of another agency's"


def _words(path: Path, allowed: bytes | None = None) -> list[str]:
    data = _read(path)
    if allowed is not None:
        data = data.replace(allowed, b"")
    return [word.decode() for word in (INNER, WRONG) if word in data]


def _files(root: Path) -> Iterator[Path]:
    """Every plain file below, links not followed; what goes away meanwhile is left out."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            with suppress(FileNotFoundError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES:
                    yield path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
