"""The configuration of one node: a TOML file read into frozen values.

Guarantees: every problem of a file is told at once, each with its section and key; a key that this
version does not know is a problem, never ignored; relative paths are relative to the file. Every key
with its unit, default and reason stands in examples/exchanged.toml, and a test holds the two together.
Leaves to others: whether folders, keys and mailboxes exist and can be used (``exchangectl config check``).
Known limit: a file is read at start and at a reload (SIGHUP); in between a change counts for nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from exchanged.config_reader import Section
from exchanged.config_values import (
    Config,
    ControlConfig,
    DropProfile,
    FoldersConfig,
    KeysConfig,
    LimitsConfig,
    LinkConfig,
    LinkSide,
    LinkTransport,
    LogConfig,
    LogFormat,
    LogLevel,
    NodeConfig,
    NoticesConfig,
    RetentionConfig,
    RulesConfig,
    ScannerConfig,
    StatusEncoding,
)
from exchanged.errors import ConfigurationError
from exchanged.places import CONTROL_SOCKET, DOOR_FOLDER
from exchanged.public_keys import parse_public_key
from packet_spec.errors import ExchangeError
from packet_spec.identity import is_agency_code, is_node_code
from packet_spec.limits import BATCH_BYTES, BATCH_ITEMS, MIB, OPEN_BATCHES
from packet_spec.model import NodeRole, RootKey
from packet_spec.sequence_policy import SequencePolicy

__all__ = [
    "Config",
    "ControlConfig",
    "DropProfile",
    "FoldersConfig",
    "KeysConfig",
    "LimitsConfig",
    "LinkConfig",
    "LinkSide",
    "LinkTransport",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "NodeConfig",
    "NoticesConfig",
    "RetentionConfig",
    "RulesConfig",
    "ScannerConfig",
    "StatusEncoding",
    "load_config",
    "parse_config",
]

_LINK_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_HOST_KEY: Final = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]+={0,2}")
_HOST_KEY_SHAPE: Final = '"<type> <base64>" as in ssh_host_ed25519_key.pub, without the comment'
_MODE: Final = re.compile(r"0?[0-7]{3,4}")
_MODE_SHAPE: Final = 'an octal mode such as "2770", with 7 for the owner and no writing for others'
_GROUP: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# What useradd takes everywhere: user and group names have the same form.
_ACCOUNT: Final = _GROUP
_MOST_DAYS: Final = 36_525
# The daemon works in the folders, and who may write there could put a link in place of a drop.
_OWNERS: Final = 0o700
_OTHERS_WRITE: Final = 0o002
# Notices and findings carry both languages; who set one goes on to start.
_RETIRED_OF_NODE: Final = ("locale",)
# A machine has a few nodes; a folder with more such files is no folder of configurations.
_BESIDE: Final = 8


def load_config(path: Path) -> Config:
    """The configuration in the file ``path``.

    Raises ConfigurationError, naming the file, when it cannot be read, is not TOML, or has problems.
    """
    try:
        # Windows Notepad sets a byte order mark before it.
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(
            (f"the file cannot be read: {error.strerror}",),
            where=str(path),
            hint=_advice(path, error),
        ) from error
    except UnicodeDecodeError as error:
        problem = f"the file is not UTF-8 at byte {error.start}"
        raise ConfigurationError((problem,), where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError((f"the file is not TOML: {error}",), where=str(path)) from error
    try:
        return parse_config(data, path.absolute().parent)
    except ConfigurationError as error:
        raise ConfigurationError(error.problems, where=str(path)) from error


def _advice(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "make it readable for the daemon's user: chmod 0644"
    beside = sorted(str(each) for each in path.parent.glob("*.toml") if each != path)
    if not 0 < len(beside) <= _BESIDE:
        return "name the file of this node with --config, or in EXCHANGED_CONFIG"
    names = ", ".join(beside)
    return (
        "name the file of this node with --config, or in EXCHANGED_CONFIG, which sudo drops; there is"
        f" {names}"
    )


def parse_config(data: dict[str, Any], base: Path) -> Config:
    """The configuration in parsed TOML; relative paths are taken from the folder ``base``.

    Raises ConfigurationError with every problem, each as ``[section] key: what is wrong``.
    """
    problems: list[str] = []
    top = Section("", data, base, problems)
    of_node = top.table("node")
    retired = tuple(f"[node] {key}" for key in _RETIRED_OF_NODE if of_node.gives_retired(key))
    node, role = _node(of_node)
    config = Config(
        node=node,
        keys=_keys(top.table("keys"), node.data_dir),
        links=tuple(link for link in map(_link, top.tables("link")) if link is not None),
        folders=_folders(top, role),
        limits=_limits(top.table("limits")),
        rules=_rules(top.table("rules")),
        retention=_retention(top.table("retention")),
        notices=_notices(top.table("notices")),
        scanner=_scanner(top.table("scanner"), role),
        control=_control(top.table("control"), node.data_dir),
        log=_log(top.table("log")),
        retired=retired,
    )
    top.finish()
    problems.extend(_contradictions(config))
    if problems:
        raise ConfigurationError(tuple(problems))
    return config


def _node(section: Section) -> tuple[NodeConfig, NodeRole | None]:
    """The section, and the role if the file says one: a missing role must not draw further complaints."""
    code = section.text("code", check=is_node_code, shape="an agency code DDDDDD-KK-SS or bridge-<name>")
    role = section.choice("role", NodeRole)
    agency = section.text("agency", code if role is NodeRole.FRONTEND else "")
    if role is NodeRole.FRONTEND and code and not is_agency_code(agency):
        section.problem("agency", f"expected an agency code DDDDDD-KK-SS, found {agency!r}")
    if role in {NodeRole.PROVINCIAL, NodeRole.BRIDGE} and agency:
        section.problem("agency", "only a front-end serves an agency")
    if role and is_node_code(code) and (role is NodeRole.BRIDGE) is not code.startswith("bridge-"):
        section.problem("role", f"the role bridge goes with a code bridge-<name>, found {role} and {code}")
    data_dir = section.path("data_dir")
    config = NodeConfig(
        code=code,
        role=role or NodeRole.BRIDGE,
        data_dir=data_dir,
        agency=agency,
        door=section.path("door", data_dir / DOOR_FOLDER),
    )
    section.finish()
    return config, role


def _keys(section: Section, data_dir: Path) -> KeysConfig:
    roots: list[RootKey] = []
    for text in section.texts("roots"):
        try:
            key = parse_public_key(text)
            roots.append(RootKey(key.key_id, key.suite, key.public))
        except ExchangeError as error:
            section.problem("roots", str(error))
    if not section.texts("roots"):
        section.problem("roots", "at least one root key is needed, as the province published it")
    if len(set(roots)) != len(roots):
        section.problem("roots", "a root key stands there twice; the threshold counts different keys")
    threshold = section.integer("threshold", 1, 1, 32)
    if roots and threshold > len(roots):
        section.problem("threshold", f"asks for {threshold} signatures, but roots names {len(roots)}")
    config = KeysConfig(
        seal=section.path("seal", data_dir / "keys" / "seal.key"),
        link=section.path("link", data_dir / "keys" / "link.key"),
        receipt=section.path("receipt", data_dir / "keys" / "receipt.key"),
        log=section.path("log", data_dir / "keys" / "log.key"),
        encrypt=section.path("encrypt", data_dir / "keys" / "encrypt.key"),
        roots=tuple(roots),
        threshold=threshold,
        passphrase_file=section.path("passphrase_file") if section.text("passphrase_file", "") else None,
    )
    section.finish()
    return config


def _link(section: Section) -> LinkConfig | None:
    transport = section.choice("transport", LinkTransport)
    side = section.choice("side", LinkSide)
    if transport is None or side is None:
        return None
    login = transport is LinkTransport.SFTP
    if login and side is LinkSide.SERVE:
        section.problem("transport", 'the serving side reads a local folder: transport = "folder"')
    account = section.text("account", "", check=_is_account, shape="the name of an account of this machine")
    if account and (side is not LinkSide.SERVE or login):
        section.problem("account", 'only a served folder has one: side = "serve", transport = "folder"')
    config = LinkConfig(
        name=section.text("name", check=_is_link_name, shape="1 to 48 of a-z, 0-9 and -"),
        peer=section.text("peer", check=is_node_code, shape="a node code"),
        transport=transport,
        side=side,
        mailbox=section.text("mailbox") if login else str(section.path("mailbox")),
        host=section.text("host") if login else "",
        port=section.integer("port", 22, 1, 65535) if login else 0,
        user=section.text("user") if login else "",
        key=section.path("key") if login else None,
        host_key=section.text("host_key", check=_is_host_key, shape=_HOST_KEY_SHAPE) if login else "",
        account=account,
    )
    section.finish()
    return config


def _folders(top: Section, role: NodeRole | None) -> FoldersConfig | None:
    if role is not NodeRole.FRONTEND:
        if top.has("folders") and role is not None:
            top.problem("folders", "only a front-end has agency folders")
        return None
    section = top.table("folders")
    mode = section.text("mode", "2770", check=_is_mode, shape=_MODE_SHAPE)
    config = FoldersConfig(
        root=section.path("root"),
        profile=section.choice("profile", DropProfile, DropProfile.RENAME) or DropProfile.RENAME,
        settle_seconds=section.number("settle_seconds", 5.0, 0.1, 3600),
        scan_seconds=section.number("scan_seconds", 10.0, 0.1, 3600),
        group=section.text("group", "", check=_is_group, shape="the name of a group of this machine"),
        mode=int(mode, 8) if _is_mode(mode) else 0,
        optional_sha256=section.flag("optional_sha256", default=False),
        collected_hours=section.number("collected_hours", 24.0, 0, 24 * 366),
        collected_at_once=section.integer("collected_at_once", 200, 1, 1_000_000),
        status_encoding=section.choice("status_encoding", StatusEncoding, StatusEncoding.UTF_8)
        or StatusEncoding.UTF_8,
    )
    section.finish()
    return config


def _limits(section: Section) -> LimitsConfig:
    config = LimitsConfig(
        workers=section.integer("workers", 2, 1, 256),
        check_timeout_seconds=section.number("check_timeout_seconds", 120.0, 1, 86_400),
        check_memory_mib=section.integer("check_memory_mib", 1024, 256, 1 << 20),
        batch_bytes=section.integer("batch_bytes", BATCH_BYTES, 1 * MIB, BATCH_BYTES),
        batch_items=section.integer("batch_items", BATCH_ITEMS, 1, BATCH_ITEMS),
        open_batches=section.integer("open_batches", 8, 1, OPEN_BATCHES),
        scan_names=section.integer("scan_names", 20_000, 100, 1_000_000),
        order_wait_seconds=section.number("order_wait_seconds", 600.0, 0, 86_400),
        retry_first_seconds=section.number("retry_first_seconds", 1.0, 0.05, 3600),
        retry_max_seconds=section.number("retry_max_seconds", 300.0, 0.05, 86_400),
        link_scan_seconds=section.number("link_scan_seconds", 30.0, 0.1, 3600),
        clock_skew_seconds=section.number("clock_skew_seconds", 300.0, 1, 86_400),
        free_space_bytes=section.integer("free_space_bytes", 1024 * MIB, 0, 1 << 50),
        free_space_margin_bytes=section.integer("free_space_margin_bytes", 256 * MIB, 0, 1 << 50),
    )
    if config.retry_max_seconds < config.retry_first_seconds:
        section.problem("retry_max_seconds", "must not be below retry_first_seconds")
    section.finish()
    return config


def _rules(section: Section) -> RulesConfig:
    policy = section.choice("sequence", SequencePolicy, SequencePolicy.WARN)
    section.finish()
    return RulesConfig(sequence=policy or SequencePolicy.WARN)


def _retention(section: Section) -> RetentionConfig:
    def days(key: str, default: float) -> float:
        return section.number(key, default, 0, _MOST_DAYS)

    config = RetentionConfig(
        sent_days=days("sent_days", 90.0),
        refused_days=days("refused_days", 180.0),
        receipt_days=days("receipt_days", 730.0),
        status_days=days("status_days", 365.0),
        notice_days=days("notice_days", 90.0),
        blob_days=days("blob_days", 90.0),
        restore_days=days("restore_days", 14.0),
        transit_days=days("transit_days", 30.0),
    )
    section.finish()
    return config


def _notices(section: Section) -> NoticesConfig:
    def span(key: str, default: float) -> float:
        return section.number(key, default, 0, 100_000)

    config = NoticesConfig(
        accepted_minutes=span("accepted_minutes", 60.0),
        delivered_hours=span("delivered_hours", 24.0),
        collected_days=span("collected_days", 7.0),
        signed_days=span("signed_days", 0.0),
        warn_share=section.number("warn_share", 0.5, 0, 1),
        link_down_minutes=span("link_down_minutes", 15.0),
        held_hours=span("held_hours", 4.0),
        log_hours=span("log_hours", 6.0),
        expiry_days=span("expiry_days", 14.0),
    )
    section.finish()
    return config


def _scanner(section: Section, role: NodeRole | None) -> ScannerConfig | None:
    command = section.texts("command")
    if command and not command[0].startswith("/"):
        # The daemon's search path is not that of the person who tries the command.
        section.problem("command", f"expected a program by its full path first, found {command[0]!r}")
    if command and role is NodeRole.BRIDGE:
        section.problem("command", "a bridge looks into no packet; only front-ends and provincial nodes do")
    config = ScannerConfig(command, section.number("timeout_seconds", 60.0, 0.1, 86_400))
    section.finish()
    return config if command else None


def _control(section: Section, data_dir: Path) -> ControlConfig:
    config = ControlConfig(
        socket=section.path("socket", data_dir / CONTROL_SOCKET),
        group=section.text("group", "", check=_is_group, shape="the name of a group of this machine"),
    )
    section.finish()
    return config


def _log(section: Section) -> LogConfig:
    config = LogConfig(
        level=section.choice("level", LogLevel, LogLevel.INFO) or LogLevel.INFO,
        format=section.choice("format", LogFormat, LogFormat.TEXT) or LogFormat.TEXT,
    )
    section.finish()
    return config


def _contradictions(config: Config) -> Iterator[str]:
    """What no section sees alone."""
    for what in ("name", "peer", "mailbox", "account"):
        values = Counter(filter(None, (_single(link, what) for link in config.links)))
        for value in sorted(value for value, times in values.items() if times > 1):
            yield f"[link] {what}: {value} stands in more than one link"
    for link in config.links:
        if link.peer == config.node.code:
            yield f"[link {link.name}] peer: this node itself"
    local = {Path(link.mailbox): link.name for link in config.links if link.transport is LinkTransport.FOLDER}
    for mailbox, name in local.items():
        # Who may write the outer one could write the inner one.
        for above in sorted(local.keys() & set(mailbox.parents)):
            yield f"[link {name}] mailbox: lies within that of [link {local[above]}]"
    scanner = config.scanner
    if scanner is not None and scanner.timeout_seconds >= config.limits.check_timeout_seconds:
        yield "[scanner] timeout_seconds: must be below [limits] check_timeout_seconds, of which it is a part"
    if config.folders is not None:
        root, data_dir = config.folders.root, config.node.data_dir
        if root == data_dir or root in data_dir.parents or data_dir in root.parents:
            yield "[folders] root: must lie apart from data_dir, which holds keys and the ledger"


def _single(link: LinkConfig, what: str) -> str:
    """What no two links may share. A path on a server is one folder only for one account there."""
    value = str(getattr(link, what))
    if what != "mailbox" or link.transport is LinkTransport.FOLDER or not value:
        return value
    return f"{link.user}@{link.host}:{link.port} {value.rstrip('/') or '/'}"


def _is_link_name(text: str) -> bool:
    return _LINK_NAME.fullmatch(text) is not None


def _is_account(text: str) -> bool:
    return _ACCOUNT.fullmatch(text) is not None


def _is_host_key(text: str) -> bool:
    return _HOST_KEY.fullmatch(text) is not None


def _is_mode(text: str) -> bool:
    if _MODE.fullmatch(text) is None:
        return False
    mode = int(text, 8)
    return mode & _OWNERS == _OWNERS and not mode & _OTHERS_WRITE


def _is_group(text: str) -> bool:
    return _GROUP.fullmatch(text) is not None
