"""A pack: one version of the exchange standard as one file - the catalogue's rows and the body schemas.

Guarantees: a pack is named by the SHA-256 of its bytes, and the same contents give the same bytes; what is
read is complete, and each of its schemas is self-contained: it includes nothing but the pack's own
common.xsd and imports nothing. The standard that this program carries is a pack like any other.

Leaves to others: which packs are in force (the signed directory), where they lie on a node
(``exchanged.packs``), whether a new pack is fit to be published (``cli.pack``). Known limit: the words of
findings belong to the program, so a pack can name new types, documents and fields, not new rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from packet_spec.body_xsd import COMMON
from packet_spec.catalogue import COMPILED, BusinessType, Catalogue, load_catalogue, read_catalogue
from packet_spec.errors import CatalogueError, FormatError, LayoutError, PackError
from packet_spec.identity import is_file_word, is_pack_word, sha256_hex
from packet_spec.limits import MIB, PACK_BYTES
from packet_spec.model import PackStamp
from packet_spec.ustar import BLOCK, END, decode_header, encode_header, member_size, padding
from packet_spec.xml import Element, attribute, parse_document

STANDARD: Final = "standard"
FORMAT: Final = "exchanged-pack-1"

_ABOUT: Final = "pack.json"
_CATALOGUE: Final = "catalogue.json"
_SCHEMAS: Final = "schemas/"
_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_VERSIONING: Final = "{http://www.w3.org/2007/XMLSchema-versioning}minVersion"
_REFERENCES: Final = ("include", "import", "redefine", "override")


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """One version of the standard. ``schemas``: file name -> XSD of the bodies; the digest names it.

    ``compiled`` are the bytes of which ``catalogue`` was read. Two packs are the same when their digests are;
    as a value it is compared by identity.
    """

    name: str
    version: str
    digest: str
    catalogue: Catalogue
    compiled: bytes
    schemas: Mapping[str, bytes]

    @property
    def stamp(self) -> PackStamp:
        """What a seal says of it."""
        return PackStamp(self.name, self.version, self.digest)

    @property
    def title(self) -> str:
        """``standard 0.2.0 (1f0c9a…)``: for people."""
        return str(self.stamp)

    def schema_file(self, business_type: BusinessType) -> str:
        """The schema file of a type: its own, else that of its category."""
        return business_type.schema or f"{business_type.category}.xsd"


def write_pack(name: str, version: str, catalogue: bytes, schemas: Mapping[str, bytes]) -> bytes:
    """The bytes of a pack: a plain tar whose members have one order and fixed headers.

    ``catalogue`` is the compiled form. Raises PackError for what ``read_pack`` would refuse.
    """
    data = _encode(name, version, catalogue, schemas)
    read_pack(data)
    return data


def _encode(name: str, version: str, catalogue: bytes, schemas: Mapping[str, bytes]) -> bytes:
    about = json.dumps({"format": FORMAT, "name": name, "version": version}, sort_keys=True) + "\n"
    members = [(_ABOUT, about.encode()), (_CATALOGUE, catalogue)]
    members += [(_SCHEMAS + file, schemas[file]) for file in sorted(schemas)]
    try:
        data = b"".join(
            encode_header(member, len(content)) + content + bytes(padding(len(content)))
            for member, content in members
        )
    except LayoutError as error:
        raise PackError("a file name of the pack cannot be used", found=str(error)) from error
    return data + END


def read_pack(data: bytes) -> Pack:
    """The pack in ``data``. Raises PackError when it is none, lacks something or reaches outside itself."""
    if len(data) > PACK_BYTES:
        raise PackError("a pack is too large", expected=f"at most {PACK_BYTES} bytes", found=str(len(data)))
    try:
        members = dict(_members(data))
        about = json.loads(members.pop(_ABOUT, b"null"))
        compiled = members.pop(_CATALOGUE, b"")
    except (FormatError, ValueError) as error:
        raise PackError(
            "the file is no pack, or was changed on its way",
            expected="a file as exchangectl pack build writes it",
            hint="name another file, or fetch it again",
        ) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise PackError("the file is no pack of a format that is read here", expected=FORMAT)
    name, version = about.get("name"), about.get("version")
    if not (isinstance(name, str) and isinstance(version, str)) or not (
        is_pack_word(name) and is_pack_word(version)
    ):
        raise PackError("a pack needs a name and a version", expected="1 to 64 of A-Z a-z 0-9 . -")
    try:
        catalogue = read_catalogue(compiled)
    except CatalogueError as error:
        raise PackError("the catalogue of the pack cannot be read", where=name, found=str(error)) from error
    schemas = {file.removeprefix(_SCHEMAS): content for file, content in members.items()}
    pack = Pack(name, version, sha256_hex(data), catalogue, compiled, MappingProxyType(schemas))
    _require_whole(pack, members)
    return pack


def shipped_pack_bytes() -> bytes:
    """The standard that this package carries, as the bytes of a pack."""
    return _shipped()[1]


def shipped_pack() -> Pack:
    """The standard that this package carries, as ``read_pack`` reads it from ``shipped_pack_bytes``.

    Its catalogue is that of ``load_catalogue``: every process needs both, and reading it takes long.
    """
    return _shipped()[0]


@lru_cache(maxsize=1)
def _shipped() -> tuple[Pack, bytes]:
    package, catalogue = files("packet_spec"), load_catalogue()
    compiled = package.joinpath("data", COMPILED).read_bytes()
    schemas = {
        file.name: file.read_bytes()
        for file in sorted(package.joinpath("schemas", "body").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".xsd")
    }
    data = _encode(STANDARD, catalogue.version, compiled, schemas)
    pack = Pack(STANDARD, catalogue.version, sha256_hex(data), catalogue, compiled, MappingProxyType(schemas))
    return pack, data


def schema_document(pack: Pack, file: str, only: str = "") -> Element:
    """A schema of the pack with common.xsd in the place of its include, so that no validator opens a file.

    ``only`` leaves one business type. Raises PackError when the pack has no such schema.
    """
    root = _parsed(pack, file)
    for child in list(root):
        other = child.tag == f"{_XS}element" and child.get("name") != only
        if child.tag == f"{_XS}include":
            position = root.index(child)
            root.remove(child)
            for offset, each in enumerate(list(_parsed(pack, f"{COMMON}.xsd"))):
                root.insert(position + offset, each)
        elif only and other:
            root.remove(child)
    return root


def needs_xsd_11(pack: Pack, file: str) -> bool:
    """The schema says that it needs XSD 1.1 (``vc:minVersion``, W3C XML Schema 1.1 part 1, section 4.2.2)."""
    return attribute(_parsed(pack, file), _VERSIONING).strip() == "1.1"


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Every member of the tar. Raises LayoutError unless writing them again gives the same bytes."""
    seen: set[str] = set()
    position = 0
    while data[position : position + BLOCK] != END[:BLOCK]:
        name, size = decode_header(data[position : position + BLOCK])
        content = data[position + BLOCK : position + BLOCK + size]
        position += member_size(size)
        if len(content) != size or name in seen or any(data[position - padding(size) : position]):
            raise LayoutError("a member of the pack is cut off, repeated or not padded with zeros")
        seen.add(name)
        yield name, content
    if data[position:] != END:
        raise LayoutError("the pack does not end where it should")


def _require_whole(pack: Pack, members: Mapping[str, bytes]) -> None:
    strangers = [file for file in members if not _is_schema(file)]
    if strangers:
        raise PackError("a pack holds what belongs to no pack", where=pack.title, found=strangers[0])
    # Pages and folders are named by them (exchangectl kit build).
    codes = (*pack.catalogue.categories, *(row.code for row in pack.catalogue.business_types.values()))
    if unfit := [code for code in codes if not is_file_word(code)]:
        raise PackError("a code of the pack cannot be the name of a file", where=pack.title, found=unfit[0])
    wanted = {pack.schema_file(row) for row in pack.catalogue.business_types.values()}
    missing = sorted((wanted | {f"{COMMON}.xsd"}) - pack.schemas.keys())
    if missing:
        raise PackError("a pack lacks a schema", where=pack.title, expected=missing[0])
    for file in pack.schemas:
        _require_closed(pack, file)


def _is_schema(file: str) -> bool:
    """``schemas/NAME.xsd``: whoever writes the schemas of a pack into a folder writes nothing elsewhere."""
    name = file.removeprefix(_SCHEMAS)
    return file.startswith(_SCHEMAS) and name.endswith(".xsd") and is_file_word(name)


def _require_closed(pack: Pack, file: str) -> None:
    """Nothing but common.xsd is included, and nothing imported: a validator would fetch it from somewhere."""
    for child in _parsed(pack, file):
        kind = next((word for word in _REFERENCES if child.tag == _XS + word), "")
        allowed = kind == "include" and file != f"{COMMON}.xsd"
        if kind and not (allowed and attribute(child, "schemaLocation") == f"{COMMON}.xsd"):
            raise PackError(
                "a schema of a pack may include common.xsd and nothing else", where=file, found=kind
            )


def _parsed(pack: Pack, file: str) -> Element:
    try:
        return parse_document(pack.schemas[file], limit_bytes=4 * MIB)
    except KeyError:
        raise PackError("the pack has no such schema", where=pack.title, found=file) from None
    except FormatError as error:
        raise PackError("a schema of the pack is not well-formed", where=file, found=str(error)) from error
