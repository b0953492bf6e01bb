"""The front-end role: which stations an agency's node adds, wired by hand.

intake -> (judging in workers) -> sealing -> links ...  and  ... links -> judge -> delivery -> collected.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from exchanged.acts.desk import Dispose
from exchanged.acts.opening import Agency, WhyNotAnswer
from exchanged.config import Config, DropProfile, FoldersConfig
from exchanged.deciding import ByPart
from exchanged.durable import DurableFiles
from exchanged.durable_group import GroupedFiles
from exchanged.errors import ConfigurationError
from exchanged.judge import Judge
from exchanged.key_desk import KeyDesk
from exchanged.merkle_log import LogStation
from exchanged.note_handlers import applying_of
from exchanged.notice_sources import notices_of
from exchanged.parts import Parts
from exchanged.provincial import admission_of, judge_tools
from exchanged.receipts import Statements
from exchanged.reception import Reception
from exchanged.restoring import AfterRestoring, Restoring
from exchanged.station import Station
from exchanged.volume import Volume
from frontend_server.claim import FolderClaim
from frontend_server.collected import Collected
from frontend_server.counts import Counts
from frontend_server.delivery import Delivery
from frontend_server.dispositions import Dispositions, why_not_answer
from frontend_server.effects import Effects, EffectSettings
from frontend_server.folders import STAGING, AgencyFolders, MarkedFolders
from frontend_server.forgotten import ForgottenOriginals
from frontend_server.intake import Intake, IntakeSettings
from frontend_server.notice_place import AgencyPlace, FolderWatch
from frontend_server.opening import Opener
from frontend_server.patience import Patience
from frontend_server.removal import Remover
from frontend_server.restored import RestoredFolders
from frontend_server.retention import Retention
from frontend_server.staging import Stager
from packet_spec.model import KeyUse

_FILE_BITS = 0o666


def frontend_agency(config: Config) -> Agency:
    """How the agency of a front-end answers what was delivered to it, when a person says so (C22)."""
    agency = config.node.agency

    def answers(statements: Statements) -> tuple[Dispose, WhyNotAnswer]:
        return Dispositions(agency, statements).take, partial(why_not_answer, agency)

    return answers


def require_folders(config: Config) -> None:
    """Ask of the agency's folders what opening a front-end asks of them.

    Raises what ``frontend_stations`` raises for them.
    """
    if config.folders is not None:
        _folders(config.node.code, config.folders, DurableFiles(Volume.FOREIGN)).ensure()


def frontend_stations(parts: Parts) -> tuple[tuple[Station, ...], dict[Path, str]]:
    """The stations of a front-end, and the folders whose events wake which of them.

    Raises ConfigurationError without [folders], ForeignVolumeError when the agency's folders cannot be made.
    """
    config, ports = parts.config, parts.ports
    if config.folders is None:
        raise ConfigurationError(("[folders]: a front-end needs its agency's folders",))
    agency, settings = config.node.agency, config.folders
    foreign = parts.files.for_volume(Volume.FOREIGN)
    claim = FolderClaim(settings.root / STAGING)
    parts.on_close.append(claim.release)
    folders = _folders(config.node.code, settings, foreign, claim)
    folders.ensure()
    marked = MarkedFolders(folders, parts.ledger)
    counts = Counts(
        agency=agency,
        ledger=parts.ledger,
        folders=marked,
        files=foreign,
        clock=ports.clock,
        file_mode=settings.mode & _FILE_BITS,
    )
    intake = Intake(
        ledger=parts.ledger,
        folders=folders,
        spool=parts.spool,
        blobs=parts.blobs,
        files=parts.files,
        floor=parts.floor,
        trust=parts.trust,
        packs=parts.packs.folder,
        links=parts.links,
        pool=ports.pool,
        seal_key=parts.keyring.signer(KeyUse.SEAL),
        decryption_keys=parts.decryption_keys,
        dispose=Dispositions(agency, parts.statements).take,
        clock=ports.clock,
        randomness=ports.randomness,
        backoff=parts.backoff,
        settings=IntakeSettings(
            node=config.node.code,
            agency=agency,
            profile=settings.profile,
            settle_seconds=settings.settle_seconds,
            scan_seconds=settings.scan_seconds,
            optional_sha256=settings.optional_sha256,
            scan_names=config.limits.scan_names,
            scanner=config.scanner,
        ),
        dating_doubt=parts.clock_guard.dating_doubt,
    )
    delivered = GroupedFiles(foreign)
    delivery = Delivery(
        agency=agency,
        ledger=parts.ledger,
        folders=marked,
        stager=Stager(
            parts.ledger, parts.spool, parts.blobs, parts.trust, delivered, ports.clock, _opener(parts),
            folder_mode=settings.mode,
        ),
        files=delivered,
        statements=parts.statements,
        links=parts.links,
        trust=parts.trust,
        clock=ports.clock,
        clock_is_sound=lambda: not parts.clock_guard.doubt(),
        randomness=ports.randomness,
        backoff=parts.backoff,
        folder_mode=settings.mode,
    )  # fmt: skip
    collected = Collected(
        agency=agency,
        ledger=parts.ledger,
        folders=marked,
        files=foreign,
        statements=parts.statements,
        clock=ports.clock,
        scan_seconds=settings.scan_seconds,
        keep_hours=settings.collected_hours,
        at_once=settings.collected_at_once,
    )
    effects = Effects(
        ledger=parts.ledger,
        folders=folders,
        files=foreign,
        write_counts=counts.write_counts,
        clock=ports.clock,
        randomness=ports.randomness,
        backoff=parts.backoff,
        settings=EffectSettings(settings.status_encoding, settings.mode),
    )
    reception = Reception(config.node.code, agency, parts.trust, parts.links, parts.statements)
    # Without a province the front-end next door is admitted here (C21).
    deciding = ByPart(config.node.code, parts.trust, admission_of(parts, agency), reception)
    judge = Judge(judge_tools(parts), deciding, applying_of(parts))
    retention = Retention(
        ledger=parts.ledger,
        folders=folders,
        remover=Remover(folders, foreign),
        clock=ports.clock,
        proven=parts.clock_guard.proven,
        keep=config.retention,
    )
    patience = Patience()
    place = AgencyPlace(folders, parts.ledger, foreign, patience, file_mode=settings.mode & _FILE_BITS)
    notices = notices_of(parts, (FolderWatch(folders, parts.ledger, patience).matters,), (place,))
    # What a restored node seals, delivers or sees vanish before it knows what it forgot would be told twice;
    # and a status that it writes would take the place of one that tells what it forgot (C23).
    after = tuple(AfterRestoring(parts.ledger, each) for each in (intake, delivery, collected, effects))
    with_markers = settings.profile is DropProfile.MARKER
    forgotten = ForgottenOriginals(
        agency, parts.ledger, folders, foreign, ports.pool, markers=with_markers
    )
    own = RestoredFolders(agency, parts.ledger, folders, parts.trust, parts.statements, forgotten)
    restored = Restoring(parts, before=own.begin, ready=own.take)
    desks = (LogStation(parts), KeyDesk(parts), notices, restored)
    stations: tuple[Station, ...] = (judge, *after, retention, *desks)
    return stations, {folders.outbox: intake.name}


def _folders(
    node: str, settings: FoldersConfig, files: DurableFiles, claim: FolderClaim | None = None
) -> AgencyFolders:
    return AgencyFolders(
        settings.root, files, node=node, mode=settings.mode, group=settings.group, claim=claim
    )


def _opener(parts: Parts) -> Opener:
    """What opens the encrypted packets that are delivered here."""
    return Opener(
        node=parts.config.node.code,
        keys=parts.decryption_keys,
        trust=parts.trust,
        pool=parts.ports.pool,
        clock=parts.ports.clock,
        randomness=parts.ports.randomness,
        packs=parts.packs.folder,
        scanner=parts.config.scanner,
    )
