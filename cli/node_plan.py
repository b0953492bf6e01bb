"""What ``node init`` is asked to make, checked as a whole before anything is made.

Guarantees: all problems at once; nothing here touches the disk but looks. Where a configuration stands
already it decides, and every option that contradicts it is a problem.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli import unit_places
from cli.locale import _
from cli.node_template import Values, render_config
from cli.service_user import SERVICE_USER, Account, current_account, has_group, named_account, user_name
from cli.toml_files import is_quotable
from exchanged.config import Config, LinkTransport, load_config, parse_config
from exchanged.errors import ConfigurationError
from exchanged.public_keys import parse_public_key
from packet_spec.errors import ExchangeError
from packet_spec.identity import is_agency_code, is_node_code
from packet_spec.model import NodeRole

CASE_GROUP: Final = "exchanged-case"
OPERATORS_GROUP: Final = "exchanged-ops"
_SSH_PORT: Final = 2222
_PLACEHOLDER_ROOT: Final = "ed25519-sha256:" + "0" * 64


class NodeInitError(ConfigurationError):
    """A node cannot be made as asked; all problems are told together, and nothing was made."""

    reference = "node-init-impossible"
    hint = "mend what is named and call the command again"

    def __init__(self, problems: tuple[str, ...], *, where: str = "") -> None:
        super().__init__(problems, where=where)
        self.summary = "the node cannot be made: " + "; ".join(problems)


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of the command. ``peers``: neighbours that this node dials; a provincial node serves."""

    config_path: Path
    role: NodeRole
    code: str
    peers: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    agency_root: Path | None = None
    data_dir: Path | None = None
    owner: str | None = None

    @property
    def is_system(self) -> bool:
        """The node of a machine, in a machine's places; else everything lies beside its configuration."""
        return unit_places.is_system(self.config_path)

    @property
    def dialled(self) -> tuple[str, ...]:
        """The neighbours that this node dials."""
        return () if self.role is NodeRole.PROVINCIAL else self.peers

    @property
    def served(self) -> tuple[str, ...]:
        """The neighbours whose mailboxes this node serves."""
        return (*self.peers, *self.serves) if self.role is NodeRole.PROVINCIAL else self.serves


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made. ``text`` is that of the configuration; None when it stands there already."""

    wish: Wish
    config: Config
    text: str | None
    owner: Account


def make_plan(wish: Wish) -> Plan:
    """Check the wish against itself and the machine. Raises NodeInitError with every problem."""
    problems = [*_contradictions(wish)]
    owner, problem = _owner(wish)
    problems += [problem] if problem else []
    config: Config | None = None
    text: str | None = None
    try:
        if wish.config_path.exists():
            config = load_config(wish.config_path)
            problems += _differences(wish, config)
        elif not problems:
            text = render_config(_sections(wish), [*_links(wish)])
            config = parse_config(tomllib.loads(text), wish.config_path.parent)
    except ConfigurationError as error:
        problems += error.problems
    except OSError as error:
        problems.append(f"{wish.config_path}: {error.strerror}")
    try:
        problems += _obstacles(config, wish.config_path, owner) if config is not None else ()
    except OSError as error:
        problems.append(f"{error.filename}: {error.strerror}")
    if problems or config is None:
        raise NodeInitError(tuple(dict.fromkeys(problems)), where=str(wish.config_path))
    return Plan(wish, config, text, owner)


def _contradictions(wish: Wish) -> Iterator[str]:
    is_bridge = wish.role is NodeRole.BRIDGE
    if not is_node_code(wish.code):
        yield _("--code: expected an agency code DDDDDD-KK-SS or bridge-<name>, found {code}").format(
            code=repr(wish.code)
        )
    elif is_bridge is not wish.code.startswith("bridge-"):
        yield _("--role: the role bridge goes with a code bridge-<name>, found {role} and {code}").format(
            role=wish.role.value, code=wish.code
        )
    elif wish.role is NodeRole.FRONTEND and not is_agency_code(wish.code):
        yield _("--code: a front-end has the code of its agency, DDDDDD-KK-SS")
    neighbours = (*wish.peers, *wish.serves)
    for peer in neighbours:
        if not is_node_code(peer):
            yield _("--peer: {peer} is no node code").format(peer=repr(peer))
        elif peer == wish.code:
            yield _("--peer: {peer} is this node itself").format(peer=peer)
    for peer in sorted({peer for peer in neighbours if neighbours.count(peer) > 1}):
        yield _("--peer: {peer} stands there twice").format(peer=peer)
    for root in wish.roots:
        try:
            parse_public_key(root)
        except ExchangeError as error:
            yield f"--root: {error}"
    if wish.agency_root is not None and wish.role is not NodeRole.FRONTEND:
        yield _("--agency-root: only a front-end has agency folders")
    for path in (wish.config_path, wish.agency_root, wish.data_dir):
        if path is not None and not is_quotable(path):
            yield _("{path}: a configuration cannot name this path").format(path=ascii(str(path)))


def _owner(wish: Wish) -> tuple[Account, str]:
    """Whose the node is to be, and a problem if that cannot be."""
    myself = current_account()
    if wish.owner is not None:
        account = named_account(wish.owner)
        if account is None:
            return myself, _("--owner: this machine has no account {name}").format(name=wish.owner)
        if os.geteuid() not in {0, account.uid}:
            return myself, _("--owner: only root can make things for {name}").format(name=wish.owner)
        return account, ""
    if os.geteuid() != 0:
        return myself, ""
    account = named_account(SERVICE_USER)
    if account is None:
        return myself, _(
            "this machine has no account {name}: make it (docs/install.md), or name another with --owner"
        ).format(name=SERVICE_USER)
    return account, ""


def _differences(wish: Wish, config: Config) -> Iterator[str]:
    """Where an existing configuration says otherwise than the options."""
    pairs: list[tuple[str, object, object]] = [
        ("--code", wish.code, config.node.code),
        ("--role", wish.role.value, config.node.role.value),
    ]
    if wish.data_dir is not None:
        pairs.append(("--data-dir", wish.data_dir, config.node.data_dir))
    if wish.agency_root is not None and config.folders is not None:
        pairs.append(("--agency-root", wish.agency_root, config.folders.root))
    for option, wanted, found in pairs:
        if wanted != found:
            yield _("{option}: the configuration that is there already says {found}, not {wanted}").format(
                option=option, found=found, wanted=wanted
            )
    known = {link.peer for link in config.links}
    for peer in (*wish.peers, *wish.serves):
        if peer not in known:
            sentence = _("--peer: the configuration that is there has no link to {peer}; add it there")
            yield sentence.format(peer=peer)
    roots = {f"{root.suite}:{root.public.hex()}" for root in config.keys.roots}
    for root in wish.roots:
        if root not in roots:
            yield _("--root: the configuration that is there does not name it; add it there")


def _obstacles(config: Config, config_path: Path, owner: Account) -> Iterator[str]:
    """What on the disk stands in the way."""
    data_dir = config.node.data_dir
    if data_dir.is_symlink() or (data_dir.exists() and not data_dir.is_dir()):
        yield _("{path} is not a folder").format(path=data_dir)
    elif data_dir.exists() and data_dir.stat().st_uid != owner.uid:
        yield _("{path} belongs to {found}, not to {owner}").format(
            path=data_dir, found=user_name(data_dir.stat().st_uid), owner=owner.name
        )
    for path in (config_path, data_dir, *([config.folders.root] if config.folders else [])):
        above = next(parent for parent in path.parents if parent.exists())
        if not above.is_dir():
            yield _("{path} is not a folder").format(path=above)
        elif not path.exists() and not os.access(above, os.W_OK | os.X_OK):
            yield _("{path} cannot be made: no right to write to {above}").format(path=path, above=above)


def _sections(wish: Wish) -> dict[str, Values]:
    base = wish.config_path.parent
    name = wish.config_path.stem
    default = Path("/var/lib/exchanged") / name if wish.is_system else base / name
    sections: dict[str, Values] = {
        "node": {"code": wish.code, "role": wish.role.value, "data_dir": str(wish.data_dir or default)},
        "keys": {"roots": list(wish.roots) or [_PLACEHOLDER_ROOT]},
    }
    if wish.is_system and (wish.served or wish.role is not NodeRole.FRONTEND):
        # Where the SSH server finds the directory: it sees nothing of data_dir. Who serves nobody may later.
        sections["node"] = {**sections["node"], "door": str(_served_below(wish) / "doors" / name)}
    if wish.is_system and has_group(OPERATORS_GROUP):
        # Where the unit makes a folder for it, and operators who may not look into data_dir can reach it.
        sections["control"] = {"socket": f"/run/exchanged/{name}/control.sock", "group": OPERATORS_GROUP}
    if wish.role is NodeRole.FRONTEND:
        root = wish.agency_root or _served_below(wish) / "agencies" / wish.code
        folders = {"root": str(root)}
        if wish.is_system and has_group(CASE_GROUP):
            folders["group"] = CASE_GROUP
        sections["folders"] = folders
    return sections


def _links(wish: Wish) -> Iterator[Values]:
    for peer in wish.dialled:
        yield {
            "name": peer,
            "peer": peer,
            "transport": "sftp",
            "side": "dial",
            "mailbox": "/",
            # Of two neighbours two placeholders: one account at one server has one mailbox.
            "host": f"{'exchange' if len(wish.dialled) == 1 else peer}.example.invalid",
            "port": _SSH_PORT,
            "user": f"ex-{wish.code}",
            "key": str(_login_key(wish, peer)),
            # The placeholder of the example: zeros that no server has.
            "host_key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}",
        }
    for peer in wish.served:
        mailbox = _served_below(wish) / "jails" / peer
        # On a real machine a mailbox is a jail, and one that is not sound stops the link (C2).
        account = {"account": f"ex-{peer}"} if wish.is_system else {}
        yield {
            "name": peer,
            "peer": peer,
            "transport": "folder",
            "side": "serve",
            "mailbox": str(mailbox),
            **account,
        }


def _login_key(wish: Wish, peer: str) -> Path:
    sections = _sections(wish)
    name = "login" if len(wish.dialled) == 1 else f"login-{peer}"
    return Path(str(sections["node"]["data_dir"])) / "keys" / name


def _served_below(wish: Wish) -> Path:
    return unit_places.SERVED if wish.is_system else wish.config_path.parent


def login_keys(config: Config) -> Sequence[tuple[str, Path]]:
    """The name of each dialling link and its login key."""
    return [
        (link.name, link.key)
        for link in config.links
        if link.transport is LinkTransport.SFTP and link.key is not None
    ]
