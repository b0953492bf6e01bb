"""Numbers that identify persons, organisations, agencies and cases: shapes, check characters, one form.

Guarantees: pure; a number is normalised for comparison only and never repaired in place. Rules:
GB 11643-1999 (identity card), GB 32100-2015 and GB 11714 (unified social credit code), the court case
number provisions of 2016.

Leaves to others: how severe a wrong number is (``field_rules``, ``identity_rules``), and the shapes, which
are rows of the catalogue (patterns).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache
from operator import mul
from typing import Final, NamedTuple

from packet_spec.catalogue import Pattern

MALE: Final = "1"
FEMALE: Final = "2"
# The oldest age that is believed; nobody is known to have lived longer.
OLDEST_YEARS: Final = 122

_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_OFFSET: Final = ord("0") * sum(_ID_WEIGHTS)
_ID_CHECK: Final = "10X98765432"
_USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS: Final = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_BRACKETS: Final = str.maketrans("()〔〕[]【】﹝﹞", "（）（）（）（）（）")
# One codec decodes the dash A1AA of GB 2312 to U+2015, another to U+2014 (domain catalogue, part 2.3).
_DASHES: Final = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
# Eighteen characters of the alphabet of GB 32100 that no other of its characters touches.
_CREDIT_CODE: Final = re.compile(
    f"(?<![0-9A-Z])[{_USCC_ALPHABET}]{{2}}[0-9]{{6}}[{_USCC_ALPHABET}]{{10}}(?![0-9A-Z])"
)
# Middle dots that are not U+00B7 (domain catalogue, part 2.3). A full stop is an abbreviation's.
_OTHER_DOTS: Final = frozenset("\u2022\u30fb\uff0e\u2027")
_CARD: Final = re.compile("[0-9]{17}[0-9X]")
_OLD_LENGTH: Final = 15
_OLD_CARD: Final = re.compile("[0-9]{15}")
_AGENCY: Final = re.compile("[0-9]{6}-([0-9]{2})-[0-9]{2}")
_PLACEHOLDERS: Final = frozenset({"1900-01-01", "9999-12-31"})


class IdCard(NamedTuple):
    """An identity card number taken apart. ``number`` has 18 characters, also where it was converted.

    ``born`` is None where the digits are no real date; ``sex`` is a code of GB/T 2261.1; ``check_holds`` is
    true for a converted number, whose check character is our own.
    """

    number: str
    born: date | None
    sex: str
    check_holds: bool
    converted: bool


def fold_number(text: str) -> str:
    """``text`` with full-width digits and letters folded (NFKC), dashes alike, in upper case, without blanks.

    For numbers only: NFKC changes names (domain catalogue, part 2.3).
    """
    if text.isascii():
        return "".join(text.split()).upper()
    return "".join(unicodedata.normalize("NFKC", text).split()).upper().translate(_DASHES)


def matches(pattern: Pattern, text: str) -> bool:
    """The whole of ``text`` has the shape of ``pattern``; digits are ASCII digits."""
    return _compiled(pattern.regex).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.ASCII)


def id_check_character(first17: str) -> str:
    """The 18th character for 17 ASCII digits (GB 11643)."""
    total = sum(map(mul, first17.encode(), _ID_WEIGHTS)) - _ID_OFFSET
    return _ID_CHECK[total % 11]


def read_id_card(text: str) -> IdCard | None:
    """The identity card number in ``text``; None where it has no such shape.

    15 digits are converted by inserting 19 after the sixth digit and adding the check character; that is
    wrong for persons born before 1900, so the result says that it was converted.
    """
    number = fold_number(text)
    converted = len(number) == _OLD_LENGTH and _OLD_CARD.fullmatch(number) is not None
    if converted:
        number = number[:6] + "19" + number[6:]
        number += id_check_character(number)
    if _CARD.fullmatch(number) is None:
        return None
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        born = None
    sex = MALE if number[16] in "13579" else FEMALE
    return IdCard(number, born, sex, id_check_character(number[:17]) == number[17], converted)


def is_plausible_birth(born: date, on: date) -> bool:
    """A person born on ``born`` can be alive on ``on``: not in the future, at most 122 years ago."""
    return born <= on and on.year - born.year <= OLDEST_YEARS


def is_social_credit_code(text: str) -> bool:
    """``text`` is a unified social credit code: shape and both check characters hold (GB 32100, GB 11714)."""
    code = fold_number(text)
    if re.fullmatch(f"[{_USCC_ALPHABET}]{{2}}[0-9]{{6}}[{_USCC_ALPHABET}]{{10}}", code) is None:
        return False
    total = sum(_USCC_ALPHABET.index(one) * weight for one, weight in zip(code, _USCC_WEIGHTS, strict=False))
    check = _USCC_ALPHABET[(31 - total % 31) % 31]
    return check == code[17] and organisation_check_character(code[8:16]) == code[16]


def doubtful_credit_codes(text: str) -> tuple[str, ...]:
    """The numbers in a free text that look like a unified social credit code and are none.

    A number of eighteen characters with a date of birth in it is an identity card's, and is passed over.
    """
    found: list[str] = []
    for match in _CREDIT_CODE.finditer(unicodedata.normalize("NFKC", text).upper()):
        card = read_id_card(match[0])
        is_card = card is not None and (card.born is not None or card.check_holds)
        if not is_card and not is_social_credit_code(match[0]):
            found.append(match[0])
    return tuple(found)


def organisation_check_character(first8: str) -> str:
    """The 9th character of an organisation code for its first 8 (GB 11714)."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    total = sum(digits.index(one) * weight for one, weight in zip(first8, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def canonical_case_number(text: str) -> str:
    """A case number in its one form: full-width brackets, ASCII digits, one kind of dash, no white space.

    ``(2022)甘0102刑初123号`` and ``〔２０２２〕…`` become ``（2022）甘0102刑初123号``. The original is kept
    beside it; whether the number is well-formed is for ``matches``.
    """
    return fold_number(text).translate(_BRACKETS)


def agency_kind_number(code: str) -> str:
    """The two-digit kind number inside an agency code, empty where ``code`` is none."""
    match = _AGENCY.fullmatch(code)
    return match.group(1) if match else ""


def is_placeholder_date(text: str) -> bool:
    """``text`` is a date that old programs write for "unknown"."""
    return text in _PLACEHOLDERS


def has_other_middle_dot(text: str) -> bool:
    """``text`` holds a look-alike of the middle dot U+00B7 that stands in many names."""
    return not _OTHER_DOTS.isdisjoint(text)


def has_private_use(text: str) -> bool:
    """``text`` holds a character of a private use area, as old systems made for rare names."""
    # None of them is printable; nearly every name is.
    return not text.isprintable() and any(unicodedata.category(each) == "Co" for each in text)
