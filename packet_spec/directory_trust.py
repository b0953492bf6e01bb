"""Which directory may follow which: roots that change hands, editions that only rise (custody C24).

Guarantees: what follows is signed by the threshold of the roots in force and by the threshold of its own, so
that roots change only with the word of both, and whoever followed can be followed; its edition is higher;
an epoch comes directly after the one in force, so that nobody can use up the epochs as versions can be used
up. Before the first directory any epoch is taken: the anchor alone counts then.

Leaves to others: where directories lie and in which order they are tried (``exchanged.directory_folder``).
Known limit: whoever holds the threshold of the roots in force can sign anything, other roots included;
against that only a new anchor helps, brought to every node by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from packet_spec.directory import open_directory
from packet_spec.errors import DirectoryError
from packet_spec.model import NO_EDITION, Directory, Edition, RootKey


@dataclass(frozen=True, slots=True)
class RootsInForce:
    """The roots that count, how many of them must sign, and the edition that said so.

    Of an anchor, before any directory, the edition is ``NO_EDITION``.
    """

    roots: tuple[RootKey, ...]
    threshold: int
    edition: Edition = NO_EDITION

    @classmethod
    def of(cls, directory: Directory) -> RootsInForce:
        """What a directory that is in force says of the next one."""
        return cls(directory.roots, directory.threshold, directory.edition)


class NotNewerError(DirectoryError):
    """A directory that is signed well, but is not newer than the one in force: never taken."""

    reference = "directory-not-newer"
    hint = "nothing is to be done; to begin anew after a version that went too far, see docs/operating.md"


class EpochSkippedError(DirectoryError):
    """A directory of a later epoch than the next: the one that begins the next epoch comes first."""

    reference = "directory-epoch-skipped"
    hint = "install first the directory that begins the epoch before it: exchangectl directory install FILE"


def open_successor(data: bytes, force: RootsInForce) -> Directory:
    """The directory in a signed file, if it may follow what is in force.

    Raises NotNewerError, EpochSkippedError, and as ``open_directory``.
    """
    directory = open_directory(data, force.roots, force.threshold)
    if directory.edition <= force.edition:
        raise NotNewerError(
            "the directory is not newer than the one in force",
            expected=f"above {force.edition}",
            found=str(directory.edition),
        )
    if force.edition != NO_EDITION and directory.epoch > force.edition.epoch + 1:
        raise EpochSkippedError(
            "an epoch was left out",
            expected=f"epoch {force.edition.epoch} or {force.edition.epoch + 1}",
            found=f"epoch {directory.epoch}",
        )
    return directory


def is_root_change(force: RootsInForce, directory: Directory) -> bool:
    """Whoever missed this directory cannot follow later ones: roots, threshold or epoch are others."""
    return (
        set(directory.roots) != set(force.roots)
        or directory.threshold != force.threshold
        or (force.edition != NO_EDITION and directory.epoch != force.edition.epoch)
    )


def roots_fingerprint(roots: Sequence[RootKey], threshold: int) -> str:
    """64 hexadecimal digits that stand for roots and threshold, to be compared by another road."""
    keys = sorted(f"{root.suite}:{root.public.hex()}" for root in roots)
    lines = ["exchanged-roots-1", str(threshold), *keys]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
