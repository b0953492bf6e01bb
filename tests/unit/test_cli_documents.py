"""The documents are real files: other programs' rules for each format hold."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pypdf
import pytest
from lxml import etree

from cli.documents import mp4
from cli.documents.context import MARK, DocumentContext, IndexEntry, noise
from cli.documents.document import DocumentFormat, choose_format, write_document
from cli.documents.dossier import dossier_index, render_dossier
from cli.documents.jpg import render_jpg
from cli.documents.layout import text_width_mm, wrap
from cli.documents.mp4 import write_mp4
from cli.documents.ofd import OFD_NAMESPACE, render_ofd
from cli.documents.pdf import render_pdf
from cli.documents.xmldoc import render_xml
from exchanged.errors import ForeignVolumeError
from packet_spec.errors import CatalogueError, FormatError

CONTEXT = DocumentContext(
    document_type="POL-020",
    title="起诉意见书",
    number="虚公（交）诉字〔2026〕12号",
    issuer="虚构县公安局",
    addressee="虚构县人民检察院",
    case_name="李某甲危险驾驶案",
    case_numbers=("公安案件编号：A6201990000002026070001",),
    # A rare character of extension A and one beyond the basic plane.
    parties=("李某甲，男，1990-03-07 出生", "阿依古丽·㛃𠮷"),
    issued_on=date(2026, 7, 14),
    paragraphs=(
        "经依法侦查查明，" + "2026年7月4日22时40分，李某甲醉酒驾驶机动车。" * 40,
        "以上情况属实 <&>。",
    ),
)


def pdf_pages(data: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data), strict=True).pages]


def joined(lines: Iterable[str]) -> str:
    """The text of the lines without what every page repeats, so that paragraphs go on over a page."""
    return "".join(line for line in lines if line != MARK and not line.startswith("第 "))


def test_a_second_program_reads_everything_that_a_pdf_says():
    data, pages = render_pdf(CONTEXT)
    texts = pdf_pages(data)
    said = joined(line for text in texts for line in text.split("\n"))

    assert len(texts) == pages == 2
    for words in (
        *(CONTEXT.title, CONTEXT.number, CONTEXT.issuer, CONTEXT.addressee, CONTEXT.case_name),
        *(*CONTEXT.case_numbers, *CONTEXT.parties, *CONTEXT.paragraphs, "2026年7月14日"),
    ):
        assert words in said
    for number, text in enumerate(texts, 1):
        assert MARK in text
        assert f"第 {number} 页 共 {pages} 页" in text


def test_a_pdf_names_title_issuer_and_mark_in_its_information():
    information = pypdf.PdfReader(io.BytesIO(render_pdf(CONTEXT)[0])).metadata
    assert information is not None
    assert (information.title, information.author, information.subject) == (
        CONTEXT.title,
        CONTEXT.issuer,
        MARK,
    )
    assert information.creation_date is not None
    assert information.creation_date.date() == CONTEXT.issued_on


def test_a_pdf_carries_characters_that_no_font_has():
    rare = ("\ue000\uf8ff", "𠮷\U000f0000", "阿依古丽·（\\）བོད")
    data, _ = render_pdf(replace(CONTEXT, parties=rare, title="𠮷"))
    (text, *_) = pdf_pages(data)

    for words in rare:
        assert words in text
    # The codes of a rare character are one in UTF-16 and two others in UCS-2.
    fonts = pypdf.PdfReader(io.BytesIO(data)).pages[0]["/Resources"]["/Font"].values()
    assert [font.get_object()["/Encoding"] for font in fonts] == ["/UniGB-UTF16-H"]


def test_only_a_pdf_waits_for_its_library():
    script = (
        "import sys\n"
        "import cli.commands.packet_new\n"
        "import cli.documents.document\n"
        "sys.exit('reportlab' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0


@pytest.mark.parametrize("render", [render_pdf, render_ofd, render_jpg, render_xml])
def test_the_same_content_gives_the_same_bytes_and_other_content_does_not(render):
    other = replace(CONTEXT, number="虚公（交）诉字〔2026〕13号")
    assert render(CONTEXT) == render(CONTEXT)
    assert render(CONTEXT) != render(other)


@pytest.mark.parametrize("render", [render_pdf, render_ofd])
def test_pages_on_demand(render):
    assert render(replace(CONTEXT, pages=7))[1] == 7
    assert render(replace(CONTEXT, pages=1))[1] == 2


def test_scanned_pages_are_pictures_that_do_not_compress():
    data, pages = render_pdf(replace(CONTEXT, scans=2))
    reader = pypdf.PdfReader(io.BytesIO(data), strict=True)
    (picture,) = (each.get_object() for each in reader.pages[3]["/Resources"]["/XObject"].values())

    assert pages == len(reader.pages) == 4
    assert len(picture.get_data()) == picture["/Width"] * picture["/Height"] > 700_000
    assert len(zlib.compress(picture.get_data())) > 500_000
    assert "扫描件第 2 页" in reader.pages[3].extract_text()


def test_wrapped_lines_fit_and_never_begin_with_closing_punctuation():
    text = CONTEXT.paragraphs[0]
    lines = wrap(text, 160.0, 12.0)
    assert "".join(lines) == text
    assert len(lines) > 10
    for line in lines:
        assert text_width_mm(line.rstrip("，。"), 12.0) <= 160.0
        assert line[0] not in "，。"


def test_an_ofd_is_a_package_whose_parts_refer_to_each_other():
    data, pages = render_ofd(CONTEXT)
    name = {"ofd": OFD_NAMESPACE}
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        roots = {entry: etree.fromstring(package.read(entry)) for entry in package.namelist()}
    root = roots["OFD.xml"]
    document = roots[root.findtext("ofd:DocBody/ofd:DocRoot", "", name)]
    listed = document.findall("ofd:Pages/ofd:Page", name)
    contents = [roots[f"Doc_0/{page.get('BaseLoc')}"] for page in listed]
    resources = roots[f"Doc_0/{document.findtext('ofd:CommonData/ofd:PublicRes', '', name)}"]
    fonts = {font.get("ID") for font in resources.findall("ofd:Fonts/ofd:Font", name)}
    texts = [text for content in contents for text in content.iter(f"{{{OFD_NAMESPACE}}}TextObject")]
    identifiers = [node.get("ID") for part in roots.values() for node in part.iter() if node.get("ID")]

    assert root.tag == f"{{{OFD_NAMESPACE}}}OFD"
    assert root.get("DocType") == "OFD"
    assert root.findtext("ofd:DocBody/ofd:DocInfo/ofd:Title", "", name) == CONTEXT.title
    assert len(contents) == pages == 2
    assert {text.get("Font") for text in texts} <= fonts
    assert len(identifiers) == len(set(identifiers))
    assert document.findtext("ofd:CommonData/ofd:MaxUnitID", "", name) == str(max(map(int, identifiers)))
    lines = [text.findtext("ofd:TextCode", "", name) for text in texts]
    assert lines.count(MARK) == pages
    for words in (CONTEXT.title, CONTEXT.number, *CONTEXT.parties, *CONTEXT.paragraphs):
        assert words in joined(lines)


def test_every_character_of_an_ofd_line_has_its_place():
    with zipfile.ZipFile(io.BytesIO(render_ofd(CONTEXT)[0])) as package:
        page = etree.fromstring(package.read("Doc_0/Pages/Page_0/Content.xml"))
    codes = list(page.iter(f"{{{OFD_NAMESPACE}}}TextCode"))
    assert codes
    for code in codes:
        assert len((code.get("DeltaX") or "").split()) == len(code.text or "") - 1


def test_an_ofd_refuses_scanned_pages():
    with pytest.raises(FormatError, match="PDF only"):
        render_ofd(replace(CONTEXT, scans=1))


def jpeg_segments(data: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    """The segments by marker, and the entropy-coded data with its stuffing taken out."""
    assert data[:2] == b"\xff\xd8"
    assert data[-2:] == b"\xff\xd9"
    segments: dict[int, list[bytes]] = {}
    position = 2
    while True:
        marker, length = struct.unpack_from(">xBH", data, position)
        segments.setdefault(marker, []).append(data[position + 4 : position + 2 + length])
        position += 2 + length
        if marker == 0xDA:
            return segments, data[position:-2].replace(b"\xff\0", b"\xff")


def test_a_jpeg_decodes_to_a_picture_of_its_size():
    segments, coded = jpeg_segments(render_jpg(CONTEXT))
    height, width = struct.unpack_from(">HH", segments[0xC0][0], 1)
    lengths, symbols = segments[0xC4][0][1:17], segments[0xC4][0][17:]
    table: dict[str, int] = {}
    code = used = 0
    for length, count in enumerate(lengths, 1):
        for _ in range(count):
            table[f"{code:0{length}b}"] = symbols[used]
            code, used = code + 1, used + 1
        code <<= 1
    bits = "".join(f"{byte:08b}" for byte in coded)
    levels: list[int] = []
    position = value = 0
    while len(levels) < width * height // 64:
        end = position + 1
        while bits[position:end] not in table:
            end += 1
        category = table[bits[position:end]]
        raw = int(bits[end : end + category] or "0", 2)
        value += raw if not category or raw >> (category - 1) else raw - (1 << category) + 1
        assert bits[end + category] == "0"
        position = end + category + 1
        levels.append(value + 128)

    assert (width, height) == (640, 480)
    assert 0 <= min(levels) < 20
    assert max(levels) <= 255
    assert len(set(levels)) > 50
    assert len(bits) - position < 8
    assert MARK.encode() in segments[0xFE][0]


def boxes(data: bytes) -> dict[str, bytes]:
    """The boxes of one level by kind (each kind once, as these files have it)."""
    found: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        assert size >= 8
        found[kind.decode("latin-1")] = data[position + 8 : position + size]
        position += size
    assert position == len(data)
    return found


def video(size_bytes: int) -> bytes:
    target = io.BytesIO()
    assert write_mp4(target, CONTEXT, size_bytes) == len(target.getvalue())
    return target.getvalue()


def test_a_video_is_whole_and_its_sample_table_finds_every_picture():
    data = video(500_000)
    top = boxes(data)
    movie = boxes(top["moov"])
    media = boxes(boxes(movie["trak"])["mdia"])
    table = boxes(boxes(media["minf"])["stbl"])
    size, count = struct.unpack(">II", table["stsz"][4:])
    offset = struct.unpack(">II", table["stco"][4:])[1]

    assert list(top) == ["ftyp", "moov", "mdat"]
    assert len(data) >= 500_000
    assert count >= 4
    assert struct.unpack(">III", table["stts"][4:]) == (1, count, 1)
    assert struct.unpack(">I", movie["mvhd"][16:20])[0] == count
    assert data[offset : offset + size * count] == top["mdat"]
    for index in range(count):
        sample = top["mdat"][index * size : (index + 1) * size]
        assert struct.unpack(">I", sample[:4])[0] == size - 4
        # An IDR slice with its stop bit, and no start code inside that a decoder would stumble over.
        assert sample[4] == 0x65
        assert sample[-1] == 0x80
        assert b"\0\0" not in sample[4:]
    assert MARK.encode() in movie["udta"]


def test_a_video_does_not_compress_and_follows_its_seed():
    data = video(300_000)
    assert len(zlib.compress(data)) > 0.98 * len(data)
    assert video(300_000) == data
    other = io.BytesIO()
    write_mp4(other, replace(CONTEXT, seed="1"), 300_000)
    assert other.getvalue()[-100_000:] != data[-100_000:]


def test_a_video_beyond_four_gibibytes_has_the_long_size():
    pictures = (1 << 32) // mp4._sample_bytes() + 1
    head = mp4._head(CONTEXT, pictures)
    size, kind, long_size = struct.unpack(">I4sQ", head[-16:])
    assert (size, kind) == (1, b"mdat")
    assert long_size == 16 + pictures * mp4._sample_bytes()


def test_noise_is_the_same_for_the_same_seed_and_index_only():
    assert noise("a", 1, 64) == noise("a", 1, 64)
    assert len({noise("a", 1, 64), noise("a", 2, 64), noise("b", 1, 64)}) == 3


def dossier() -> DocumentContext:
    members = (("procedure", CONTEXT), ("evidence", replace(CONTEXT, document_type="EVD-001", pages=3)))
    return replace(CONTEXT, document_type="COM-001", title="电子卷宗", members=members)


def test_a_dossier_lists_its_volumes_with_true_digests():
    context = dossier()
    with zipfile.ZipFile(io.BytesIO(render_dossier(context))) as package:
        listing = etree.fromstring(package.read("index.xml"))
        files = {name: package.read(name) for name in package.namelist() if name != "index.xml"}
    entries = dossier_index(context)

    assert [entry.file for entry in entries] == list(files)
    assert list(files) == ["volumes/procedure/001-POL-020.pdf", "volumes/evidence/002-EVD-001.pdf"]
    for entry, line in zip(entries, listing.iter("{urn:exchanged:dossier-index:1}entry"), strict=True):
        assert entry.sha256 == line.get("sha256") == hashlib.sha256(files[entry.file]).hexdigest()
        assert entry.pages == len(pdf_pages(files[entry.file]))
    assert render_dossier(context) == render_dossier(context)


def test_an_xml_document_carries_its_facts_and_its_index():
    entry = IndexEntry(1, "POL-002", "立案决定书", "a.pdf", "procedure", 2, 10, "0" * 64)
    root = etree.fromstring(render_xml(replace(CONTEXT, entries=(entry,))))
    line = root.find("{urn:exchanged:fiction:1}entry")
    assert root.get("title") == CONTEXT.title
    assert root.findtext("{urn:exchanged:fiction:1}mark") == MARK
    assert line is not None
    assert (line.get("documentType"), line.get("pages")) == ("POL-002", "2")


def test_the_format_is_the_first_that_can_be_written_or_the_one_wanted():
    assert choose_format(("pdf", "ofd")) is DocumentFormat.PDF
    assert choose_format(("tif", "jpg")) is DocumentFormat.JPG
    assert choose_format(("pdf", "ofd"), DocumentFormat.OFD) is DocumentFormat.OFD
    with pytest.raises(CatalogueError):
        choose_format(("pdf", "ofd"), DocumentFormat.MP4)
    with pytest.raises(CatalogueError):
        choose_format(("tif", "mkv"))


@pytest.mark.parametrize("document_format", DocumentFormat)
def test_a_written_document_is_what_is_said_about_it(tmp_path: Path, document_format: DocumentFormat):
    context = dossier() if document_format is DocumentFormat.ZIP else CONTEXT
    moved: list[int] = []
    path = tmp_path / f"document.{document_format}"
    written = write_document(path, context, document_format, size_bytes=1, progress=moved.append)
    data = path.read_bytes()

    assert written.format is document_format
    assert written.size == len(data) == sum(moved)
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    paged = document_format in {DocumentFormat.PDF, DocumentFormat.OFD}
    assert written.pages == (2 if paged else None)


def test_a_document_never_overwrites_and_a_refusing_disk_is_named(tmp_path: Path):
    path = tmp_path / "a.pdf"
    path.write_bytes(b"mine")
    with pytest.raises(ForeignVolumeError):
        write_document(path, CONTEXT, DocumentFormat.PDF)
    assert path.read_bytes() == b"mine"
    with pytest.raises(ForeignVolumeError):
        write_document(tmp_path / "missing" / "a.pdf", CONTEXT, DocumentFormat.PDF)
