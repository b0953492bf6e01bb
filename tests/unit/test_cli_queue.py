"""``exchangectl queue``: what an operator at three in the morning sees."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from exchanged.clock import SystemClock
from exchanged.ledger import batches
from exchanged.ledger.times import stamp
from exchanged.places import LEDGER_FILE
from exchanged.states import DestinationState, Event
from packet_spec.identity import PacketKey
from tests.support.asking import Operator, make_node, operator
from tests.support.books import LINK, Books, packet_id
from tests.support.clock import FakeClock
from tests.support.documents import COURT, POLICE, PROCURATORATE
from tests.support.pages import first_pages, spoil

LONG_NAME = "犯罪嫌疑人某甲危险驾驶一案移送审查起诉卷宗材料第一次补充.zip"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Two packets of two hours ago, one of now, and one of everything else that can wait."""
    now = SystemClock().now()
    clock = FakeClock(now - timedelta(hours=2))
    config = make_node(tmp_path)
    with Books(tmp_path / "data", clock) as books:
        books.packet(1)
        books.packet(2, COURT)
        books.drop(LONG_NAME, Event.LISTED_PART_MISSING, missing=("起诉意见书.pdf", "视听资料.mp4"))
        again = now + timedelta(minutes=30)
        books.arrival(PacketKey(COURT, packet_id(8)), Event.HOLD, reason="unknown-key", retry_at=again)
        books.batch()
        clock.jump((now - clock.now()).total_seconds())
        books.packet(3)
    return operator(config, capsys)


def test_the_summary_is_a_matrix_of_destination_by_age(desk: Operator) -> None:
    lines = desk.table("queue", "summary").splitlines()
    assert lines[0].split() == ["destination", "<1m", "1-5m", "5-60m", "1-24h", ">1d", "total", "oldest"]
    assert lines[2].split()[:7] == [PROCURATORATE, "1", ".", ".", "1", ".", "2"]
    assert lines[3].split()[:7] == [COURT, ".", ".", ".", "1", ".", "1"]
    assert lines[4].split()[:7] == ["total", "1", ".", ".", "2", ".", "3"]
    assert lines[2].endswith("2h")
    others = {" ".join(line.split()[:2]) for line in lines[8:]}
    assert {"drop incomplete", "arrival held", "batch province"} <= others


def test_the_summary_as_json(desk: Operator) -> None:
    said = desk.json("queue", "summary")
    assert said["age_limits_seconds"] == [60, 300, 3600, 86400]
    assert [(row["name"], row["counts"]) for row in said["queue"]["recipients"]] == [
        (PROCURATORATE, [1, 0, 0, 1, 0]),
        (COURT, [0, 0, 0, 1, 0]),
    ]


def test_the_list_says_what_waits_and_why(desk: Operator) -> None:
    text = desk.table("queue", "list")
    assert text.index(packet_id(1)[:13]) < text.index(packet_id(3)[:13])
    assert "incomplete" in text
    assert "unknown-key" in text
    assert "not-acknowledged" in text
    assert "犯罪嫌疑人" in text
    said = desk.json("queue", "list")["waiting"]
    assert [entry["kind"] for entry in said] == ["packet", "packet", "drop", "arrival", "batch", "packet"]
    assert said[0]["subject"] == f"{POLICE}/{packet_id(1)}"
    assert said[2]["missing"] == ["起诉意见书.pdf", "视听资料.mp4"]


def test_the_list_and_the_trace_say_why_a_packet_does_not_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = operator(make_node(tmp_path), capsys)
    with Books(tmp_path / "data", FakeClock(SystemClock().now() - timedelta(hours=2))) as books:
        books.packet(1)
        books.packet(2, link="north")
        arrived = books.packet(3, sender=COURT, own=False, state=DestinationState.ARRIVED, link="")
        detail = {"reason": "decryption-key-missing", "state": "arrived"}
        books.write(lambda tx: tx.event("delivery-waiting", arrived, recipient=POLICE, detail=detail))

        def remember(**memory: str) -> None:
            for name, value in memory.items():
                books.write(lambda tx, name=name, value=value: batches.remember(tx, LINK, name, value))

        def reasons() -> dict[str, tuple[str, str]]:
            waiting = desk.json("queue", "list")["waiting"]
            return {entry["subject"][-36:]: (entry["reason"], entry["detail"]) for entry in waiting}

        def because() -> str:
            text = desk.text("packet", "trace", packet_id(1))
            return text.partition("stands still: ")[2].partition("\n")[0]

        assert reasons() == {
            packet_id(1): ("", ""),
            packet_id(2): ("link-not-configured", ""),
            packet_id(3): ("decryption-key-missing", ""),
        }
        assert because() == ""
        for kind, detail_of_it, said, memory in (
            ("link-down", "login-refused", f"link {LINK} is down: login-refused",
             {"down-since": stamp(books.clock.now()), "down-reason": "login-refused", "down-fault": "ours"}),
            ("link-disabled", "disabled in the directory", f"link {LINK} is disabled in the directory",
             {"disabled-since": stamp(books.clock.now())}),
            ("link-paused", "the line is laid anew", f"link {LINK} is paused: the line is laid anew",
             {"paused": "the line is laid anew"}),
            ("link-held", "batch-number-used-twice", f"link {LINK} is held",
             {"forked": "batch-number-used-twice", "forked-since": stamp(books.clock.now())}),
        ):  # fmt: skip
            remember(**memory)
            assert reasons()[packet_id(1)] == (kind, detail_of_it)
            assert because() == said
            assert said in " ".join(desk.table("queue", "list").split())
        assert "stands still: link north is not in the configuration any more" in desk.text(
            "packet", "trace", packet_id(2)
        )
        assert "stands still: its delivery waits: decryption-key-missing" in desk.text(
            "packet", "trace", packet_id(3)
        )


def test_the_list_is_narrowed(desk: Operator) -> None:
    assert [entry["recipient"] for entry in desk.json("queue", "list", "--to", COURT)["waiting"]] == [COURT]
    assert [entry["state"] for entry in desk.json("queue", "list", "--state", "held")["waiting"]] == ["held"]
    assert len(desk.json("queue", "list", "--limit", 2)["waiting"]) == 2


def test_a_mistyped_filter_is_not_answered_with_nothing_waits(desk: Operator) -> None:
    desk.text("queue", "list", "--link", "none", code=2)
    assert "there is no link 'none'" in desk.errors
    desk.text("queue", "list", "--to", "court", code=2)
    assert "expected an agency code" in desk.errors


def test_a_state_in_which_nothing_can_wait_is_a_usage_error(desk: Operator) -> None:
    desk.text("queue", "list", "--state", "delivered", code=2)
    assert "quarantined" in desk.errors


def test_an_empty_queue_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_node(tmp_path)
    Books(tmp_path / "data").ledger.close()
    desk = operator(config, capsys)
    assert desk.text("queue", "summary") == "nothing waits\n"
    assert desk.text("queue", "list") == "nothing waits\n"


def test_a_node_that_never_ran_has_no_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = operator(make_node(tmp_path), capsys)
    assert desk.json("queue", "summary", code=4)["error"]["reference"] == "not-found"


def test_without_a_configuration_the_command_says_which_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = operator(tmp_path / "none.toml", capsys)
    said = desk.json("queue", "list", code=2)["error"]
    assert said["reference"] == "configuration-unusable"
    assert "EXCHANGED_CONFIG" in said["hint"]


def test_i12_a_ledger_of_which_a_page_cannot_be_read_is_told_by_name(desk: Operator, tmp_path: Path) -> None:
    path = tmp_path / "data" / LEDGER_FILE
    for page in first_pages(path, "packet", "destination"):
        spoil(path, page)
    assert desk.json("queue", "summary", code=ExitCode.DAMAGED)["error"]["reference"] == "volume-damaged"
