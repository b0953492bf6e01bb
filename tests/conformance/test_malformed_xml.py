"""XML that is broken anywhere is refused with its line, and nothing that it holds is told (I11, I13).

Thousands of texts, drawn by a seed, of a packet in which values are words that must never come out again:
cut, with a piece lost, doubled or moved, with what XML forbids, in an encoding that it does not declare.
"""

from __future__ import annotations

import random
import re
from dataclasses import astuple
from typing import Any

import pytest

from packet_spec.check import check_packet
from packet_spec.findings import Outcome
from packet_spec.pack import shipped_pack
from tests.conformance.hostile_xml import VALID

SECRET = "虚构的秘密"
# Every free text of the packet holds the word.
MARKED = re.sub(r"(?<=<case_name>)[^<]*|(?<=<person_name>)[^<]*|(?<=name=\")[^\"]*", SECRET, VALID)
FORBIDDEN = (
    "\x00",
    "\x0b",
    "\ufffe",
    "&",
    "<",
    "&x;",
    "&#0;",
    "&#xD800;",
    "]]>",
    "<!--",
    "<?xml?>",
    "</packet>",
)


def broken(chance: random.Random) -> bytes:
    """One such text."""
    where, other = sorted(chance.sample(range(1, len(MARKED)), 2))
    kind = chance.randrange(6)
    if kind == 0:
        return MARKED[:where].encode()
    if kind == 1:
        return (MARKED[:where] + MARKED[min(other, where + chance.randrange(1, 40)) :]).encode()
    if kind == 2:
        return (MARKED[:where] + MARKED[where : where + 30] + MARKED[where:]).encode()
    if kind == 3:
        return (MARKED[:where] + chance.choice(FORBIDDEN) + MARKED[where:]).encode()
    if kind == 4:
        return ('<?xml version="1.0" encoding="UTF-8"?>' + MARKED).encode("gb18030")
    return MARKED.replace(SECRET, f"{SECRET}<{SECRET}>", chance.randrange(1, 4)).encode()


def test_the_word_is_there_to_be_told() -> None:
    assert MARKED.count(SECRET) >= 3
    assert check_packet(MARKED.encode(), directory=None, pack=shipped_pack()).packet is not None


@pytest.mark.parametrize(
    ("seed", "number"), [(1, 300), pytest.param(2, 5_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_f40_what_is_broken_is_refused_with_its_line_and_no_word_of_it(
    seed: int, number: int, record_property: Any
) -> None:
    chance, refused = random.Random(seed), 0  # noqa: S311 - a seed, no secret
    for _ in range(number):
        data = broken(chance)
        result = check_packet(data, directory=None, pack=shipped_pack())
        assert result.verdict.outcome in {Outcome.VALID, Outcome.REFUSED}, data
        told = result.verdict.findings
        for finding in told:
            if finding.code in {"xml-not-wellformed", "encoding-undecodable"}:
                # Where the text stops being XML nothing of it is quoted, and the line is in it.
                refused += 1
                assert finding.line is not None
                assert 1 <= finding.line <= data.count(b"\n") + 1
                assert SECRET not in str(astuple(finding)), data
    assert refused > number // 2
    record_property("texts", number)
