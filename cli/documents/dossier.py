"""An electronic dossier (电子卷宗, COM-001): a package of volumes with its own index.

Every member is a PDF under ``volumes/<volume>/<number>-<document type>.pdf``; ``index.xml`` lists them
with pages, size and SHA-256 (domain catalogue, 1.4). The same members give the same bytes, so a dossier
that goes on to the next agency unchanged is the same blob.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cli.documents.context import MARK, DocumentContext
from cli.documents.package import PackageEntry, pack
from cli.documents.pdf import render_pdf
from packet_spec.documents.dossier import INDEX_NAME
from packet_spec.documents.index import write_index
from packet_spec.documents.values import IndexEntry


def render_dossier(context: DocumentContext) -> bytes:
    """The package of ``context.members`` with its index in front."""
    index, files = _render_members(context)
    listing = PackageEntry(INDEX_NAME, render_index(context, index))
    return pack((listing, *files), context.issued_on)


def render_index(context: DocumentContext, entries: Sequence[IndexEntry]) -> bytes:
    """``entries`` as an index document (docs/packet-format.md, documents) that says it is fictional."""
    facts = {"title": context.title, "number": context.number, "date": context.issued_on.isoformat()}
    return write_index(entries, notes=(MARK, context.case_name), **facts)


def dossier_index(context: DocumentContext) -> tuple[IndexEntry, ...]:
    """The lines of the index that ``render_dossier`` of the same context puts into its package."""
    return _render_members(context)[0]


def _render_members(context: DocumentContext) -> tuple[tuple[IndexEntry, ...], tuple[PackageEntry, ...]]:
    entries: list[IndexEntry] = []
    files: list[PackageEntry] = []
    for number, (volume, member) in enumerate(context.members, 1):
        data, pages = render_pdf(member)
        name = f"volumes/{volume}/{number:03d}-{member.document_type}.pdf"
        digest = hashlib.sha256(data).hexdigest()
        files.append(PackageEntry(name, data))
        entries.append(
            IndexEntry(number, member.document_type, member.title, name, volume, pages, len(data), digest)
        )
    return tuple(entries), tuple(files)
