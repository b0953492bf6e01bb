"""Open a drop of any kind and read its packet.xml, holding its marker against it.

Guarantees: a zip whose marker states a digest is read to its end for that once, however often it is tried, as
long as both look the same (``FittingMarkers``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from frontend_server.drops import (
    DropRefusedError,
    DropSource,
    FolderSource,
    LoneXmlSource,
)
from frontend_server.outbox import DropKind, Observation, content_name
from frontend_server.readiness import read_marker
from frontend_server.unfinished import is_cut
from frontend_server.zip_drop import ZipSource
from packet_spec.errors import ExchangeError
from packet_spec.identity import sha256_hex
from packet_spec.sentences import make_finding


@dataclass(frozen=True, slots=True)
class ReadDrop:
    """An open drop and its packet.xml. ``is_cut``: the document's end is not there (yet)."""

    source: DropSource
    packet_xml: bytes
    is_cut: bool


class FittingMarkers:
    """How drops looked whose markers were found to fit them."""

    def __init__(self) -> None:
        self._looks: dict[bytes, object] = {}

    def fits(self, observation: Observation) -> bool:
        """The marker fitted, and neither it nor the drop was touched since."""
        return self._looks.get(observation.name) == observation.look

    def note(self, observation: Observation) -> None:
        """The marker fits."""
        self._looks[observation.name] = observation.look

    def keep_only(self, names: Collection[bytes]) -> None:
        """Forget drops that are not there any more."""
        for name in self._looks.keys() - names:
            del self._looks[name]


def read_drop(outbox: int, observation: Observation, fitting: FittingMarkers | None = None) -> ReadDrop:
    """Open the drop and read its packet.xml; the caller closes the source.

    Raises DropRefusedError (``cut`` where it may merely not be whole yet), DropChangedError and
    ForeignVolumeError.
    """
    source = _open(outbox, observation)
    try:
        packet_xml = source.packet_xml()
        if fitting is None or not fitting.fits(observation):
            _require_marked(outbox, observation, source, packet_xml)
            if fitting is not None:
                fitting.note(observation)
    except ExchangeError:
        source.close()
        raise
    return ReadDrop(source, packet_xml, observation.kind is not DropKind.ZIP and is_cut(packet_xml))


def _open(outbox: int, observation: Observation) -> DropSource:
    if observation.kind is DropKind.FOLDER:
        return FolderSource(outbox, observation)
    if observation.kind is DropKind.ZIP:
        return ZipSource(outbox, observation)
    return LoneXmlSource(outbox, observation)


def _require_marked(
    outbox: int, observation: Observation, source: DropSource, packet_xml: bytes
) -> None:
    """A marker speaks of the zip, of the lone XML, or of a folder's packet.xml."""
    if observation.marker is None:
        return
    stated = read_marker(outbox, observation.marker)
    if isinstance(source, ZipSource):
        size, digest = source.size, source.digest() if stated.sha256 else ""
    else:
        size, digest = len(packet_xml), sha256_hex(packet_xml)
    if stated.differs_from(size, digest):
        raise DropRefusedError(make_finding("marker-differs", file=content_name(observation)), cut=True)
