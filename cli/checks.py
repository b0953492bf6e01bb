"""``config check``: whether what a configuration names is really there and can be used.

Guarantees: every check is made, whatever another one found; folders are tried by writing, and nothing is
left there. Leaves to others: whether the configuration is well formed (``exchanged.config``), and who
calls: what holds for root need not hold for the daemon's user (``cli.service_user``).
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from cli.check_values import Check, CheckState, seen_mode, with_advice
from cli.checks_doors import check_doors
from cli.checks_folders import check_folders, check_mailbox, is_local
from cli.checks_keys import check_keys
from cli.checks_links import check_links_known
from cli.checks_looking import look_at_folders, look_at_mailbox
from cli.checks_packs import check_packs
from cli.directory_trusted import find_directory
from cli.floors import require_libraries
from cli.locale import _
from cli.node_init import unfilled
from cli.service_user import account_of, current_account, user_name
from exchanged.clock import Randomness
from exchanged.config import Config, NodeConfig
from exchanged.errors import DependencyError, LedgerDamagedError, NotFoundError
from exchanged.jail import jail_of, links_on_our_volume
from exchanged.key_files import key_ids_here, key_in_use
from exchanged.keys import check_private_file
from exchanged.ledger import open_read_only
from exchanged.ledger.owner import owner_of
from exchanged.own_ledger import owner_by, require_own_ledger
from exchanged.places import LEDGER_FILE
from packet_spec.errors import ExchangeError
from packet_spec.model import Directory, KeyUse

__all__ = ["Check", "CheckState", "check_node"]

PACKAGES: Final = ("packet_spec", "exchanged", "frontend_server", "cli")
# A month is enough for the province to sign a new directory and for it to arrive by any road.
_EXPIRY_WARNING: Final = timedelta(days=30)
# Who may write here can steer the node; who may read here reads case data.
_OTHERS: Final = 0o007


def check_node(config: Config, now: datetime, randomness: Randomness | None = None) -> tuple[Check, ...]:
    """Every check of a configuration, in the order in which a person would mend things.

    With ``randomness``, which names the probes, folders are tried by writing; without it nothing is written,
    and it does not matter who calls.
    """
    directory, state = find_directory(config)
    return (
        *([_who(config.node.data_dir)] if randomness is not None else []),
        *_check_installation(),
        *_check_retired(config),
        *_check_data_dir(config.node.data_dir),
        *_check_ledger(config.node),
        *check_keys(config),
        *_check_control(config),
        *_check_links(config, randomness),
        *check_links_known(config),
        *_check_jails(config),
        *_check_scanner(config),
        *(look_at_folders(config) if randomness is None else check_folders(config, randomness)),
        state,
        *(_check_membership(config, directory, now) if directory else ()),
        *(check_doors(config, directory, now) if directory else ()),
        *(check_packs(config, directory, now) if directory else ()),
    )


def _check_installation() -> Iterator[Check]:
    """Another distribution with a package of one of our names would silently replace ours."""
    owners = _owners()
    for package in PACKAGES:
        distributions = sorted(set(owners.get(package, ())))
        if len(distributions) > 1:
            detail = _("several distributions own it ({names}): use a separate environment").format(
                names=", ".join(distributions)
            )
            yield Check(f"package {package}", CheckState.PROBLEM, detail)
    try:
        require_libraries()
    except DependencyError as error:
        yield Check("libraries", CheckState.PROBLEM, str(error))


def _check_retired(config: Config) -> Iterator[Check]:
    for key in config.retired:
        detail = _("{key}: counts for nothing any more").format(key=key)
        yield Check("configuration", CheckState.WARNING, detail, advice=_("take it out"))


def _who(data_dir: Path) -> Check:
    """As whom the folders are tried. What one user may, another may not."""
    account = current_account()
    try:
        owner = data_dir.stat().st_uid
    except OSError:
        return Check("runs as", CheckState.GOOD, str(account))
    if owner == account.uid:
        return Check("runs as", CheckState.GOOD, str(account))
    return Check(
        "runs as",
        CheckState.WARNING,
        _("{account}, but data_dir belongs to {owner}").format(account=account, owner=user_name(owner)),
        expected=user_name(owner),
        follows=_("what is found holds for this user only"),
        advice=_("call it as root; it acts as the owner of data_dir then"),
    )


@cache
def _owners() -> Mapping[str, Sequence[str]]:
    """Looked up once: it reads the metadata of every installed distribution."""
    return packages_distributions()


def _check_data_dir(path: Path) -> Iterator[Check]:
    """Who else can reach it; whether it can be used is tried with the other folders."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & _OTHERS:
        yield Check(
            "data_dir",
            CheckState.WARNING,
            _("others can reach it"),
            follows=_("who may read there reads case data"),
            advice=_("run: chmod o= {path}").format(path=path),
        )


def _check_ledger(node: NodeConfig) -> Iterator[Check]:
    """Whether one that was there is gone, and whose it is; whether it can be read is not asked here."""
    try:
        with closing(open_read_only(node.data_dir / LEDGER_FILE)) as connection:
            known = owner_of(connection)
    except NotFoundError:
        try:
            require_own_ledger(node.data_dir)
        except LedgerDamagedError as error:
            yield Check("ledger lost", CheckState.PROBLEM, with_advice(error))
        return
    except ExchangeError:
        return
    wanted = owner_by(node)
    if known not in {None, wanted}:
        yield Check(
            "ledger",
            CheckState.PROBLEM,
            _("it belongs to another node: {owner}").format(owner=known),
            expected=str(wanted),
            follows=_("the daemon does not start: what waits there would leave under a wrong name"),
            advice=_("correct the configuration, or give each node a data_dir of its own"),
        )


def _check_control(config: Config) -> Iterator[Check]:
    """What a start needs of [control]: nobody else's file in the way, and a group that its user may give."""
    socket, group = config.control.socket, config.control.group
    mode = seen_mode(socket)
    if mode and not stat.S_ISSOCK(mode):
        detail = _("[control] socket: something else lies there")
        yield Check("control socket", CheckState.PROBLEM, detail, expected=str(socket))
    if not group:
        return
    try:
        number = grp.getgrnam(group).gr_gid
        account = account_of(config.node.data_dir.stat().st_uid)
    except KeyError:
        detail = _("[control] group: this machine has no group {group}").format(group=group)
        advice = _("make it: groupadd {group}").format(group=group)
        yield Check("control group", CheckState.PROBLEM, detail, advice=advice)
        return
    except OSError:
        return
    if account.uid != 0 and number not in {account.gid, *account.groups}:
        yield Check(
            "control group",
            CheckState.PROBLEM,
            _("[control] group: {user} is no member of {group}").format(user=account.name, group=group),
            follows=_("the daemon does not start: it could not give the group its socket"),
            advice=_("run: usermod -a -G {group} {user}").format(group=group, user=account.name),
        )


def _check_links(config: Config, randomness: Randomness | None) -> Iterator[Check]:
    if not config.links:
        yield Check("links", CheckState.WARNING, _("there is none: this node reaches nobody"))
    for link in config.links:
        name = f"link {link.name}"
        if is_local(link):
            yield from (
                look_at_mailbox(link) if randomness is None else check_mailbox(link, config, randomness)
            )
        elif link.key is not None:
            placeholder = ", ".join(unfilled(link))
            try:
                check_private_file(link.key)
            except ExchangeError as error:
                yield Check(name, CheckState.PROBLEM, with_advice(error))
                continue
            if placeholder:
                yield Check(
                    name,
                    CheckState.PROBLEM,
                    _("{key} is still the placeholder").format(key=placeholder),
                    follows=_("this link reaches nobody"),
                    advice=_("put in what the enrolment pack of the province says"),
                )
            else:
                dialled = _("{user}@{host}:{port}, not dialled").format(
                    user=link.user, host=link.host, port=link.port
                )
                yield Check(name, CheckState.GOOD, dialled)

def _check_jails(config: Config) -> Iterator[Check]:
    """What every scan of the daemon looks at as well (C2)."""
    for link in config.links:
        jail = jail_of(link, config.node.data_dir)
        if jail is None:
            continue
        name, faults = f"jail of {link.name}", jail.faults()
        for fault in faults:
            yield Check(
                name, CheckState.PROBLEM, f"{fault.where}: {fault.found}",
                expected=fault.expected, advice=jail.remedy,
            )  # fmt: skip
        if not faults:
            yield Check(name, CheckState.GOOD, link.account)
    for link_name in links_on_our_volume(config):
        detail = _("its up/ lies on the volume of ledger and spool: who fills the one stops the other")
        yield Check(f"volume of {link_name}", CheckState.WARNING, detail)


def _check_scanner(config: Config) -> Iterator[Check]:
    """Without its program every packet with documents is held."""
    if config.scanner is None:
        return
    program = Path(config.scanner.command[0])
    if program.is_file() and os.access(program, os.X_OK):
        yield Check("scanner", CheckState.GOOD, str(program))
        return
    yield Check(
        "scanner",
        CheckState.PROBLEM,
        _("{path} is no program that can be started").format(path=program),
        follows=_("every packet with attachments is held"),
        advice=_("install it, or correct [scanner] command"),
    )


def _check_membership(config: Config, directory: Directory, now: datetime) -> Iterator[Check]:
    """What the directory says of this node, its keys, its agency and its neighbours."""
    expires = f"{directory.expires_at:%Y-%m-%d}"
    if directory.expires_at <= now:
        yield Check("directory expiry", CheckState.PROBLEM, _("it expired on {day}").format(day=expires))
    elif directory.expires_at <= now + _EXPIRY_WARNING:
        yield Check("directory expiry", CheckState.WARNING, _("it expires on {day}").format(day=expires))
    node = directory.node(config.node.code)
    if node is None or node.disabled:
        detail = _("the directory lists it as disabled") if node else _("the directory does not list it")
        yield Check(f"node {config.node.code}", CheckState.PROBLEM, detail)
        return
    if node.role is not config.node.role:
        detail = _("its role in the directory is {role}").format(role=node.role)
        yield Check(f"node {node.code}", CheckState.PROBLEM, detail)
    yield from _check_log_key(config, directory)
    for use, ids in key_ids_here(config).items():
        # Login keys may be known to the server alone.
        if not ids or use is KeyUse.LOGIN:
            continue
        key = key_in_use(directory, node.code, use, ids, now)
        if key is None:
            detail = _("the directory does not list {key} for {use}: have it enrolled").format(
                key=", ".join(sorted(ids)), use=use.value
            )
            yield Check(f"key {use}", CheckState.PROBLEM, detail)
        elif key.not_after <= now + _EXPIRY_WARNING:
            yield Check(
                f"key {use}",
                CheckState.PROBLEM if key.not_after <= now else CheckState.WARNING,
                _("by the directory it is valid until {day}").format(day=f"{key.not_after:%Y-%m-%d}"),
                follows=_("what it signs after that day is not believed"),
                advice=_("the node offers a new one by itself: the province takes it, key offers"),
            )
    agency = directory.agency(config.node.agency) if config.node.agency else None
    if config.node.agency and (agency is None or agency.node != node.code):
        detail = _("the directory does not say that this node serves it")
        yield Check(f"agency {config.node.agency}", CheckState.PROBLEM, detail)
    for link in config.links:
        if directory.node(link.peer) is None:
            detail = _("the directory does not list {peer}").format(peer=link.peer)
            yield Check(f"link {link.name}", CheckState.PROBLEM, detail)


def _check_log_key(config: Config, directory: Directory) -> Iterator[Check]:
    """An admitting node without a key for its log shows it to nobody."""
    node = config.node.code
    admits = any(agency.admitting_node == node != agency.node for agency in directory.agencies)
    path = config.log_key_file()
    if admits and path is not None and not path.exists():
        yield Check(
            "key log",
            CheckState.WARNING,
            _("it admits packets and has no key for its log"),
            follows=_("it keeps the log, but agencies are shown no heads of it and can prove nothing by it"),
            advice=_("run: exchangectl key generate {path}, and have it enrolled for log").format(path=path),
        )
