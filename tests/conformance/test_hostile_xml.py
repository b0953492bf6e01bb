"""What an attacker may write: refused or held, never an exception."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from packet_spec.check import CheckResult, check_packet
from packet_spec.findings import Outcome
from packet_spec.pack import shipped_pack
from tests.conformance.case_packets import directory_of, load_case, packet_xml, row_of
from tests.conformance.hostile_xml import DOCTYPES, ENCODINGS, HOSTILE, VALID, VALID_ONES, with_doctype
from tests.support.measuring import Canary, measured

DIRECTORY: Final = directory_of(load_case("dangerous_driving"))

# Encodings that are read; in the others nothing is, be there a DOCTYPE or none.
_READ: Final = frozenset(
    {
        "utf-8", "utf-8-with-mark", "utf-8-declared", "utf-16-le", "utf-16-be", "utf-16-le-declared",
        "utf-16-declared-in-ascii", "gbk", "gb18030", "gb18030-with-mark",
    }
)  # fmt: skip
# Names that no reader here knows, over bytes that are UTF-8: those are read as what they are.
_ONLY_CLAIMED: Final = frozenset({"ebcdic-claimed", "scsu-claimed"})


def check(data: bytes) -> CheckResult:
    return check_packet(data, directory=DIRECTORY, pack=shipped_pack())


def codes(result: CheckResult) -> set[str]:
    return {finding.code for finding in result.verdict.findings}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("doctype", DOCTYPES)
def test_no_doctype_is_read_in_any_encoding(doctype: str, encoding: str, record_property: Any) -> None:
    data = ENCODINGS[encoding](with_doctype(DOCTYPES[doctype]))
    # What is compiled once in a process is not this document's.
    check(VALID.encode())
    with measured() as took:
        result = check(data)
    record_property("doctype_cpu_seconds", took.cpu_seconds)
    record_property("doctype_peak_mib", took.peak_mib)
    record_property("doctypes", 1)
    assert result.verdict.outcome is Outcome.REFUSED
    assert result.packet is None
    if encoding in _READ:
        assert codes(result) & {"doctype-refused", "xml-not-wellformed"}
    if encoding in _READ and doctype not in {"small-letters", "with-no-space", "not-closed"}:
        assert "doctype-refused" in codes(result)


def test_no_file_that_a_doctype_names_is_opened(tmp_path: Path, record_property: Any) -> None:
    """Entities of files in any place of a DOCTYPE, in every encoding; the kernel would tell."""
    tried = 0
    with Canary(tmp_path / "canary") as canary:
        assert canary.path.read_text() == "canary"
        assert canary.was_opened
        for doctype in DOCTYPES.values():
            named = re.sub(r"(file|http)://[^\"]*", f"file://{canary.path}", doctype)
            for encode in ENCODINGS.values():
                check(encode(with_doctype(named)))
                tried += str(canary.path) in named
        assert not canary.was_opened
    assert tried > 4 * len(ENCODINGS)
    record_property("canaries", tried)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_packet_without_it_is_read_where_its_encoding_is(encoding: str) -> None:
    """Else the test above would prove nothing."""
    result = check(ENCODINGS[encoding](VALID))
    is_read = encoding in _READ | _ONLY_CLAIMED
    assert result.verdict.outcome is (Outcome.VALID if is_read else Outcome.REFUSED)
    assert is_read or codes(result) & {"encoding-unsupported", "encoding-undecodable", "xml-not-wellformed",
                                       "control-character"}


# A second each and more; their smaller brothers stay.
_LONG: Final = (
    "1000000-lists", "namespaces-nested", "too-many-attributes-many-times", "deep-many-times",
    "1000000-elements-of-no-namespace", "1000000-comments", "200000-attributes-in-the-root",
    "1000000-sections", "40000-attachments", "100000-namespaces-on-elements", "long-names",
    "references-to-nothing", "1000000-instructions",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in _LONG else name for name in HOSTILE]
)
def test_what_is_made_to_hurt_is_refused_and_never_raises(name: str, record_property: Any) -> None:
    data = HOSTILE[name]()
    with measured() as took:
        result = check(data)
    record_property("hostile_cpu_seconds", took.cpu_seconds)
    record_property("hostile_peak_mib", took.peak_mib)
    assert result.verdict.outcome is (Outcome.VALID if name in VALID_ONES else Outcome.REFUSED)
    assert len(result.verdict.findings) <= 200
    assert bool(result.verdict.findings) is (name not in VALID_ONES)


def test_the_depth_that_is_allowed_is_no_fault_of_depth() -> None:
    assert codes(check(HOSTILE["too-deep-by-one"]())) == {"too-deep"}
    assert "too-deep" not in codes(check(HOSTILE["as-deep-as-allowed"]()))


@pytest.mark.parametrize("value", ["9" * 5_000, "虚" * 20_000, "²"], ids=["digits", "han", "square"])
@pytest.mark.parametrize(("case", "number"), [("dangerous_driving", 2), ("theft_in_custody", 17)])
def test_no_value_in_any_place_makes_a_check_raise(case: str, number: int, value: str) -> None:
    known = load_case(case)
    directory = directory_of(known)
    whole = packet_xml(known, row_of(known, number))
    places = [match.span() for match in re.finditer(r'(?<=>)[^<>]+(?=</)|(?<==")[^"]+(?=")', whole)]
    assert len(places) > 50
    for start, end in places:
        changed = whole[:start] + value + whole[end:]
        result = check_packet(changed.encode(), directory=directory, pack=shipped_pack())
        assert result.verdict.outcome is not Outcome.HELD


def test_more_attachments_than_allowed_are_counted_before_their_faults() -> None:
    """libxml2 writes down the place of each fault, counting siblings: a hundred thousand took a minute."""
    assert codes(check(HOSTILE["wrong-attachments-of-two-faults"]())) == {"too-many-attachments"}


def test_a_check_that_has_no_memory_never_blames_the_sender() -> None:
    """At whichever call the memory ends: what is valid is valid or held."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.conformance.starving"], capture_output=True, check=True, text=True
    )
    outcomes = json.loads(told.stdout)
    assert set(outcomes) == {"valid", "held validator-failed"}
    assert outcomes["held validator-failed"] > 3
