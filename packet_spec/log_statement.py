"""log-statement.xml and log-request.xml: what nodes tell and ask each other about a log, bytes <-> values.

A statement goes from the admitting node to a front-end: the signed head, that it goes on from heads told
before (``consistency``), and that entries about the front-end's own packets stand in it (``inclusion``). A
request goes the other way: prove these heads, show me these entries.

Both travel as payload of notes between nodes (kind ``log``), whose signature says who speaks; the head within
bears its own. Guarantees: what is read fits the schema, and every path names hashes that the document lists.
Nothing is proved by reading: that is for ``merkle``.

Hashes stand in the document once, and paths name them by their place: entries that lie near each other share
most of their paths, so that an entry takes about a third of the room.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from packet_spec.errors import SchemaError
from packet_spec.limits import LOG_STATEMENT_BYTES
from packet_spec.log_entry import EntryKind
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    text,
    write_machine_document,
)


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the log of ``from_size`` entries is the beginning of the head's. ``path``: hexadecimal hashes."""

    from_size: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That an entry stands at ``index``, from 0, of the head's log. ``path``: hexadecimal hashes."""

    index: int
    kind: EntryKind
    digest: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogStatement:
    """``head`` is the signed file of a log head; proofs are against it."""

    head: bytes
    consistency: tuple[Consistency, ...] = ()
    inclusions: tuple[Inclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Asks ``node`` to prove the heads of the sizes ``held``, and to show the entries ``wanted``."""

    node: str
    held: tuple[int, ...] = ()
    wanted: tuple[str, ...] = ()


def encode_log_statement(statement: LogStatement) -> bytes:
    """The document. Raises SchemaError when the value cannot be written or is too large."""
    root = new_root("log-statement", "logStatement", {"formatVersion": FORMAT_VERSION})
    add(root, "head", base64.b64encode(statement.head).decode("ascii"))
    places: dict[str, int] = {}
    for consistency in statement.consistency:
        path = _places(consistency.path, places)
        add(root, "consistency", from_=str(consistency.from_size), path=path)
    for inclusion in statement.inclusions:
        add(
            root,
            "inclusion",
            index=str(inclusion.index),
            kind=inclusion.kind.value,
            digest=inclusion.digest,
            path=_places(inclusion.path, places),
        )
    if places:
        add(root, "hashes", " ".join(places))
    return write_machine_document(root, "log-statement", limit_bytes=LOG_STATEMENT_BYTES)


def decode_log_statement(data: bytes) -> LogStatement:
    """The value of a statement. Raises FormatError leaves and VersionError (hold)."""
    root = read_machine_document(data, "log-statement", limit_bytes=LOG_STATEMENT_BYTES)
    hashes = text(root, "hashes").split()
    try:
        head = base64.b64decode(text(root, "head"), validate=True)
    except binascii.Error:
        raise SchemaError("the head in a log statement cannot be read", expected="base64") from None
    return LogStatement(
        head,
        tuple(
            Consistency(int(attribute(each, "from")), _path(attribute(each, "path"), hashes))
            for each in children(root, "consistency")
        ),
        tuple(
            Inclusion(
                index=int(attribute(each, "index")),
                kind=EntryKind(attribute(each, "kind")),
                digest=attribute(each, "digest"),
                path=_path(attribute(each, "path"), hashes),
            )
            for each in children(root, "inclusion")
        ),
    )


def encode_log_request(request: LogRequest) -> bytes:
    """The document. Raises SchemaError when the value cannot be written or is too large."""
    root = new_root("log-request", "logRequest", {"formatVersion": FORMAT_VERSION, "node": request.node})
    for size in request.held:
        add(root, "held", size=str(size))
    for digest in request.wanted:
        add(root, "wanted", digest=digest)
    return write_machine_document(root, "log-request", limit_bytes=LOG_STATEMENT_BYTES)


def decode_log_request(data: bytes) -> LogRequest:
    """The value of a request. Raises FormatError leaves and VersionError (hold)."""
    root = read_machine_document(data, "log-request", limit_bytes=LOG_STATEMENT_BYTES)
    return LogRequest(
        attribute(root, "node"),
        tuple(int(attribute(each, "size")) for each in children(root, "held")),
        tuple(attribute(each, "digest") for each in children(root, "wanted")),
    )


def _places(path: Iterable[str], places: dict[str, int]) -> str:
    return " ".join(str(places.setdefault(each, len(places))) for each in path)


def _path(places: str, hashes: list[str]) -> tuple[str, ...]:
    numbers = [int(each) for each in places.split()]
    if any(number >= len(hashes) for number in numbers):
        raise SchemaError("a path in a log statement names a hash that is not listed")
    return tuple(hashes[number] for number in numbers)
