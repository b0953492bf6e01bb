"""JPEG and TIFF: every picture decodes to its last line, within a cap on its pixels.

Guarantees: the size that the file states is held against the caps before anything is decoded; the library
may use the decoder of the declared format only; JPEG is decoded at an eighth of its size, which reads all
of its data. A lack of memory says nothing about the file.

Known limits: a TIFF is held in memory as a whole while it is decoded. The JPEG decoder fills up what is
missing before an end mark without a word, and reads nothing behind it: only a missing end is noticed, and
an archive hung on to it (``formats``).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from packet_spec.documents.values import Content, FaultError, Source
from packet_spec.errors import ValidatorError
from packet_spec.limits import IMAGE_BYTES, IMAGE_PAGES, IMAGE_PIXELS, IMAGE_TOTAL_PIXELS, MIB

if TYPE_CHECKING:
    from PIL.Image import Image

_MILLION: Final = 1_000_000


def check_jpg(source: Source) -> Content:
    """A picture is one page. Raises FaultError; ValidatorError when nothing can be said."""
    _require_size(source)
    with _opened(source, "JPEG") as image:
        _require_pixels(image, 0)
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    return Content(pages=1)


def check_tif(source: Source) -> Content:
    """Every picture of the file is a page. Raises as ``check_jpg``."""
    _require_size(source)
    with _opened(source, "TIFF") as image:
        pages, total = 0, 0
        while True:
            total = _require_pixels(image, total)
            image.load()
            pages += 1
            if pages > IMAGE_PAGES:
                expected = f"{IMAGE_PAGES} pages"
                raise FaultError("document-too-large", expected=expected, found=f"> {IMAGE_PAGES}")
            try:
                image.seek(pages)
            except EOFError:
                return Content(pages=pages)


@contextmanager
def _opened(source: Source, decoder: str) -> Iterator[Image]:
    from PIL import Image  # noqa: PLC0415 - only a picture waits for the library

    try:
        # Its warnings speak of odd metadata, and of sizes that are capped here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with source.stream() as stream, Image.open(stream, formats=(decoder,)) as image:
                yield image
    except FaultError:
        raise
    except Image.DecompressionBombError:
        raise FaultError("document-too-large", expected=_megapixels(IMAGE_PIXELS), found="?") from None
    except (MemoryError, RecursionError) as error:
        kind = type(error).__name__
        raise ValidatorError("a picture asks for more than this machine gives", found=kind) from None
    except Exception as error:  # noqa: BLE001 - whatever it raises on these bytes is about these bytes
        source.require_sound()
        raise FaultError("document-unreadable", expected=decoder, found=type(error).__name__) from None
    source.require_sound()


def _require_size(source: Source) -> None:
    if source.size > IMAGE_BYTES:
        raise FaultError(
            "document-too-large", expected=f"{IMAGE_BYTES // MIB} MiB", found=f"{source.size // MIB} MiB"
        )


def _require_pixels(image: Image, before: int) -> int:
    """The sum of pixels with this picture. Raises FaultError beyond the caps."""
    pixels = image.width * image.height
    if pixels > IMAGE_PIXELS:
        raise FaultError("document-too-large", expected=_megapixels(IMAGE_PIXELS), found=_megapixels(pixels))
    if before + pixels > IMAGE_TOTAL_PIXELS:
        raise FaultError(
            "document-too-large", expected=_megapixels(IMAGE_TOTAL_PIXELS), found=_megapixels(before + pixels)
        )
    return before + pixels


def _megapixels(pixels: int) -> str:
    return f"{-(-pixels // _MILLION)} megapixels"
