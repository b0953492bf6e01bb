"""enrolment.toml: what a node hands to the keepers of the directory, a piece of their plan with its keys.

Guarantees: every key of the node that lies here and may count is named: the configured ones, and those beside
them that the directory lists. None is named that the directory says was revoked. So a node that is enrolled
again by this file keeps what it signs with now. Leaves to others: writing the file (``node_init``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exchanged.config import Config
from exchanged.key_files import key_files_here
from exchanged.keys import read_public_half
from exchanged.public_keys import public_key_text
from packet_spec.model import Directory, DirectoryKey, KeyUse
from packet_spec.ssh_keys import SSH_SUITE, ssh_line


@dataclass(frozen=True, slots=True)
class MadeKey:
    """The public half of a key of this node."""

    use: KeyUse
    key_id: str
    public: str


@dataclass(frozen=True, slots=True)
class MadeLogin:
    """The public half of a login key: the line for the account ``user`` on the side of ``peer``."""

    link: str
    peer: str
    user: str
    public: str
    key_id: str


def enrolment_text(
    config: Config, keys: Sequence[MadeKey], logins: Sequence[MadeLogin], directory: Directory | None
) -> str:
    """What the province gets. No secrets. ``directory`` is the one in force here, if any.

    Raises KeyFileError for a key file beside the configured ones that cannot be read.
    """
    listed = _listed(directory, config.node.code)
    parent = next((login.peer for login in logins), "")
    lines = [
        "# A piece of the directory plan: the public keys of one node. It holds no secret, but whoever takes",
        "# it makes sure that it comes from this node: hand it over in person, or compare it by telephone.",
        "[[node]]",
        f'code = "{config.node.code}"',
        f'role = "{config.node.role.value}"',
        *([f'parent = "{parent}"'] if parent else []),
    ]
    named = set()
    for key in keys:
        if not _is_revoked(listed, key.key_id):
            lines += _key(key.public, key.use)
            named.add((key.use, key.key_id))
    for login in logins:
        if not _is_revoked(listed, login.key_id):
            lines += ["", f"# For the account {login.user} at {login.peer}:", f"# {login.public}"]
            lines += _key(login.public.rpartition(" ")[0], KeyUse.LOGIN)[1:]
            named.add((KeyUse.LOGIN, login.key_id))
    for each in _beside(config, listed):
        if (each.use, each.key_id) not in named:
            lines += _key(each.public, each.use)
            named.add((each.use, each.key_id))
    return "\n".join(lines) + "\n"


def _key(public: str, use: KeyUse) -> list[str]:
    return ["", "[[node.key]]", f'public = "{public}"', f'uses = ["{use}"]']


def _beside(config: Config, listed: dict[str, DirectoryKey]) -> Iterator[MadeKey]:
    """Keys that the directory gave to this node since it was made; what it only offers is not listed yet."""
    for use, paths in key_files_here(config).items():
        for path in paths:
            half = read_public_half(path)
            key = listed.get(half.key_id)
            if key is not None and use in key.uses and key.revoked_at is None:
                is_login = half.suite == SSH_SUITE
                public = ssh_line(half.public) if is_login else public_key_text(half)
                yield MadeKey(use, half.key_id, public)


def _listed(directory: Directory | None, code: str) -> dict[str, DirectoryKey]:
    node = None if directory is None else directory.node(code)
    return {key.key_id: key for key in (() if node is None else node.keys)}


def _is_revoked(listed: dict[str, DirectoryKey], key_id: str) -> bool:
    key = listed.get(key_id)
    return key is not None and key.revoked_at is not None
