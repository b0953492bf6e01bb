"""The values of a node's configuration, frozen: what ``exchanged.config`` reads a file into."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from packet_spec.model import KeyUse, NodeRole, RootKey
from packet_spec.sequence_policy import SequencePolicy

_KEYS_OF_ROLE: Final = {
    NodeRole.FRONTEND: frozenset({KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT}),
    NodeRole.PROVINCIAL: frozenset({KeyUse.LINK, KeyUse.RECEIPT}),
    NodeRole.BRIDGE: frozenset({KeyUse.LINK}),
}


class LinkTransport(StrEnum):
    """How a link reaches its mailbox."""

    SFTP = "sftp"
    FOLDER = "folder"


class LinkSide(StrEnum):
    """``dial`` writes ``up/`` and reads ``down/``; ``serve`` the other way round, and owns the bell."""

    DIAL = "dial"
    SERVE = "serve"


class DropProfile(StrEnum):
    """How the case software says that a drop is complete (docs/packet-format.md, the drop)."""

    RENAME = "rename"
    MARKER = "marker"
    SETTLED = "settled"


class StatusEncoding(StrEnum):
    """The encoding of status files."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


class LogLevel(StrEnum):
    """error: a person must act; warning: odd, handled; info: a state changed; debug: the rest."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


class LogFormat(StrEnum):
    """``text``: key=value lines; ``json``: one object per line."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Who this node is. ``agency`` is the agency a front-end serves, and empty for other roles.

    ``door`` is the folder in which the SSH server's key command finds the directory in force.
    """

    code: str
    role: NodeRole
    data_dir: Path
    agency: str
    door: Path


@dataclass(frozen=True, slots=True)
class KeysConfig:
    """Private key files of this node, and the root keys that may sign a directory (C24).

    ``encrypt`` is the key that parts are encrypted to; older ones lie beside it as ``encrypt-*.key``.
    """

    seal: Path
    link: Path
    receipt: Path
    log: Path
    encrypt: Path
    roots: tuple[RootKey, ...]
    threshold: int
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """One link. For ``folder`` the mailbox is an absolute local path, for ``sftp`` one on the server.

    ``host``, ``port``, ``user``, ``key`` (the login key file) and ``host_key`` (the server's public key
    line) are set for ``sftp`` only. ``account`` is the local account in whose jail the mailbox stands, for
    the serving side only; empty where there is none, and then no jail is looked at.
    """

    name: str
    peer: str
    transport: LinkTransport
    side: LinkSide
    mailbox: str
    host: str
    port: int
    user: str
    key: Path | None
    host_key: str
    account: str = ""


@dataclass(frozen=True, slots=True)
class FoldersConfig:
    """The agency's folders. ``mode`` applies to folders that the daemon makes, e.g. 0o2770."""

    root: Path
    profile: DropProfile
    settle_seconds: float
    scan_seconds: float
    group: str
    mode: int
    optional_sha256: bool
    collected_hours: float
    collected_at_once: int
    status_encoding: StatusEncoding


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Work, waiting and sizes. Seconds are floats: whole numbers would flatten short delays."""

    workers: int
    check_timeout_seconds: float
    check_memory_mib: int
    batch_bytes: int
    batch_items: int
    open_batches: int
    scan_names: int
    order_wait_seconds: float
    retry_first_seconds: float
    retry_max_seconds: float
    link_scan_seconds: float
    clock_skew_seconds: float
    free_space_bytes: int
    free_space_margin_bytes: int


@dataclass(frozen=True, slots=True)
class RulesConfig:
    """Which rules of the catalogue bind here."""

    sequence: SequencePolicy


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long bytes are kept after nothing needs them, in days; 0 keeps them for ever.

    ``restore_days`` is the restore window of C23; blobs stay at least as long.
    """

    sent_days: float
    refused_days: float
    receipt_days: float
    status_days: float
    notice_days: float
    blob_days: float
    transit_days: float
    restore_days: float


@dataclass(frozen=True, slots=True)
class NoticesConfig:
    """When the staff is told of what is late, down or about to end; 0 switches one kind off.

    ``warn_share`` is the share of a receipt's deadline after which it is told as late, before it is overdue.
    """

    accepted_minutes: float
    delivered_hours: float
    collected_days: float
    signed_days: float
    warn_share: float
    link_down_minutes: float
    held_hours: float
    log_hours: float
    expiry_days: float


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Where commands ask the daemon to act. ``group`` may act beside root and the node's own user."""

    socket: Path
    group: str


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged, and how a line looks."""

    level: LogLevel
    format: LogFormat


@dataclass(frozen=True, slots=True)
class ScannerConfig:
    """An external scanner: the program with its arguments, and the seconds that one document may take."""

    command: tuple[str, ...]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. ``folders`` is None unless the node is a front-end, ``scanner`` unless set.

    ``retired`` are keys that the file gives and that count for nothing any more.
    """

    node: NodeConfig
    keys: KeysConfig
    links: tuple[LinkConfig, ...]
    folders: FoldersConfig | None
    limits: LimitsConfig
    rules: RulesConfig
    retention: RetentionConfig
    notices: NoticesConfig
    scanner: ScannerConfig | None
    control: ControlConfig
    log: LogConfig
    retired: tuple[str, ...] = ()

    def key_files(self) -> dict[KeyUse, Path]:
        """The private key files that a node of this role has, by use: a bridge issues no receipts (C14)."""
        files = {
            KeyUse.SEAL: self.keys.seal, KeyUse.LINK: self.keys.link, KeyUse.RECEIPT: self.keys.receipt
        }  # fmt: skip
        return {use: path for use, path in files.items() if use in _KEYS_OF_ROLE[self.node.role]}

    def signing_key_files(self) -> dict[KeyUse, Path]:
        """Those that the node must have, and that for the log where one lies."""
        log = self.log_key_file()
        return self.key_files() | ({KeyUse.LOG: log} if log is not None and log.exists() else {})

    def log_key_file(self) -> Path | None:
        """Where the key for the log lies, if this node may admit; there may be none (docs/operating.md)."""
        return None if self.node.role is NodeRole.BRIDGE else self.keys.log
