"""From what the parser and libxml2's schema validation say to findings that a clerk can act on.

Guarantees: every violation becomes a finding with line and element path; libxml2's own wording, which
quotes the document and its namespaces, is never shown. Known limit: libxml2 reports one violation per
content model, so a second missing element shows up only after the first was corrected.
"""

from __future__ import annotations

import re
from typing import Final

from packet_spec.errors import XmlRefusedError
from packet_spec.findings import Finding
from packet_spec.limits import FINDINGS
from packet_spec.sentences import make_finding
from packet_spec.xml import (
    Element,
    Violation,
    element_at,
    load_schema,
    local_name,
    namespace_of,
    path_of,
    validate,
)

PACKET_XML: Final = "packet.xml"
MOMENT_SHAPE: Final = "YYYY-MM-DDThh:mm:ss+08:00"
DATE_SHAPE: Final = "YYYY-MM-DD"

_SUBJECT: Final = re.compile(
    r"Element '(?:\{[^}]*\})?([^']+)'(?:, attribute '(?:\{[^}]*\})?([^']+)')?: (.*)", re.S
)
_EXPECTED: Final = re.compile(r"Expected is (?:one of )?\( (.*) \)")
_NAMESPACE: Final = re.compile(r"\{[^}]*\}|##other:")
_SET: Final = re.compile(r"element of the set \{(.*)\}")
# Of an element with children, of one with text alone, and the two ways in which xsi:type can be wrong.
_ATTRIBUTE_UNEXPECTED: Final = frozenset(
    {
        "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1",
        "SCHEMAV_CVC_TYPE_3_1_1",
        "SCHEMAV_CVC_ELT_4_2",
        "SCHEMAV_CVC_ELT_4_3",
    }
)
_ATTRIBUTE: Final = re.compile(r"The attribute '(?:\{[^}]*\})?([^']+)'")

# The shape of a value, readable in both languages; else the enumeration, else where to look.
_SHAPES: Final = {
    **dict.fromkeys(("sender", "receiver", "copyTo"), "NNNNNN-NN-NN"),
    **dict.fromkeys(
        ("packetId", "inReplyTo", "supersedes"), "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx (0-9 a-f)"
    ),
    **dict.fromkeys(("createdAt", "expiresAt", "at"), MOMENT_SHAPE),
    **dict.fromkeys(("approvedOn", "documentDate"), DATE_SHAPE),
    **dict.fromkeys(("size", "pages"), "0, 1, 2 ..."),
    **dict.fromkeys(("businessType", "documentType", "kind", "volume"), "A-Z a-z 0-9 . _ -"),
    "sha256": "64 x 0-9 a-f",
    "senderRef": "1-128",
    "file": "1-255",
    "version": "1.0",
}


def xml_finding(
    code: str,
    *,
    line: int | None = None,
    element: str = "",
    expected: str = "",
    found: str = "",
    file: str = PACKET_XML,
) -> Finding:
    """A finding about an XML file; the code must have its sentences in ``sentences_format``."""
    return make_finding(code, file=file, line=line, element=element, expected=expected, found=found)


def refusal_finding(error: XmlRefusedError, file: str = PACKET_XML) -> Finding:
    """What the parser refused, as a finding."""
    return xml_finding(error.code, line=error.line, expected=error.expected, found=error.found, file=file)


def schema_findings(root: Element, kind: str, file: str = PACKET_XML) -> tuple[Finding, ...]:
    """Every violation of the shipped schema ``kind`` as a finding; a value at fault once.

    At most ``limits.FINDINGS`` are given.
    """
    expected_root = f"{kind} (urn:exchanged:{kind}:1)"
    findings: dict[tuple[int | None, str], Finding] = {}
    for violation in validate(root, load_schema(kind)):
        finding = _violation_finding(root, violation, file, expected_root)
        findings.setdefault((finding.line, finding.element), finding)
        if len(findings) == FINDINGS:
            break
    return tuple(findings.values())


def _violation_finding(root: Element, violation: Violation, file: str, expected_root: str) -> Finding:
    match = _SUBJECT.match(violation.message)
    element = element_at(root, violation.path)
    if match is None or element is None:
        return xml_finding("schema-violated", line=violation.line, file=file)
    name, attribute, message = match[1], match[2], match[3]
    path = path_of(element)
    if violation.kind == "SCHEMAV_CVC_ELT_1":
        return xml_finding(
            "root-unexpected", line=violation.line, expected=expected_root, found=_qualified(root), file=file
        )
    if violation.kind == "SCHEMAV_ELEMENT_CONTENT":
        code = "element-missing" if message.startswith("Missing") else "element-unexpected"
        return xml_finding(
            code, line=violation.line, element=path, expected=_expected_names(message), file=file
        )
    named = _ATTRIBUTE.search(message)
    if violation.kind == "SCHEMAV_CVC_COMPLEX_TYPE_4" and named is not None:
        path = f"{path}/@{named[1]}"
        return xml_finding("attribute-missing", line=violation.line, element=path, file=file)
    if violation.kind in _ATTRIBUTE_UNEXPECTED:
        path = f"{path}/@{attribute or ''}"
        return xml_finding("attribute-unexpected", line=violation.line, element=path, file=file)
    if attribute:
        path = f"{path}/@{attribute}"
    found = str(element.get(attribute, "")) if attribute else element.text or ""
    if name == "secrecy" and violation.kind == "SCHEMAV_CVC_ENUMERATION_VALID":
        return xml_finding("secrecy-refused", line=violation.line, element=path, found=found, file=file)
    return xml_finding(
        "value-invalid",
        line=violation.line,
        element=path,
        expected=_expected_value(attribute or name, message),
        found=found,
        file=file,
    )


def _expected_names(message: str) -> str:
    match = _EXPECTED.search(message)
    return "" if match is None else _NAMESPACE.sub("", match[1])


def _expected_value(name: str, message: str) -> str:
    match = _SET.search(message)
    if match is not None:
        return match[1].replace("'", "")
    return _SHAPES.get(name, "docs/packet-format.md")


def _qualified(element: Element) -> str:
    return f"{local_name(element)} ({namespace_of(element) or '-'})"
