"""Which signed directories a proof needs, of all that a node ever took (docs/proof-format.md, directories).

Guarantees: those in force at the moments of the statements, the newest, those that tell of a revocation of
their keys, and every change of roots between: a chain that a verifier can walk. Whole files are taken: an
extract would need a signature of its own by the roots, who are offline. Signature lines that nobody in the
chain can verify are left out; what was signed stands before them and stays as it is.

Known limit: directories from before the anchor of this node's configuration are not reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exchanged.directory_folder import STEPS, directory_files, read_directory_file
from packet_spec.directory import find_key_owner
from packet_spec.directory_trust import RootsInForce, is_root_change, open_successor
from packet_spec.errors import ExchangeError
from packet_spec.model import Directory
from packet_spec.signing import encode_signature, split_signed


@dataclass(frozen=True, slots=True)
class Kept:
    """One directory that counted at this node. ``is_step``: it changed roots, threshold or epoch."""

    directory: Directory
    data: bytes
    is_step: bool


def kept_directories(folder: Path, anchor: RootsInForce) -> tuple[Kept, ...]:
    """Every directory that follows from the anchor, the oldest first. Raises OSError."""
    files = directory_files(folder) | directory_files(folder / STEPS)
    roots, found = anchor, []
    for edition in sorted(files):
        data = read_directory_file(files[edition])
        try:
            directory = open_successor(data, roots)
        except ExchangeError:
            # It does not count here, so it proves nothing: the same rule as at the node itself.
            continue
        found.append(Kept(directory, data, is_root_change(roots, directory)))
        roots = RootsInForce.of(directory)
    return tuple(found)


def choose(kept: Sequence[Kept], moments: Iterable[datetime], key_ids: Iterable[str]) -> tuple[bytes, ...]:
    """The files for statements of these moments by these keys, as a proof holds them."""
    if not kept:
        return ()
    wanted = {len(kept) - 1}
    for moment in moments:
        before = [number for number, each in enumerate(kept) if each.directory.issued_at <= moment]
        wanted.add(before[-1] if before else 0)
    for key_id in key_ids:
        wanted.update(_revoking(kept, key_id))
    first = min(wanted)
    wanted.update(number for number, each in enumerate(kept) if each.is_step and number > first)
    chosen = [kept[number] for number in sorted(wanted)]
    before_them = [chosen[0], *chosen]
    return tuple(_trimmed(each, before) for before, each in zip(before_them, chosen, strict=False))


def _revoking(kept: Sequence[Kept], key_id: str) -> list[int]:
    """The last directory that tells when the key was revoked."""
    for number in reversed(range(len(kept))):
        owner = find_key_owner(kept[number].directory, key_id)
        if owner is not None:
            return [number] if owner[1].revoked_at is not None else []
    return []


def _trimmed(kept: Kept, before: Kept) -> bytes:
    document, signatures = split_signed(kept.data)
    roots = {root.key_id for root in (*before.directory.roots, *kept.directory.roots)}
    lines = (encode_signature(each)[:-1] for each in signatures if each.key_id in roots)
    return document + b"".join(b"<!--exchanged-signature " + line + b"-->\n" for line in lines)
