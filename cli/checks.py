"""``config check``: whether what a configuration names is really there and can be used.

Guarantees: looks only, changes nothing; every check is made, whatever another one found.
Leaves to others: whether the configuration is well formed (``exchanged.config``). Known limit: it looks
with the rights of whoever calls it, so call it as the daemon's user.
"""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from cli.frame import read_input
from exchanged.config import Config, FoldersConfig, KeysConfig, LinkConfig, LinkTransport
from exchanged.keys import check_private_file, load_key
from exchanged.places import DIRECTORY_FOLDER
from frontend_server.folders import FOLDERS, INBOX, MARKER_NAME, OUTBOX
from packet_spec.directory import open_directory
from packet_spec.errors import ExchangeError
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import Directory, KeyUse, NodeRole

PACKAGES: Final = ("packet_spec", "exchanged", "frontend_server", "cli")
_DIRECTORY: Final = re.compile(r"directory-(\d{1,12})\.xml")
# A month is enough for the province to sign a new directory and for it to arrive by any road.
_EXPIRY_WARNING: Final = timedelta(days=30)
# Who may write here can steer the node; who may read here reads case data.
_OTHERS: Final = 0o007


class CheckState(StrEnum):
    """``problem``: the node will not work; ``warning``: it works, and a person should look."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what was found."""

    name: str
    state: CheckState
    detail: str = ""


def check_node(config: Config, now: datetime) -> tuple[Check, ...]:
    """Every check of a configuration, in the order in which a person would mend things."""
    directory, state = find_directory(config)
    return (
        *_check_installation(),
        *_check_role(config.node.role),
        *_check_data_dir(config.node.data_dir),
        *_check_keys(config),
        *_check_links(config.links),
        *(_check_folders(config.folders) if config.folders else ()),
        state,
        *(_check_membership(config, directory, now) if directory else ()),
    )


def find_directory(config: Config) -> tuple[Directory | None, Check]:
    """The newest directory in data_dir that its root signatures prove, and how the search ended."""
    folder = config.node.data_dir / DIRECTORY_FOLDER
    try:
        found = [path for path in folder.iterdir() if _DIRECTORY.fullmatch(path.name)]
    except OSError:
        found = []
    refused = ""
    for path in sorted(found, key=_version, reverse=True):
        try:
            data = read_input(path, DIRECTORY_BYTES)
            directory = open_directory(data, config.keys.roots, config.keys.threshold)
        except ExchangeError as error:
            refused = refused or f"{path.name}: {error}"
        else:
            return directory, Check(
                "directory", CheckState.WARNING if refused else CheckState.GOOD, refused or path.name
            )
    if refused:
        return None, Check("directory", CheckState.PROBLEM, refused)
    missing = "none is installed; run: exchangectl directory install FILE"
    return None, Check("directory", CheckState.WARNING, missing)


def _check_installation() -> Iterator[Check]:
    """Another distribution with a package of one of our names would silently replace ours."""
    owners = _owners()
    for package in PACKAGES:
        distributions = sorted(set(owners.get(package, ())))
        if len(distributions) > 1:
            detail = f"several distributions own it ({', '.join(distributions)}): use a separate environment"
            yield Check(f"package {package}", CheckState.PROBLEM, detail)


@cache
def _owners() -> Mapping[str, Sequence[str]]:
    """Looked up once: it reads the metadata of every installed distribution."""
    return packages_distributions()


def _check_role(role: NodeRole) -> Iterator[Check]:
    if role is NodeRole.BRIDGE:
        yield Check("role", CheckState.PROBLEM, "this version cannot run a bridge yet")


def _check_data_dir(path: Path) -> Iterator[Check]:
    name = "data_dir"
    problem = _unusable(path)
    if problem:
        yield Check(name, CheckState.PROBLEM, problem)
    elif path.stat().st_mode & _OTHERS:
        yield Check(name, CheckState.WARNING, f"others can reach it; run: chmod o= {path}")
    else:
        yield Check(name, CheckState.GOOD, str(path))


def _check_keys(config: Config) -> Iterator[Check]:
    for use, path in _key_files(config.keys, config.node.role).items():
        name = f"key {use}"
        try:
            yield Check(name, CheckState.GOOD, load_key(path).key_id)
        except ExchangeError as error:
            yield Check(name, CheckState.PROBLEM, _with_advice(error))


def _key_files(keys: KeysConfig, role: NodeRole) -> dict[KeyUse, Path]:
    needed = {KeyUse.LINK: keys.link, KeyUse.RECEIPT: keys.receipt}
    return {KeyUse.SEAL: keys.seal} | needed if role is NodeRole.FRONTEND else needed


def _check_links(links: tuple[LinkConfig, ...]) -> Iterator[Check]:
    if not links:
        yield Check("links", CheckState.WARNING, "there is none: this node reaches nobody")
    for link in links:
        name = f"link {link.name}"
        if link.transport is LinkTransport.FOLDER:
            problems = [_unusable(Path(link.mailbox) / direction) for direction in ("up", "down")]
            detail = "; ".join(problem for problem in problems if problem)
            yield Check(name, CheckState.PROBLEM if detail else CheckState.GOOD, detail or link.mailbox)
        elif link.key is not None:
            try:
                check_private_file(link.key)
                yield Check(name, CheckState.GOOD, f"{link.user}@{link.host}:{link.port}, not dialled")
            except ExchangeError as error:
                yield Check(name, CheckState.PROBLEM, _with_advice(error))


def _check_folders(folders: FoldersConfig) -> Iterator[Check]:
    if folders.group and not _group_exists(folders.group):
        yield Check("folders group", CheckState.PROBLEM, f"this machine has no group {folders.group}")
    for name in FOLDERS:
        problem = _unusable(folders.root / name)
        yield Check(
            f"folder {name}", CheckState.PROBLEM if problem else CheckState.GOOD, problem or "writable"
        )
    devices = {path.stat().st_dev for name in FOLDERS if (path := folders.root / name).is_dir()}
    if len(devices) > 1:
        detail = "they lie on several file systems, but packets move between them by renaming"
        yield Check("folders", CheckState.PROBLEM, detail)
    for name in (OUTBOX, INBOX):
        if not (folders.root / name / MARKER_NAME).is_file():
            detail = "missing; if this is the right place, run: exchangectl folder init"
            yield Check(f"marker of {name}", CheckState.PROBLEM, detail)


def _check_membership(config: Config, directory: Directory, now: datetime) -> Iterator[Check]:
    """What the directory says of this node, its keys, its agency and its neighbours."""
    expires = f"{directory.expires_at:%Y-%m-%d}"
    if directory.expires_at <= now:
        yield Check("directory expiry", CheckState.PROBLEM, f"it expired on {expires}")
    elif directory.expires_at <= now + _EXPIRY_WARNING:
        yield Check("directory expiry", CheckState.WARNING, f"it expires on {expires}")
    node = directory.node(config.node.code)
    if node is None or node.disabled:
        state = "does not list it" if node is None else "lists it as disabled"
        yield Check(f"node {config.node.code}", CheckState.PROBLEM, f"the directory {state}")
        return
    if node.role is not config.node.role:
        yield Check(f"node {node.code}", CheckState.PROBLEM, f"its role in the directory is {node.role}")
    listed = {(key.key_id, use) for key in node.keys for use in key.uses}
    for use, path in _key_files(config.keys, config.node.role).items():
        try:
            key_id = load_key(path).key_id
        except ExchangeError:
            continue
        if (key_id, use) not in listed:
            detail = f"the directory does not list {key_id} for {use}: have it enrolled"
            yield Check(f"key {use}", CheckState.PROBLEM, detail)
    agency = directory.agency(config.node.agency) if config.node.agency else None
    if config.node.agency and (agency is None or agency.node != node.code):
        detail = "the directory does not say that this node serves it"
        yield Check(f"agency {config.node.agency}", CheckState.PROBLEM, detail)
    for link in config.links:
        if directory.node(link.peer) is None:
            yield Check(f"link {link.name}", CheckState.PROBLEM, f"the directory does not list {link.peer}")


def _unusable(path: Path) -> str:
    """Why a folder cannot be used; empty when it can."""
    if path.is_symlink() or not path.is_dir():
        return f"{path} is not a folder" if path.exists() or path.is_symlink() else f"{path} is missing"
    return "" if os.access(path, os.R_OK | os.W_OK | os.X_OK) else f"{path} cannot be read and written"


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _with_advice(error: ExchangeError) -> str:
    return f"{error}; {error.advice}" if error.advice else str(error)


def _version(path: Path) -> int:
    match = _DIRECTORY.fullmatch(path.name)
    return int(match[1]) if match else -1
