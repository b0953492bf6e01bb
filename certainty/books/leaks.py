"""Judge where payload lies: with its sender, its receivers and on its way, and nowhere else (I6, I11).

Looked at are the words that the driver puts into every packet (``canary``) and the digests of its parts:

* in what is told: logs, status files, receipts, notices and exported ledgers, and in the nodes' folder for
  temporary files, no word may stand at all (I11);
* in a mailbox, and in the folders of an agency and of its node, only what an agency behind it has sent or is
  to receive (I6), whether its ledger knows of it or not.

What the province and bridges keep is their business: all packets pass there. So are an agency's own folders
for what it sends and receives. Known limits: what was put into a mailbox and taken out again unseen, between
two looks, is not found; a packet that is encrypted for its receivers shows no word on its way; and a ledger
is judged by its export, not by the bytes of its file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.books.canary import PERSON, blocks_of, word_of, words_in
from certainty.books.driver import Dropped
from certainty.books.world import World
from certainty.shard import Violation
from exchanged.config import load_config
from exchanged.config_values import LinkSide
from exchanged.places import LEDGER_FILE

# What an agency is told, in its own folders.
_TOLD: Final = ("status", "receipts", "notices")
_BLOB: Final = re.compile(r"([0-9a-f]{64})(?:\.blob)?")


@dataclass(frozen=True)
class Place:
    """A folder. ``readers``: the agencies whose packets may lie there; None: nobody's."""

    path: Path
    readers: frozenset[str] | None = None


@dataclass(frozen=True)
class Sighting:
    """A file with words of packets in it, or whose name is the digest of a part of one."""

    file: str
    words: frozenset[str]
    readers: frozenset[str] | None


def places(world: World) -> Iterator[Place]:
    """Everywhere that is looked at."""
    for told in (world.logs, world.temporary, world.ledgers):
        if told is not None:
            yield Place(told)
    for code, root in world.agencies.items():
        for name in _TOLD:
            yield Place(root / name)
        # Its whole tree, also what lies there under a name that nobody knows.
        yield Place(root, frozenset({code}))
    configs = {code: load_config(path) for code, path in world.configs.items()}
    above = {
        code: {link.peer for link in config.links if link.side is LinkSide.DIAL}
        for code, config in configs.items()
    }
    for code, config in configs.items():
        for link in config.links:
            # Whoever serves it has it on this machine.
            if link.side is LinkSide.SERVE:
                behind = _behind(link.peer, above) & world.agencies.keys()
                yield Place(Path(link.mailbox), frozenset(behind))
        if code in world.agencies and not any(code in peers for peers in above.values()):
            yield Place(config.node.data_dir, frozenset({code}))


def _behind(code: str, above: dict[str, set[str]]) -> set[str]:
    """That node, and whoever reaches the others through it."""
    found = {code}
    for other, peers in above.items():
        if code in peers:
            found |= _behind(other, above)
    return found


def sightings(world: World, digests: Collection[str] = ()) -> Iterator[Sighting]:
    """Every file in these places that shows something; ``digests`` are those of large parts."""
    for place in places(world):
        for folder, _, names in os.walk(place.path):
            for name in sorted(names):
                path = Path(folder, name)
                words = _shown(path, digests)
                if words:
                    yield Sighting(str(path), words, place.readers)


def _shown(path: Path, digests: Collection[str]) -> frozenset[str]:
    named = _BLOB.fullmatch(path.name)
    words = frozenset({named[1]} if named is not None and named[1] in digests else ())
    if path.name.startswith(LEDGER_FILE):
        return words
    try:
        return words | words_in(blocks_of(path))
    except OSError:
        # It went away, or it is no file that can be read.
        return words


def judge_leaks(drops: Iterable[Dropped], seen_now: Iterable[Sighting]) -> Iterator[Violation]:
    """Whatever lies where it is no business of anybody."""
    parties: dict[str, set[str]] = {}
    for drop in drops:
        digests = [digest for _, digest in drop.files.values()]
        for word in (word_of(drop.agency, drop.sender_ref), *digests):
            parties.setdefault(word, set()).update((drop.agency, *drop.receivers))
    for seen in seen_now:
        if seen.readers is None:
            shown = ", ".join(sorted(seen.words))
            yield Violation("I11", "", f"{seen.file} shows what only a packet holds: {shown}")
            continue
        for word in sorted(seen.words - {PERSON}):
            who = parties.get(word)
            if who is None:
                yield Violation("I5", "", f"{seen.file} holds a packet that nobody dropped: {word}")
            elif not who & seen.readers:
                told = f"{word} of {', '.join(sorted(who))}"
                where = f"a place of {', '.join(sorted(seen.readers)) or 'nobody'}"
                yield Violation("I6", "", f"{seen.file}, {where}, holds {told}")
