"""The demo as text: every line fits a terminal of 80 columns, in both languages, and nothing is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cli.demo.case_data import ROWS, DemoRow
from cli.demo.killing import Kill, Role
from cli.demo.outcome import FaultTold, Outcome, PacketTold, ReceiptTold
from cli.demo.timeline import (
    WIDTH,
    alias,
    fault_lines,
    fill,
    kill_lines,
    legend_lines,
    packet_lines,
    short_name,
    summary_lines,
    wrap,
)
from cli.fiction.agencies import DEFAULT_AGENCIES, PROVINCE, find_agency
from cli.render import display_width
from packet_spec.model import ReceiptKind
from packet_spec.sentences import make_finding
from tests.support.fiction import CATALOGUE


def code(sign: str) -> str:
    agency = find_agency(sign)
    assert agency is not None
    return agency.code


def told(row: DemoRow, *more: ReceiptTold) -> PacketTold:
    delivered = (
        ReceiptTold(ReceiptKind.DELIVERED, code(sign), code(sign), 0.43 + number)
        for number, sign in enumerate((row.receiver, *row.copy_to))
    )
    return PacketTold(
        label=f"{row.number:02d}",
        at=row.at,
        business_type=row.business_type,
        sender=code(row.sender),
        receiver=code(row.receiver),
        copy_to=tuple(map(code, row.copy_to)),
        packet_id="00000000-0000-8000-8000-000000000001",
        documents=len(row.documents),
        size_bytes=210_000_000,
        dropped_seconds=12.34,
        receipts=(ReceiptTold(ReceiptKind.ACCEPTED, "", PROVINCE.code, 0.214), *delivered, *more),
    )


def kill(role: Role = Role.RECEIVER, number: int = 7) -> Kill:
    at = datetime(2026, 7, 15, tzinfo=UTC)
    flight = tuple(f"{label:02d}" for label in range(1, 28))
    return Kill(number, role, code("COR"), "20", "accepted", flight, at, 33.21, 1.94)


FAULT = FaultTold(
    label="F1",
    sender=code("PRO"),
    receiver=code("CRT"),
    business_type="trial.indict",
    state="refused",
    wanted="refused",
    message_zh="已拒收",
    message_en="refused",
    findings=(make_finding("packet-id-reused", element="envelope/packetId"),),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_every_packet_fits_and_is_told_in_both_languages(row: DemoRow):
    collected = ReceiptTold(ReceiptKind.COLLECTED, code(row.receiver), code(row.receiver), 2.1, "folder-gone")
    lines = packet_lines(told(row, collected), CATALOGUE)
    assert max(map(display_width, lines)) <= WIDTH
    text = " ".join(line.strip() for line in lines)
    kind = CATALOGUE.business_type(row.business_type)
    assert f"{row.at:%Y-%m-%d %H:%M}" in lines[0]
    assert lines[0].endswith("T+12.3 s")
    assert kind.zh in text
    assert kind.en in text
    for sign in (row.sender, row.receiver, *row.copy_to):
        assert short_name(code(sign)) in text
    assert "受理 accepted +0.21 s" in text
    assert "取件 collected +2.10 s (取走 folder gone)" in text


def test_several_recipients_are_named_one_alone_is_not():
    many = "\n".join(packet_lines(told(ROWS[19]), CATALOGUE))
    assert "送达 delivered COR +0.43 s, PRO +1.43 s, POL +2.43 s" in many
    assert "（抄送 copy: 人民检察院 PRO, 公安局 POL）" in many
    alone = "\n".join(packet_lines(told(ROWS[0]), CATALOGUE))
    assert "送达 delivered +0.43 s" in alone


def test_a_packet_without_documents_does_not_speak_of_any():
    assert "documents" not in packet_lines(told(ROWS[5]), CATALOGUE)[0]
    assert "22 份文书 documents, 200.3 MiB" in packet_lines(told(ROWS[1]), CATALOGUE)[0]


def test_agencies_have_short_names():
    assert short_name(code("POL")) == "公安局 POL"
    assert short_name("620124-01-00") == "620124-01-00"
    assert alias(PROVINCE.code) == "HUB"
    lines = legend_lines([code("COR"), PROVINCE.code])
    assert max(map(display_width, lines)) <= WIDTH
    assert [line.split()[0] for line in lines[1:]] == ["COR", "HUB"]
    assert max(map(display_width, legend_lines(agency.code for agency in DEFAULT_AGENCIES))) <= WIDTH


def test_a_refusal_shows_both_sentences_of_every_finding():
    lines = fault_lines(FAULT, CATALOGUE)
    assert max(map(display_width, lines)) <= WIDTH
    text = "".join("".join(lines).split())
    (finding,) = FAULT.findings
    assert "".join(f"[拒收]{finding.zh}".split()) in text
    assert "".join(f"[refused]{finding.en}".split()) in text
    assert "(packet-id-reused,envelope/packetId)" in text
    assert "expected" not in text


def test_a_fault_that_ended_otherwise_says_so():
    passed = FaultTold("F4", code("PRO"), code("COR"), "assess.commission", "delivered", "refused", "", "")
    text = " ".join("\n".join(fault_lines(passed, CATALOGUE)).split())
    assert "delivered (应为 expected: refused)" in text


def test_text_from_outside_cannot_steer_the_terminal():
    evil = replace(FAULT, message_zh="\x1b[2J", message_en="\x9b", first="\x1b]0;")
    text = "".join(fault_lines(evil, CATALOGUE))
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_a_power_cut_tells_who_and_what_was_in_flight():
    lines = kill_lines(kill())
    assert max(map(display_width, lines)) <= WIDTH
    assert "SIGKILL 7: 接收方 receiver COR" in lines[0]
    assert lines[0].endswith("T+33.2 s")
    text = "".join(lines)
    assert "20 accepted" in text
    assert "26, 27" in text


def test_the_summary_counts_and_gives_a_verdict():
    packets = tuple(told(row) for row in ROWS)
    kills = tuple(kill(role, number) for number, role in enumerate((*Role, Role.SENDER), 1))
    lines = summary_lines(Outcome(packets, (FAULT,), kills, 60, 1, 42.31, ()), 7)
    assert max(map(display_width, lines)) <= WIDTH
    text = "".join(lines)
    assert "27 个数据包 packets, 33 个目的地 destinations, 42.3 s" in text
    assert "受理 accepted 27，送达 delivered 33" in text
    assert "all 60 receipts verified" in text
    assert "F1 refused" in text
    assert "4 (seed 7)" in text
    assert "发送方 sender 2" in text
    assert "verdict: each packet was delivered exactly once and whole" in text


def test_further_packets_are_told_apart_from_the_story():
    spare = replace(told(ROWS[3]), label="S01")
    text = "\n".join(summary_lines(Outcome((told(ROWS[0]), spare), (), (), 4, 1, 1.0, ()), 7))
    assert "1 个数据包 packets, 1 个目的地" in text
    assert "另有 1 个数据包" in text


def test_what_differs_is_listed_instead_of_a_verdict():
    outcome = Outcome((), (), (), 0, 1, 1.0, ("05: 2 receipts delivered, not 1", "a" * 100))
    lines = summary_lines(outcome, None)
    assert not any("verdict" in line for line in lines)
    assert "  - 05: 2 receipts delivered, not 1" in lines
    assert any("a" * 100 in line for line in lines)


def test_wrapping_breaks_at_spaces_and_between_wide_characters():
    assert wrap("one two three", width=8) == ["one two", "three"]
    assert wrap("公安局人民检察院", width=6) == ["公安局", "人民检", "察院"]
    # Punctuation stays with what it ends.
    assert wrap("公安局。人民", width=6) == ["公安", "局。人", "民"]
    assert wrap("alpha beta", indent="> ", hanging="  ", width=7) == ["> alpha", "  beta"]
    assert wrap("", indent="  ") == [""]


def test_filling_puts_items_beside_each_other_unbroken():
    assert fill(["aa", "bb", "cc"], width=6) == ["aa  bb", "cc"]
    assert fill(["much too wide"], indent=" ", width=4) == [" much too wide"]
    assert fill([]) == []
