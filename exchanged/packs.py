"""The packs that lie on this machine: versions of the exchange standard, each a file named by its SHA-256.

Guarantees: a pack is read and proved once in each process; the pack that the program carries is always here.
Runs anywhere, worker processes and a vendor's desk included.

Leaves to others: which pack counts for which packet (``packet_spec.pack_choice``), and taking new packs
(``pack_store``).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from exchanged.errors import FileOperationError
from packet_spec.errors import PackError
from packet_spec.limits import PACK_BYTES
from packet_spec.pack import Pack, read_pack, shipped_pack
from packet_spec.pack_choice import find_shipped


def pack_path(folder: Path, digest: str) -> Path:
    """Where the pack of that digest lies."""
    return folder / f"{digest}.pack"


@lru_cache(maxsize=16)
def find_pack(folder: Path, digest: str) -> Pack:
    """The pack of that digest, read and proved by it, once in each process.

    Raises PackUnknownError when it is not here, PackError when the file is not what its name says.
    """
    path = pack_path(folder, digest)
    if digest == shipped_pack().digest or not path.is_file():
        return find_shipped(digest)
    pack = read_pack(read_pack_file(path))
    if pack.digest != digest:
        raise PackError("a pack is not what its name says", where=path.name, found=pack.digest)
    return pack


def read_pack_file(path: Path) -> bytes:
    """The bytes of a file that should be a pack, one more than allowed at most. Raises FileOperationError."""
    try:
        with path.open("rb") as file:
            return file.read(PACK_BYTES + 1)
    except OSError as error:
        found = error.strerror or ""
        raise FileOperationError("a pack cannot be read", where=path.name, found=found) from error
