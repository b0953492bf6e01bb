"""What ``config check`` says of the keys of a node: those that a start would read, and their folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cli.check_values import Check, CheckState, with_advice
from cli.locale import _
from exchanged.config import Config
from exchanged.errors import FileOperationError, KeyNotGivenError
from exchanged.key_credentials import passphrase_of
from exchanged.key_files import key_files_here, key_ids_here
from exchanged.keys import check_key_folder, load_encryption_key, load_key, load_secret
from exchanged.lock import holder
from exchanged.places import LOCK_FILE
from packet_spec.errors import ExchangeError
from packet_spec.model import KeyUse, NodeRole


def check_keys(config: Config) -> Iterator[Check]:
    """Roots, the key of each use, further key files, and the folders that they lie in."""
    if any(not any(root.public) for root in config.keys.roots):
        yield Check(
            "key roots",
            CheckState.PROBLEM,
            _("a root key is still the placeholder of zeros"),
            follows=_("no directory is valid here"),
            advice=_("put in the root keys that the enrolment pack of the province names"),
        )
    looked_at = {*config.signing_key_files().values(), config.keys.encrypt}
    for use, path in config.signing_key_files().items():
        yield _checked(config, f"key {use}", partial(_signing_key_id, config, use, path))
    if config.node.role is NodeRole.FRONTEND:
        yield _check_encryption_key(config)
    yield from _check_further(config, looked_at)
    yield from _check_folders(config)


def _checked(config: Config, name: str, key_id: Callable[[], str]) -> Check:
    """The key's id, or why the daemon could not use it."""
    try:
        return Check(name, CheckState.GOOD, key_id())
    except KeyNotGivenError as error:
        if not _daemon_runs(config):
            return Check(name, CheckState.PROBLEM, with_advice(error))
        # A unit may have handed it over; nobody but the daemon sees that.
        return Check(
            name,
            CheckState.NOTE if Path(error.where).exists() else CheckState.WARNING,
            _("not given to commands; the daemon that runs has opened it"),
            follows=_("unless it is a credential of the unit, the daemon does not start again"),
        )
    except ExchangeError as error:
        return Check(name, CheckState.PROBLEM, with_advice(error))


def _daemon_runs(config: Config) -> bool:
    try:
        return holder(config.node.data_dir / LOCK_FILE) is not None
    except FileOperationError:
        return False


def _signing_key_id(config: Config, use: KeyUse, path: Path) -> str:
    """Raises KeyFileError when the daemon could not use it; a further key may have taken its place."""
    if not path.exists() and (others := key_ids_here(config).get(use)):
        return ", ".join(sorted(others))
    return load_key(path, passphrase_of(config.keys)).key_id


def _check_encryption_key(config: Config) -> Check:
    """A front-end works without one, as long as no route to its agency asks for encrypted parts."""
    name, path = f"key {KeyUse.ENCRYPT}", config.keys.encrypt
    if not path.exists():
        return Check(
            name,
            CheckState.WARNING,
            _("there is none: nothing can be encrypted to this agency"),
            advice=_("make one with exchangectl node init and have it enrolled"),
        )
    return _checked(config, name, lambda: load_encryption_key(path, passphrase_of(config.keys)).key_id)


def _check_further(config: Config, looked_at: set[Path]) -> Iterator[Check]:
    """Key files beside the configured ones: one that cannot be read keeps the daemon from starting."""
    files = {path for paths in key_files_here(config).values() for path in paths} - looked_at
    for path in sorted(files - {link.key for link in config.links if link.key is not None}):
        found = _checked(config, f"key file {path.name}", partial(_any_key_id, config, path))
        if found.state is not CheckState.GOOD:
            yield found


def _any_key_id(config: Config, path: Path) -> str:
    return load_secret(path, passphrase_of(config.keys)).public.hex()


def _check_folders(config: Config) -> Iterator[Check]:
    for folder in sorted({path.parent for path in config.signing_key_files().values() if path.exists()}):
        try:
            check_key_folder(folder)
        except ExchangeError as error:
            yield Check("key folder", CheckState.PROBLEM, with_advice(error))
