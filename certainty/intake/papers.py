"""Drops by the thousand: an invented packet of each form, written by the product's own tool, then varied.

Guarantees: no two drops of one ``Papers`` are equal in content; the same number gives the same bytes. All
persons and cases are fictional and marked so. Leaves to others: where and how a drop is put (``writers``,
the shards).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cli.fiction.drop import make_drop
from cli.fiction.request import Drop, DropRequest
from cli.fiction.writer import DropFormat, write_drop

POLICE: Final = "620199-01-00"
PROCURATORATE: Final = "620199-03-00"
PROVINCE: Final = "620000-00-00"
TYPE: Final = "interrogation.cancel"
PART: Final = "情况说明.pdf"
_REF: Final = b"REF-0000000"
_ATTACHMENT: Final = re.compile(rb"    <attachment [^\n]*\n")
_START: Final = re.compile(rb"startxref\n(\d+)\n")
# Words that stand in the content of every drop, and in a wrong value; both before their sender's code.
INNER: Final = b"INNER-WORD-OF-"
WRONG: Final = b"WRONG-WORD-OF-"
REF: Final = re.compile(rb"<senderRef>(REF-\d{7})</senderRef>")


def inner_word(sender: str) -> bytes:
    """What stands in the content of every drop of that agency, and nowhere else."""
    return INNER + sender.encode()


def wrong_word(sender: str) -> bytes:
    """What stands in its drops where a value is wrong."""
    return WRONG + sender.encode()


@dataclass(frozen=True, slots=True)
class Paper:
    """One drop: its reference, packet.xml, and the files beside it by name as bytes."""

    ref: str
    xml: bytes
    files: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def zipped(self) -> bytes:
        """As a zip; the same bytes each time."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            # By a name alone it would take the time of the call.
            archive.writestr(zipfile.ZipInfo("packet.xml"), self.xml)
            for name, data in self.files.items():
                archive.writestr(zipfile.ZipInfo(name.decode()), data)
        return target.getvalue()

    def put_folder(self, target: Path) -> None:
        """As a folder that appears whole, by a rename."""
        growing = target.with_name(f".{target.name}"[:200])
        growing.mkdir()
        for name, data in self.files.items():
            (growing / os.fsdecode(name)).write_bytes(data)
        (growing / "packet.xml").write_bytes(self.xml)
        growing.rename(target)


class Papers:
    """Makes drops of one agency to the procuratorate; ``word`` stands in the content of each."""

    def __init__(self, sender: str = POLICE) -> None:
        self.sender, self.word = sender, inner_word(sender)
        with tempfile.TemporaryDirectory(prefix="papers-") as folder:
            scratch = Path(folder)
            self._lone = write_drop(
                _drop(sender, "lone", ()), scratch, drop_format=DropFormat.XML
            ).read_bytes()
            path = write_drop(_drop(sender, "folder", ("COM-012",)), scratch)
            self._folder = (path / "packet.xml").read_bytes()
            self._pdf = (path / PART).read_bytes()
        reason = b"<reason_text>"
        self._lone = self._lone.replace(reason, reason + self.word, 1)
        self._folder = self._folder.replace(reason, reason + self.word, 1)
        if self.word not in self._lone or self.word not in self._folder:
            raise ValueError(f"the drops of {sender} have no {reason.decode()}")

    def lone(self, number: int, padding: int = 0) -> Paper:
        """Without attachments. ``padding``: so many bytes more, in a comment."""
        ref = f"REF-{number:07d}"
        xml = self._lone.replace(_REF, ref.encode())
        if padding:
            filler = (f"{number:07d} " * (padding // 8 + 1))[:padding]
            xml = xml.replace(b"<packet ", f"<!-- {filler} -->\n<packet ".encode(), 1)
        return Paper(ref, xml)

    def with_parts(
        self,
        number: int,
        parts: Mapping[bytes, bytes],
        listed: Mapping[bytes, str] | None = None,
        *,
        digests: bool = True,
        is_quoted: bool = False,
    ) -> Paper:
        """With these files; ``listed`` gives the text by which packet.xml names a file, where not UTF-8.

        ``is_quoted``: as it stands in XML.
        """
        ref = f"REF-{number:07d}"
        lines = b"".join(
            _line((listed or {}).get(name) or name.decode(), data, digests, is_quoted)
            for name, data in parts.items()
        )
        xml = _ATTACHMENT.sub(lambda _: lines, self._folder.replace(_REF, ref.encode()), count=1)
        return Paper(ref, xml, dict(parts))

    def folder(self, number: int, size: int = 0, variant: str = "A", *, digests: bool = True) -> Paper:
        """One attachment of about ``size`` bytes, every 16 of which tell number and variant."""
        return self.with_parts(number, {PART.encode(): self.pdf(number, size, variant)}, digests=digests)

    def faulty(self, number: int) -> dict[str, bytes]:
        """Files that are refused for what is wrong in them, with words in them that nobody may repeat."""
        good = self.lone(number).xml
        cut = good.index(self.word) + len(self.word)
        return {
            "cut-off.xml": good[:cut],
            "element.xml": good.replace(b"reason_text>", b"reason_txt>"),
            "value.xml": good.replace(b"<createdAt>20", b"<createdAt>" + wrong_word(self.sender)),
            "text.zip": self.with_parts(number, {PART.encode(): self.word * 50}).zipped,
        }

    def pdf(self, number: int, size: int = 0, variant: str = "A") -> bytes:
        """A PDF that opens, filled up with a comment before its cross-reference."""
        place = self._pdf.rindex(b"xref\n0 ")
        mark = f"[{number:07d} {variant:<6.6}]".encode()
        filler = b"%" + self.word + b" " + mark * max(1, (size - len(self._pdf)) // len(mark)) + b"\n"
        tail = _START.sub(
            lambda match: b"startxref\n%d\n" % (int(match[1]) + len(filler)), self._pdf[place:]
        )
        return self._pdf[:place] + filler + tail


def _drop(sender: str, name: str, documents: tuple[str, ...]) -> Drop:
    # Each agency has a case of its own: nobody else may send in it.
    return make_drop(
        DropRequest(
            TYPE, sender, PROCURATORATE, datetime.now(UTC), seed=int(sender[7:9]),
            sender_ref=_REF.decode(), name=name,
            extra_documents=documents,
        )
    )  # fmt: skip


def _line(name: str, data: bytes, digests: bool, is_quoted: bool) -> bytes:
    escaped = (
        name if is_quoted else name.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    )
    digest = f' sha256="{hashlib.sha256(data).hexdigest()}"' if digests else ""
    return (
        f'    <attachment file="{escaped}" documentType="COM-012" size="{len(data)}"{digest} title="情况说明"'
        ' pages="1" documentNumber="虚公字〔2026〕1号" documentDate="2026-11-29" volume="procedure"/>\n'
    ).encode()
