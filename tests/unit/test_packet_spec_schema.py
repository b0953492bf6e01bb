from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from xmlschema import XMLSchemaException

from packet_spec import schema, schema_explain
from packet_spec.body_xsd import body_fields
from packet_spec.catalogue import MetadataField, load_catalogue
from packet_spec.errors import CatalogueError, ValidatorError
from packet_spec.findings import Finding
from packet_spec.limits import FINDINGS, LIST_ITEMS, PERSONS
from packet_spec.pack import shipped_pack
from packet_spec.schema import validate_body
from packet_spec.xml import parse_document

CATALOGUE = load_catalogue()

PERSON = """<person>
<person_no>1</person_no>
<person_name>李某甲</person_name>
<person_role>defendant</person_role>
<id_type>id_card</id_type>
<id_no>620199199003077016</id_no>
<measure_code>bail</measure_code>
<in_custody>false</in_custody>
<plea>true</plea>
</person>"""
BODY = f"""<trial.indict xmlns="urn:exchanged:body:1">
<case_name>李某甲危险驾驶案</case_name>
<cause_code system="FYB-T-51203">120000</cause_code>
<cause_name>危险驾驶</cause_name>
<persons>
{PERSON}
</persons>
<procedure_code>fast_track</procedure_code>
<volume_count>3</volume_count>
<page_count>140</page_count>
</trial.indict>"""


def check(body: str, code: str = "trial.indict") -> tuple[Finding, ...]:
    return validate_body(parse_document(body.encode(), limit_bytes=1 << 23), code, shipped_pack())


def changed(*pairs: tuple[str, str]) -> str:
    body = BODY
    for old, new in pairs:
        assert old in body
        body = body.replace(old, new, 1)
    return body


def summary(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.code, finding.element) for finding in findings]


def test_a_good_body() -> None:
    assert check(BODY) == ()


def test_white_space_around_values_does_not_count() -> None:
    assert check(changed((">fast_track<", ">\n  fast_track\n<"), (">3<", "> 3 <"))) == ()


def test_a_body_inside_a_packet_is_validated_by_itself() -> None:
    root = parse_document(f"<packet>\n<body>\n{BODY}\n</body></packet>".encode(), limit_bytes=1 << 20)
    assert validate_body(root[0][0], "trial.indict", shipped_pack()) == ()
    wrong = changed((">3<", ">x<"))
    root = parse_document(f"<packet>\n<body>\n{wrong}\n</body></packet>".encode(), limit_bytes=1 << 20)
    (finding,) = validate_body(root[0][0], "trial.indict", shipped_pack())
    line = wrong[: wrong.index("<volume")].count("\n") + 3
    assert (finding.element, finding.line) == ("volume_count", line)


@pytest.mark.parametrize(
    ("old", "new", "code", "element"),
    [
        ("<cause_name>危险驾驶</cause_name>\n", "", "field-missing", "cause_name"),
        ("<plea>true</plea>\n", "", "field-missing", "persons/person[1]/plea"),
        ("<person_name>李某甲</person_name>\n", "", "field-missing", "persons/person[1]/person_name"),
        (PERSON, "", "field-missing", "persons"),
        (">危险驾驶<", "><", "field-empty", "cause_name"),
        (">fast_track<", "> <", "field-empty", "procedure_code"),
        ("<cause_name>", "<colour>red</colour><cause_name>", "field-not-allowed", "colour"),
        ("<plea>", "<height>1</height><plea>", "field-not-allowed", "persons/person[1]/height"),
        ("<persons>", "<persons><animal/>", "field-not-allowed", "persons/animal"),
        ("<case_name>", '<case_name xmlns="u:x">x</case_name><case_name>', "field-not-allowed", "case_name"),
        ("<cause_name>", "<doc_no>1</doc_no><cause_name>", "field-not-allowed", "doc_no"),
        ("<cause_name>", "<approver>x</approver><cause_name>", "field-belongs-in-envelope", "approver"),
        ("<cause_name>", "<cause_code>1</cause_code><cause_name>", "field-repeated", "cause_code"),
        ("<case_name>", '<case_name colour="red">', "attribute-not-allowed", "case_name"),
        ("<trial.indict ", '<trial.indict colour="red" ', "attribute-not-allowed", "body"),
        ('system="FYB-T-51203"', 'system="a b"', "value-wrong", "cause_code/@system"),
        (">120000<", ">12 00<", "value-wrong", "cause_code"),
        (">危险驾驶<", ">" + "长" * 1001 + "<", "value-too-long", "cause_name"),
        (">fast_track<", ">slow<", "code-not-in-list", "procedure_code"),
        (">true<", ">yes<", "value-wrong", "persons/person[1]/plea"),
        (">true<", ">1<", "value-wrong", "persons/person[1]/plea"),
        (">3<", ">-1<", "value-wrong", "volume_count"),
        (">3<", ">1000000<", "value-wrong", "volume_count"),
        ("<persons>", "text<persons>", "text-not-allowed", "body"),
        (">3<", "><b>3</b><", "text-not-allowed", "volume_count"),
    ],
)
def test_one_fault_is_one_finding(old: str, new: str, code: str, element: str) -> None:
    assert summary(check(changed((old, new)))) == [(code, element)]


def test_a_misplaced_field_says_where_it_belongs() -> None:
    volumes = "<volume_count>3</volume_count>"
    body = changed((f"{volumes}\n", ""), ("<case_name>", f"{volumes}<case_name>"))
    found = check(body)
    assert {finding.code for finding in found} == {"field-misplaced"}
    assert found[0].element == "case_name"
    assert found[0].expected == "卷数（volume_count）"
    assert found[0].line == 2


def test_codes_are_listed() -> None:
    (finding,) = check(changed((">fast_track<", ">slow<")))
    assert (finding.expected, finding.found) == ("ordinary, summary, fast_track", "slow")
    assert "适用程序（procedure_code）" in finding.zh


def test_outcome_codes_are_those_of_the_type() -> None:
    body = """<opinion.reply xmlns="urn:exchanged:body:1"><persons><person><prison_no>1</prison_no>
    <person_name>a</person_name><person_role>offender</person_role><id_type>none</id_type></person></persons>
    <decision_code>perhaps</decision_code><decision_date>2026-02-30</decision_date></opinion.reply>"""
    decision, day = check(body, "opinion.reply")
    assert (decision.code, decision.expected) == ("code-not-in-list", "agree, disagree, agree_with_changes")
    assert (day.code, day.expected, day.found) == ("value-wrong", "2026-07-15", "2026-02-30")


def test_dates_and_times_carry_what_they_must() -> None:
    body = """<trial.schedule.notice xmlns="urn:exchanged:body:1"><case_name>x</case_name><persons><person>
    <person_name>a</person_name><person_role>defendant</person_role><id_type>none</id_type></person></persons>
    <procedure_code>ordinary</procedure_code><hearing_time>{}</hearing_time><hearing_place>x</hearing_place>
    </trial.schedule.notice>"""
    assert check(body.format("2026-07-24T09:30:00+08:00"), "trial.schedule.notice") == ()
    assert check(body.format("2026-07-24T01:30:00Z"), "trial.schedule.notice") == ()
    found = check(body.format("2026-07-24T09:30:00"), "trial.schedule.notice")
    assert summary(found) == [("value-wrong", "hearing_time")]


LISTS = """<property.transfer xmlns="urn:exchanged:body:1"><case_name>x</case_name><persons><person>
<person_name>a</person_name><person_role>suspect</person_role><id_type>none</id_type></person></persons>
<property_items>{}</property_items><property_total>{}</property_total></property.transfer>"""


@pytest.mark.parametrize(
    ("items", "total", "expected"),
    [
        ("<item>手机</item><item number='2' quantity='1' unit='部' value='3000'>手机</item>", "3000.00", []),
        ("<item>手机</item>", "3000.001", [("value-wrong", "property_total")]),
        ("<item>手机</item>", "-1", [("value-wrong", "property_total")]),
        ("<item>手机</item><item/>", "1", [("field-empty", "property_items/item[2]")]),
        ("<item colour='red'>手机</item>", "1", [("attribute-not-allowed", "property_items/item[1]")]),
        ("<thing>手机</thing>", "1", [("field-not-allowed", "property_items/thing")]),
        ("", "1", [("field-empty", "property_items")]),
    ],
)
def test_lists(items: str, total: str, expected: list[tuple[str, str]]) -> None:
    assert summary(check(LISTS.format(items, total), "property.transfer")) == expected


def test_document_codes_in_a_list() -> None:
    body = """<common.return xmlns="urn:exchanged:body:1"><case_name>x</case_name>
    <decision_date>2026-07-08</decision_date><reason_text>x</reason_text>
    <missing_items><item>{}</item></missing_items><return_code>other</return_code></common.return>"""
    assert check(body.format("POL-009"), "common.return") == ()
    (finding,) = check(body.format("起诉意见书"), "common.return")
    assert summary((finding,)) == [("value-wrong", "missing_items/item[1]")]
    assert finding.expected == "POL-020"


def test_all_faults_at_once_and_each_with_its_line() -> None:
    found = check(
        changed(
            ("<case_name>李某甲危险驾驶案</case_name>\n", ""),
            ("<persons>", "<bogus/>\n<persons>"),
            (">bail<", ">jail<"),
            (">3<", ">x<"),
        )
    )
    assert sorted(summary(found)) == [
        ("code-not-in-list", "persons/person[1]/measure_code"),
        ("field-missing", "case_name"),
        ("field-not-allowed", "bogus"),
        ("value-wrong", "volume_count"),
    ]
    assert all(finding.line for finding in found)


def test_sizes_are_bounded_before_anything_else_is_looked_at() -> None:
    assert check(changed((PERSON, PERSON * PERSONS))) == ()
    (finding,) = check(changed((PERSON, PERSON.replace("bail", "jail") * (PERSONS + 1))))
    assert (finding.code, finding.element, finding.expected) == ("list-too-long", "persons", str(PERSONS))
    items = "<item>x</item>" * LIST_ITEMS
    assert check(LISTS.format(items, "1"), "property.transfer") == ()
    (finding,) = check(LISTS.format(items + "<item/>", "1"), "property.transfer")
    assert (finding.code, finding.found) == ("list-too-long", str(LIST_ITEMS + 1))
    (finding,) = check(changed(("<persons>", "<x/>" * LIST_ITEMS + "<persons>")))
    assert (finding.code, finding.element) == ("list-too-long", "body")


def test_another_element_than_the_type() -> None:
    (finding,) = check(BODY, "trial.judgment")
    assert finding.code == "body-mismatch"
    assert (finding.expected, finding.found) == ("trial.judgment", "trial.indict")
    (finding,) = check(BODY.replace("urn:exchanged:body:1", "urn:other"))
    assert finding.code == "body-mismatch"


def test_an_unknown_type_raises() -> None:
    with pytest.raises(CatalogueError):
        check(BODY, "no.such")


def test_findings_are_bounded() -> None:
    strangers = "".join(f"<x{number}/>" for number in range(FINDINGS + 50))
    assert len(check(changed(("<persons>", strangers + "<persons>")))) == FINDINGS


def test_a_very_large_wrong_body_is_refused_without_asking_xmlschema() -> None:
    people = PERSON * 999
    found = check(changed((PERSON, people), (">3<", ">x<")))
    assert [(finding.code, finding.element) for finding in found] == [("body-not-valid", "body")]
    before = BODY[: BODY.index("<volume_count>")].replace(PERSON, people)
    assert found[0].line == before.count("\n") + 1
    assert check(changed((PERSON, people))) == ()


class BrokenSchema:
    """Stands for a schema whose validation fails inside libxml2."""

    error_log: tuple[Any, ...] = ()

    def validate(self, _root: Any) -> bool:
        raise etree.XMLSchemaValidateError("Internal error in XML Schema validation.")


def test_a_validator_that_fails_raises_so_that_the_packet_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "compiled_schema", lambda _pack, _file: BrokenSchema())
    with pytest.raises(ValidatorError):
        check(BODY)


def test_a_schema_that_does_not_compile_holds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    schema.compiled_schema.cache_clear()
    monkeypatch.setattr(schema, "schema_document", lambda _pack, _file: etree.fromstring("<not-a-schema/>"))
    with pytest.raises(ValidatorError):
        check(BODY)


def test_a_failing_explainer_leaves_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_category: str, _type: str) -> Any:
        raise XMLSchemaException("broken")

    monkeypatch.setattr(schema_explain, "explainer", broken)
    assert summary(check(changed((">3<", ">x<")))) == [("body-not-valid", "body")]


SAMPLE = {
    "bool": "true",
    "date": "2026-07-15",
    "datetime": "2026-07-15T09:30:00+08:00",
    "integer": "1",
    "decimal": "1.00",
    "agency": "620199-02-00",
    "string": "x",
    "code": "a.b-c_1",
}


@pytest.mark.parametrize("code", CATALOGUE.business_types)
def test_every_type_takes_a_full_and_a_least_body(code: str) -> None:
    row = CATALOGUE.business_type(code)

    def value(field: MetadataField) -> str:
        if field.code == "decision_code" and row.outcome_codes:
            return f"<{field.code}>{row.outcome_codes[0]}</{field.code}>"
        if field.code_list:
            return f"<{field.code}>{next(iter(CATALOGUE.code_lists[field.code_list]))}</{field.code}>"
        if field.type == "list":
            item = "POL-009" if field.items else "x"
            return f"<{field.code}><item>{item}</item></{field.code}>"
        return f"<{field.code}>{SAMPLE[field.type]}</{field.code}>"

    for only_required in (False, True):
        parts = []
        for field, required in body_fields(CATALOGUE, row, "packet"):
            if only_required and not required:
                continue
            if field.code == "persons":
                person = "".join(
                    value(each)
                    for each, must in body_fields(CATALOGUE, row, "person")
                    if must or not only_required
                )
                parts.append(f"<persons><person>{person}</person></persons>")
            else:
                parts.append(value(field))
        body = f'<{code} xmlns="urn:exchanged:body:1">{"".join(parts)}</{code}>'
        assert check(body, code) == ()
