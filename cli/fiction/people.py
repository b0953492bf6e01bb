"""Invented persons, numbers and names, in the shapes that the real ones have (domain catalogue, 2.1).

Every name is a surname, 某 and a cyclic sign (李某甲), every identity card lies in the unassigned
division 620199, every telephone number begins with 555: nobody has them. Check digits are right.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from cli.fiction.draw import draw, pick
from packet_spec.identifiers import id_check_character, is_social_credit_code, organisation_check_character

DIVISION: Final = "620199"
_SURNAMES: Final = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_SIGNS: Final = "甲乙丙丁戊己庚辛壬癸"
_STREETS: Final = ("和平路", "建设街", "光明巷", "解放路", "团结街")
# GB 32100-2015: the characters of a credit code; I, O, S, V and Z are left out.
_CREDIT_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ADULT_DAYS: Final = 365 * 20
_BIRTH_SPREAD_DAYS: Final = 365 * 40


def person_name(seed: int, label: str) -> str:
    """A name that is plainly nobody's."""
    return pick(seed, f"{label}/surname", _SURNAMES) + "某" + pick(seed, f"{label}/sign", _SIGNS)


def id_card(division: str, born: date, serial: int) -> str:
    """An identity card number; an odd ``serial`` (0 to 999) is a man's."""
    front = f"{division}{born:%Y%m%d}{serial:03d}"
    return front + id_check_character(front)


def credit_code(seed: int, label: str, division: str = DIVISION) -> str:
    """The unified social credit code of a company (beginning 91), with both check characters."""
    organisation = f"MA{draw(seed, f'{label}/organisation', 1_000_000):06d}"
    front = f"91{division}{organisation}{organisation_check_character(organisation)}"
    return next(front + sign for sign in _CREDIT_ALPHABET if is_social_credit_code(front + sign))


def phone(seed: int, label: str) -> str:
    """A telephone number that no exchange serves: area code 0000, subscriber 555."""
    return f"0000-555{draw(seed, f'{label}/phone', 100_000):05d}"


def fictional_person(seed: int, number: int, today: date) -> dict[str, str]:
    """The lasting facts of person ``number`` (1, 2, ...) of a case: name, papers, birth, residence.

    Adults, 20 to 60 years old on ``today``.
    """
    label = f"person {number}"
    born = today - timedelta(days=_ADULT_DAYS + draw(seed, f"{label}/born", _BIRTH_SPREAD_DAYS))
    serial = draw(seed, f"{label}/serial", 1000)
    street = pick(seed, f"{label}/street", _STREETS)
    return {
        "person_no": str(number),
        "person_name": person_name(seed, label),
        "id_type": "id_card",
        "id_no": id_card(DIVISION, born, serial),
        "sex": "1" if serial % 2 else "2",
        "birth_date": born.isoformat(),
        "residence": f"虚构省虚构市虚构县{street}{draw(seed, f'{label}/house', 200) + 1}号",
    }


def police_case_number(seed: int, division: str, day: date) -> str:
    """A + twelve-digit unit + year and month + four digits (shape seen in samples only)."""
    return f"A{division}000000{day:%Y%m}{draw(seed, 'police number', 9999) + 1:04d}"


def procuratorate_case_number(seed: int, division: str, day: date) -> str:
    """Unit + year + five digits + two (统一受案号; shape seen in samples only)."""
    return f"{division}{day.year}{draw(seed, 'procuratorate number', 99_999) + 1:05d}00"


def court_case_number(seed: int, division: str, day: date) -> str:
    """A first-instance criminal number in its canonical form with full-width brackets."""
    word = division[2:6] if division[4:6] != "00" else division[2:4]
    return f"（{day.year}）甘{word}刑初{draw(seed, 'court number', 999) + 1}号"
