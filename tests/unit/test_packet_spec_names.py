from __future__ import annotations

import pytest

from packet_spec import names
from packet_spec.errors import NameRefusedError
from packet_spec.names import (
    OWN_NAMES,
    delivered_name,
    escape_for_display,
    fold_name,
    safe_component,
    safe_relative,
    status_name,
)

GOOD = [
    "a",
    "起诉意见书.pdf",
    "a b.txt",
    "CONTRACT.doc",
    "com10.txt",
    "-x",
    "a" * 255,
    "㛃.pdf",
    "\ue000.pdf",
    "a..b",
]
BAD = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "a/b",
    "卷宗\\起诉意见书.pdf",
    "C:\\x",
    "a:stream",
    "a*",
    "a?",
    'a"',
    "a<b",
    "a|b",
    "CON",
    "con.txt",
    "Aux .txt",
    "nul.tar.gz",
    "COM1",
    "lpt9.pdf",
    "COM\u00b9",
    "ＣＯＮ",
    "CONIN$",
    "a.",
    "a ",
    " a",
    ".hidden",
    "a\n",
    "a\0",
    "a\x1b[31m",
    "a\x85",
    "a\u202egpj.exe",
    "a\u200b",
    "\ufeffa",
    "a\u2028b",
    "a\ud800",
    "a\uffff",
    "a\ufdd0",
    "a\U0001fffe",
    "文" * 86,
]


@pytest.mark.parametrize("name", GOOD)
def test_safe_names_pass_unchanged(name):
    assert safe_component(name) == safe_relative(name) == name


@pytest.mark.parametrize("name", BAD)
def test_unsafe_names_are_refused_without_control_characters_in_the_message(name):
    for function in (safe_component, safe_relative):
        with pytest.raises(NameRefusedError) as caught:
            function(name)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", BAD)
def test_an_unsafe_name_is_delivered_under_a_generated_one(name):
    delivered = delivered_name(name, 3, set())
    assert delivered.startswith("part-0003")
    assert safe_component(delivered) == delivered
    assert delivered.isascii()


def test_delivered_names_keep_the_listed_name_where_they_can():
    taken: set[str] = set()
    listed = [
        "a.PDF",
        "A.pdf",
        "起诉.pdf",
        "x:y.DOCX",
        "none",
        "part-0002.pdf",
        "caf\u00e9.txt",
        "cafe\u0301.txt",
    ]
    given = [delivered_name(name, index, taken) for index, name in enumerate(listed, start=1)]
    assert given == [
        "a.PDF",
        "part-0002.pdf",
        "起诉.pdf",
        "part-0004.docx",
        "none",
        "part-0006.pdf",
        "caf\u00e9.txt",
        "part-0008.txt",
    ]
    assert len({fold_name(name) for name in given}) == len(given) == len(taken)


def test_a_generated_name_makes_way():
    taken = {"part-0001.pdf", "part-0001-1.pdf"}
    assert delivered_name("x:.pdf", 1, taken) == "part-0001-2.pdf"


@pytest.mark.parametrize("own", OWN_NAMES)
def test_our_own_names_are_never_given(own):
    for listed in (own, own.upper()):
        assert fold_name(delivered_name(listed, 1, set())) not in OWN_NAMES


def test_names_meet_as_on_a_case_insensitive_normalising_file_system():
    assert fold_name("ÄB") == fold_name("a\u0308b")
    assert fold_name("\uf9d0") == fold_name("類")
    assert fold_name("STRASSE") == fold_name("stra\u00dfe")
    assert fold_name("1") != fold_name("１")


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (b"A.zip", "A.zip.status.xml"),
        ("卷宗 1.zip".encode(), "卷宗 1.zip.status.xml"),
        ("起诉".encode("gbk"), "%C6%F0%CB%DF.status.xml"),
        (b".x", "%2Ex.status.xml"),
        (b"CON.xml", "%43ON.xml.status.xml"),
        (b"a~1.zip", "a~1.zip.status.xml"),
        (b"a.zip~2", "a.zip%7E2.status.xml"),
        (b"100%", "100%25.status.xml"),
        (b"a\n\x1b:", "a%0A%1B%3A.status.xml"),
        ("a\u202e".encode(), "a%E2%80%AE.status.xml"),
        (b"", ".status.xml"),
    ],
)
def test_status_names(drop, expected):
    assert status_name(drop, ".status.xml") == expected


def test_long_status_names_are_cut_and_told_apart():
    names = [("卷" * 80 + tail).encode() for tail in ("a", "b")] + [b"\xff" * 255]
    given = [status_name(name, ".status.xml") for name in names]
    assert len(set(given)) == 3
    for name in given:
        assert len(name.encode()) <= 200 + len(".status.xml")
        assert "~" in name
    assert given[0].startswith("卷" * 61)
    assert len(status_name(b"a" * 200, "")) == 200
    assert "~" not in status_name(b"a" * 200, "")


def test_display_escapes():
    assert escape_for_display("起诉\n".encode()) == "起诉\\x0a"
    assert escape_for_display(b"\xc6\xf0") == "\\xc6\\xf0"
    assert escape_for_display("\u202e\U000e0001".encode()) == "\\u202e\\U000e0001"


def test_what_passes_for_plain_is_plain() -> None:
    """The short cut for ordinary names leaves out no reason against a character."""
    plain = [chr(point) for point in range(0x110000) if names._PLAIN.fullmatch(chr(point))]
    assert len(plain) > 20_000
    assert all(names._is_shown(character) for character in plain)
    assert not (names._SEPARATORS | names._WINDOWS_SPECIAL) & set(plain)
