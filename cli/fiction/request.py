"""What is asked for and what comes out: a request for an invented packet, and the drop it becomes.

Values only. ``exchanged``'s own envelope and attachment values are used, so that what is written here
and what is read by the packet check are the same things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cli.documents.context import DocumentContext
from cli.documents.document import DocumentFormat
from cli.fiction.case_file import CaseFile
from packet_spec.identity import PacketKey
from packet_spec.model import Envelope

# The least size of a video where nobody says otherwise: small, so that a test drop is quick.
DEFAULT_VIDEO_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DropRequest:
    """A packet to invent. Only the type and the two agencies are needed; the catalogue fills the rest.

    ``created_at`` is aware. ``case`` None makes a new case from ``seed``. ``set_fields`` wins over every
    invented value; an empty text leaves the field out; person fields go to the first person; the items of
    a list are separated by ``;``. ``documents`` None means what the catalogue requires for these values,
    otherwise exactly these, in order; ``omit_documents`` are left out in both cases.
    ``contexts`` and ``formats`` are by document type, for documents whose content or format is given.
    """

    business_type: str
    sender: str
    receiver: str
    created_at: datetime
    copy_to: tuple[str, ...] = ()
    case: CaseFile | None = None
    in_reply_to: PacketKey | None = None
    supersedes: str | None = None
    set_fields: Mapping[str, str] = field(default_factory=dict)
    documents: tuple[str, ...] | None = None
    extra_documents: tuple[str, ...] = ()
    omit_documents: frozenset[str] = frozenset()
    contexts: Mapping[str, DocumentContext] = field(default_factory=dict)
    formats: Mapping[str, DocumentFormat] = field(default_factory=dict)
    video_bytes: int = DEFAULT_VIDEO_BYTES
    seed: int = 1
    packet_id: str | None = None
    sender_ref: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ListItem:
    """One ``<item>`` of a list field, with its attributes."""

    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """The fields of a body. ``order`` names them all as they are written, ``persons`` among them.

    ``fields`` and ``lists`` are by field code; each person is a mapping of person-scoped fields in order.
    """

    order: tuple[str, ...]
    fields: Mapping[str, str]
    lists: Mapping[str, tuple[ListItem, ...]]
    persons: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class PlannedDocument:
    """A document that a drop will hold: file name, type, format and content. ``size_bytes`` is for video."""

    file: str
    document_type: str
    volume: str
    format: DocumentFormat
    context: DocumentContext
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Drop:
    """A packet ready to be written; ``case`` is what the case software knows after it."""

    name: str
    envelope: Envelope
    body: Body
    documents: tuple[PlannedDocument, ...]
    case: CaseFile
