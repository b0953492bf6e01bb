"""directory.xml: everybody that may speak in a province, bytes <-> values (custody C21, C24).

Guarantees: a directory proves itself by root signatures that the caller already trusts, verified before
parsing, and by as many of the roots that it names itself; what is read is consistent (``directory_checks``).
Leaves to others: which roots count, and that editions only rise (``directory_trust``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from packet_spec.directory_checks import require_consistent
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import (
    Directory,
    DirectoryAgency,
    DirectoryKey,
    DirectoryNode,
    KeyUse,
    NodeRole,
    PackReference,
    RootKey,
    Route,
)
from packet_spec.signing import (
    Domain,
    PrivateKey,
    PublicKey,
    Signature,
    append_signature,
    require_threshold,
    sign_document,
    split_signed,
)
from packet_spec.xml import (
    FORMAT_VERSION,
    Element,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    read_moment,
    read_truth,
    text,
    texts,
    write_machine_document,
    write_moment,
)


def encode_directory(directory: Directory) -> bytes:
    """The document without signatures.

    Raises DirectoryError when the directory contradicts itself, SchemaError when it cannot be written.
    """
    require_consistent(directory)
    root = new_root(
        "directory",
        "directory",
        {
            "formatVersion": FORMAT_VERSION,
            # Left out in the first epoch, so that programs that know of none can read it.
            **({} if directory.epoch == 1 else {"epoch": str(directory.epoch)}),
            "version": str(directory.version),
            "issuedAt": write_moment(directory.issued_at),
            "expiresAt": write_moment(directory.expires_at),
        },
    )
    roots = add(root, "roots", threshold=str(directory.threshold))
    for key in directory.roots:
        add(roots, "root", id=key.key_id, suite=key.suite, public=key.public.hex())
    for node in directory.nodes:
        _add_node(root, node)
    for agency in directory.agencies:
        _add_agency(root, agency)
    for pack in directory.packs:
        add(
            root,
            "pack",
            name=pack.name,
            version=pack.version,
            digest=pack.digest,
            validFrom=write_moment(pack.valid_from),
            validUntil=_moment_or_none(pack.valid_until),
        )
    for route in directory.routes:
        _add_route(root, route)
    for code in directory.enabled_types:
        add(root, "enabledType", code)
    return write_machine_document(root, "directory", limit_bytes=DIRECTORY_BYTES)


def decode_directory(data: bytes) -> Directory:
    """The value of a directory document without its signatures.

    Raises VersionError (hold), DirectoryError when it contradicts itself, or another FormatError leaf.
    """
    root = read_machine_document(data, "directory", limit_bytes=DIRECTORY_BYTES)
    roots = children(root, "roots")[0]
    directory = Directory(
        version=int(attribute(root, "version")),
        issued_at=read_moment(attribute(root, "issuedAt")),
        expires_at=read_moment(attribute(root, "expiresAt")),
        threshold=int(attribute(roots, "threshold")),
        roots=tuple(
            RootKey(attribute(key, "id"), attribute(key, "suite"), bytes.fromhex(attribute(key, "public")))
            for key in children(roots, "root")
        ),
        nodes=tuple(_read_node(element) for element in children(root, "node")),
        agencies=tuple(_read_agency(element) for element in children(root, "agency")),
        packs=tuple(_read_pack(element) for element in children(root, "pack")),
        routes=tuple(_read_route(element) for element in children(root, "route")),
        enabled_types=texts(root, "enabledType"),
        epoch=int(attribute(root, "epoch") or "1"),
    )
    require_consistent(directory)
    return directory


def sign_directory(document: bytes, keys: Sequence[PrivateKey]) -> bytes:
    """The directory as one file: document and one line per root key. Raises FormatError as signing does."""
    return sign_document(document, Domain.DIRECTORY, keys)


def add_signature(data: bytes, key: PrivateKey) -> bytes:
    """A directory file with one more root signature. Raises FormatError when the key signed already."""
    return append_signature(data, Domain.DIRECTORY, key)


def open_directory(data: bytes, roots: Sequence[RootKey], threshold: int) -> Directory:
    """The directory in a signed file, if at least ``threshold`` of the **given** roots signed it.

    As many of its own roots as it asks for must have signed too: else nobody could follow it (C24).
    Signatures of other keys are ignored; a wrong one by a given or own root refuses the file. Raises
    SignatureError, UnknownSuiteError and VersionError (hold), or a FormatError leaf.
    """
    document, signatures = split_signed(data)
    why = "the directory is not signed by enough trusted roots"
    _require_signed(document, signatures, roots, threshold, why)
    directory = decode_directory(document)
    why = "the directory is not signed by enough of the roots that it names"
    _require_signed(document, signatures, directory.roots, directory.threshold, why)
    return directory


def _require_signed(
    document: bytes, signatures: Sequence[Signature], roots: Sequence[RootKey], threshold: int, why: str
) -> None:
    known = {root.key_id: PublicKey(root.suite, root.public) for root in roots}
    require_threshold(Domain.DIRECTORY, document, signatures, known, threshold, why)


def find_key(directory: Directory, node_code: str, key_id: str) -> DirectoryKey | None:
    """The key ``key_id`` of the node ``node_code``, if the directory lists it there."""
    node = directory.node(node_code)
    keys = () if node is None else node.keys
    return next((key for key in keys if key.key_id == key_id), None)


def find_key_owner(directory: Directory, key_id: str) -> tuple[DirectoryNode, DirectoryKey] | None:
    """The key ``key_id`` and the one node that the directory lists it under."""
    for node in directory.nodes:
        for key in node.keys:
            if key.key_id == key_id:
                return node, key
    return None


def ancestors(directory: Directory, node: str) -> tuple[str, ...]:
    """``node`` and everything above it, nearest first. Stops at a node that is not listed."""
    way: list[str] = []
    current = directory.node(node)
    while current is not None and current.code not in way:
        way.append(current.code)
        current = directory.node(current.parent) if current.parent else None
    return tuple(way)


def key_valid_at(key: DirectoryKey, use: KeyUse, moment: datetime) -> bool:
    """What ``key`` signs at ``moment`` counts for ``use``: within its dates and before its revocation."""
    is_in_time = key.not_before <= moment < key.not_after
    return use in key.uses and is_in_time and (key.revoked_at is None or moment < key.revoked_at)


def _moment_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else write_moment(moment)


def _optional_moment(element: Element, name: str) -> datetime | None:
    value = element.get(name)
    return None if value is None else read_moment(value)


def _add_node(root: Element, node: DirectoryNode) -> None:
    element = add(
        root,
        "node",
        code=node.code,
        role=node.role.value,
        parent=node.parent or None,
        disabled="true" if node.disabled else None,
        renewKeys=_moment_or_none(node.renew_keys),
    )
    for key in node.keys:
        entry = add(
            element,
            "key",
            id=key.key_id,
            suite=key.suite,
            public=key.public.hex(),
            notBefore=write_moment(key.not_before),
            notAfter=write_moment(key.not_after),
            revokedAt=_moment_or_none(key.revoked_at),
        )
        for use in key.uses:
            add(entry, "use", use.value)


def _read_node(element: Element) -> DirectoryNode:
    return DirectoryNode(
        code=attribute(element, "code"),
        role=NodeRole(attribute(element, "role")),
        parent=attribute(element, "parent"),
        keys=tuple(_read_key(key) for key in children(element, "key")),
        disabled=read_truth(attribute(element, "disabled")),
        renew_keys=_optional_moment(element, "renewKeys"),
    )


def _read_key(element: Element) -> DirectoryKey:
    return DirectoryKey(
        key_id=attribute(element, "id"),
        suite=attribute(element, "suite"),
        public=bytes.fromhex(attribute(element, "public")),
        uses=tuple(KeyUse(use) for use in texts(element, "use")),
        not_before=read_moment(attribute(element, "notBefore")),
        not_after=read_moment(attribute(element, "notAfter")),
        revoked_at=_optional_moment(element, "revokedAt"),
    )


def _add_agency(root: Element, agency: DirectoryAgency) -> None:
    element = add(
        root,
        "agency",
        code=agency.code,
        kind=agency.kind,
        level=agency.level,
        parent=agency.parent or None,
        node=agency.node,
        admittingNode=agency.admitting_node,
        disabled="true" if agency.disabled else None,
        retiredAt=_moment_or_none(agency.retired_at),
    )
    add(element, "nameZh", agency.name_zh)
    add(element, "nameEn", agency.name_en)
    for system, value in agency.aliases:
        add(element, "alias", value, system=system)
    for business_type in agency.business_types:
        add(element, "businessType", business_type)
    for case_kind in agency.case_kinds:
        add(element, "caseKind", case_kind)


def _read_agency(element: Element) -> DirectoryAgency:
    return DirectoryAgency(
        code=attribute(element, "code"),
        kind=attribute(element, "kind"),
        level=attribute(element, "level"),
        parent=attribute(element, "parent"),
        node=attribute(element, "node"),
        admitting_node=attribute(element, "admittingNode"),
        name_zh=text(element, "nameZh"),
        name_en=text(element, "nameEn"),
        business_types=texts(element, "businessType"),
        case_kinds=texts(element, "caseKind"),
        aliases=tuple((attribute(alias, "system"), alias.text or "") for alias in children(element, "alias")),
        disabled=read_truth(attribute(element, "disabled")),
        retired_at=_optional_moment(element, "retiredAt"),
    )


def _read_pack(element: Element) -> PackReference:
    return PackReference(
        name=attribute(element, "name"),
        version=attribute(element, "version"),
        digest=attribute(element, "digest"),
        valid_from=read_moment(attribute(element, "validFrom")),
        valid_until=_optional_moment(element, "validUntil"),
    )


def _add_route(root: Element, route: Route) -> None:
    element = add(
        root,
        "route",
        from_=route.sender or None,
        to=route.receiver or None,
        sequence=route.sequence or None,
        encrypt=route.encrypt or None,
    )
    for business_type in route.business_types:
        add(element, "businessType", business_type)
    for case_kind in route.case_kinds:
        add(element, "caseKind", case_kind)


def _read_route(element: Element) -> Route:
    return Route(
        sender=attribute(element, "from"),
        receiver=attribute(element, "to"),
        sequence=attribute(element, "sequence"),
        encrypt=attribute(element, "encrypt"),
        business_types=texts(element, "businessType"),
        case_kinds=texts(element, "caseKind"),
    )
