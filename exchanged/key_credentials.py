"""What the service manager hands to a node beside its files: a passphrase, or keys (systemd credentials).

Guarantees: a credential counts before the file of the same name, and nothing else of the environment is
looked at. Names: ``passphrase``, and that of a configured key file (``seal.key``, ``link.key``, ``login``
...). Known limit: a command that a person starts is not given them; it then knows a key by its file alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from exchanged.config_values import KeysConfig
from exchanged.key_uses import Secret
from exchanged.keys import load_secret, read_passphrase

_CREDENTIAL: Final = "passphrase"
_FOLDER: Final = "CREDENTIALS_DIRECTORY"


def credential(name: str) -> Path | None:
    """The credential of that name, if the service manager gave one."""
    folder = os.environ.get(_FOLDER)
    path = Path(folder) / name if folder else None
    return path if path is not None and path.is_file() else None


def passphrase_of(keys: KeysConfig) -> bytes | None:
    """The passphrase of this node's key files: the credential, else [keys] passphrase_file, else none.

    Raises KeyFileError.
    """
    given = credential(_CREDENTIAL)
    if given is not None:
        return read_passphrase(given, is_credential=True)
    return None if keys.passphrase_file is None else read_passphrase(keys.passphrase_file)


def configured_secret(path: Path, passphrase: bytes | None) -> Secret:
    """The key configured as ``path``: the credential of its name, else the file. Raises KeyFileError."""
    given = credential(path.name)
    if given is not None:
        return load_secret(given, passphrase, is_credential=True)
    return load_secret(path, passphrase)


def is_there(path: Path) -> bool:
    """Whether a key is configured as ``path``, in a file or as a credential."""
    return credential(path.name) is not None or os.path.lexists(path)
