"""The desk of a node: made from the parts of a running one, or opened for one act without a daemon.

Without a daemon the node's lock is held for the act alone; a daemon that starts in that moment waits for it
(``exchanged.lock``). The process first becomes the owner of the data directory, so that an act of root
leaves no file there that the daemon could not open, and uses the keys as the daemon would. It goes by the
clock as the daemon would at its start, and signs nothing while the time is only an estimate: nobody is heard
who could confirm it (C18).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from exchanged.acts.desk import Desk, Dispose, no_dispositions
from exchanged.acts.giving_up import GivingUpTools
from exchanged.acts.rules import Standpoint, nobody_answers
from exchanged.acts.values import Obstacle
from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.config import Config
from exchanged.damage_mark import marking, require_sound
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import ConfigurationError, NotPermittedError
from exchanged.keyring import Keyring
from exchanged.ledger import Connection, Ledger, clock_memory
from exchanged.lock import NodeLock, Purpose
from exchanged.own_ledger import require_own_ledger, require_same_node
from exchanged.own_links import require_same_peers
from exchanged.parts import Parts, speaker_of
from exchanged.places import BLOB_FOLDER, DIRECTORY_FOLDER, LEDGER_FILE, LOCK_FILE, SPOOL_FOLDER
from exchanged.pool import WorkPool
from exchanged.receipts import Links, Statements
from exchanged.soundness import SoundClock
from exchanged.spool import Spool
from exchanged.trust import Trust
from packet_spec.identity import PacketKey

WhyNotAnswer = Callable[[Connection, PacketKey], Obstacle | None]
Agency = Callable[[Statements], tuple[Dispose, WhyNotAnswer]]
"""How the node's agency answers, given how it speaks; of nodes without an agency ``no_agency``."""

_OTHERS: Final = "act as root (sudo), or start the daemon, which asks [control] group"


def no_agency(_statements: Statements) -> tuple[Dispose, WhyNotAnswer]:
    """Nodes that serve no agency sign for nothing."""
    return no_dispositions, nobody_answers


def desk_of(parts: Parts, agency: Agency = no_agency) -> Desk:
    """The desk of a running node."""
    dispose, why_not_answer = agency(parts.statements)
    tools = GivingUpTools(
        node=parts.config.node.code,
        agency=parts.config.node.agency,
        data_dir=parts.config.node.data_dir,
        ledger=parts.ledger,
        spool=parts.spool,
        store=parts.blobs,
        files=parts.files,
        trust=parts.trust,
        links=parts.links,
        statements=parts.statements,
        pool=parts.ports.pool,
        keep_free=parts.config.limits.free_space_bytes,
    )
    return Desk(Standpoint(parts.links.names(), why_not_answer), tools, parts.machine_clock, dispose)


@contextmanager
def opened_desk(
    config: Config, clock: Clock, randomness: Randomness, pool: WorkPool, agency: Agency = no_agency
) -> Iterator[Desk]:
    """The desk of a node whose daemon does not run; nothing else of the node is started.

    Raises AlreadyRunningError when a daemon holds the lock, NotPermittedError when this user cannot, and
    what opening a node raises.
    """
    with ExitStack() as undo:
        lock = _take_lock(config)
        undo.callback(lock.release)
        require_sound(config.node.data_dir)
        undo.enter_context(marking(config.node.data_dir))
        yield _open(config, clock, randomness, pool, agency, undo)


def _take_lock(config: Config) -> NodeLock:
    """As the owner of the data. Raises AlreadyRunningError, NotPermittedError, ConfigurationError."""
    data_dir = config.node.data_dir
    try:
        become(data_dir.stat().st_uid)
        return NodeLock(data_dir / LOCK_FILE, Purpose.ACT)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigurationError((f"[node] data_dir: {data_dir} is no folder",)) from error
    except PermissionError as error:
        raise NotPermittedError(
            "the daemon does not run, and you may not open its data", where=str(data_dir), hint=_OTHERS
        ) from error


def _open(
    config: Config, clock: Clock, randomness: Randomness, pool: WorkPool, agency: Agency, undo: ExitStack
) -> Desk:
    data_dir = config.node.data_dir
    require_own_ledger(data_dir)
    files = DurableFiles(Volume.OWN)
    sound = SoundClock(clock)
    ledger = Ledger(data_dir / LEDGER_FILE, sound, on_wake=_nobody_wakes, threaded=False)
    undo.callback(ledger.close)
    require_same_node(ledger.read(), config.node)
    require_same_peers(ledger.read(), config)
    guard = clock_memory.go_by_books(sound, ledger, config.limits.clock_skew_seconds)
    trust = Trust(data_dir / DIRECTORY_FOLDER, files, config.keys.roots, config.keys.threshold)
    trust.load()
    keyring = Keyring(config, trust, randomness)
    keyring.load()
    links = Links({link.peer: link.name for link in config.links})
    statements = Statements(speaker_of(config, keyring), trust, links)
    dispose, why_not_answer = agency(statements)
    tools = GivingUpTools(
        node=config.node.code,
        agency=config.node.agency,
        data_dir=data_dir,
        ledger=ledger,
        spool=Spool(data_dir / SPOOL_FOLDER, files, randomness),
        store=BlobStore(data_dir / BLOB_FOLDER, files),
        files=files,
        trust=trust,
        links=links,
        statements=statements,
        pool=pool,
        keep_free=config.limits.free_space_bytes,
    )
    standpoint = Standpoint(links.names(), why_not_answer, guard.dating_doubt)
    return Desk(standpoint, tools, clock, dispose)


def _nobody_wakes(_stations: frozenset[str]) -> None:
    """No station runs: the next start looks at everything."""


def become(uid: int) -> None:
    """Go on as the owner of the data, for good, if this process is root and the owner is not."""
    if os.geteuid() != 0 or uid == 0:
        return
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        problem = f"[node] data_dir: it belongs to user {uid}, who has no account"
        raise ConfigurationError((problem,)) from None
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(uid)
