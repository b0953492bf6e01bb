"""``exchangectl packet list``, ``show`` and ``trace``, as an operator uses them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
import pytest

from cli.commands.packet import packet as packet_group
from cli.main import main
from cli.moments import read_moment as read_option
from cli.node_view import read_moment
from exchanged.clock import SystemClock
from exchanged.states import Event
from packet_spec.identity import PacketKey
from tests.support.asking import Operator, make_node, operator
from tests.support.books import Books, packet_id
from tests.support.documents import COURT, NOW, POLICE, PROCURATORATE, PROVINCE


def test_the_list_fits_a_narrow_terminal_and_is_newest_first(desk: Operator) -> None:
    lines = desk.table("packet", "list").splitlines()
    assert lines[0].split() == ["packet", "type", "from", "to", "state", "age"]
    assert [line.split()[0] for line in lines[2:] if line.startswith("0190")] == [
        packet_id(number)[:13] for number in (3, 2, 1)
    ]
    assert f"{PROCURATORATE} +1" in lines[-1] or f"{PROCURATORATE} +1" in lines[-2]


def test_a_wide_terminal_shows_whole_ids(desk: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert packet_id(2) in desk.text("packet", "list")


def test_the_list_as_json_is_complete(desk: Operator) -> None:
    said = desk.json("packet", "list")["packets"]
    assert [line["known"]["packet"]["key"]["packet_id"] for line in said] == [packet_id(n) for n in (3, 2, 1)]
    assert [row["state"] for row in said[2]["known"]["destinations"]] == ["handed-over", "queued"]
    assert said[2]["state"] == "queued"


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--from", COURT], [3]),
        (["--to", COURT], [2, 1]),
        (["--type", "custody.change.receipt"], [2]),
        (["--state", "handed-over"], [1]),
        (["--limit", "1"], [3]),
        (["--until", (NOW + timedelta(seconds=1)).isoformat()], [1]),
        (["--since", "2027-01-01"], []),
    ],
)
def test_the_list_is_narrowed(desk: Operator, words: list[str], numbers: list[int]) -> None:
    said = desk.json("packet", "list", *words)["packets"]
    assert [line["known"]["packet"]["key"]["packet_id"] for line in said] == [packet_id(n) for n in numbers]


def test_an_empty_list_says_so(desk: Operator) -> None:
    assert desk.text("packet", "list", "--from", "620199-09-09") == "no packets\n"


@pytest.mark.parametrize(
    "words", [["--state", "lost"], ["--since", "yesterday"], ["--limit", "0"], ["--to", "court"]]
)
def test_wrong_filters_are_usage_errors(desk: Operator, words: list[str]) -> None:
    desk.text("packet", "list", *words, code=2)


def test_times_are_read_as_they_are_shown_or_as_an_age() -> None:
    assert read_moment("2026-07-15T09:30:00+08:00") == NOW
    for text in ("0001-01-01T00:00+08:00", "9999-12-31T23:59-08:00"):
        with pytest.raises(click.BadParameter, match="expected a time"):
            read_moment(text)
        with pytest.raises(click.BadParameter, match="expected a time"):
            read_option(text, "--at")
    assert read_moment("2026-07-15T01:30").utcoffset() is not None
    before = SystemClock().now() - timedelta(hours=12)
    assert before <= read_moment("12h") <= SystemClock().now() - timedelta(hours=12)


def test_show_tells_all_facts_and_fits_a_narrow_terminal(desk: Operator) -> None:
    text = desk.table("packet", "show", packet_id(1)[:8])
    for title in ("destinations", "receipts", "hops", "events"):
        assert f"\n{title}\n" in text
    assert "accepted  620000-00-00" in text
    assert "not judged" not in text
    said = desk.json("packet", "show", packet_id(1))
    assert [event["kind"] for event in said["events"]] == ["offer", "acknowledge", "receipt-recorded"]
    assert said["packet"]["attempt"] == 1


def test_show_tells_of_a_packet_that_only_landed(desk: Operator) -> None:
    text = desk.text("packet", "show", f"{COURT}/{packet_id(0x99)}")
    assert "not judged here" in text
    assert "unknown-key" in text
    assert "queue release" in text.partition("possible now")[2]


def test_trace_says_who_holds_it_now_how_that_is_known_and_what_is_not(desk: Operator) -> None:
    text = desk.table("packet", "trace", f"{POLICE}/{packet_id(1)[:8]}")
    handed_over, queued = text.split(f"to {COURT}: queued")
    assert f"to {PROCURATORATE}: handed-over" in handed_over
    assert f"held now by {PROVINCE} since" in handed_over
    assert f"unknown beyond {PROVINCE}" in handed_over
    assert f"held now by {POLICE} (this node) since" in queued
    assert "unknown beyond" not in queued
    said = desk.json("packet", "trace", packet_id(1))
    assert said["asked"] == POLICE
    assert said["ways"][0]["holder"]["because"] == "hop-note"
    assert [step["kind"] for step in said["ways"][0]["steps"]] == [
        "sealed", "offered", "handed-over", "landed", "handed-over", "accepted",
    ]  # fmt: skip


def test_trace_tells_of_what_was_given_up_and_of_what_expired_here(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config, key = make_node(tmp_path), PacketKey(COURT, packet_id(8))
    with Books(tmp_path / "data") as books:
        number = books.arrival(key, Event.QUARANTINE, reason="packet-by-a-wrong-road")
        books.give_up(number)
        books.move(books.packet(9), Event.RECEIPT_EXPIRED)
    asker = operator(config, capsys)
    given_up = asker.table("packet", "trace", packet_id(8))
    assert "given up by an operator" in given_up
    assert f"(discarded/{number})" in given_up
    for text in (given_up, asker.table("packet", "trace", packet_id(9))):
        assert f"ended at {POLICE} at" in text
        assert "this node decided so" in text


@pytest.mark.parametrize("command", ["show", "trace"])
def test_an_id_must_name_one_packet(desk: Operator, command: str) -> None:
    desk.text("packet", command, packet_id(1)[:6], code=2)
    assert f"{POLICE}/{packet_id(1)}" in desk.errors
    assert f"{COURT}/{packet_id(3)}" in desk.errors
    assert desk.json("packet", command, "ffffffff", code=4)["error"]["reference"] == "not-found"
    for wrong in (packet_id(1)[:5], "nonsense", "x/" + packet_id(1), packet_id(1) + "0", ""):
        desk.text("packet", command, wrong, code=2)


def test_an_id_is_read_in_upper_case_too(desk: Operator) -> None:
    assert desk.json("packet", "show", packet_id(2).upper())["key"]["packet_id"] == packet_id(2)


def test_every_packet_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"check", "list", "new", "show", "trace"} <= set(packet_group.list_commands(None))  # type: ignore[arg-type]
    for noun, commands in {
        "packet": ("check", "list", "new", "show", "trace"),
        "queue": ("list", "summary"),
        "receipt": ("show", "verify"),
        "ledger": ("verify",),
    }.items():
        for command in commands:
            assert main([noun, command, "--help"]) == 0
            printed = capsys.readouterr().out
            assert f"exchangectl {noun} {command}" in printed.partition("Example:")[2]
            assert "--json" in printed
