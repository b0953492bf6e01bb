from __future__ import annotations

from datetime import date

import pytest

from packet_spec.catalogue import load_catalogue
from packet_spec.identifiers import (
    agency_kind_number,
    canonical_case_number,
    doubtful_credit_codes,
    fold_number,
    has_private_use,
    id_check_character,
    is_placeholder_date,
    is_plausible_birth,
    is_social_credit_code,
    matches,
    organisation_check_character,
    read_id_card,
)

PATTERNS = load_catalogue().patterns


def test_the_example_of_the_standard() -> None:
    card = read_id_card("11010519491231002X")
    assert card is not None
    assert (card.born, card.sex, card.check_holds, card.converted) == (date(1949, 12, 31), "2", True, False)


@pytest.mark.parametrize("position", range(18))
def test_every_single_wrong_digit_breaks_the_check(position: int) -> None:
    number = "620199199003077016"
    assert id_check_character(number[:17]) == number[17]
    wrong = number[:position] + str((int(number[position]) + 1) % 10) + number[position + 1 :]
    card = read_id_card(wrong)
    assert card is not None
    assert not card.check_holds


@pytest.mark.parametrize(
    "text", ["11010519491231002x", "１１０１０５１９４９１２３１００２Ｘ", " 110105 19491231 002X "]
)
def test_spellings_of_one_number(text: str) -> None:
    card = read_id_card(text)
    assert card is not None
    assert card.number == "11010519491231002X"


def test_fifteen_digits_are_converted_and_marked() -> None:
    card = read_id_card("110105491231002")
    assert card is not None
    assert (card.number, card.converted, card.born) == ("11010519491231002X", True, date(1949, 12, 31))


@pytest.mark.parametrize(
    "text", ["", "1101051949123100", "1101051949123100XX", "A10105194912310021", "E12345678"]
)
def test_other_shapes_are_no_card(text: str) -> None:
    assert read_id_card(text) is None


def test_an_impossible_day_has_no_birth_date() -> None:
    card = read_id_card("62019919900230701X")
    assert card is not None
    assert card.born is None


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        (date(1990, 1, 1), True),
        (date(2026, 7, 15), True),
        (date(2026, 7, 16), False),
        (date(1903, 1, 1), False),
    ],
)
def test_plausible_birth(born: date, expected: bool) -> None:
    assert is_plausible_birth(born, date(2026, 7, 15)) is expected


@pytest.mark.parametrize(
    "code",
    [
        *("11620199MB9900013D", "11620199MB99000218", "11620199MB990003X0", "11620199MB99000480"),
        "11620199mb9900013d",
    ],
)
def test_social_credit_codes(code: str) -> None:
    assert is_social_credit_code(code)


@pytest.mark.parametrize(
    "code", ["11620199MB9900013E", "11620199MB9900023D", "11620199MB9900013", "I1620199MB9900013D", ""]
)
def test_wrong_social_credit_codes(code: str) -> None:
    assert not is_social_credit_code(code)


def test_organisation_code_has_its_own_check() -> None:
    # MB990003 leads to the character X, as in the code of the fictional court.
    assert organisation_check_character("MB990003") == "X"
    # A code whose outer check is recomputed over a wrong inner one must still fail.
    endings = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    assert not any(is_social_credit_code("11620199MB9900023" + last) for last in endings)


@pytest.mark.parametrize(
    "text",
    [
        "（2022）甘0102刑初123号",
        "(2022)甘0102刑初123号",
        "〔2022〕甘0102刑初123号",
        "[2022]甘0102刑初123号",
        "【２０２２】甘０１０２刑初１２３号",
        " （2022） 甘0102 刑初 123号 ",
    ],
)
def test_court_numbers_have_one_form(text: str) -> None:
    number = canonical_case_number(text)
    assert number == "（2022）甘0102刑初123号"
    assert matches(PATTERNS["court_case_no"], number)


def test_patterns_take_ascii_digits_and_the_whole_text() -> None:
    assert not matches(PATTERNS["agency"], "６20102-01-00")
    assert not matches(PATTERNS["agency"], "620102-01-00\n")


def test_folding() -> None:
    assert fold_number("ａ６２\u3000０1") == "A6201"
    assert {fold_number(f"A{dash}1") for dash in "\u2014\u2015\uff0d-"} == {"A-1"}


@pytest.mark.parametrize(
    ("id_type", "number", "expected"),
    [
        ("passport", "e1234567", True),
        ("passport", "E12", False),
        ("hk_macao", "H12345678", True),
        ("hk_macao", "M1234567890", True),
        ("hk_macao", "H123456789", False),
        ("taiwan", "12345678", True),
        ("taiwan", "1234567", False),
        ("residence_permit", "810000199001010016", True),
        ("residence_permit", "840000199001010016", False),
        ("foreign_permit", "911000199001010016", True),
        ("foreign_permit", "811000199001010016", False),
        ("other", "anything", True),
    ],
)
def test_papers(id_type: str, number: str, expected: bool) -> None:
    pattern = PATTERNS.get(f"paper_{id_type}")
    assert (pattern is None or matches(pattern, fold_number(number))) is expected


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ("虚构公司（11620199MB9900013D）", ()),
        ("虚构公司（11620199MB9900013E）", ("11620199MB9900013E",)),
        ("虚构公司（１１６２０１９９ＭＢ９９０００１３Ｄ）", ()),
        ("11620199mb9900013d 与 11620199MB9900013F", ("11620199MB9900013F",)),
        ("身份证号620199199003077016", ()),
        ("身份证号620199199003077017", ()),
        ("A11620199MB9900013E", ()),
        ("11620199MB990001IE", ()),
        ("没有号码", ()),
    ],
)
def test_credit_codes_in_a_text(text: str, doubtful: tuple[str, ...]) -> None:
    assert doubtful_credit_codes(text) == doubtful


def test_kind_number_of_an_agency() -> None:
    assert agency_kind_number("620199-03-00") == "03"
    assert agency_kind_number("620199-03-0") == ""
    assert agency_kind_number("６20199-03-00") == ""


def test_placeholders_and_private_characters() -> None:
    assert is_placeholder_date("1900-01-01")
    assert is_placeholder_date("9999-12-31")
    assert not is_placeholder_date("1900-01-02")
    assert has_private_use("王\ue123")
    assert not has_private_use("王㛃·阿不都")
