"""Words that no other text has, put into every packet that is driven, so that a leak of it can be found.

The name of the case bears a word of its own for each drop, of ASCII letters alone: it survives every encoding
but UTF-16, and tells whose packet it is. The first person's name is the same in all packets; whatever shows
it outside of a packet has leaked, whose packet it was. Both are fictional.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from cli.fiction.request import DropRequest

PERSON: Final = "鸬鹚甪蓟虚构"
_WORD: Final = re.compile(rb"Zeisig[0-9a-f]{16}")
_BLOCK: Final = 1 << 20
# Longer than a word or a name in any of its forms: what lies across two blocks is found as well.
_OVERLAP: Final = 256


def _forms(text: str) -> tuple[bytes, ...]:
    """A text as it may stand in a file or in a line of a log, where somebody escaped it."""
    encoded = text.encode()
    return (
        encoded,
        text.encode("gb18030"),
        text.encode("ascii", "backslashreplace"),
        text.encode("ascii", "xmlcharrefreplace"),
        repr(encoded)[2:-1].encode(),
    )


_PERSON: Final = re.compile(b"|".join(re.escape(form) for form in _forms(PERSON)))


def word_of(sender: str, sender_ref: str) -> str:
    """The word of the packet that this agency calls so."""
    return "Zeisig" + hashlib.sha256(f"{sender} {sender_ref}".encode()).hexdigest()[:16]


def marked(request: DropRequest) -> DropRequest:
    """The same request, with both words in it."""
    word = word_of(request.sender, request.sender_ref or "")
    own = {"case_name": f"虚构 {word} 案", "person_name": PERSON}
    return replace(request, set_fields={**own, **request.set_fields})


def words_in(blocks: Iterable[bytes]) -> frozenset[str]:
    """Every word of a packet that stands there, and ``PERSON`` if that name does."""
    found: set[str] = set()
    before = b""
    for block in blocks:
        data = before + block
        found.update(match.decode("ascii") for match in _WORD.findall(data))
        if PERSON not in found and _PERSON.search(data):
            found.add(PERSON)
        before = data[-_OVERLAP:]
    return frozenset(found)


def blocks_of(path: Path) -> Iterator[bytes]:
    """A file in pieces; neither a link is followed nor a pipe waited for. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        while block := file.read(_BLOCK):
            yield block
