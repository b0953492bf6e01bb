"""The private keys of one node: which of several is used now, and the spares that are to come next.

Guarantees: at the moment of signing that key is used which the directory in force lists for this node and use,
valid then and not revoked, with the latest ``not_before``. So a change that the directory schedules takes
effect at its time, without a restart or any step here. Before the directory lists the configured key it is used
all the same: others hold what it signs until they know it. A listed key whose time is over is never used.

Files: the configured one (``seal.key``), and beside it ``seal-<key id>.key``, read at start; spares are made here, and
are durable before anybody is told of them. The folders must be closed to others, or the node does not start.

Leaves to others: telling the province of spares (``key_desk``), removing what has ended (``key_retiring``), opening
what is encrypted. May be asked by every thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from exchanged.clock import Randomness
from exchanged.config import Config, LinkTransport
from exchanged.errors import NoKeyInForceError
from exchanged.key_credentials import configured_secret, is_there, passphrase_of
from exchanged.key_uses import KEY_KINDS, Secret, uses_of
from exchanged.keys import check_key_folder, generate_secret, load_secret
from exchanged.trust import Trust
from packet_spec.directory import key_valid_at
from packet_spec.model import DirectoryKey, KeyUse
from packet_spec.signing import PrivateKey

KeyAt: TypeAlias = Callable[[datetime], PrivateKey]
"""Gives the key that signs at a moment. Raises NoKeyInForceError."""

# OpenSSH ends a connection after so many wrong keys (systemd/sshd_config, MaxAuthTries).
LOGIN_TRIES: Final = 3


def always(key: PrivateKey) -> KeyAt:
    """One key for ever."""
    return lambda _moment: key


class Keyring:
    """The keys of the node of ``config``. ``load`` comes first."""

    def __init__(self, config: Config, trust: Trust, randomness: Randomness) -> None:
        self._node = config.node.code
        self._keys = config.keys
        self._trust = trust
        self._randomness = randomness
        self._paths = key_paths(config)
        self._logins = {
            link.name: link.key
            for link in config.links
            if link.transport is LinkTransport.SFTP and link.key is not None
        }
        self._passphrase: bytes | None = None
        self._guard = threading.Lock()
        self._held: dict[KeyUse, dict[str, Secret]] = {}
        self._configured: dict[KeyUse, Secret] = {}
        self._login_of: dict[str, Secret] = {}

    # --- opening -------------------------------------------------------------------------------

    def load(self) -> None:
        """Read every key file. Raises KeyFileError, naming file and fix."""
        self._passphrase = passphrase_of(self._keys)
        held: dict[KeyUse, dict[str, Secret]] = {}
        for use, path in self._paths.items():
            found = self._load_use(use, path)
            held[use] = {secret.key_id: secret for secret in found}
        for name, path in self._logins.items():
            self._login_of[name] = configured_secret(path, self._passphrase)
            held[KeyUse.LOGIN].setdefault(self._login_of[name].key_id, self._login_of[name])
        self._held = held

    def _load_use(self, use: KeyUse, path: Path) -> list[Secret]:
        others = sorted(path.parent.glob(f"{path.stem}-*.key"))
        if others or is_there(path):
            check_key_folder(path.parent)
        found = [load_secret(each, self._passphrase) for each in others]
        is_listed = any(secret.key_id in self._listed(use) for secret in found)
        # The configured file may have been retired, once another key was in the directory.
        if is_there(path) or (KEY_KINDS[use].is_required and not is_listed):
            self._configured[use] = configured_secret(path, self._passphrase)
            found.append(self._configured[use])
        return found

    # --- asking --------------------------------------------------------------------------------

    @property
    def uses(self) -> tuple[KeyUse, ...]:
        """The uses of which this node may hold keys."""
        return tuple(self._paths)

    def has(self, use: KeyUse) -> bool:
        """Whether this node holds any key of that use: a bridge has none for receipts."""
        return bool(self._held.get(use))

    def held(self, use: KeyUse) -> tuple[Secret, ...]:
        """Every key of that use that lies here, in no order."""
        return tuple(self._held.get(use, {}).values())

    def key_ids(self) -> frozenset[str]:
        """The ids of all keys here."""
        return frozenset(key_id for secrets in self._held.values() for key_id in secrets)

    def signer(self, use: KeyUse) -> KeyAt:
        """Gives the key for ``use`` at any moment."""
        return lambda moment: self.signing(use, moment)

    def signing(self, use: KeyUse, moment: datetime) -> PrivateKey:
        """The key that signs for ``use`` at ``moment``. Raises NoKeyInForceError."""
        return self.in_force(use, moment).signing()

    def in_force(self, use: KeyUse, moment: datetime) -> Secret:
        """The key of ``use`` that counts at ``moment``. Raises NoKeyInForceError when none of ours does."""
        listed, held = self._listed(use), self._held.get(use, {})
        valid = sorted(
            (key for key in listed.values() if key.key_id in held and key_valid_at(key, use, moment)),
            key=_by_beginning,
        )
        if valid:
            return held[valid[-1].key_id]
        configured = self._configured.get(use)
        if configured is not None and configured.key_id not in listed:
            return configured
        raise NoKeyInForceError(
            "the directory lists no key of this node that counts now and lies here",
            where=f"node {self._node}, use {use}",
            expected=", ".join(sorted(listed)),
            found=", ".join(sorted(held)),
        )

    def logins(self, link: str, moment: datetime) -> tuple[bytes, ...]:
        """The seeds of the keys to log in with over the link of that name, the first to be tried first.

        First what the directory lists and is valid, the newest before the older; then the configured one, unless
        the directory lists it as ended. Where nothing is left, the configured one: the server decides.
        """
        listed, held = self._listed(KeyUse.LOGIN), self._held.get(KeyUse.LOGIN, {})
        valid = sorted(
            (key for key in listed.values() if key.key_id in held and key_valid_at(key, KeyUse.LOGIN, moment)),
            key=_by_beginning,
            reverse=True,
        )
        found = [held[key.key_id] for key in valid]
        configured = self._login_of.get(link)
        if configured is not None and (configured.key_id not in listed or not found):
            found.append(configured)
        return tuple(secret.export_seed() for secret in _unique(found))[:LOGIN_TRIES]

    # --- spares --------------------------------------------------------------------------------

    def spares(self, moment: datetime) -> Mapping[KeyUse, tuple[Secret, ...]]:
        """For each use the keys here that are yet to come: not listed, and not what is used now."""
        return {use: tuple(self._spares(use, moment)) for use in self._paths}

    def unlisted(self, moment: datetime) -> Mapping[KeyUse, tuple[Secret, ...]]:
        """For each use the keys that are used now although the directory does not list them."""
        found = {}
        for use in self._paths:
            listed = self._listed(use)
            used = self._login_of.values() if use is KeyUse.LOGIN else filter(None, (self._configured.get(use),))
            found[use] = tuple(_unique(secret for secret in used if secret.key_id not in listed))
        return found

    def make_spares(self, moment: datetime) -> int:
        """Make what is missing, so that of every use one key is yet to come. How many were made.

        Raises KeyFileError, and what ``DurableFiles.write_new`` raises.
        """
        made = 0
        for use, path in self._paths.items():
            if any(self._spares(use, moment)) or any(self._scheduled(use, moment)):
                continue
            self._make_spare(use, path)
            made += 1
        return made

    def next_beginning(self, moment: datetime) -> datetime | None:
        """When the next key of ours begins that the directory schedules: then new spares are due."""
        return min((key.not_before for use in self._paths for key in self._scheduled(use, moment)), default=None)

    def _make_spare(self, use: KeyUse, path: Path) -> None:
        with self._guard:
            growing = path.with_name(f"{path.stem}.next")
            # Its name is known when it is made; under the first one it is nobody's key.
            secret = generate_secret_named(growing, self._randomness, use, self._passphrase)
            self._held = {**self._held, use: {**self._held.get(use, {}), secret.key_id: secret}}

    def _spares(self, use: KeyUse, moment: datetime) -> Iterator[Secret]:
        listed = self._listed(use)
        used = {secret.key_id for secret in self.unlisted(moment)[use]}
        for key_id, secret in self._held.get(use, {}).items():
            if key_id not in listed and key_id not in used:
                yield secret

    def _scheduled(self, use: KeyUse, moment: datetime) -> Iterator[DirectoryKey]:
        held = self._held.get(use, {})
        for key in self._listed(use).values():
            if key.key_id in held and key.not_before > moment and key.revoked_at is None:
                yield key

    def _listed(self, use: KeyUse) -> dict[str, DirectoryKey]:
        node = self._trust.directory.node(self._node) if self._trust.version else None
        return {key.key_id: key for key in (() if node is None else node.keys) if use in key.uses}


def generate_secret_named(path: Path, randomness: Randomness, use: KeyUse, passphrase: bytes | None) -> Secret:
    """A new key of ``use`` beside ``path``, in a file that bears its key id."""
    raise NotImplementedError


def key_paths(config: Config) -> dict[KeyUse, Path]:
    """Where the keys of each use of this node's role are configured; spares lie beside them."""
    configured = config.key_files()
    folder = config.keys.link.parent
    paths = {use: configured.get(use, folder / f"{use}.key") for use in uses_of(config.node.role)}
    dialled = [link.key for link in config.links if link.transport is LinkTransport.SFTP and link.key is not None]
    if dialled:
        # Login keys bear the names that their links give them; what comes next lies where the other keys lie.
        paths[KeyUse.LOGIN] = folder / "login.key"
    else:
        paths.pop(KeyUse.LOGIN, None)
    return paths


def _by_beginning(key: DirectoryKey) -> tuple[datetime, str]:
    return (key.not_before, key.key_id)


def _unique(secrets: Iterable[Secret]) -> list[Secret]:
    return list({secret.key_id: secret for secret in secrets}.values())
