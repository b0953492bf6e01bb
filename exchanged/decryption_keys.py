"""The private keys that parts are encrypted to: those that a front-end holds, by key id.

Guarantees: a key file that was put in place while the node runs is found when a packet asks for it; nobody is
restarted for a new key. Old keys stay usable as long as their files lie there: what was encrypted to them may
still be on its way.

Leaves to others: making and reading key files (``keys``), and which keys the directory lists.
Known limit: a removed file is forgotten at the next start only.
"""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

from exchanged.key_credentials import credential
from exchanged.keys import load_encryption_key
from packet_spec.directory import key_valid_at
from packet_spec.encryption import DecryptionKey
from packet_spec.model import Directory, KeyUse


class DecryptionKeys:
    """The keys in ``path`` (``encrypt.key``) and beside it (``encrypt-*.key``), for every thread.

    That in ``path`` may be a credential of the service manager instead, which counts before the file.
    """

    def __init__(self, path: Path, passphrase: bytes | None = None) -> None:
        self._path = path
        self._passphrase = passphrase
        self._guard = threading.Lock()
        self._keys: dict[Path, DecryptionKey] = {}

    def load(self) -> None:
        """Read key files that are not known yet; that there are none is no error. Raises KeyFileError."""
        with self._guard:
            others = self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}")
            given = credential(self._path.name)
            for path in (given or self._path, *sorted(others)):
                if path not in self._keys and path.exists():
                    is_given = path == given
                    self._keys[path] = load_encryption_key(path, self._passphrase, is_credential=is_given)

    def find(self, key_id: str) -> DecryptionKey | None:
        """The private key of that id. Raises KeyFileError when a new key file cannot be used."""
        found = self._known(key_id)
        if found is None:
            self.load()
            found = self._known(key_id)
        return found

    def own(self, directory: Directory, node: str, moment: datetime) -> DecryptionKey | None:
        """The newest key of this node that counts at ``moment`` and is here, for what the node keeps.

        Raises KeyFileError when a new key file cannot be used.
        """
        listed = directory.node(node)
        keys = () if listed is None else listed.keys
        valid = [key for key in keys if key_valid_at(key, KeyUse.ENCRYPT, moment)]
        for key in sorted(valid, key=lambda key: key.not_before, reverse=True):
            found = self.find(key.key_id)
            if found is not None:
                return found
        return None

    def _known(self, key_id: str) -> DecryptionKey | None:
        return next((key for key in tuple(self._keys.values()) if key.key_id == key_id), None)
