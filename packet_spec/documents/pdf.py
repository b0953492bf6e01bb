"""PDF: begins and ends as one, opens, wants no password, and has pages (ISO 32000-1, 7.5).

Guarantees: the header stands at the first byte, the end mark at the end, and nothing before or behind them,
so the file is nothing else besides; the cross-reference lies where the end says. A file whose end is missing
is refused before the library could mend it. Whatever the library raises refuses the file, except a lack of
memory or stack: that says nothing about it. Loops and counts are bounded by the library (pypdf 7: 100,000
pages, 100 levels, 75 MB of one unpacked stream).

Known limits: pages are not drawn, so damage inside one is not seen; signatures are not verified.
"""

from __future__ import annotations

import re
from typing import Final

from packet_spec.documents.values import Content, FaultError, Source
from packet_spec.errors import ValidatorError
from packet_spec.limits import KIB

_HEADER: Final = re.compile(rb"%PDF-[12]\.\d")
# Behind the last mark: line ends, and the zeros with which some programs fill up a block.
_END: Final = re.compile(rb"startxref[ \t\r\n]+(\d{1,20})[ \t\r\n]+%%EOF[ \t\r\n\0]*\Z")
_TAIL_BYTES: Final = 2 * KIB
_XREF: Final = re.compile(rb"[ \t\r\n\0]{0,32}(?:xref|\d{1,10}[ \t\r\n\0]+\d{1,5}[ \t\r\n\0]+obj)")


def check_pdf(source: Source) -> Content:
    """Raises FaultError; ValidatorError when nothing can be said."""
    if _HEADER.match(source.head(16)) is None:
        raise FaultError("document-unreadable", expected="%PDF-", found="no header")
    _check_end(source)
    return Content(pages=_pages(source))


def _check_end(source: Source) -> None:
    tail = source.tail(_TAIL_BYTES)
    if b"%%EOF" not in tail:
        raise FaultError("document-unreadable", expected="%%EOF", found="no end")
    match = _END.search(tail)
    if match is None:
        behind = tail[tail.rfind(b"%%EOF") + 5 :].strip(b" \t\r\n\0")
        if behind:
            raise FaultError("document-disguised", expected="%%EOF", found=f"{len(behind)} bytes")
        raise FaultError("document-unreadable", expected="startxref", found="no end")
    place = int(match[1])
    if place >= source.size or _XREF.match(source.read_at(place, min(64, source.size - place))) is None:
        raise FaultError("document-unreadable", expected="xref", found="no cross-reference")


def _load_library() -> None:
    """All of it, before a document is open: what fails here says nothing about a document."""
    try:
        import pypdf.filters  # noqa: PLC0415 - only a PDF waits for the library
        import pypdf.generic  # noqa: F401, PLC0415
    except Exception as error:  # noqa: BLE001 - whatever its import raises is about this machine
        raise ValidatorError("a library for PDF cannot be loaded", found=type(error).__name__) from None


def _pages(source: Source) -> int:
    _load_library()
    from pypdf import PasswordType, PdfReader  # noqa: PLC0415 - only a PDF waits for the library
    from pypdf.errors import DependencyError  # noqa: PLC0415 - likewise

    try:
        reader = PdfReader(source.stream())
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise FaultError("document-encrypted")
        pages = len(reader.pages)
    except FaultError:
        raise
    except NotImplementedError:
        raise FaultError("document-encrypted") from None
    except (MemoryError, RecursionError) as error:
        kind = type(error).__name__
        raise ValidatorError("a PDF asks for more than this machine gives", found=kind) from None
    except (DependencyError, ImportError) as error:
        raise ValidatorError("a library is missing for a PDF", found=type(error).__name__) from None
    except Exception as error:  # noqa: BLE001 - whatever it raises on these bytes is about these bytes
        source.require_sound()
        raise FaultError("document-unreadable", expected="pdf", found=type(error).__name__) from None
    source.require_sound()
    if not pages:
        raise FaultError("document-unreadable", expected="pdf", found="no page")
    return pages
