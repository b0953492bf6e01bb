"""Build a vendor kit: one folder that needs nothing else, whole or not at all.

Guarantees: it is made under a temporary name and renamed last; nothing that exists is replaced; the same
pack and version give the same bytes, whose digests stand in ``MANIFEST``. Every example was checked.
Leaves to others: what is in it (``examples``, ``guide``, ``text/``, ``vendor/``). Portable.

Known limit: like a drop of ``packet new`` it is not synced to the disk; build it again after a power cut.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from cli.kit.errors import KitFolderError
from cli.kit.examples import ExampleWriter
from cli.kit.guide import guide_pages
from exchanged import __version__
from packet_spec.catalogue import COMPILED
from packet_spec.pack import Pack, read_pack
from packet_spec.sentences import all_codes

MANIFEST: Final = "MANIFEST"
_TEMPORARY: Final = ".tmp"
_LEFT_OUT: Final = ("__pycache__",)


@dataclass(frozen=True, slots=True)
class Kit:
    """What was built: how many files and bytes, and how many examples of how many types."""

    path: Path
    version: str
    pack_digest: str
    types: int
    examples: int
    files: int
    size_bytes: int


def kit_steps(pack: Pack, codes: Sequence[str]) -> int:
    """How often ``build_kit`` tells that it moved on."""
    return len(codes or pack.catalogue.business_types) + 1


def build_kit(
    target: Path,
    data: bytes,
    codes: Sequence[str] = (),
    moved: Callable[[int], None] | None = None,
) -> Kit:
    """Write the kit of the pack in ``data`` into ``target``, with examples of these types or of all.

    A type with a schema of its own has no examples: nothing can be invented for it.

    ``moved`` is called with 1 after each type. Raises KitFolderError when ``target`` is not new or empty or
    the disk refuses, CatalogueError for an unknown type, KitVerdictError when an example is judged otherwise
    than it was made for.
    """
    pack = read_pack(data)
    catalogue = pack.catalogue
    rows = [catalogue.business_type(code) for code in dict.fromkeys(codes or catalogue.business_types)]
    moved = moved or (lambda _steps: None)
    with _appearing(target) as top:
        _write_plain(top, pack, data)
        writer = ExampleWriter(top / "examples", pack)
        count = sum(1 for _example in writer.of_forms())
        moved(1)
        for row in rows:
            count += 0 if row.schema else sum(1 for _example in writer.of_type(row))
            moved(1)
        listed = [*_listed(top)]
        _write(top / MANIFEST, _manifest(pack, listed))
        size_bytes = sum(size for _digest, _path, size in listed)
    return Kit(target, __version__, pack.digest, len(rows), count, len(listed) + 1, size_bytes)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` if all goes well, and vanishes if not."""
    temporary = target.with_name(target.name + _TEMPORARY)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise KitFolderError("something lies where the kit shall be", where=str(target))
        if temporary.exists():
            raise KitFolderError("an interrupted build left its folder: remove it", where=str(temporary))
        temporary.mkdir(parents=True)
    except OSError as error:
        found = error.strerror or ""
        raise KitFolderError("the kit cannot be written", where=str(target), found=found) from error
    try:
        yield temporary
        if target.exists():
            # Empty, as was seen; some systems do not rename onto a folder.
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        found = error.strerror or ""
        raise KitFolderError("the kit cannot be written", where=str(target), found=found) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary)


def _write_plain(top: Path, pack: Pack, data: bytes) -> None:
    """Everything but the examples."""
    spec, kit = files("packet_spec"), files("cli.kit")
    for entry in (spec / "schemas").iterdir():
        if entry.is_file():
            _write(top / "schemas" / entry.name, entry.read_bytes())
    for name, schema in pack.schemas.items():
        _write(top / "schemas" / "body" / name, schema)
    _copy(kit / "vendor", top / "vendor")
    _write(top / f"{pack.name}-{pack.version}.pack", data)
    _write(top / COMPILED, pack.compiled)
    findings = [
        {"code": code, "severity": severity.value, "zh": zh, "en": en}
        for code, (severity, zh, en) in sorted(all_codes().items())
    ]
    _write(top / "findings.json", (json.dumps(findings, ensure_ascii=False, indent=2) + "\n").encode())
    text = kit / "text"
    words = {"@VERSION@": __version__, "@CATALOGUE@": f"{pack.name} {pack.version}", "@DIGEST@": pack.digest}
    readme = (text / "README.md").read_text("utf-8")
    for mark, word in words.items():
        readme = readme.replace(mark, word)
    _write(top / "README.md", readme.encode())
    for language in ("zh", "en"):
        _copy(text / language, top / "guide" / language)
    for name, page in guide_pages(pack):
        _write(top / "guide" / name, page.encode())


def _copy(source: Traversable, target: Path) -> None:
    for entry in source.iterdir():
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir():
            _copy(entry, target / entry.name)
        else:
            _write(target / entry.name, entry.read_bytes())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)


def _listed(top: Path) -> Iterator[tuple[str, str, int]]:
    """Digest, path with slashes, and size of every file, by path."""
    paths = [path for path in top.rglob("*") if path.is_file()]
    for name, path in sorted((path.relative_to(top).as_posix(), path) for path in paths):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield digest, name, path.stat().st_size


def _manifest(pack: Pack, listed: Iterable[tuple[str, str, int]]) -> bytes:
    head = (
        f"# exchanged {__version__}",
        f"# pack {pack.name} {pack.version}",
        f"# {pack.digest}",
    )
    lines = (f"{digest}  {name}" for digest, name, _size in listed)
    return ("\n".join((*head, *lines)) + "\n").encode()
