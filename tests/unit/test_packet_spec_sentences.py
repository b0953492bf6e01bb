from __future__ import annotations

import re
import string
from importlib.resources import files

import pytest

from packet_spec import sentences
from packet_spec.catalogue import load_catalogue
from packet_spec.errors import CatalogueError
from packet_spec.findings import Severity
from packet_spec.sentences import (
    all_codes,
    document_label_en,
    document_label_zh,
    element_label_en,
    element_label_zh,
    make_finding,
)
from packet_spec.sentences_format import SENTENCES as FORMAT
from packet_spec.sentences_rules import SENTENCES as RULES

WORDS = {
    *("element", "element_zh", "element_en", "document", "document_zh", "document_en"),
    *("expected", "found", "file", "line"),
}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("code", all_codes())
def test_every_code_has_two_sentences_that_can_be_filled_in(code: str) -> None:
    severity, zh, en = all_codes()[code]
    assert re.fullmatch("[a-z]+(-[a-z0-9]+)*", code)
    assert isinstance(severity, Severity)
    assert re.search("[\u4e00-\u9fff]", zh)
    assert not re.search("[\u4e00-\u9fff]", en)
    assert placeholders(zh) | placeholders(en) <= WORDS
    finding = make_finding(
        code,
        file="a.pdf",
        line=7,
        element="persons/person[2]/id_no",
        document="PRO-017",
        expected="expected",
        found="found",
    )
    assert "{" not in finding.zh + finding.en
    assert finding.severity is severity


@pytest.mark.parametrize("code", RULES)
def test_a_sentence_says_what_to_do(code: str) -> None:
    _, zh, en = RULES[code]
    assert zh.endswith("。")
    assert "请" in zh
    assert en.endswith(".")


def test_the_two_tables_are_merged() -> None:
    assert {*RULES, *FORMAT} <= set(all_codes())
    assert not set(RULES) & set(FORMAT)


def test_every_code_that_the_package_uses_has_a_sentence() -> None:
    used = set()
    for path in files("packet_spec").iterdir():
        if path.name.endswith(".py"):
            text = path.read_text(encoding="utf-8")
            used |= set(re.findall(r'(?:make_finding|xml_finding)\(\s*"([a-z-]+)"', text))
    assert len(used) > 30
    assert used <= set(all_codes())


def test_fields_and_documents_are_named() -> None:
    finding = make_finding("field-missing", element="persons/person[2]/custody_place", line=4)
    assert finding.zh.startswith("缺少必填项第2人的羁押场所（custody_place）")
    assert "custody_place of person 2" in finding.en
    assert finding.line == 4
    finding = make_finding("document-missing", document="PRO-017")
    assert "认罪认罚具结书（PRO-017）" in finding.zh


@pytest.mark.parametrize(
    ("element", "zh", "en"),
    [
        ("case_name", "案件名称（case_name）", "case_name"),
        ("persons", "涉案人员（persons）", "persons"),
        ("missing_items/item[2]", "缺失材料（missing_items）", "missing_items"),
        ("envelope/approver/@approvedOn", "批准日期（approval_date）", "approval_date"),
        ("envelope/case/number[@kind='court']", "法院案号（court_case_no）", "court_case_no"),
        ("envelope/secrecy", "密级（secrecy）", "secrecy"),
        ("envelope/receiver", "envelope/receiver", "envelope/receiver"),
        ("body", "body", "body"),
        ("", "", ""),
    ],
)
def test_labels_of_elements(element: str, zh: str, en: str) -> None:
    assert element_label_zh(element, load_catalogue()) == zh
    assert element_label_en(element, load_catalogue()) == en


def test_unknown_documents_keep_their_code() -> None:
    assert document_label_zh("XXX-001", load_catalogue()) == "XXX-001"
    assert document_label_en("XXX-001", load_catalogue()) == "XXX-001"
    assert document_label_en("COM-001", load_catalogue()).startswith("COM-001 (")


def test_a_long_value_is_cut() -> None:
    finding = make_finding("value-wrong", element="case_name", expected="x", found="长" * 200)
    assert finding.found == "长" * 79 + "…"
    assert "长" * 80 not in finding.zh


def test_braces_in_values_are_text() -> None:
    finding = make_finding("value-wrong", element="case_name", expected="{x}", found="{found}")
    assert "{found}" in finding.zh
    assert "{x}" in finding.en


def test_severity_can_be_given() -> None:
    assert make_finding("date-placeholder", severity=Severity.WARN).severity is Severity.WARN
    assert make_finding("date-placeholder").severity is Severity.REFUSE


def test_two_sentences_for_one_code_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "_TABLES", (RULES, FORMAT, RULES))
    with pytest.raises(CatalogueError):
        all_codes.__wrapped__()


def test_a_code_without_a_sentence_raises() -> None:
    with pytest.raises(CatalogueError):
        make_finding("no-such-code")
