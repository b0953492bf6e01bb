"""What a document says it is, by its name, and what it looks like, by its first bytes.

Guarantees: programs are recognised whatever they are called (PE, ELF, Mach-O, Java, Android, scripts with
an interpreter line, Windows links), and so are names that Windows or Linux would run. Known limit: a script
without an interpreter line under the name of a text is a text.
"""

from __future__ import annotations

from typing import Final

_SAME: Final = {"jpeg": "jpg", "tiff": "tif"}
# As many first bytes as ``sniff`` wants: the mark of a tar file stands at 257.
HEAD_BYTES: Final = 512

# Names that a click or a shell would run, and office files that hold macros by their very name.
_RUN_BY_NAME: Final = frozenset(
    {
        *("apk", "app", "appimage", "appx", "bat", "chm", "cmd", "com", "cpl", "deb", "dll", "docm", "dotm"),
        *("dylib", "elf", "exe", "gadget", "hta", "inf", "jar", "js", "jse", "lnk", "msc", "msi", "msix"),
        *("msp", "ocx", "pif", "pl", "potm", "ppam", "ppsm", "pptm", "ps1", "psm1", "py", "pyc", "rb", "reg"),
        *("rpm", "run", "scf", "scr", "sct", "sh", "so", "sys", "url", "vb", "vbe", "vbs", "ws", "wsc"),
        *("wsf", "wsh", "xlam", "xlsm", "xltm"),
    }
)
_ARCHIVE_NAMES: Final = frozenset(
    {
        *("7z", "ace", "arj", "bz2", "cab", "docx", "gz", "img", "iso", "lha", "lzh", "odt", "pptx", "rar"),
        *("tar", "tgz", "txz", "wim", "xlsx", "xz", "z", "zip", "zst"),
    }
)
_PROGRAMS: Final = (
    (b"\x7fELF", "ELF"),
    (b"\xfe\xed\xfa\xce", "Mach-O"),
    (b"\xfe\xed\xfa\xcf", "Mach-O"),
    (b"\xce\xfa\xed\xfe", "Mach-O"),
    (b"\xcf\xfa\xed\xfe", "Mach-O"),
    # Java classes and fat Mach-O files share their first bytes.
    (b"\xca\xfe\xba\xbe", "Java / Mach-O"),
    (b"dex\n", "Android"),
    (b"\0asm", "WebAssembly"),
    (b"L\0\0\0\x01\x14\x02\0", "Windows link"),
    (b"#!/", "script"),
    (b"#! /", "script"),
    (b"\xef\xbb\xbf#!/", "script"),
)
_OTHERS: Final = (
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xff\xd8\xff", "jpg"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"II+\0", "tif"),
    (b"MM\0+", "tif"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"\x1aE\xdf\xa3", "mkv"),
    (b"Rar!\x1a\x07", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"MSCF", "cab"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rtf", "rtf"),
)
ARCHIVES: Final = frozenset({"zip", "rar", "7z", "gz", "bz2", "xz", "zst", "cab", "tar"})


def extension(name: str) -> str:
    """The part after the last dot in lower case, empty without one; not normalised."""
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem else ""


def declared_format(name: str) -> str:
    """The format that a file name declares, as the catalogue writes it; empty without an extension."""
    found = extension(name)
    return _SAME.get(found, found)


def runs_by_name(name: str) -> bool:
    """The name is one that a system would run, or that holds macros; Windows drops final dots and spaces."""
    return extension(name.rstrip(". ")) in _RUN_BY_NAME


def is_archive_name(name: str) -> bool:
    """The name of an archive, or of an office file that is one."""
    return extension(name) in _ARCHIVE_NAMES


def program_in(head: bytes) -> str:
    """What kind of program begins with these bytes; empty if none."""
    # Text may begin with the two letters; a program has zero bytes close behind them.
    if head[:2] in (b"MZ", b"ZM") and b"\0" in head[2:64]:
        return "Windows"
    return next((what for mark, what in _PROGRAMS if head.startswith(mark)), "")


def sniff(head: bytes) -> str:
    """What a document looks like, as a file extension; ``?`` when it looks like nothing known here."""
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[257:262] == b"ustar":
        return "tar"
    found = next((what for mark, what in _OTHERS if head.startswith(mark)), "")
    if not found and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "xml"
    return found or "?"
