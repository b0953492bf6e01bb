"""The enrolment pack: one file by which an agency's node joins, so that nothing is trusted on first sight.

A plain tar of fixed headers: ``enrolment.json`` (format, node, how to dial each neighbour), then directories
in the order of their editions: root changes that a fingerprint told earlier may need, and last the newest.
Host keys stand in the directory. Guarantees: what is read has exactly this form; ``accept`` takes nothing
that does not follow from the roots whose fingerprint came by another road. What ``enrolment.json`` says is
signed by nobody: whoever changes it can lead a node to a wrong address, where no server has the right key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from exchanged.directory_folder import edition_of
from packet_spec.directory import decode_directory
from packet_spec.directory_trust import RootsInForce, open_successor, roots_fingerprint
from packet_spec.errors import ExchangeError, FormatError, LayoutError
from packet_spec.identity import is_node_code
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import Directory, KeyUse
from packet_spec.signing import split_signed
from packet_spec.ssh_keys import ssh_keys
from packet_spec.ustar import BLOCK, END, decode_header, encode_header, padding

FORMAT: Final = "exchanged-enrolment-1"
PACK_BYTES: Final = 4 * DIRECTORY_BYTES
_ABOUT: Final = "enrolment.json"
_ABOUT_BYTES: Final = 64 * 1024
_DIRECTORIES: Final = 64
_PORTS: Final = range(1, 65536)


class EnrolmentRefusedError(ExchangeError):
    """An enrolment pack does not prove itself, or is not for this node: nothing was changed."""

    reference = "enrolment-refused"
    hint = (
        "ask the keepers of the directory for a pack of this node, and for the root fingerprint by telephone"
    )


@dataclass(frozen=True, slots=True)
class DialledLink:
    """How the node reaches the mailbox that the node ``peer`` serves for it."""

    peer: str
    host: str
    port: int
    user: str
    mailbox: str


@dataclass(frozen=True, slots=True)
class EnrolmentPack:
    """What the file holds. ``directories`` are signed files, the oldest first, none of them verified."""

    node: str
    links: tuple[DialledLink, ...]
    directories: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a pack proved: the roots that were confirmed, the newest directory, the host key of each peer."""

    anchor: RootsInForce
    directory: Directory
    host_keys: dict[str, str]


def write_enrolment_pack(pack: EnrolmentPack) -> bytes:
    """The bytes of the file. Raises FormatError for what ``read_enrolment_pack`` would refuse."""
    about = {"format": FORMAT, "node": pack.node, "links": [asdict(link) for link in pack.links]}
    members = [(_ABOUT, (json.dumps(about, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode())]
    members += [(f"directory-{_decoded(data).edition}.xml", data) for data in pack.directories]
    parts = (encode_header(name, len(data)) + data + bytes(padding(len(data))) for name, data in members)
    written = b"".join(parts) + END
    read_enrolment_pack(written)
    return written


def read_enrolment_pack(data: bytes) -> EnrolmentPack:
    """The pack in ``data``. Raises FormatError leaves."""
    members = list(_members(data))
    if not members or members[0][0] != _ABOUT or len(members[0][1]) > _ABOUT_BYTES:
        raise LayoutError("the file is no enrolment pack", expected=_ABOUT)
    node, links = _about(members[0][1])
    directories = members[1:]
    editions = [edition_of(name) for name, _data in directories]
    known = [each for each in editions if each is not None]
    if not known or len(known) != len(editions) or known != sorted(set(known)) or len(known) > _DIRECTORIES:
        raise LayoutError("an enrolment pack holds directories in the order of their editions")
    return EnrolmentPack(node, links, tuple(content for _name, content in directories))


def fingerprints(pack: EnrolmentPack) -> tuple[str, ...]:
    """The root fingerprints that its directories name, the newest first. None of them is proved by that."""
    found = [_decoded(data) for data in reversed(pack.directories)]
    return tuple(dict.fromkeys(roots_fingerprint(each.roots, each.threshold) for each in found))


def accept(pack: EnrolmentPack, fingerprint: str, now: datetime) -> Accepted:
    """What the pack proves by the roots that ``fingerprint`` stands for.

    Every directory from the first that names these roots must follow the one before; the last must be in
    force, list the node and, for each link, a host key. Raises EnrolmentRefusedError, and what
    ``open_successor`` raises.
    """
    wanted = "".join(fingerprint.split()).replace(":", "").lower()
    anchor: RootsInForce | None = None
    roots: RootsInForce | None = None
    directory: Directory | None = None
    for data in pack.directories:
        if roots is None:
            named = _decoded(data)
            if roots_fingerprint(named.roots, named.threshold) != wanted:
                continue
            anchor = roots = RootsInForce(named.roots, named.threshold)
        directory = open_successor(data, roots)
        roots = RootsInForce.of(directory)
    if anchor is None or directory is None:
        raise EnrolmentRefusedError(
            "the roots of the pack have another fingerprint", expected=wanted, found=fingerprints(pack)[0]
        )
    if directory.expires_at <= now:
        raise EnrolmentRefusedError("the directory of the pack has expired", found=str(directory.expires_at))
    node = directory.node(pack.node)
    if node is None or node.disabled:
        raise EnrolmentRefusedError(
            "the directory of the pack does not list the node", where=f"node {pack.node}"
        )
    host_keys = {link.peer: _host_key(directory, link.peer, now) for link in pack.links}
    return Accepted(anchor, directory, host_keys)


def _host_key(directory: Directory, peer: str, now: datetime) -> str:
    keys = ssh_keys(directory, peer, KeyUse.HOST, now).valid
    if not keys:
        raise EnrolmentRefusedError(
            "the directory lists no host key of the node that is dialled",
            where=f"node {peer}",
            hint="exchangectl directory next FILE --host-key NODE FILE.pub, then let the roots sign it",
        )
    # The newest: the server may be about to change from one to the other.
    return keys[-1]


def _decoded(data: bytes) -> Directory:
    if len(data) > DIRECTORY_BYTES:
        raise FormatError("a directory is too large", expected=f"at most {DIRECTORY_BYTES} bytes")
    return decode_directory(split_signed(data)[0])


def _about(data: bytes) -> tuple[str, tuple[DialledLink, ...]]:
    try:
        about = json.loads(data)
        if about["format"] != FORMAT:
            raise FormatError("an enrolment pack of another format", expected=FORMAT)
        node, links = about["node"], tuple(_link(link) for link in about["links"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError("the file is no enrolment pack", found=type(error).__name__) from error
    if not isinstance(node, str) or not is_node_code(node):
        raise FormatError("an enrolment pack names no node")
    return node, links


def _link(values: dict[str, object]) -> DialledLink:
    """Raises ValueError and its like for values of another kind."""
    texts = {name: values[name] for name in ("peer", "host", "user", "mailbox")}
    port = values["port"]
    if not all(isinstance(text, str) and text and text.isprintable() for text in texts.values()):
        raise ValueError("a text is missing")
    if not isinstance(port, int) or port not in _PORTS or not is_node_code(str(texts["peer"])):
        raise ValueError("no port or no node code")
    return DialledLink(port=port, **{name: str(text) for name, text in texts.items()})


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    if len(data) > PACK_BYTES:
        raise FormatError("an enrolment pack is too large", expected=f"at most {PACK_BYTES} bytes")
    position = 0
    while position < len(data) - len(END):
        name, size = decode_header(data[position : position + BLOCK])
        content = data[position + BLOCK : position + BLOCK + size]
        position += BLOCK + size
        if len(content) != size or any(data[position : position + padding(size)]):
            raise LayoutError("a member is cut off or not padded with zeros")
        position += padding(size)
        yield name, content
    if data[position:] != END:
        raise LayoutError("the enrolment pack does not end where it should")


def told_fingerprints(found: Sequence[str]) -> str:
    """Fingerprints as they are read out over a telephone: in groups of four."""
    return "\n".join(" ".join(text[at : at + 4] for at in range(0, len(text), 4)) for text in found)
