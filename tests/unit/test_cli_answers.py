"""``packet find``, ``event list``, ``link list`` and ``link show``, as an operator at night uses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import cli
from cli.event_text import SENTENCES, event_words
from cli.main import main
from exchanged.acts.subjects import by_filter
from exchanged.acts.values import QUEUE_ACTS, Act, Filter
from exchanged.clock import SystemClock
from exchanged.errors import LoginRefusedError
from exchanged.ledger import batches, questions_event, questions_find, questions_link, questions_node
from exchanged.ledger.questions_event import ChainEvent, EventFilter
from exchanged.link_health import LinkHealth
from exchanged.states import TRANSITIONS, Event
from packet_spec.identity import PacketKey
from tests.support.asking import Operator, make_node, operator
from tests.support.books import LINK, Books, packet_id
from tests.support.clock import FakeClock
from tests.support.documents import BRIDGE, COURT, NOW, POLICE, PROCURATORATE

NAME = "犯罪嫌疑人某甲危险驾驶一案移送审查起诉卷宗材料第一次补充.zip"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Two hours ago: three packets, one of them offered, one held arrival, one drop, two acts."""
    clock = FakeClock(SystemClock().now() - timedelta(hours=2))
    config = make_node(tmp_path)
    with Books(tmp_path / "data", clock) as books:
        first = books.packet(1, PROCURATORATE, COURT, sender_ref="R-1")
        books.packet(2, COURT, sender_ref="R-2")
        books.packet(3, sender=COURT, own=False, sender_ref="R-2")
        books.move(first, Event.OFFER, Event.ACKNOWLEDGE)
        books.arrival(PacketKey(COURT, packet_id(8)), Event.HOLD, reason="unknown-key")
        books.drop(NAME, Event.LISTED_PART_MISSING, missing=("起诉意见书.pdf",))
        acts = {"li.wei (uid 1001)": "the court asked\x1b[31m", "wang (uid 1002)": "no longer needed"}
        for who, why in acts.items():
            detail = {"operator": who, "reason": why}
            books.write(lambda tx, detail=detail: tx.event("operator-release", first, detail=detail))
        books.write(lambda tx: batches.remember(tx, LINK, "heard-at", tx.stamp))
        books.write(lambda tx: batches.remember(tx, LINK, "directory-version", "3"))
        LinkHealth(books.ledger, LINK, BRIDGE).note_down(LoginRefusedError("not you"))
    return operator(config, capsys)


def test_several_hits_are_a_table_and_one_is_offered_whole(desk: Operator, tmp_path: Path) -> None:
    several = desk.table("packet", "find", "r-2")
    assert packet_id(3)[:13] in several
    assert packet_id(2)[:13] in several
    assert "packet show" not in several
    # Nothing can be broken within the path of a configuration.
    one = desk.text("packet", "find", "Ｒ-1")
    # As it has to be pasted, with the configuration that was asked.
    pasted = one.partition("see: ")[2].replace("\\\n", " ").split()
    assert pasted == [
        "exchangectl", "--config", str(tmp_path / "exchanged.toml"),
        "packet", "show", f"{POLICE}/{packet_id(1)}",
    ]  # fmt: skip
    said = desk.json("packet", "find", "R-1")
    assert said["more"] is False
    assert said["found"][0]["packet"]["packet"]["key"]["packet_id"] == packet_id(1)
    assert desk.json("packet", "find", "R", "--limit", 1)["more"] is True


def test_drops_and_what_is_not_judged_are_found_too(desk: Operator) -> None:
    assert "drop incomplete" in " ".join(desk.text("packet", "find", "犯罪嫌疑人某甲").split())
    assert "not judged here" in " ".join(desk.text("packet", "find", packet_id(8)[:8]).split())


def test_nothing_found_is_an_answer_of_its_own(desk: Operator) -> None:
    assert desk.json("packet", "find", "R-9", code=4)["error"]["reference"] == "not-found"
    desk.text("packet", "find", "", code=4)


def test_events_are_told_in_words_in_the_order_of_the_chain(desk: Operator) -> None:
    table = desk.table("event", "list")
    assert "\x1b" not in table
    assert "offered in batch 7" in table
    said = [each["words"] for each in desk.json("event", "list")["events"]]
    assert said[:2] == ["offered in batch 7", "the neighbour acknowledged batch 7; custody passed"]
    assert said[-1] == "link province is down: login-refused; to act: theirs"
    assert said[-2] == "operator wang (uid 1002): release; reason: no longer needed"
    desk.text("event", "list", "--operator", "li.wei")


def words(desk: Operator, *filters: object) -> list[str]:
    return [each["event"]["kind"] for each in desk.json("event", "list", *filters)["events"]]


def test_events_are_narrowed(desk: Operator) -> None:
    assert words(desk, "--packet", packet_id(1)[:8]) == [
        "offer", "acknowledge", "operator-release", "operator-release",
    ]  # fmt: skip
    assert words(desk, "--kind", "drop-*") == ["drop-seen", "drop-incomplete"]
    assert words(desk, "--kind", "link-down") == ["link-down"]
    assert words(desk, "--operator", "LI.W") == ["operator-release"]
    assert words(desk, "--operator", "uid 10") == ["operator-release"] * 2
    assert words(desk, "--operator", "nobody") == []
    assert words(desk, "--kind", "operator-*", "--packet", packet_id(1)[:8], "--operator", "wang") == [
        "operator-release"
    ]
    assert words(desk, "--operator", "wang", "--packet", packet_id(2)) == []
    assert words(desk, "--kind", "offer", "--operator", "wang") == []
    assert words(desk, "--since", "1h") == []
    assert len(words(desk, "--until", "1h")) == len(words(desk)) == len(words(desk, "--since", "3h"))
    assert words(desk, "--limit", 1) == ["link-down"]
    assert desk.text("event", "list", "--kind", "operator-cancel") == "no events\n"


def test_a_mistyped_kind_is_not_answered_with_nothing(desk: Operator) -> None:
    desk.text("event", "list", "--kind", "ofer", code=2)
    assert "known: acknowledge, drop-incomplete" in desk.errors
    assert desk.text("event", "list", "--kind", "quarantine") == "no events\n"


def test_links_say_since_when_they_are_down_and_who_has_to_act(desk: Operator) -> None:
    assert "down 1h 59m, fault: the" in desk.table("link", "list")
    assert desk.text("link", "list").endswith("\nthe daemon is not running: this is how it left them\n")
    (link,) = desk.json("link", "list")["links"]
    assert (link["state"], link["fault"], link["reason"]) == ("down", "theirs", "login-refused")
    assert link["peer"] == BRIDGE
    shown = desk.text("link", "show", LINK)
    assert "down 1h 59m, fault: the other side, login-refused" in shown
    assert "its directory:     3" in shown
    desk.text("link", "show", "nowhere", code=2)
    assert "known: province" in desk.errors


def test_a_batch_that_nobody_takes_makes_a_link_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = SystemClock().now()
    config = make_node(tmp_path)
    with Books(tmp_path / "data", FakeClock(now - timedelta(minutes=9))) as books:
        books.batch()
    desk = operator(config, capsys)
    assert desk.json("link", "show", LINK)["link"]["state"] == "new"
    with Books(tmp_path / "data", FakeClock(now - timedelta(minutes=30))) as books:
        books.batch()
        books.write(lambda tx: batches.remember(tx, LINK, "heard-at", tx.stamp))
    link = desk.json("link", "show", LINK)["link"]
    assert (link["state"], link["fault"], link["facts"]["counts"]["batches"]) == ("silent", "theirs", 2)
    with Books(tmp_path / "data") as books:
        books.write(lambda tx: batches.remember(tx, LINK, "paused", "moving house"))
    assert "paused: moving house" in desk.text("link", "show", LINK)


@pytest.mark.parametrize(
    ("noun", "verb"),
    [
        ("packet", "find"), ("event", "list"), ("link", "list"), ("link", "show"), ("link", "test"),
        ("node", "status"),
    ],
)
def test_every_answer_has_an_example_and_json(
    noun: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([noun, verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"exchangectl {noun} {verb}" in printed.partition("Example:")[2]
    assert "--json" in printed


def test_every_transition_that_writes_an_event_has_words() -> None:
    kinds = {transition.event.value for transition in TRANSITIONS}
    of_drops = {"listed-part-missing", "take", "recognise", "withdraw", "dispose"}
    assert kinds - of_drops <= SENTENCES.keys()


def test_every_event_that_is_written_has_words() -> None:
    """Those whose kind stands as a text where it is written, wherever that is."""
    root = Path(cli.__file__).parents[1]
    sources = [path for name in ("exchanged", "frontend_server") for path in (root / name).rglob("*.py")]
    written = re.compile(r'\b(?:tx|transaction)\.event\(\s*"([a-z-]+)"(?: if \w+ else "([a-z-]+)")?')
    found = {
        kind for path in sources for pair in written.findall(path.read_text("utf-8")) for kind in pair if kind
    }
    assert {"link-paused", "link-resumed", "notice-raised", "retention"} <= found
    assert found - SENTENCES.keys() == {"operator-act"}


def test_why_a_drop_is_not_sent_again_is_told() -> None:
    def said(**detail: object) -> str:
        return event_words(ChainEvent(1, NOW, "sent-again-not-possible", None, "", {"drop": "A", **detail}))

    # As an older program recorded it.
    assert said() == "drop A cannot be sent again after the restore"
    for why in ("name-taken", "stopped", "not-told-apart", "unreadable"):
        assert said(why=why).startswith("drop A in sent/ is not sent again after the restore: ")


def test_what_an_operator_did_is_told_without_bookkeeping() -> None:
    detail = {
        "act": "queue-hold", "reason": "asked by the court", "request": "ab" * 16, "operator": "li",
        "account": "root", "uid": 0, "login_uid": 1000, "login_from": "kernel", "count": 2, "things": [],
    }  # fmt: skip
    said = event_words(ChainEvent(1, NOW, "operator-act", None, "", detail))
    assert said == "operator li: queue hold account=root count=2; reason: asked by the court"
    # The same word of the state table for an item that is judged, and for a packet on its way.
    key = PacketKey(POLICE, packet_id(1))
    assert event_words(ChainEvent(1, NOW, "release", key, "", {})) == "judged again"
    released = ChainEvent(1, NOW, "release", key, POLICE, {"to": "queued"})
    assert event_words(released) == "released by an operator"


def test_what_is_held_for_want_of_a_suite_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    detail = {"reason": "unknown-suite", "note": "the signature suite sm2-sm3 is not known here"}
    held = ChainEvent(1, NOW, "hold", PacketKey(POLICE, packet_id(1)), "", detail)
    waits = ChainEvent(
        1, NOW, "mailbox-file-waits", None, "", {"link": "police", "file": "7.batch", "suite": "sm2-sm3"}
    )
    assert event_words(held) == "held: unknown-suite (the signature suite sm2-sm3 is not known here)"
    assert "the suite sm2-sm3 is not known here" in event_words(waits)
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert event_words(held).endswith("(本节点不认识签名套件 sm2-sm3)")
    assert "不认识套件 sm2-sm3" in event_words(waits)


def test_an_event_without_words_or_particulars_hides_nothing() -> None:
    def event(kind: str, **detail: object) -> ChainEvent:
        return ChainEvent(1, NOW, kind, None, "", detail)

    unknown = event("never-heard-of", a=1, digest="ab" * 32)
    assert event_words(unknown) == f"never-heard-of a=1 digest={'ab' * 6}…"
    assert event_words(event("hold", item="packet")) == "hold item=packet"
    assert event_words(event("drop-refused", drop=3, codes=["a", "b"])) == "drop 3 is refused: a, b"


@pytest.mark.parametrize(
    "ask",
    [
        lambda connection: questions_find.find(connection, "R-1"),
        lambda connection: questions_find.find(connection, "R"),
        lambda connection: questions_find.find(connection, packet_id(1)),
        questions_node.node_facts,
        lambda connection: questions_link.link_facts(connection, LINK),
        *(
            lambda connection, wanted=wanted: questions_event.list_events(connection, wanted)
            for wanted in (
                EventFilter(),
                EventFilter(since=NOW, until=NOW),
                EventFilter(kind="operator-*", since=NOW),
                EventFilter(operator="li", kind="operator-*"),
                EventFilter(key=PacketKey(POLICE, packet_id(1)), operator="li", kind="operator-*"),
            )
        ),
        *(
            lambda connection, wanted=wanted: list(by_filter(connection, Act.DISCARD, wanted))
            for wanted in (Filter(state="held"), Filter(state="held", link=LINK))
        ),
        *(
            lambda connection, act=act, wanted=wanted: list(by_filter(connection, act, wanted))
            for act in QUEUE_ACTS
            for wanted in (
                Filter(),
                Filter(recipient=COURT),
                Filter(sender=POLICE),
                Filter(link=LINK),
                Filter(recipient=COURT, sender=POLICE, link=LINK),
                Filter(reasons=("unknown-key", "held-by-operator")),
            )
        ),
    ],
)
def test_no_answer_reads_a_whole_table(desk: Operator, tmp_path: Path, ask: Callable) -> None:
    """Each statement's plan searches by an index or walks one in its order; nothing large is sorted."""
    small = {"node", "link_memory", "stream_in", "restore_peer"}
    with Books(tmp_path / "data") as books:
        connection = books.ledger.read()
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        ask(connection)
        connection.set_trace_callback(None)
        for statement in statements:
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                scans = row["detail"].startswith("SCAN") and "INDEX" not in row["detail"]
                scans = scans and not row["detail"].startswith("SCAN (subquery")
                assert not scans or row["detail"].split()[1] in small, f"{row['detail']}: {statement}"
                sorts = "B-TREE FOR ORDER BY" in row["detail"]
                few = "packet_id = '" in statement or any(
                    each in statement for each in ("stream_in", "batch_out", "notice WHERE over_at IS NULL")
                )
                assert not sorts or few, f"{row['detail']}: {statement}"
