"""The sample cases of ``cases/`` as packet.xml bytes and as a directory. All data is fictional."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from packet_spec.body_xsd import body_fields
from packet_spec.catalogue import load_catalogue
from packet_spec.model import Directory, DirectoryAgency

CASES = ("dangerous_driving", "theft_in_custody")
_FOLDER = Path(__file__).parent / "cases"


@cache
def load_case(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return case


def row_of(case: Mapping[str, Any], number: int) -> dict[str, Any]:
    return dict(next(row for row in case["rows"] if row["row"] == number))


def directory_of(case: Mapping[str, Any], **changes: Mapping[str, Any]) -> Directory:
    """The agencies of the case; ``changes`` are more attributes of an agency, by its short name."""
    catalogue = load_catalogue()
    agencies = []
    for name, row in case["agencies"].items():
        agency: dict[str, Any] = {
            "code": row["code"],
            "kind": catalogue.kind_of_number(row["code"][7:9]),
            "level": row["level"],
            "parent": "",
            "node": row["code"],
            "admitting_node": "620000-00-01",
            "name_zh": name,
            "name_en": name,
        }
        agencies.append(DirectoryAgency(**(agency | dict(changes.get(name, {})))))
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    return Directory(1, start, end, 1, (), (), tuple(agencies))


def packet_xml(case: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """packet.xml of one row: every field of its type for which the case or the row has a value.

    A field that is None in the row is left out. A row may override ``person``, ``fields`` and ``envelope``.
    """
    catalogue = load_catalogue()
    business_type = catalogue.business_type(row["type"])
    code = {name: agency["code"] for name, agency in case["agencies"].items()}
    numbers = "".join(
        f'<number kind="{kind}">{escape(number["value"])}</number>'
        for kind, number in (case["numbers"] | dict(row.get("numbers", {}))).items()
        if row["row"] >= number["from"]
    )
    approver = '<approver name="批准人" approvedOn="2026-07-14"/>' if business_type.approval.customary else ""
    envelope = {
        "senderRef": f"REF-{row['row']:04d}",
        "businessType": row["type"],
        "sender": code[row["sender"]],
        "receiver": code[row["receiver"]],
        "createdAt": row["at"],
        "priority": "normal",
        "track": "single",
        "handover": "transfer",
        "secrecy": "none",
    } | dict(row.get("envelope", {}))
    lines = []
    for name, value in envelope.items():
        lines.append(f"<{name}>{escape(value)}</{name}>")
        if name == "receiver":
            lines += [f"<copyTo>{code.get(copy, copy)}</copyTo>" for copy in row["copies"]]
    case_element = f'<case kind="{case["case_kind"]}">{numbers}</case>'
    attachments = "".join(
        f'<attachment file="{document}.pdf" documentType="{document}" size="1" sha256="{"0" * 64}"/>'
        for document in row["documents"]
    )
    return (
        '<packet xmlns="urn:exchanged:packet:1" version="1.0"><envelope>\n'
        + "\n".join(lines)
        + f'\n{case_element}<handler name="承办人"/>{row.get("approver", approver)}</envelope>\n'
        f"<body>\n{body_xml(case, row)}\n</body><attachments>{attachments}</attachments></packet>"
    )


def body_xml(case: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    catalogue = load_catalogue()
    business_type = catalogue.business_type(row["type"])
    values = dict(case["fields"]) | dict(row["fields"])
    person = dict(case["person"]) | {"person_role": row.get("role", "suspect")} | dict(row.get("person", {}))
    lines = [f'<{row["type"]} xmlns="urn:exchanged:body:1">']
    for field, _ in body_fields(catalogue, business_type, "packet"):
        if field.code == "persons":
            lines.append("<persons><person>")
            codes = [each.code for each, _ in body_fields(catalogue, business_type, "person")]
            lines += [_element(code, person[code]) for code in codes if person.get(code) is not None]
            lines.append("</person></persons>")
        elif values.get(field.code) is not None:
            lines.append(_element(field.code, values[field.code]))
    lines.append(f"</{row['type']}>")
    return "\n".join(lines)


def _element(code: str, value: object) -> str:
    if isinstance(value, list):
        return f"<{code}>" + "".join(f"<item>{escape(item)}</item>" for item in value) + f"</{code}>"
    return f"<{code}>{escape(str(value))}</{code}>"


