"""``config check`` of links against the directory: who is joined with whom, and by which keys.

Contradictions within the configuration itself are found when it is read (``exchanged.config``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cli.check_values import Check, CheckState
from cli.jail.answers import copy_of, installed_lines
from cli.jail.plan import ACCOUNTS_FOLDER, KEYS_FOLDER, SSHD_FOLDER
from cli.locale import _
from exchanged.config import Config, LinkConfig, LinkTransport
from exchanged.doors import Why, answer_for, served
from packet_spec.model import Directory, KeyUse
from packet_spec.ssh_keys import ssh_keys

_COMMAND = "AuthorizedKeysCommand"


def check_doors(
    config: Config, directory: Directory, now: datetime, sshd: Path = SSHD_FOLDER
) -> Iterator[Check]:
    """What the directory in force says of this node's links."""
    for link in config.links:
        yield from _neighbour(config, directory, link)
        if link.transport is LinkTransport.SFTP:
            yield from _host_key(directory, link, now)
    accounts = [link for link in served(config) if link.account]
    if accounts:
        yield from _copy(config, directory)
    for link in accounts:
        yield from _account(directory, link, now, sshd)


def _neighbour(config: Config, directory: Directory, link: LinkConfig) -> Iterator[Check]:
    own, peer = directory.node(config.node.code), directory.node(link.peer)
    if peer is None or own is None:
        return
    if own.code not in {peer.parent} and peer.code != own.parent:
        yield Check(
            f"link {link.name}",
            CheckState.PROBLEM,
            _("the directory does not join {peer} with this node").format(peer=link.peer),
            follows=_("nothing is ever routed over this link, and what comes by it is refused"),
            advice=_("correct [[link]] peer, or have the directory corrected"),
        )
    if peer.disabled:
        yield Check(
            f"link {link.name}",
            CheckState.WARNING,
            _("the directory has disabled {peer}").format(peer=link.peer),
            follows=_("what is addressed to it waits; what it sends is refused"),
        )


def _host_key(directory: Directory, link: LinkConfig, now: datetime) -> Iterator[Check]:
    said = ssh_keys(directory, link.peer, KeyUse.HOST, now)
    if " ".join(link.host_key.split()[:2]) not in said.ended:
        return
    yield Check(
        f"host key {link.name}",
        CheckState.WARNING if said.valid else CheckState.PROBLEM,
        _("the directory has revoked the configured host_key, or let it end"),
        follows=_("it does not count; those count that the directory lists"),
        advice=_("put the server's present key into [[link]] host_key"),
    )


def _copy(config: Config, directory: Directory) -> Iterator[Check]:
    copy = copy_of(config)
    if not _is_open_to_all(config.node.door):
        yield Check(
            "door",
            CheckState.PROBLEM,
            _("the SSH server's key command cannot look into {folder}").format(folder=config.node.door),
            follows=_("no key opens any account"),
            advice=_("set [node] door to a folder below /srv/exchanged/doors, and restart the node"),
        )
    elif copy is None or copy.edition != directory.edition:
        yield Check(
            "door",
            CheckState.WARNING,
            _("the SSH server does not see the directory in force in {folder}").format(
                folder=config.node.door
            ),
            follows=_("logins go by an older directory, or are refused"),
            advice=_("start the daemon; it must be able to write there: [node] door"),
        )


def _is_open_to_all(folder: Path) -> bool:
    """Whether a user who is nobody in particular can come to ``folder``, or to where it will be made."""
    for path in (folder, *folder.parents):
        try:
            if not path.stat().st_mode & 0o001:
                return False
        except OSError:
            continue
    return True


def _account(directory: Directory, link: LinkConfig, now: datetime, sshd: Path) -> Iterator[Check]:
    name, keys_file = f"door {link.account}", sshd / KEYS_FOLDER / link.account
    answer = answer_for(directory, link.peer, installed_lines(keys_file), now)
    try:
        asks = _COMMAND in (sshd / ACCOUNTS_FOLDER / f"{link.account}.conf").read_text(encoding="utf-8")
    except OSError:
        # Without a fragment there is no jail either, and that is told already.
        return
    jail = _("run with this node's --config: exchangectl link jail {link} | sudo sh").format(link=link.name)
    if not asks:
        yield Check(
            name,
            CheckState.PROBLEM if answer.why is Why.LISTED else CheckState.WARNING,
            _("its SSH configuration goes by the keys file, not by the directory"),
            follows=_("a key that the directory revokes still opens this account"),
            advice=jail,
        )
    elif answer.why is Why.LISTED and keys_file.exists():
        yield Check(
            name,
            CheckState.WARNING,
            _("{path} is left over: the directory lists keys, and it does not count").format(path=keys_file),
            advice=_("run as root: rm {path}").format(path=keys_file),
        )
    if asks and not answer.lines:
        yield Check(name, CheckState.WARNING, _("no key opens it now: exchangectl link doors"))
