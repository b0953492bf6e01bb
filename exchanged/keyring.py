"""The private keys of one node: which of several is used now, and those that are to come next.

Guarantees: at the moment of signing that key is used which the directory in force lists for this node and
use, valid then and not revoked, with the latest ``not_before``. So a change that the directory schedules
takes effect at its time, without a restart or any step here. Before the directory lists the configured key
it is used all the same: others hold what it signs until they know it. A listed key whose time is over is
never used.

Files: the configured one (``seal.key``), and beside it ``seal-<key id>.key``. New ones are made here when the
directory asks for it or a key nears its end, and are durable before anybody is told of them. The folders must
be closed to others, or the node does not start.

Leaves to others: offering new keys (``key_desk``), opening what is encrypted (``decryption_keys``). May be
asked by every thread. Known limit: files of keys that ended stay until a person removes them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from exchanged.clock import Randomness
from exchanged.config import Config, LinkTransport
from exchanged.errors import NoKeyInForceError
from exchanged.key_credentials import configured_secret, is_there, passphrase_of
from exchanged.key_files import key_paths
from exchanged.key_uses import KEY_KINDS, Secret
from exchanged.keys import check_key_folder, generate_beside, load_secret
from exchanged.trust import Trust
from packet_spec.directory import key_valid_at
from packet_spec.model import DirectoryKey, KeyUse
from packet_spec.signing import PrivateKey
from packet_spec.suites import is_signing_suite

KeyAt: TypeAlias = Callable[[datetime], PrivateKey]
"""Gives the key that signs at a moment. Raises NoKeyInForceError."""

LEAD: Final = timedelta(days=60)
"""So long before its newest key of a use ends a node offers another: time for a ceremony of the roots."""
# OpenSSH ends a connection after so many wrong keys (systemd/sshd_config, MaxAuthTries).
_LOGIN_TRIES: Final = 3


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
        self._login_paths = {
            link.name: link.key
            for link in config.links
            if link.transport is LinkTransport.SFTP and link.key is not None
        }
        self._guard = threading.Lock()
        self._files: set[tuple[KeyUse, Path]] = set()
        self._held: dict[KeyUse, dict[str, Secret]] = {}
        self._configured: dict[KeyUse, Secret] = {}
        self._login_of: dict[str, Secret] = {}
        self.passphrase: bytes | None = None

    def load(self) -> None:
        """Read every key file. Raises KeyFileError, naming file and fix."""
        self.passphrase = passphrase_of(self._keys)
        self.refresh()
        for use, path in self._paths.items():
            is_listed = any(key_id in self._listed(use) for key_id in self._held[use])
            # The configured file may have been taken away, once another key was in the directory.
            if use is not KeyUse.LOGIN and (is_there(path) or (KEY_KINDS[use].is_required and not is_listed)):
                self._configured[use] = configured_secret(path, self.passphrase)
                self._keep(use, self._configured[use])
            if self._held[use]:
                check_key_folder(path.parent)
        for name, path in self._login_paths.items():
            self._login_of[name] = configured_secret(path, self.passphrase)
            self._keep(KeyUse.LOGIN, self._login_of[name])

    def refresh(self) -> None:
        """Read key files that were laid beside the configured ones since. Raises KeyFileError."""
        with self._guard:
            for use, path in self._paths.items():
                self._held.setdefault(use, {})
                for file in sorted(path.parent.glob(f"{path.stem}-*.key")):
                    # For each use: two may be configured as one file.
                    if (use, file) not in self._files:
                        secret = load_secret(file, self.passphrase)
                        # `link-city.key` may be the login key of a link: offered as another, nobody takes it.
                        if _fits(use, secret):
                            self._keep(use, secret)
                        self._files.add((use, file))

    # --- asking --------------------------------------------------------------------------------

    def has(self, use: KeyUse) -> bool:
        """Whether this node holds any key of that use: a bridge has none for receipts."""
        return bool(self._held.get(use))

    def key_ids(self, moment: datetime) -> tuple[str, ...]:
        """The ids of the keys that are used at ``moment``, and of configured ones that have ended."""
        found = []
        for use in self._paths:
            try:
                found.append(self.in_force(use, moment).key_id)
            except NoKeyInForceError:
                found += [each.key_id for each in (self._configured.get(use),) if each is not None]
        return tuple(found)

    def signer(self, use: KeyUse) -> KeyAt:
        """Gives the key for ``use`` at any moment."""
        return lambda moment: self.in_force(use, moment).signing()

    def in_force(self, use: KeyUse, moment: datetime) -> Secret:
        """The key of ``use`` that counts at ``moment``. Raises NoKeyInForceError when none of ours does."""
        held = self._held.get(use, {})
        if valid := self._valid(use, moment):
            return held[valid[-1].key_id]
        listed, configured = self._listed(use), self._configured.get(use)
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

        What the directory lists and is valid, the newest before the older; then the configured one, unless
        the directory lists it as ended. Where nothing is left, the configured one: the server decides.
        """
        held, listed = self._held.get(KeyUse.LOGIN, {}), self._listed(KeyUse.LOGIN)
        found = [held[key.key_id] for key in reversed(self._valid(KeyUse.LOGIN, moment))]
        configured = self._login_of.get(link)
        if configured is not None and (configured.key_id not in listed or not found):
            found.append(configured)
        unique = {secret.key_id: secret for secret in found}
        return tuple(secret.export_seed() for secret in unique.values())[:_LOGIN_TRIES]

    # --- what comes next -----------------------------------------------------------------------

    def due(self, moment: datetime) -> tuple[KeyUse, ...]:
        """The uses for which the directory needs a further key of this node; unlisted ones not counted.

        The newest one that lies here began before the directory asked for others, or ends within ``LEAD``,
        or none is left: all are revoked, or their files are lost.
        """
        node = self._trust.directory.node(self._node) if self._trust.version else None
        if node is None:
            return ()
        found = []
        for use in self._paths:
            listed = self._listed(use)
            if not self.has(use):
                continue
            held = self._held[use]
            usable = (key for key in listed.values() if key.revoked_at is None and key.key_id in held)
            newest = max(usable, key=_by_beginning, default=None)
            is_old = (
                newest is None
                or newest.not_after - moment < LEAD
                or (node.renew_keys is not None and newest.not_before < node.renew_keys)
            )
            # An unlisted configured key was enrolled by hand, and its directory is on its way.
            is_enrolled = not listed or any(key.key_id not in listed for key in self._used_unlisted(use))
            if is_old and (newest is not None or node.renew_keys is not None or not is_enrolled):
                found.append(use)
        return tuple(found)

    def unlisted(self) -> frozenset[str]:
        """The ids of the keys here that no directory lists."""
        held = {key_id for keys in self._held.values() for key_id in keys}
        return frozenset(key_id for key_id in held if self._trust.key(key_id) is None)

    def offered(
        self, moment: datetime, not_these: frozenset[str] = frozenset()
    ) -> tuple[tuple[KeyUse, Secret], ...]:
        """For every use that is ``due`` one key that no directory lists; it is made where none is here yet.

        None whose id is in ``not_these``. Raises KeyFileError, and what ``DurableFiles.write_new`` raises.
        """
        found: dict[KeyUse, Secret] = {}
        for use in self.due(moment):
            found[use] = self._spare(use, not_these | {secret.key_id for secret in found.values()})
        return tuple(found.items())

    def _spare(self, use: KeyUse, taken: frozenset[str]) -> Secret:
        """One that is none of ``taken``, which are offered for other uses or for none."""
        not_these = taken | {secret.key_id for secret in self._used_unlisted(use)}
        with self._guard:
            for key_id in sorted(self._held[use]):
                if key_id not in not_these and self._trust.key(key_id) is None:
                    return self._held[use][key_id]
            secret = generate_beside(
                self._paths[use], self._randomness, KEY_KINDS[use].suite, self.passphrase
            )
            self._keep(use, secret)
            return secret

    def _used_unlisted(self, use: KeyUse) -> Iterable[Secret]:
        return self._login_of.values() if use is KeyUse.LOGIN else filter(None, (self._configured.get(use),))

    def _keep(self, use: KeyUse, secret: Secret) -> None:
        """Replaced as a whole, so that readers need no lock."""
        self._held = {**self._held, use: {**self._held.get(use, {}), secret.key_id: secret}}

    def _valid(self, use: KeyUse, moment: datetime) -> list[DirectoryKey]:
        """Those of ours that count at ``moment``, the newest last."""
        held = self._held.get(use, {})
        keys = self._listed(use).values()
        return sorted(
            (key for key in keys if key.key_id in held and key_valid_at(key, use, moment)), key=_by_beginning
        )

    def _listed(self, use: KeyUse) -> dict[str, DirectoryKey]:
        node = self._trust.directory.node(self._node) if self._trust.version else None
        return {key.key_id: key for key in (() if node is None else node.keys) if use in key.uses}


def _fits(use: KeyUse, secret: Secret) -> bool:
    made = KEY_KINDS[use].suite
    return secret.suite == made or (is_signing_suite(secret.suite) and is_signing_suite(made))


def _by_beginning(key: DirectoryKey) -> tuple[datetime, str]:
    return (key.not_before, key.key_id)
