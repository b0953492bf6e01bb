"""What a province publishes to its nodes over every link: the directory, and the packs that it names (C24).

Guarantees: both are read before the batches and whoever carries them; a directory proves itself by its root
signatures, a pack by the digest that the directory names. A node says in each waybill which packs it lacks,
and its neighbours put what they have into the mailbox until it no longer says so. What was refused is read
again under another directory, when another file lies there, and now and then in any case: what is good may
have been read wrongly. Whoever lays ever other files there is read sixteen directories at a look, and ever
more rarely (``vain_reading``).

Leaves to others: what is in force (``trust``, ``packet_spec.pack_choice``); putting again what the neighbour
lacks still (``untaken``).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exchanged.decisions import DIRECTORY_BEHIND
from exchanged.errors import TransportFileError
from exchanged.ledger import Transaction, batches, key_offers, releasing
from exchanged.link_context import LinkContext
from exchanged.mailbox import classify, directory_name, pack_name
from exchanged.sources import BytesSource, FileSource
from exchanged.transport import MailboxFile, Source
from exchanged.untaken import FIRST_SECONDS, LAST_SECONDS
from exchanged.vain_reading import VainReading
from packet_spec.directory_trust import roots_fingerprint
from packet_spec.errors import (
    ExchangeError,
    FormatError,
    IssuerDisabledError,
    PackUnknownError,
    SignatureError,
    VersionError,
)
from packet_spec.limits import DIRECTORY_BYTES, PACK_BYTES
from packet_spec.model import Directory, Edition, PackReference

PACKS_LACKED: Final = "packs-lacked"
"""What is remembered of a neighbour: the digests that its last waybill asked for."""

DIRECTORIES_A_STEP: Final = 16
"""Directories read in one look: a flood of them by one neighbour must not hold up its batches."""

# Why an item may be held that a newer directory can settle.
HELD_FOR_DIRECTORY: Final = (
    "unknown-key",
    "revoked-since",
    IssuerDisabledError.reference,
    "directory-expired",
    "no-directory",
    "no-route",
    "routing-loop",
    DIRECTORY_BEHIND,
    PackUnknownError.reference,
)

Complain = Callable[[str, ExchangeError], None]
Refuse = Callable[[MailboxFile, ExchangeError], None]


@dataclass(frozen=True, slots=True)
class _Refused:
    """A file as it was listed, the directory in force when it was refused, and until when that stands."""

    file: MailboxFile
    edition: Edition
    until: float
    wait: float


class PublishedLanding:
    """Takes what the neighbour of one link publishes. ``complain`` tells of a file that is no such thing."""

    def __init__(self, link: LinkContext, complain: Complain) -> None:
        self._link = link
        self._complain = complain
        # Apart from other files: a newer directory is what makes those good.
        self._vain = VainReading(link.clock)
        self._refused: dict[str, _Refused] = {}

    def forget_absent(self, files: Container[str]) -> None:
        """What is remembered is bounded by the files that lie there."""
        self._refused = {name: known for name, known in self._refused.items() if name in files}

    def land(self, files: Mapping[str, MailboxFile]) -> None:
        """Take newer directories, then the packs that are named and not here. ``files`` by their names."""
        if self._vain.rests():
            return
        self._land_directories(files)
        for name in sorted(self._wanted_packs() & files.keys()):
            if not self._is_refused(files[name]):
                self._take(files[name], PACK_BYTES, self._take_pack, self._refuse)

    def _land_directories(self, files: Mapping[str, MailboxFile]) -> None:
        """In the order of their editions: one that changes roots is what the next can be proved by.

        Of those that do not prove themselves only the ones still newer in the end are told of: a node whose
        anchor is younger than an old root change cannot follow that one, and need not.
        """
        current = self._link.trust.edition
        newer = sorted(
            (known.edition, name)
            for name in files
            if (known := classify(name)) is not None
            and known.edition > current
            and not self._is_refused(files[name])
        )
        failed: dict[MailboxFile, ExchangeError] = {}
        for _edition, name in newer[:DIRECTORIES_A_STEP]:
            self._take(files[name], DIRECTORY_BYTES, self._take_directory, failed.__setitem__)
        for file, error in failed.items():
            known = classify(file.name)
            if known is not None and known.edition > self._link.trust.edition:
                self._refuse(file, error)

    def _is_refused(self, file: MailboxFile) -> bool:
        """This very file was, for the directory in force, and not too long ago."""
        known = self._refused.get(file.name)
        if known is None or (known.file, known.edition) != (file, self._link.trust.edition):
            return False
        return self._link.clock.monotonic() < known.until

    def _refuse(self, file: MailboxFile, error: ExchangeError) -> None:
        known, edition = self._refused.get(file.name), self._link.trust.edition
        wait = FIRST_SECONDS
        if known is not None and (known.file, known.edition) == (file, edition):
            wait = min(2 * known.wait, LAST_SECONDS)
        self._refused[file.name] = _Refused(file, edition, self._link.clock.monotonic() + wait, wait)
        self._complain(file.name, error)

    def _wanted_packs(self) -> set[str]:
        return {pack_name(digest) for digest in lacked_here(self._link)}

    def _take(
        self, file: MailboxFile, limit_bytes: int, take: Callable[[str, bytes], None], refuse: Refuse
    ) -> None:
        if file.size > limit_bytes:
            refuse(file, TransportFileError("a published file is too large"))
            return
        # Not where a person puts such files: those are looked at the moment they appear.
        path = self._link.spool.new_path("published")
        try:
            self._link.transport.fetch(file.name, path, limit_bytes=limit_bytes)
            take(file.name, path.read_bytes())
            self._vain.note_good()
        except TransportFileError as error:
            # It may be whole at the next look, and others wait for it.
            self._complain(file.name, error)
        except (FormatError, SignatureError, VersionError, PackUnknownError) as error:
            self._vain.note()
            refuse(file, error)
        finally:
            self._link.files.unlink(path)

    def _take_directory(self, name: str, data: bytes) -> None:
        trust = self._link.trust
        if not trust.offer(data):
            # Else it would be fetched again at every look.
            raise FormatError("a file's name promises a newer directory than it holds", found=name)
        self._refused.clear()
        self._link.packs.keep_shipped(trust.directory)
        note = partial(take_note_of_directory, directory=trust.directory, road=self._link.name)
        self._link.ledger.write(note)

    def _take_pack(self, _name: str, data: bytes) -> None:
        taken = self._link.packs.offer(data, self._link.trust.directory)
        if taken is not None:
            self._link.ledger.write(partial(take_note_of_pack, pack=taken, road=self._link.name))


def lacked_here(link: LinkContext) -> tuple[str, ...]:
    """What the next waybill asks the neighbour for."""
    return link.packs.lacking(link.trust.directory) if link.trust.version else ()


def published_for(link: LinkContext) -> dict[str, str | Path]:
    """Name -> what should lie in the mailbox for the neighbour: the file of a directory, a pack's digest.

    A neighbour that is behind gets every root change that it missed before the newest directory.
    """
    connection, trust = link.ledger.read(), link.trust
    wanted: dict[str, str | Path] = {}
    if batches.recall(connection, link.name, batches.DIRECTORY_VERSION) is not None:
        known = batches.neighbour_directory(connection, link.name)
        wanted |= {directory_name(each): path for each, path in trust.offered_to(known).items()}
    if trust.version:
        asked = (batches.recall(connection, link.name, PACKS_LACKED) or "").split()
        wanted |= {
            pack_name(pack.digest): pack.digest
            for pack in trust.directory.packs
            if pack.digest in asked and link.packs.has(pack.digest)
        }
    return wanted


def published_source(link: LinkContext, what: str | Path) -> Source:
    """The bytes of what ``published_for`` names."""
    if isinstance(what, Path):
        return FileSource(what, what.stat().st_size)
    return BytesSource(link.packs.read(what))


def take_note_of_directory(transaction: Transaction, directory: Directory, road: str) -> None:
    """A newer directory is in force: what was held for it is judged again, offers against it are dropped."""
    roots = roots_fingerprint(directory.roots, directory.threshold)
    detail: dict[str, str | int | float | bool | list[str] | None] = {
        "version": directory.version, "road": road, "roots": roots,
    }  # fmt: skip
    if directory.epoch != 1:
        detail["epoch"] = directory.epoch
    transaction.event("directory-taken", detail=detail)
    key_offers.drop_bad(transaction, directory)
    releasing.mark(transaction, HELD_FOR_DIRECTORY)
    # A pack that was put in by hand may wait for this directory.
    for station in ("judge", "intake", "directory", "keys"):
        transaction.wake(station)


def take_note_of_pack(transaction: Transaction, pack: PackReference, road: str) -> None:
    """A version of the standard is here now: what was held for it is judged again."""
    detail = {"name": pack.name, "version": pack.version, "digest": pack.digest, "road": road}
    transaction.event("pack-taken", detail=detail)
    releasing.mark(transaction, (PackUnknownError.reference,))
    for station in ("judge", "intake"):
        transaction.wake(station)
