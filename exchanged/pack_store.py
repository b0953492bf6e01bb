"""The packs of a node: what is taken, from whomever it comes.

Guarantees: a pack is taken only if the directory in force names its digest, and is written whole before
anything uses it.

Leaves to others: how packs travel (``published``), and reading them (``packs``). Known limit: packs are never
removed; a version has about 1 MiB.
"""

from __future__ import annotations

from pathlib import Path

from exchanged.durable import DurableFiles
from exchanged.packs import pack_path, read_pack_file
from packet_spec.errors import PackError, PackUnknownError
from packet_spec.identity import sha256_hex
from packet_spec.model import Directory, PackReference
from packet_spec.pack import read_pack, shipped_pack, shipped_pack_bytes


class PackStore:
    """The packs of one node. May be asked by every thread."""

    def __init__(self, folder: Path, files: DurableFiles) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self._files = files

    def prepare(self) -> None:
        """Make the folders. Raises FileOperationError."""
        self._files.make_dir(self.folder, mode=0o750)
        self._files.make_dir(self.incoming, mode=0o770)

    def keep_shipped(self, directory: Directory) -> None:
        """Keep the pack of this program as a file where the directory names it: the next program has another.

        Raises VolumeDamagedError and NoSpaceError.
        """
        pack = shipped_pack()
        path = self._path(pack.digest)
        if directory.pack(pack.digest) is not None and not path.is_file():
            self._files.write_file(path, (shipped_pack_bytes(),), mode=0o644)

    def has(self, digest: str) -> bool:
        """The pack is here."""
        return digest == shipped_pack().digest or self._path(digest).is_file()

    def lacking(self, directory: Directory) -> tuple[str, ...]:
        """Digests of the packs that the directory names and that are not here, in its order."""
        return tuple(pack.digest for pack in directory.packs if not self.has(pack.digest))

    def read(self, digest: str) -> bytes:
        """The bytes of a pack that is here, for a neighbour. Raises FileOperationError."""
        if digest == shipped_pack().digest:
            return shipped_pack_bytes()
        return read_pack_file(self._path(digest))

    def offer(self, data: bytes, directory: Directory) -> PackReference | None:
        """Take a pack from any road; None when it is here already.

        Raises PackUnknownError when the directory does not name it, PackError when it cannot be used.
        """
        digest = sha256_hex(data)
        reference = directory.pack(digest)
        if reference is None:
            raise PackUnknownError("the directory does not name this pack", found=digest)
        pack = read_pack(data)
        if (pack.name, pack.version) != (reference.name, reference.version):
            raise PackError(
                "a pack is not what the directory calls it",
                expected=f"{reference.name} {reference.version}",
                found=f"{pack.name} {pack.version}",
            )
        if self.has(digest):
            return None
        self._files.write_file(self._path(digest), (data,), mode=0o644)
        return reference

    def _path(self, digest: str) -> Path:
        return pack_path(self.folder, digest)
