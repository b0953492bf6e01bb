"""Open what every role has, in order: lock, keys, ledger, spool, blobs, directory, links.

``open_parts`` is start-up and recovery in one: after any crash it alone restores the invariants, or
refuses and names fault, evidence and next command.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from exchanged.bell import Bell
from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.config import Config, LinkConfig, LinkSide, LinkTransport
from exchanged.damage_mark import marking, require_sound
from exchanged.decryption_keys import DecryptionKeys
from exchanged.disk_floor import DiskFloor
from exchanged.doors import DirectoryCopy
from exchanged.durable import NO_CRASH, CrashPoints, DurableFiles, Volume
from exchanged.errors import ConfigurationError, FileOperationError, NoSpaceError
from exchanged.folder_transport import FolderTransport
from exchanged.held_files import remove_left
from exchanged.jail import jail_of
from exchanged.keyring import Keyring
from exchanged.ledger import Ledger, clock_memory
from exchanged.link_context import LinkContext, LinkLimits
from exchanged.lock import NodeLock
from exchanged.log import event_line
from exchanged.mailbox import BELL_NAME, written_by
from exchanged.own_ledger import remember_node, require_none_before, require_own_ledger, require_same_node
from exchanged.own_links import remember_links, require_same_peers
from exchanged.pack_store import PackStore
from exchanged.places import (
    BLOB_FOLDER,
    DIRECTORY_FOLDER,
    LEDGER_FILE,
    LOCK_FILE,
    PACK_FOLDER,
    SPOOL_FOLDER,
)
from exchanged.pool import WorkPool
from exchanged.published import take_note_of_directory
from exchanged.receipts import Links, Speaker, Statements
from exchanged.reconcile import Reconciled, note_clean_stop, reconcile
from exchanged.retry import Backoff
from exchanged.sftp_connection import SftpConnection, SftpSettings
from exchanged.sftp_transport import SftpTransport
from exchanged.soundness import ClockGuard, SoundClock
from exchanged.spool import Spool
from exchanged.transport import Transport
from exchanged.trust import Trust
from exchanged.volume import KERNEL, Kernel
from packet_spec.model import KeyUse
from packet_spec.ssh_keys import SshKeys, ssh_keys

# The stations whose checks run in the workers, and may be finished after they were held.
_CHECKING: Final = frozenset({"judge", "intake", "delivery"})


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world as a node sees it; simulation and crash tests bring their own.

    ``threaded`` false: the ledger writes in the caller's thread and stations are stepped by hand.
    """

    clock: Clock
    randomness: Randomness
    pool: WorkPool
    crash: CrashPoints = NO_CRASH
    threaded: bool = True
    kernel: Kernel = KERNEL


@dataclass(frozen=True, slots=True)
class Parts:
    """One opened node, before any station works.

    ``ports.clock`` is the time that the node goes by, ``machine_clock`` that of the machine, for alarms.
    """

    config: Config
    ports: Ports
    lock: NodeLock
    files: DurableFiles
    ledger: Ledger
    spool: Spool
    blobs: BlobStore
    trust: Trust
    packs: PackStore
    links: Links
    statements: Statements
    clock_guard: ClockGuard
    floor: DiskFloor
    keyring: Keyring
    decryption_keys: DecryptionKeys
    incarnation: str
    backoff: Backoff
    connections: dict[str, SftpConnection]
    reconciled: Reconciled
    door: DirectoryCopy
    machine_clock: Clock
    # What a role opened: let go when the node is closed, before the lock.
    on_close: list[Callable[[], None]] = field(default_factory=list)

    def link_context(self, config: LinkConfig) -> LinkContext:
        """The context of one configured link, with its transport."""
        limits = self.config.limits
        return LinkContext(
            name=config.name,
            node=self.config.node.code,
            peer=config.peer,
            incarnation=self.incarnation,
            limits=LinkLimits(
                batch_bytes=limits.batch_bytes,
                batch_items=limits.batch_items,
                open_batches=limits.open_batches,
                scan_names=limits.scan_names,
                order_wait_seconds=limits.order_wait_seconds,
                scan_seconds=limits.link_scan_seconds,
                restore_days=self.config.retention.restore_days,
            ),
            ledger=self.ledger,
            spool=self.spool,
            blobs=self.blobs,
            files=self.files,
            transport=self._transport(config),
            trust=self.trust,
            packs=self.packs,
            statements=self.statements,
            link_key=self.keyring.signer(KeyUse.LINK),
            clock=self.ports.clock,
            clock_guard=self.clock_guard,
            floor=self.floor,
            randomness=self.ports.randomness,
        )

    def _transport(self, config: LinkConfig) -> Transport:
        if config.transport is LinkTransport.SFTP:
            return SftpTransport(
                self.connections[config.name], self.files, scan_names=self.config.limits.scan_names
            )
        mailbox = Path(config.mailbox)
        jail = jail_of(config, self.config.node.data_dir)
        # The link's own step makes it where nobody but root need do so: a mailbox that is not there, or takes
        # no FIFO, is no affair of the other links.
        bell = Bell(mailbox / BELL_NAME, makes=jail is None) if config.side is LinkSide.SERVE else None
        return FolderTransport(
            mailbox,
            outgoing=written_by(config.side),
            durable=self.files,
            bell=bell,
            jail=jail,
            scan_names=self.config.limits.scan_names,
            monotonic=self.ports.clock.monotonic,
        )

    def interrupt(self) -> None:
        """Fail whatever waits for a worker process or for a server, so that it ends soon."""
        self.ports.pool.close()
        for connection in self.connections.values():
            connection.finish()

    def close(self, *, clean: bool) -> None:
        """Let go of everything, in reverse. ``clean``: every station had finished its step."""
        self.ports.pool.close()
        with ExitStack() as last:
            # The other way round, and whatever the note comes to.
            last.callback(self.lock.release)
            for let_go in reversed(self.on_close):
                last.callback(let_go)
            for connection in self.connections.values():
                last.callback(connection.finish)
            last.callback(self.ledger.close)
            if clean:
                # Without room for the note the next start takes this stop for a crash, and only looks closer.
                with marking(self.config.node.data_dir), suppress(NoSpaceError):
                    self.ledger.write(note_clean_stop)


def open_parts(config: Config, ports: Ports, on_wake: Callable[[frozenset[str]], None]) -> Parts:
    """Open a node; ``on_wake`` hears which stations have work after each commit, and from other threads too.

    Raises ConfigurationError, LinkPeerError, KeyFileError, AlreadyRunningError, LedgerDamagedError,
    FileOperationError for what belongs to another user, and VolumeDamagedError when the volume fails now, or
    an earlier run ended so and nobody confirmed it since.
    """
    data_dir = config.node.data_dir
    if not data_dir.is_dir():
        raise ConfigurationError((f"[node] data_dir: {data_dir} is no folder",))
    require_sound(data_dir)
    # Also what fails on the way up is started again only by a person's word.
    with ExitStack() as undo, marking(data_dir):
        try:
            lock = NodeLock(data_dir / LOCK_FILE)
        except PermissionError as error:
            user = pwd.getpwuid(os.geteuid()).pw_name
            raise FileOperationError(
                "the data directory, or the lock in it, does not belong to the daemon's user",
                where=str(data_dir), expected=user, hint=f"run as root: chown -R {user} {data_dir}",
            ) from error  # fmt: skip
        undo.callback(lock.release)
        parts = _open_locked(config, ports, on_wake, lock, undo)
        undo.pop_all()
    return parts


def _open_locked(
    config: Config,
    ports: Ports,
    on_wake: Callable[[frozenset[str]], None],
    lock: NodeLock,
    undo: ExitStack,
) -> Parts:
    """The rest of opening, under the lock. What was opened is let go when a later step fails."""
    data_dir = config.node.data_dir
    require_own_ledger(data_dir)
    machine = ports.clock
    clock = SoundClock(machine)
    ports = replace(ports, clock=clock)
    files = DurableFiles(Volume.OWN, ports.crash, ports.kernel)
    trust = Trust(data_dir / DIRECTORY_FOLDER, files, config.keys.roots, config.keys.threshold)
    trust.load()
    # Elsewhere it may lie on any volume, and a failing one stops the door alone.
    of_door = Volume.OWN if config.node.door.is_relative_to(data_dir) else Volume.FOREIGN
    door = DirectoryCopy(config.node.door, files.for_volume(of_door), trust)
    was_behind = door.bring_back()
    keyring = Keyring(config, trust, ports.randomness)
    keyring.load()
    decryption_keys = DecryptionKeys(config.keys.encrypt, keyring.passphrase)
    decryption_keys.load()
    ledger = Ledger(
        data_dir / LEDGER_FILE, ports.clock, on_wake=on_wake, crash=ports.crash, threaded=ports.threaded
    )
    undo.callback(ledger.close)
    ports.pool.when_answered(partial(on_wake, _CHECKING))
    require_same_node(ledger.read(), config.node)
    require_none_before(ledger.read(), config)
    require_same_peers(ledger.read(), config)
    clock_guard = clock_memory.go_by_books(clock, ledger, config.limits.clock_skew_seconds)
    spool = Spool(data_dir / SPOOL_FOLDER, files, ports.randomness)
    store = BlobStore(data_dir / BLOB_FOLDER, files)
    spool.prepare()
    store.prepare()
    reconciled = reconcile(ledger, spool, store)
    remove_left(data_dir, files)
    # The engine hears no error when it flushes the names of its own files; without them nothing is durable.
    files.sync_dir(data_dir)
    remember_node(ledger, config.node)
    remember_links(ledger, config)
    incarnation = _incarnation(ledger, ports.randomness)
    packs = PackStore(data_dir / PACK_FOLDER, files)
    packs.prepare()
    if trust.version:
        packs.keep_shipped(trust.directory)
    if was_behind:
        ledger.write(partial(take_note_of_directory, directory=trust.directory, road="door"))
    door.renew()
    links = Links({link.peer: link.name for link in config.links})
    speaker = speaker_of(config, keyring)
    event_line(
        "opened", node=config.node.code, role=config.node.role.value, directory=trust.version,
        spares=reconciled.spare_files + reconciled.spare_blobs, clean=reconciled.clean_stop,
    )  # fmt: skip
    return Parts(
        config=config,
        ports=ports,
        lock=lock,
        files=files,
        ledger=ledger,
        spool=spool,
        blobs=store,
        trust=trust,
        packs=packs,
        links=links,
        statements=Statements(speaker, trust, links),
        clock_guard=clock_guard,
        floor=DiskFloor(spool, config.limits.free_space_bytes, config.limits.free_space_margin_bytes),
        keyring=keyring,
        decryption_keys=decryption_keys,
        incarnation=incarnation,
        backoff=Backoff(config.limits.retry_first_seconds, config.limits.retry_max_seconds),
        connections={
            link.name: SftpConnection(
                sftp_settings(link),
                listed=partial(host_keys_of, trust, link.peer, ports.clock),
                logins=partial(_logins, keyring, link.name, ports.clock),
            )
            for link in config.links
            if link.transport is LinkTransport.SFTP
        },
        reconciled=reconciled,
        door=door,
        machine_clock=machine,
    )


def _incarnation(ledger: Ledger, randomness: Randomness) -> str:
    """This ledger's random name: a restored or new ledger speaks under another one."""
    known = ledger.write(lambda transaction: transaction.recall("incarnation"))
    if known is not None:
        return known
    fresh = randomness.token(16).hex()
    ledger.write(lambda transaction: transaction.remember("incarnation", fresh))
    return fresh


def speaker_of(config: Config, keyring: Keyring) -> Speaker:
    """Who speaks at the node of ``config``."""
    receipt_key = keyring.signer(KeyUse.RECEIPT) if keyring.has(KeyUse.RECEIPT) else None
    link_key = keyring.signer(KeyUse.LINK)
    return Speaker(config.node.code, config.node.agency or config.node.code, receipt_key, link_key)


def _logins(keyring: Keyring, link: str, clock: Clock) -> tuple[bytes, ...]:
    return keyring.logins(link, clock.now())


def host_keys_of(trust: Trust, peer: str, clock: Clock) -> SshKeys:
    """What the directory in force says now of the host keys of the node ``peer``."""
    return ssh_keys(trust.directory, peer, KeyUse.HOST, clock.now()) if trust.version else SshKeys()


def sftp_settings(link: LinkConfig) -> SftpSettings:
    """How to reach the mailbox of an ``sftp`` link."""
    assert link.key is not None  # noqa: S101 - the configuration requires it for sftp
    return SftpSettings(link.host, link.port, link.user, link.key, link.host_key, link.mailbox)
