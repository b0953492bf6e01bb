"""``packet check``: the verdict on a drop or a sealed packet, as every node would give it.

Guarantees: the same check of packet.xml as at front-end and province (``packet_spec.check``), of the files
against its list, and of what is inside them (``packet_documents``); all findings at once. Doubt holds: a
listed file that is not there, a directory that does not prove itself for a sealed packet. Leaves to others:
identity and order in the case, which only a node can know. Portable: needs nothing but the standard itself
unless a node is configured here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.drop_reader import PACKET_XML, Drop, DropFile, DropRefused, read_drop
from cli.frame import DEFAULT_CONFIG, InputFileError, Settings, read_input
from cli.locale import _, language, told
from cli.packet_documents import DeskDocument, document_findings
from cli.render import printable
from exchanged.clock import SystemClock
from exchanged.packs import find_pack
from exchanged.places import PACK_FOLDER
from packet_spec.authority import check_seal_authority
from packet_spec.binding import check_parts_against_attachments, check_seal_against_packet
from packet_spec.check import CheckResult, check_packet
from packet_spec.directory import decode_directory, find_key_owner
from packet_spec.disposition import is_disposition, parse_disposition
from packet_spec.encryption_rules import encryption_findings
from packet_spec.envelope import missing_digest_findings
from packet_spec.errors import ExchangeError, PackUnknownError, ValidatorError
from packet_spec.findings import Finding, Outcome, Severity, Verdict, verdict_of
from packet_spec.identity import PacketKey
from packet_spec.limits import DIRECTORY_BYTES, FINDINGS, PACK_BYTES
from packet_spec.model import Attachment, Directory, Packet, Seal
from packet_spec.names import fold_name
from packet_spec.pack import Pack, read_pack
from packet_spec.pack_choice import FindPack, check_with_packs, find_shipped, pack_of_seal
from packet_spec.seal import PacketReader, blob_parts
from packet_spec.sentences import make_finding
from packet_spec.signing import PublicKey, digest_of_blocks, split_signed

if TYPE_CHECKING:
    from datetime import datetime

    from exchanged.config import Config

INCOMPLETE: Final = "incomplete"
_SEALED: Final = ".packet"
_DIGEST_MISSING: Final = "attachment-digest-missing"


@dataclass(frozen=True, slots=True)
class Rules:
    """What is checked against. ``directory_state``: proved, not-proved or none; ``pack`` if one was named."""

    directory: Directory | None
    directory_state: str
    optional_sha256: bool
    now: datetime
    find: FindPack = find_shipped
    pack: Pack | None = None

    def check(self, packet_xml: bytes) -> tuple[CheckResult, Pack]:
        """A packet.xml that nobody sealed: by the pack that was named, else by those in force."""
        if self.pack is not None:
            result = check_packet(packet_xml, directory=self.directory, pack=self.pack, moment=self.now)
            return result, self.pack
        return check_with_packs(packet_xml, directory=self.directory, now=self.now, find=self.find)


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict on one path. ``missing`` are listed files that are not there.

    ``note`` says, in English, what else was proved or why not. ``key`` is known where packet.xml or a seal
    bears an id.
    """

    path: Path
    outcome: Outcome
    held_because: str = ""
    findings: tuple[Finding, ...] = ()
    missing: tuple[str, ...] = ()
    business_type: str = ""
    sender_ref: str = ""
    encoding: str = ""
    key: PacketKey | None = None
    note: str = ""
    pack: str = ""


def checking(
    settings: Settings, directory_file: Path | None, pack_file: Path | None, *, optional_sha256: bool
) -> Rules:
    """The rules of this call: a named directory, else the installed one of a configured node, else none.

    A named pack counts for drops; else those in force, as far as they are on this machine.

    Raises ConfigurationError for a configuration that was named or exists and cannot be used, and
    SignatureError when the configured roots do not prove a named directory.
    """
    config = _config_if_any(settings)
    directory, state = None, "none"
    if directory_file is not None:
        data = read_input(directory_file, DIRECTORY_BYTES)
        if config is not None:
            from cli.directory_trusted import open_trusted  # noqa: PLC0415 - not portable, as below

            directory, state = open_trusted(data, config), "proved"
        else:
            directory, state = decode_directory(split_signed(data)[0]), "not-proved"
    elif config is not None:
        from cli.directory_trusted import find_directory  # noqa: PLC0415 - not portable, and only nodes need it

        directory = find_directory(config)[0]
        state = "none" if directory is None else "proved"
    if config is not None and config.folders is not None:
        optional_sha256 |= config.folders.optional_sha256
    folder = Path() if config is None else config.node.data_dir / PACK_FOLDER
    pack = None if pack_file is None else read_pack(read_input(pack_file, PACK_BYTES))
    return Rules(
        directory, state, optional_sha256, SystemClock().now(), partial(find_pack, folder), pack
    )


def check_path(path: Path, rules: Rules) -> Checked:
    """The verdict on one drop or sealed packet. Raises InputFileError when it cannot be read at all."""
    if path.suffix.lower() == _SEALED and not path.is_dir():
        return _check_sealed(path, rules)
    try:
        return _check_drop(path, read_drop(path), rules)
    except DropRefused as refused:
        return Checked(path, Outcome.REFUSED, findings=refused.findings)


def outcome_text(checked: Checked) -> str:
    """The verdict for people, in their language, one finding after the other."""
    lines = [f"{checked.path}: {_(checked.outcome.value)}"]
    if checked.held_because:
        lines[0] += f" ({checked.held_because})"
    lines += [f"  {_('missing')}: {name}" for name in checked.missing]
    for number, finding in enumerate(checked.findings, start=1):
        lines += _finding_lines(number, finding)
    if checked.note:
        lines.append(f"  {told(checked.note)}")
    return "\n".join(printable(line) for line in lines)


def _finding_lines(number: int, finding: Finding) -> Iterator[str]:
    line = "" if finding.line is None else _("line {number}").format(number=finding.line)
    place = " ".join(part for part in (finding.file, line, finding.element, finding.document) if part)
    yield f"  {number}. {_(finding.severity.value)}: {finding.zh if language() == 'zh_CN' else finding.en}"
    yield f"     {finding.code}{f' @ {place}' if place else ''}"
    if finding.expected:
        yield f"     {_('expected')}: {finding.expected}"
    if finding.found:
        yield f"     {_('found')}: {finding.found}"


def _config_if_any(settings: Settings) -> Config | None:
    """The configuration, unless nobody named one and this machine has none: a vendor's desk."""
    if settings.config_path == DEFAULT_CONFIG and not settings.config_path.exists():
        return None
    return settings.load()


# --- drops --------------------------------------------------------------------------------------


def _check_drop(path: Path, drop: Drop, rules: Rules) -> Checked:
    if drop.packet_xml is None:
        return Checked(path, Outcome.HELD, INCOMPLETE, missing=(PACKET_XML,))
    if not drop.packet_xml:
        return Checked(path, Outcome.REFUSED, findings=(make_finding("packet-xml-empty", file=PACKET_XML),))
    if drop.is_lone and is_disposition(drop.packet_xml):
        disposition, findings = parse_disposition(drop.packet_xml)
        outcome = Outcome.REFUSED if disposition is None else Outcome.VALID
        return Checked(path, outcome, findings=findings, note="a disposition")
    try:
        result, pack = rules.check(drop.packet_xml)
    except PackUnknownError as error:
        return Checked(path, Outcome.HELD, error.reference, note=str(error))
    packet = result.packet
    if packet is None:
        return Checked(path, result.verdict.outcome, result.verdict.held_because, result.verdict.findings)
    compared = _Comparison(packet.attachments, drop.files)
    findings = (
        *result.verdict.findings,
        *_missing_digests(packet, rules),
        *compared.findings(),
    )
    checked, findings = _with_documents(result.verdict, findings, compared.sound, packet, pack)
    verdict = _verdict(checked, findings, compared.missing)
    envelope = packet.envelope
    return Checked(
        path,
        verdict.outcome,
        verdict.held_because,
        verdict.findings,
        missing=compared.missing,
        business_type=envelope.business_type,
        sender_ref=envelope.sender_ref,
        encoding=result.encoding,
        pack=pack.title,
        key=PacketKey(envelope.sender, envelope.packet_id) if envelope.packet_id else None,
    )


def _with_documents(
    checked: Verdict,
    findings: tuple[Finding, ...],
    documents: Sequence[DeskDocument],
    packet: Packet,
    pack: Pack,
) -> tuple[Verdict, tuple[Finding, ...]]:
    """The verdict and findings with what is inside the documents; one that nobody can judge holds."""
    try:
        count = len(packet.attachments)
        return checked, (*findings, *document_findings(documents, count, pack.catalogue))
    except ValidatorError as error:
        return Verdict(Outcome.HELD, findings, error.reference), findings


def _verdict(checked: Verdict, findings: tuple[Finding, ...], missing: Sequence[str]) -> Verdict:
    """Refusals first. A held validator stays held; what is only missing holds."""
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.REFUSE)[:FINDINGS]
    if checked.outcome is Outcome.HELD:
        return Verdict(Outcome.HELD, tuple(ordered), checked.held_because)
    verdict = verdict_of(tuple(ordered))
    if missing and verdict.outcome is Outcome.VALID:
        return Verdict(Outcome.HELD, verdict.findings, INCOMPLETE)
    return verdict


def _missing_digests(packet: Packet, rules: Rules) -> Iterator[Finding]:
    for finding in missing_digest_findings(packet):
        if not (rules.optional_sha256 and finding.code == _DIGEST_MISSING):
            yield finding


class _Comparison:
    """The list of packet.xml against the files: by name as a case-insensitive share would, size, digest."""

    def __init__(self, attachments: Sequence[Attachment], files: Sequence[DropFile]) -> None:
        self._twins: list[DropFile] = []
        # Filled while the findings are gathered: what is listed, and there as listed.
        self.sound: list[DeskDocument] = []
        by_name = self._by_name(files)
        found = [by_name.get(fold_name(listed.file)) for listed in attachments]
        self._pairs = [
            (listed, file) for listed, file in zip(attachments, found, strict=True) if file is not None
        ]
        self.missing = tuple(
            listed.file for listed, file in zip(attachments, found, strict=True) if file is None
        )
        used = {id(file) for _listed, file in self._pairs}
        # An empty file that nobody listed is litter (domain catalogue, part 2.5).
        self._unlisted = [
            file for file in files if id(file) not in used and file.size and not file.is_temporary
        ]

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the files. Raises DropRefused when one cannot be unpacked."""
        for file in self._twins:
            yield make_finding("attachment-file-twice", found=file.names[0])
        for listed, file in self._pairs:
            if listed.size is not None and file.size != listed.size:
                sizes = str(listed.size), str(file.size)
                yield make_finding(
                    "attachment-size-differs", file=listed.file, expected=sizes[0], found=sizes[1]
                )
            elif (digest := digest_of_blocks(file.blocks())) != (listed.sha256 or digest):
                yield make_finding(
                    "attachment-digest-differs", file=listed.file, expected=listed.sha256 or "", found=digest
                )
            else:
                self.sound.append(DeskDocument(listed, file.size, digest, file.blocks, file.path))
        for file in self._unlisted:
            yield make_finding("attachment-unlisted", found=file.names[0])

    def _by_name(self, files: Sequence[DropFile]) -> dict[str, DropFile]:
        """Folded name -> file: first by the first reading of each name, then by the others."""
        found: dict[str, DropFile] = {}
        for file in files:
            if found.setdefault(fold_name(file.names[0]), file) is not file:
                self._twins.append(file)
        for file in files:
            for name in file.names[1:]:
                found.setdefault(fold_name(name), file)
        return found


# --- sealed packets -----------------------------------------------------------------------------


def _check_sealed(path: Path, rules: Rules) -> Checked:
    """Signature first: without a directory that proves itself nobody knows whose it is."""
    if rules.directory is None or rules.directory_state != "proved":
        note = "the seal's signature needs a proved directory: run this on a node, or with its --config"
        return Checked(path, Outcome.HELD, "unknown-key", note=note)
    try:
        return _open_sealed(path, rules, rules.directory)
    except OSError as error:
        found = error.strerror or ""
        raise InputFileError("the packet cannot be read", where=str(path), found=found) from error
    except ExchangeError as error:
        note = f"{error.reference}: {error}"
        if error.temporary:
            return Checked(path, Outcome.HELD, error.reference, note=note)
        return Checked(path, Outcome.REFUSED, note=note)


def _open_sealed(path: Path, rules: Rules, directory: Directory) -> Checked:
    def look_up(key_id: str) -> PublicKey | None:
        owner = find_key_owner(directory, key_id)
        return None if owner is None else PublicKey(owner[1].suite, owner[1].public)

    with path.open("rb") as file:
        reader = PacketReader(file.read)
        seal = reader.open(look_up)
        packet_xml = reader.packet_xml()
        inline = {part.index: b"".join(blocks) for part, blocks in reader.parts()}
    check_seal_authority(directory, seal, reader.key_id, rules.now)
    pack, out_of_force = pack_of_seal(seal, directory, rules.find)
    result = check_packet(
        packet_xml, directory=directory, pack=pack, encoding=seal.encoding, moment=seal.sealed_at
    )
    findings = (*out_of_force, *result.verdict.findings)
    checked = result.verdict
    if result.packet is not None:
        findings += check_seal_against_packet(seal, result.packet)
        findings += encryption_findings(directory, seal)
        if seal.encryption is None and not check_parts_against_attachments(seal, result.packet.attachments):
            documents = _inline_documents(seal, result.packet, inline)
            checked, findings = _with_documents(checked, findings, documents, result.packet, pack)
    verdict = _verdict(checked, findings, ())
    count = len(blob_parts(seal))
    beside = f"; {count} large parts travel beside it and were not checked" if count else ""
    if seal.encryption is not None:
        nodes = ", ".join(dict.fromkeys(each.node for each in seal.encryption.keys))
        beside += f"; its parts are encrypted to {nodes}, and nobody else can look into them"
    note = f"sealed by {seal.key.sender}: signature, authority and every digest verified{beside}"
    return Checked(
        path,
        verdict.outcome,
        verdict.held_because,
        verdict.findings,
        business_type=seal.business_type,
        sender_ref=seal.sender_ref,
        encoding=seal.encoding,
        key=seal.key,
        note=note,
        pack=pack.title,
    )


def _inline_documents(seal: Seal, packet: Packet, inline: dict[int, bytes]) -> list[DeskDocument]:
    """The documents that the sealed packet itself carries."""
    return [
        DeskDocument(listed, part.size, part.digest, partial(_once, inline[part.index]))
        for part, listed in zip(seal.parts, packet.attachments, strict=True)
        if part.index in inline
    ]


def _once(data: bytes) -> Iterator[bytes]:
    yield data
