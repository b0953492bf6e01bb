from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from packet_spec import xml
from packet_spec.errors import FormatError, SchemaError, VersionError, XmlRefusedError
from packet_spec.limits import XML_ATTRIBUTES, XML_DEPTH
from packet_spec.xml import (
    add,
    attribute,
    element_at,
    line_of,
    load_schema,
    namespace_of,
    new_root,
    parse_document,
    path_of,
    read_date,
    read_machine_document,
    read_moment,
    read_truth,
    text,
    texts,
    validate,
    write_document,
    write_machine_document,
    write_moment,
    write_truth,
)

LIMIT = 1_000_000


def parse(data: bytes):
    return parse_document(data, limit_bytes=LIMIT)


def refusal(data: bytes) -> XmlRefusedError:
    with pytest.raises(XmlRefusedError) as caught:
        parse(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"<!DOCTYPE a><a/>", 1),
        (b'<?xml version="1.0"?>\n<!DOCTYPE a><a/>', 2),
        (b"\xef\xbb\xbf<!-- <a> -->\n\n<?pi x?> <!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", 3),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 1),
        (b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><a>&z;</a>', 1),
    ],
)
def test_a_doctype_is_refused(data, line):
    error = refusal(data)
    assert (error.code, error.line) == ("doctype-refused", line)


def test_what_only_looks_like_a_doctype_passes():
    assert parse(b"<a><![CDATA[<!DOCTYPE a>]]></a>").text == "<!DOCTYPE a>"
    assert parse(b"<!-- <!DOCTYPE a> --><a/>").tag == "a"


@pytest.mark.parametrize(
    "data", [b"", b"<a>", b"<a/><b/>", b"<a>&x;</a>", b"<a>\x00</a>", b"<a>\xff</a>", b"<!-- ", b"<?x "]
)
def test_what_is_not_well_formed_is_refused(data):
    assert refusal(data).code == "xml-not-wellformed"


def test_the_line_is_told_and_the_content_is_not():
    error = refusal(b"<a>\n<secret\n</a>")
    assert error.line == 3
    assert "secret" not in str(error)
    assert "line 3" in str(error)


def test_the_caps():
    for depth in (XML_DEPTH, XML_DEPTH + 1, 300):
        data = b"<a>" * depth + b"</a>" * depth
        if depth == XML_DEPTH:
            parse(data)
        else:
            assert refusal(data).code == "too-deep"
    for count in (XML_ATTRIBUTES, XML_ATTRIBUTES + 1):
        data = b"<r>\n<a " + b" ".join(b'a%d=""' % number for number in range(count)) + b"/></r>"
        if count == XML_ATTRIBUTES:
            parse(data)
        else:
            assert (refusal(data).code, refusal(data).line) == ("too-many-attributes", 2)
    parse_document(b"<a/>", limit_bytes=4)
    with pytest.raises(XmlRefusedError) as caught:
        parse_document(b"<a/>", limit_bytes=3)
    assert caught.value.code == "too-large"


def test_a_text_beyond_libxml2s_own_cap_is_too_large():
    with pytest.raises(XmlRefusedError) as caught:
        parse_document(b"<a>" + b"x" * 10_500_000 + b"</a>", limit_bytes=20_000_000)
    assert caught.value.code == "too-large"


def test_the_declaration_never_chooses_the_encoding():
    for declared in ("GBK", "UTF-7", "ISO-8859-1"):
        assert (
            parse(f'<?xml version="1.0" encoding="{declared}"?><a>张伟+ADw-</a>'.encode()).text == "张伟+ADw-"
        )


def test_nothing_is_fetched_or_included():
    include = b'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></a>'
    assert len(parse(include)) == 1


def test_comments_and_instructions_are_dropped():
    root = parse(b"<a>one<!-- x -->two<?pi?></a>")
    assert (root.text, len(root)) == ("onetwo", 0)


def test_writing_is_deterministic():
    root = new_root("status", "status", {"b": "1"})
    add(root, "a", "x & <y>\r", c='q"\n')
    add(root, "empty")
    expected = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<status xmlns="urn:exchanged:status:1" b="1">\n'
        b'  <a c="q&quot;&#10;">x &amp; &lt;y&gt;&#13;</a>\n  <empty/>\n</status>\n'
    )
    assert write_document(root) == write_document(root) == expected
    assert parse(expected)[0].text == "x & <y>\r"
    assert attribute(parse(expected)[0], "c") == 'q"\n'


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\ufffe", "\ud800"])
def test_what_xml_cannot_carry_is_our_own_error(bad):
    root = new_root("status", "status")
    with pytest.raises(SchemaError):
        add(root, "a", bad)
    with pytest.raises(SchemaError):
        add(root, "a", b=bad)
    with pytest.raises(SchemaError):
        new_root("status", "status", {"a": bad})


def test_reading_helpers():
    root = parse(b"<r xmlns='n'><a>1</a><a/><b xmlns='m'/><c d='e'/></r>")
    assert namespace_of(root) == "n"
    assert texts(root, "a") == ("1", "")
    assert text(root, "a") == "1"
    assert text(root, "b") == ""
    assert attribute(root[3], "d") == "e"
    assert attribute(root[3], "x", "none") == "none"
    assert [path_of(each) for each in (root, root[1], root[3])] == ["r", "a[2]", "c"]
    assert line_of(root) == 1
    assert element_at(root, "/*/*[2]") is root[1]
    assert element_at(root, "/p:unknown") is None
    assert element_at(root, "") is None
    assert element_at(root, "/nothing") is None


def test_truth_values():
    assert [read_truth(value) for value in ("true", "1", "false", "0")] == [True, True, False, False]
    assert (write_truth(True), write_truth(False)) == ("true", "false")


def test_moments_are_written_in_utc():
    east = timezone(timedelta(hours=8))
    assert write_moment(datetime(2026, 7, 15, 9, 30, tzinfo=east)) == "2026-07-15T01:30:00Z"
    assert write_moment(datetime(2026, 7, 15, 1, 30, 0, 5, UTC)) == "2026-07-15T01:30:00.000005Z"
    assert read_moment("2026-07-15T09:30:00+08:00") == datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
    assert read_moment("2026-07-15T09:30:00+08:00").tzinfo is UTC
    with pytest.raises(FormatError):
        write_moment(datetime(2026, 7, 15))  # noqa: DTZ001 - a naive time is the point


@pytest.mark.parametrize(
    "value", ["", "2026-07-15T09:30:00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+08:00", "x"]
)
def test_moments_that_cannot_be(value):
    with pytest.raises(SchemaError):
        read_moment(value)


def test_dates():
    assert read_date("2026-07-15") == date(2026, 7, 15)
    with pytest.raises(SchemaError):
        read_date("2026-02-30")


def test_schemas_are_shipped_and_compiled_once():
    assert load_schema("status") is load_schema("status")
    with pytest.raises(SchemaError):
        load_schema("no-such")


def test_violations_come_in_document_order():
    root = parse(b"<status xmlns='urn:exchanged:status:1'>\n<drop/>\n</status>")
    violations = validate(root, load_schema("status"))
    assert [violation.line for violation in violations] == [1, 1]
    assert {violation.kind for violation in violations} == {
        "SCHEMAV_CVC_COMPLEX_TYPE_4",
        "SCHEMAV_ELEMENT_CONTENT",
    }


def test_machine_documents_are_held_against_their_schema():
    with pytest.raises(SchemaError, match="line 2"):
        read_machine_document(
            b"<status xmlns='urn:exchanged:status:1' formatVersion='1'>\n<x/></status>",
            "status",
            limit_bytes=LIMIT,
        )
    with pytest.raises(SchemaError):
        write_machine_document(new_root("status", "status"), "status", limit_bytes=LIMIT)
    root = new_root("findings", "findings", {"formatVersion": "1"})
    add(root, "drop", "x")
    add(root, "at", "2026-07-15T01:30:00Z")
    size = len(write_machine_document(root, "findings", limit_bytes=LIMIT))
    with pytest.raises(SchemaError, match="too large"):
        write_machine_document(root, "findings", limit_bytes=size - 1)
    with pytest.raises(VersionError):
        read_machine_document(b"<findings xmlns='urn:exchanged:findings:2'/>", "findings", limit_bytes=LIMIT)


def test_a_refused_document_leaves_nothing_behind_for_the_next():
    for bad in (b"<a>", b"<a>" * 300, b"<a>\x01</a>", b"<!DOCTYPE a><a/>"):
        with pytest.raises(XmlRefusedError):
            parse(bad)
        root = parse(b"<a>\n<b x='1'/>\n</a>")
        assert [(each.tag, each.sourceline) for each in root.iter()] == [("a", 1), ("b", 2)]


def test_several_threads_parse_at_once():
    documents = [b"<a>" + b"<b>%d</b>" % number * 200 + b"</a>" for number in range(64)]
    with ThreadPoolExecutor(8) as threads:
        roots = list(threads.map(parse, documents))
    assert [{each.text for each in root} for root in roots] == [{str(number)} for number in range(64)]


def test_two_threads_never_compile_schemas_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)
    met: list[bool] = []

    def compiled(_: object) -> None:
        try:
            both.wait(0.2)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)

    monkeypatch.setattr(xml.etree, "XMLSchema", compiled)
    threads = [threading.Thread(target=xml.compile_schema, args=(None,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [False, False]
