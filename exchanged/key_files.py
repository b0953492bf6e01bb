"""Where the private keys of a node lie, and which of them counts, for those who only look.

Guarantees: only public halves are read, also of files under a passphrase, but in ``login_seeds``. Leaves to
others: signing (``keyring``). Known limit: keys that the service manager hands over as credentials are not
seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from exchanged.config import Config, LinkTransport
from exchanged.errors import KeyFileError
from exchanged.key_credentials import passphrase_of
from exchanged.key_uses import uses_of
from exchanged.keys import load_secret, read_public_half
from packet_spec.directory import key_valid_at
from packet_spec.model import Directory, DirectoryKey, KeyUse


def key_paths(config: Config) -> dict[KeyUse, Path]:
    """Where the keys of each use of this node's role are configured; further ones lie beside them."""
    keys, folder = config.keys, config.keys.link.parent
    dials = any(link.transport is LinkTransport.SFTP for link in config.links)
    paths = {
        KeyUse.SEAL: keys.seal,
        KeyUse.LINK: keys.link,
        KeyUse.RECEIPT: keys.receipt,
        KeyUse.LOG: keys.log,
        KeyUse.ENCRYPT: keys.encrypt,
        # Login keys bear the names that their links give them; what comes next lies with the other keys.
        KeyUse.LOGIN: folder / "login.key",
    }
    uses = (use for use in uses_of(config.node.role) if dials or use is not KeyUse.LOGIN)
    return {use: paths[use] for use in uses}


def key_files_here(config: Config) -> dict[KeyUse, tuple[Path, ...]]:
    """Every key file of this node that lies there, by use; login keys are those of all its links."""
    found: dict[KeyUse, tuple[Path, ...]] = {}
    for use, path in key_paths(config).items():
        beside = sorted(path.parent.glob(f"{path.stem}-*.key"))
        logins = [link.key for link in config.links if link.key is not None] if use is KeyUse.LOGIN else []
        found[use] = tuple(each for each in dict.fromkeys((path, *logins, *beside)) if each.exists())
    return found


def key_ids_here(config: Config) -> dict[KeyUse, frozenset[str]]:
    """The ids of this node's keys by use; files that cannot be read are left out."""
    found: dict[KeyUse, frozenset[str]] = {}
    for use, paths in key_files_here(config).items():
        ids = set()
        for path in paths:
            with suppress(KeyFileError):
                ids.add(read_public_half(path).key_id)
        found[use] = frozenset(ids)
    return found


def key_in_use(
    directory: Directory, node_code: str, use: KeyUse, here: Iterable[str], moment: datetime
) -> DirectoryKey | None:
    """Which of the keys ``here`` the directory lets that node use at ``moment``: its newest valid one.

    Where none is valid, the one that ended last; None where none is listed.
    """
    node, ids = directory.node(node_code), frozenset(here)
    mine = [key for key in (() if node is None else node.keys) if use in key.uses and key.key_id in ids]
    valid = [key for key in mine if key_valid_at(key, use, moment)]
    if valid:
        return max(valid, key=lambda key: (key.not_before, key.key_id))
    return max(mine, key=lambda key: key.not_after, default=None)


def login_seeds(config: Config, directory: Directory | None, moment: datetime) -> tuple[bytes, ...]:
    """The secrets of the login keys here that ``directory`` lists as valid, the newest first.

    None where it lists none: then the configured key counts. Raises KeyFileError.
    """
    node = None if directory is None else directory.node(config.node.code)
    listed = [key for key in (() if node is None else node.keys) if key_valid_at(key, KeyUse.LOGIN, moment)]
    begins = {key.key_id: (key.not_before, key.key_id) for key in listed}
    paths = {read_public_half(path).key_id: path for path in key_files_here(config).get(KeyUse.LOGIN, ())}
    mine = sorted(begins.keys() & paths.keys(), key=lambda key_id: begins[key_id], reverse=True)
    return tuple(load_secret(paths[key_id], passphrase_of(config.keys)).export_seed() for key_id in mine)
