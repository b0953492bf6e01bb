"""An electronic dossier (电子卷宗) as a package: its files, each of its own format, and its own index.

Guarantees: every entry is unpacked once and matches its checksum; what ``index.xml`` lists is there with that
size, SHA-256 and number of pages, and nothing else is; programs and further archives are refused by
name and by content; documents inside are checked as those beside packet.xml are. A member that is packed is
unpacked into a scratch file of the caller, one at a time.

Known limits: a format that is not in the table is looked at for programs and archives only; an office file
of the old binary kind is searched for macros, not parsed.
"""

from __future__ import annotations

from typing import Final

from packet_spec.documents.archive import ArchiveFile, read_archive, stored_part, unpack
from packet_spec.documents.declared import (
    ARCHIVES,
    HEAD_BYTES,
    declared_format,
    is_archive_name,
    program_in,
    runs_by_name,
    sniff,
)
from packet_spec.documents.formats import CHECKS, ZIP, check_content, faults_inside, require_beginning
from packet_spec.documents.index import check_index, compare_entries
from packet_spec.documents.values import Content, Fault, FaultError, Member, Scratch, Source
from packet_spec.limits import DOCUMENT_FAULTS
from packet_spec.signing import new_hasher

INDEX_NAME: Final = "index.xml"
# The storage of macros in an OLE file, in UTF-16 as its directory has it.
_MACROS: Final = "_VBA_PROJECT".encode("utf-16-le")


def check_dossier(source: Source, scratch: Scratch) -> Content:
    """What a package holds; its faults stand in it. Raises ValidatorError."""
    faults: list[Fault] = []
    members: dict[str, Member] = {}
    index: Content | None = None
    try:
        require_beginning(source, ZIP, ZIP)
        files = read_archive(source)
        if not files:
            raise FaultError("document-empty")
        for file in files:
            member, content = _check_member(source, file, scratch)
            if file.name == INDEX_NAME:
                index = content
            else:
                members[file.name] = member
            faults.extend(faults_inside(content, file.name))
            if len(faults) >= DOCUMENT_FAULTS:
                break
    except FaultError as error:
        return Content(faults=(*faults, error.fault))
    if index is not None and index.index is not None and not faults:
        faults.extend(compare_entries(index.index, members))
    return Content(faults=tuple(faults), members=tuple(members.values()))


def _check_member(source: Source, file: ArchiveFile, scratch: Scratch) -> tuple[Member, Content]:
    """One pass over its bytes, then the check of its format. Raises FaultError when it does not unpack."""
    document_format = declared_format(file.name)
    is_checked = document_format in CHECKS
    place = stored_part(source, file)
    hasher, head, before, has_macros = new_hasher(), b"", b"", False
    with scratch() as unpacked:
        for block in unpack(source, file):
            hasher.update(block)
            head = head or block[:HEAD_BYTES]
            has_macros = has_macros or _MACROS in before + block
            before = block[-len(_MACROS) :]
            if is_checked and place is None:
                unpacked.write(block)
        fault = _refused(file.name, head, has_macros=has_macros)
        content = Content(faults=(fault,) if fault else ())
        if is_checked and not fault:
            part = place or Source(unpacked, file.entry.size)
            content = _check_index(part) if file.name == INDEX_NAME else check_content(part, document_format)
    member = Member(file.name, file.entry.size, hasher.hexdigest(), content.pages)
    return member, content


def _check_index(source: Source) -> Content:
    try:
        return check_index(source)
    except FaultError as error:
        return Content(faults=(error.fault,))


def _refused(name: str, head: bytes, *, has_macros: bool) -> Fault | None:
    looks_like = sniff(head)
    if runs_by_name(name):
        return Fault("document-executable", found=name)
    if program := program_in(head):
        return Fault("document-executable", found=program)
    if looks_like == "ole" and has_macros:
        return Fault("document-executable", found="VBA")
    if is_archive_name(name) or (looks_like in ARCHIVES and declared_format(name) != "ofd"):
        return Fault("document-archive-nested", found=looks_like)
    return None
