from __future__ import annotations

import unicodedata

from frontend_server.completeness import compare, digest_findings
from frontend_server.drops import Member
from packet_spec.identity import sha256_hex
from packet_spec.limits import FINDINGS
from packet_spec.model import Attachment
from packet_spec.names import read_name, sealed_name

OPINION = "起诉意见书.pdf"


def listed(file: str, size: int | None = 1, sha256: str | None = None) -> Attachment:
    return Attachment(file, "POL-020", size, sha256)


def test_all_there_in_any_order() -> None:
    present = [Member(b"b.pdf", 2), Member(OPINION.encode(), 1)]
    found = compare([listed(OPINION), listed("b.pdf", 2)], present)
    assert found.parts == (1, 0)
    assert (found.missing, found.short) == ((), ())
    assert (found.findings, found.short_findings) == ((), ())


def test_nothing_listed_and_nothing_there() -> None:
    assert compare([], []).parts == ()


def test_what_is_missing_is_named_and_nobody_blamed() -> None:
    found = compare([listed("a"), listed("b"), listed("c")], [Member(b"b", 1)])
    assert (found.missing, found.parts, found.findings) == (("a", "c"), (), ())


def test_a_short_file_may_still_grow_a_long_one_is_wrong() -> None:
    found = compare([listed("a", 5), listed("b", 5)], [Member(b"a", 4), Member(b"b", 6)])
    assert found.short == ("a",)
    (short,) = found.short_findings
    (long,) = found.findings
    assert (short.code, short.file, short.expected, short.found) == ("attachment-size-differs", "a", "5", "4")
    assert (long.code, long.file, long.found) == ("attachment-size-differs", "b", "6")


def test_a_size_that_is_not_listed_is_not_compared() -> None:
    assert compare([listed("a", None)], [Member(b"a", 4)]).parts == (0,)


def test_files_that_are_not_listed_are_named_as_people_read_them() -> None:
    gbk = OPINION.encode("gb18030")
    found = compare([], [Member(b"a", 1), Member(gbk, 1), Member(b"\xff\xff", 1), Member(b"x.tmp", 1)])
    assert [finding.code for finding in found.findings] == ["attachment-unlisted"] * 3
    assert [finding.found for finding in found.findings] == ["a", OPINION, "\\xff\\xff"]


def test_an_empty_file_that_nobody_listed_is_litter() -> None:
    assert compare([], [Member(b"a", 0)]).findings == ()
    found = compare([listed("a", size=0)], [Member(b"a", 0), Member(b"b", 0)])
    assert (found.parts, found.findings) == ((0,), ())


def test_names_are_compared_as_a_share_would() -> None:
    gbk = Member(OPINION.encode("gb18030"), 1)
    decomposed = Member(unicodedata.normalize("NFD", "Überstellung.pdf").encode(), 1)
    shouted = Member(b"REPORT.PDF", 1)
    found = compare(
        [listed("report.pdf"), listed(OPINION), listed("Überstellung.pdf")], [gbk, decomposed, shouted]
    )
    assert found.parts == (2, 0, 1)
    assert found.findings == ()


def test_a_short_gbk_name_that_is_also_utf8() -> None:
    # In GBK this is one Han character, in UTF-8 a Cyrillic letter.
    name = "一.pdf".encode("gb18030")
    assert name.decode() == "һ.pdf"
    assert compare([listed("一.pdf")], [Member(name, 1)]).parts == (0,)
    # The receiver could only read the other name: so the seal bears the listed one.
    assert sealed_name(name, "一.pdf") == "一.pdf".encode()
    assert read_name(sealed_name(name, "一.pdf")) == "一.pdf"


def test_twins_are_named() -> None:
    found = compare([listed("a.pdf")], [Member(b"a.pdf", 1), Member(b"A.PDF", 1)])
    assert [finding.code for finding in found.findings] == ["attachment-file-twice", "attachment-unlisted"]


def test_findings_end_somewhere() -> None:
    found = compare([], [Member(str(number).encode(), 1) for number in range(FINDINGS + 50)])
    assert len(found.findings) == FINDINGS


def test_wrong_digests_are_named_and_unlisted_ones_believed() -> None:
    attachments = [listed("a", sha256=sha256_hex(b"a")), listed("b", sha256=sha256_hex(b"b")), listed("c")]
    digests = [sha256_hex(b"a"), sha256_hex(b"x"), sha256_hex(b"c")]
    (finding,) = digest_findings(attachments, digests)
    assert (finding.code, finding.file) == ("attachment-digest-differs", "b")
    assert finding.found == sha256_hex(b"x")


def test_the_seal_names_parts_as_the_files_do_where_they_read_as_listed() -> None:
    gbk = OPINION.encode("gb18030")
    assert sealed_name(gbk, OPINION) == gbk
    assert sealed_name(OPINION.encode(), OPINION) == OPINION.encode()
    assert sealed_name(b"REPORT.PDF", "report.pdf") == b"report.pdf"
    assert sealed_name(b"\xff\xff", OPINION) == OPINION.encode()
