from __future__ import annotations

from string import Formatter

from packet_spec.findings import Severity
from packet_spec.limits import FINDINGS
from packet_spec.sentences import make_finding
from packet_spec.sentences_format import SENTENCES
from packet_spec.xml import parse_document
from packet_spec.xml_findings import schema_findings, xml_finding
from tests.support.documents import PACKET_XML

WORDS = {"element", "document", "expected", "found", "file", "line"}


def test_every_code_has_two_sentences_whose_words_can_be_filled_in():
    for code, (severity, zh, en) in SENTENCES.items():
        assert isinstance(severity, Severity)
        for template in (zh, en):
            assert {name for _, name, _, _ in Formatter().parse(template) if name} <= WORDS, code
        finding = make_finding(code, file="packet.xml", line=3, element="e", expected="x", found="y")
        assert any("\u4e00" <= character <= "\u9fff" for character in finding.zh), code
        assert finding.en.isascii(), code
        assert "{" not in finding.zh + finding.en


def test_a_finding_about_xml_names_its_file():
    finding = xml_finding("doctype-refused", line=3)
    assert (finding.file, finding.line, finding.severity) == ("packet.xml", 3, Severity.REFUSE)
    assert "packet.xml" in finding.en


def test_findings_are_capped():
    entry = '<attachment documentType="?" file="x"/>'
    data = PACKET_XML.replace("</attachments>", entry * (FINDINGS + 9) + "</attachments>").encode()
    assert len(schema_findings(parse_document(data, limit_bytes=10**6), "packet")) == FINDINGS


def test_what_has_no_path_is_told_by_line():
    # libxml2 names a prefixed element in its path; where the prefix is declared further down, no path helps.
    data = b'<a xmlns="urn:exchanged:findings:1"><p:b xmlns:p="urn:exchanged:findings:1"/></a>'
    codes = [finding.code for finding in schema_findings(parse_document(data, limit_bytes=999), "findings")]
    assert codes == ["root-unexpected"]
    inner = (
        b'<packet xmlns="urn:exchanged:packet:1" version="1.0">\n'
        b'<p:stranger xmlns:p="urn:exchanged:packet:1"/></packet>'
    )
    (finding,) = schema_findings(parse_document(inner, limit_bytes=999), "packet")
    assert (finding.code, finding.line) == ("schema-violated", 2)
